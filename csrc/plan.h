/* The plan: what the compiler (pyoci/plan) makes and the container's init (csrc/init) executes.
 *
 * A plan travels over the sync socket as
 *
 *     struct plan_header | ops, one after the other, each a struct of ops.h | text
 *
 * in the byte order of the machine. Text holds NUL-terminated strings and blobs; ops name them by their offset. The last
 * byte of the text is NUL, so each offset within it starts a terminated string. The ops themselves are in ops.def.
 */
#ifndef PYOCI_PLAN_H
#define PYOCI_PLAN_H

#include <stdint.h>

/* cffi:begin */

enum plan_limits {
    PLAN_MAGIC = 0x324e4c50, /* "PLN2" */
    PLAN_MAX_SIZE = 16777216,
    PLAN_MAX_OPS = 100000,
    PLAN_MAX_FDS = 240,            /* descriptors that come with one plan (SCM_MAX_FD is 253) */
    PLAN_MAX_STRINGS = 200000,     /* in the lists of one op together */
    PLAN_MAX_REPLY = 1024,         /* bytes of text in a reply */
    PLAN_MAX_TIMEOUT = 1000000000, /* seconds, some 30 years: for hooks that the init runs and for those on the host */
};

enum plan_header_flags {
    PLAN_TIMED = 1, /* report when each op began and ended */
};

/* Registers: where ops keep descriptors. Those from REG_PASSED up came with the plan. */
enum plan_register {
    REG_NONE = 0,
    REG_ROOT = 1,       /* root of the container's tree */
    REG_PROC = 2,       /* a procfs that the container has no say in */
    REG_MOUNT = 3,      /* the mount being made */
    REG_MOUNTPOINT = 4, /* where it goes */
    REG_NULL = 5,       /* the null device that covers masked files */
    REG_MASK = 6,       /* the empty directory that covers masked directories */
    REG_CGROUP = 7,     /* the tmpfs that holds the mounts of cgroup v1 */
    REG_PROCFS = 8,     /* the container's procfs, where it is mounted */
    REG_SYSFS = 9,      /* its sysfs */
    REG_RULESET = 10,   /* of Landlock, until it is in force */
    REG_PASSED = 16,
    REG_KEPT = 256, /* and those after it: mounts that become read-only last */
    REG_COUNT = 512,
};

enum plan_mountpoint {
    MOUNTPOINT_EXISTS = 0,
    MOUNTPOINT_DIRECTORY = 1,
    MOUNTPOINT_FILE = 2,
    MOUNTPOINT_LIKE_MOUNT = 3, /* what the mount in REG_MOUNT is */
    MOUNTPOINT_COUNT = 4,
};

/* A system call that no kernel has. With it an init whose filter the runtime answers asks whether the runtime has the listener. */
enum plan_call {
    CALL_LISTENER_TAKEN = 0x0f0c1000,
};

struct plan_header {
    uint32_t magic;
    uint32_t size; /* of all three parts */
    uint32_t count;
    uint32_t flags;
};

/* What the init says. A reply is followed by `length` bytes of text. */
enum plan_reply_kind {
    REPLY_DONE = 1,     /* every op of this plan is done; the next plan, please */
    REPLY_READY = 2,    /* all is set up; waits for one byte */
    REPLY_TERMINAL = 3, /* a descriptor comes along: the terminal's master; text: its name */
    REPLY_TIMES = 4,    /* op: the first of some; text: uint64_t when it began, then when it and each one after it ended, in
                          nanoseconds of CLOCK_REALTIME: the one clock that a time namespace does not shift */
    REPLY_ERROR = 5,    /* op, step and error: what failed at what; text: the object of the step */
    REPLY_FORKED = 6,   /* error: the pid of the child that goes on; waits for one byte */
    REPLY_LISTENER = 7, /* a descriptor comes along: the listener of the seccomp filter that is in force now */
};

struct plan_reply {
    uint16_t kind;
    uint16_t step; /* a number of enum plan_step; 0 from an init of before there were any, whose text then names it */
    uint32_t op;
    int32_t error;
    uint32_t length;
};

/* cffi:end */

#endif
