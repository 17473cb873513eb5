/* The plan: what the compiler (pyoci/plan) writes and the container's init (csrc/init) executes.
 *
 * Both halves take every number from this page; Python reads it through cffi. A plan travels over the sync socket as
 *
 *     struct plan_header | struct plan_op[count] | text
 *
 * in the byte order of the machine. Text holds NUL-terminated strings and blobs; ops name them by their offset. The last
 * byte of the text is NUL, so each offset within it starts a terminated string. Offset 0 is always the empty string.
 */
#ifndef PYOCI_PLAN_H
#define PYOCI_PLAN_H

#include <stdint.h>

/* cffi:begin */

enum plan_limits {
    PLAN_MAGIC = 0x314e4c50, /* "PLN1" */
    PLAN_MAX_SIZE = 16777216,
    PLAN_MAX_OPS = 100000,
    PLAN_MAX_FDS = 240,        /* descriptors that come with one plan (SCM_MAX_FD is 253) */
    PLAN_MAX_STRINGS = 200000, /* in the argument and environment lists of one op together */
    PLAN_MAX_REPLY = 1024,     /* bytes of text in a reply */
    PLAN_TEXTS = 3,
    PLAN_NUMBERS = 4,
};

enum plan_header_flags {
    PLAN_TIMED = 1, /* report when each op began and ended */
};

/* Registers: where ops keep descriptors. Those from REG_PASSED up came with the plan. */
enum plan_register {
    REG_NONE = 0,
    REG_ROOT = 1,   /* root of the container's tree */
    REG_PROC = 2,   /* a procfs that the container has no say in */
    REG_MOUNT = 3,  /* the mount being made */
    REG_TARGET = 4, /* where it goes */
    REG_NULL = 5,   /* the host's /dev/null, proven to be one */
    REG_MASK = 6,   /* the empty read-only directory that hides masked directories */
    REG_CGROUP = 7, /* the tmpfs that holds the mounts of cgroup v1 */
    REG_PROCFS = 8, /* the container's procfs, where it is mounted */
    REG_SYSFS = 9,  /* its sysfs */
    REG_PASSED = 16,
    REG_COUNT = 256,
};

enum plan_opcode {
    OP_NONE = 0,
    OP_UNSHARE,          /* numbers[0]: CLONE_NEW* */
    OP_JOIN,             /* fd: a namespace, or a pidfd; numbers[0]: CLONE_NEW* */
    OP_FORK,             /* numbers[0]: CLONE_NEW*; a child, of the runtime's, goes on when one byte has come from there */
    OP_BECOME_ROOT,      /* uid 0 and gid 0 of the user namespace */
    OP_TIME_OFFSETS,     /* texts[0]: lines for timens_offsets */
    OP_CGROUP_JOIN,      /* fd..fd+numbers[0]-1: v1 `tasks` files */
    OP_SESSION,          /* setsid */
    OP_KEYRING,          /* texts[0]: name of the new session keyring */
    OP_HOSTNAME,         /* texts[0] */
    OP_DOMAINNAME,       /* texts[0] */
    OP_LOOPBACK,         /* lo up */
    OP_PROC_OPEN,        /* numbers[0]: 1 for processes only -> REG_PROC */
    OP_PROC_WRITE,       /* texts[0]: path below procfs; texts[1]: content */
    OP_NULL_OPEN,        /* -> REG_NULL */
    OP_HOST_PROPAGATION, /* numbers[0]: MS_* for the whole tree before rootfs is known */
    OP_ROOTFS,      /* texts[0]: host path, or fd: a detached tree -> REG_ROOT; OPF_JOINED: no mount namespace of our own */
    OP_ROOT_JOINED, /* "/" of the joined mount namespace -> REG_ROOT */
    OP_MOUNT_NEW,   /* texts: type, source, numbers[1] options; numbers[0]: MOUNT_ATTR_* -> fd2, else REG_MOUNT */
    OP_MOUNT_BIND,  /* texts[0]: host path, or fd: a detached tree; OPF_RECURSIVE -> REG_MOUNT */
    OP_MOUNT_ATTR,  /* fd; numbers[0]: set, [1]: clear (MOUNT_ATTR_*); [2]: propagation MS_*; OPF_RECURSIVE */
    OP_TARGET,      /* texts[0]: path below fd, else REG_ROOT; numbers: enum plan_target, mode -> REG_TARGET */
    OP_ATTACH,      /* fd (a mount) onto fd2 (a target) */
    OP_KEEP,        /* what is in fd goes to fd2 */
    OP_MOUNT_OLD,   /* the same by mount(2); texts: type, source, data; numbers[0]: MS_* -> REG_MOUNT */
    OP_COPY_UP,     /* what is below fd2 (a directory) goes into fd (an unattached mount) */
    OP_MODE_LIKE,   /* the root of fd (a mount) gets the mode of fd2 (a directory), unless OP_TARGET has just made it */
    OP_MKNOD,       /* texts[0]: path; numbers: mode with type, device, uid, gid */
    OP_SYMLINK,     /* texts[0]: content; texts[1]: path; fd: the tree it is made in */
    OP_MASK,        /* texts[0]: path below fd, else REG_ROOT */
    OP_READONLY,    /* texts[0]: path below fd, else REG_ROOT */
    OP_CONSOLE,     /* numbers[0]: rows << 16 | columns; OPF_JOINED: no /dev/console is made */
    OP_STDIO_NULL,  /* standard files that are the host's /dev/null become the container's */
    OP_STDIO_OWNER, /* numbers[0]: uid that must be able to reopen the standard files */
    OP_ROOT_READONLY,
    OP_PIVOT_ROOT,
    OP_CHROOT,
    OP_ROOT_PROPAGATION, /* numbers[0]: MS_* */
    OP_HOOK,             /* texts: argument list (path first), environment list, state;
                            numbers: arguments << 32 | environment, timeout in seconds, offset of the pid in state, length of state */
    OP_RLIMIT,           /* numbers: resource, soft, hard; OPF_RAISE: only what needs privilege */
    OP_SCHEDULER,        /* texts[0]: struct sched_attr; numbers[0]: its size */
    OP_IO_PRIORITY,      /* numbers[0] */
    OP_PERSONALITY,      /* numbers[0] */
    OP_UMASK,            /* numbers[0] */
    OP_CWD,              /* texts[0]; OPF_EARLY: permission denied is no failure yet; OPF_JOINED: it has to be there */
    OP_BOUNDING,         /* numbers[0]: capabilities kept */
    OP_USER,             /* numbers: uid, gid, count of groups; texts[0]: uint32_t groups[]; OPF_NO_GROUPS */
    OP_CAPABILITIES,     /* numbers: effective, permitted, inheritable, ambient */
    OP_NO_NEW_PRIVS,
    OP_SECCOMP,         /* texts[0]: struct sock_filter[]; numbers: count, flags */
    OP_FIND_EXECUTABLE, /* texts[0]: name; texts[1]: PATH */
    OP_HOME,            /* numbers[0]: uid whose home directory HOME shall be */
    OP_READY,           /* all is set up: tell the runtime, and wait for one byte from it; fd2: the failure fifo, if any */
    OP_WAIT_START,      /* fd: the start fifo */
    OP_EXEC,            /* texts: argument list, environment list; numbers: their counts */
    OP_COUNT,
};

enum plan_op_flags {
    OPF_RECURSIVE = 1,
    OPF_EARLY = 2,
    OPF_RAISE = 4,
    OPF_NO_GROUPS = 8,
    OPF_JOINED = 16,
    OPF_NO_SYMLINKS = 32, /* of OP_TARGET: no component may be a symbolic link */
    OPF_OPTIONAL = 64,    /* a failure is no failure */
    OPF_SHARED = 128,     /* of OP_ROOTFS: the host's mounts stay shared */
};

enum plan_target {
    TARGET_EXISTS = 0,
    TARGET_DIRECTORY = 1,
    TARGET_FILE = 2,
    TARGET_LIKE_MOUNT = 3, /* what the mount in REG_MOUNT is */
};

struct plan_header {
    uint32_t magic;
    uint32_t size; /* of all three parts */
    uint32_t count;
    uint32_t flags;
};

struct plan_op {
    uint16_t code;
    uint16_t flags;
    uint16_t fd;
    uint16_t fd2;
    uint32_t texts[3];
    uint32_t reserved;
    uint64_t numbers[4];
};

/* What the init says. A reply is followed by `length` bytes of text. */
enum plan_reply_kind {
    REPLY_DONE = 1,     /* every op of this plan is done; the next plan, please */
    REPLY_READY = 2,    /* all is set up; waits for one byte */
    REPLY_TERMINAL = 3, /* a descriptor comes along: the terminal's master; text: its name */
    REPLY_TIMES = 4,    /* op: the first of some; text: uint64_t when it began, then when it and each one after it ended, in
                          nanoseconds of CLOCK_REALTIME: the one clock that a time namespace does not shift */
    REPLY_ERROR = 5,    /* op, error; text: the step that failed, NUL, its object */
    REPLY_BORN = 6,     /* error: the pid of the child that goes on; waits for one byte */
};

struct plan_reply {
    uint32_t kind;
    uint32_t op;
    int32_t error;
    uint32_t length;
};

/* cffi:end */

#endif
