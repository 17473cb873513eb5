/* Namespaces and what is set in them: names, loopback, time offsets, sysctls. */
#include "init.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CLONE_NEWTIME_ 0x80

enum { NOSUID_NODEV_NOEXEC = 2 | 4 | 8 };
enum { KEYCTL_JOIN_SESSION = 1, KEYCTL_SETPERM = 5 };
enum { KEY_POSSESSOR_ALL = 0x3f000000, KEY_USER_VIEW = 0x10000, KEY_USER_READ = 0x20000, KEY_USER_SEARCH = 0x80000 };

void op_unshare(const struct plan_op *op) {
    check(unshare((int)op->numbers[0]), "unshare", NULL);
}

void op_join(const struct plan_op *op) {
    check(setns(get(op->fd), (int)op->numbers[0]), "setns", NULL);
}

/* setns(2) into a pid namespace is for children only, and a new user namespace must not be there before what it does not own is
 * joined. The processes of what was joined may see the child from its birth on: nothing of the host's is open in it. */
void op_fork(const struct plan_op *op) {
    long pid;

    close_all();
    pid = syscall(SYS_clone, op->numbers[0] | CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    check(pid, "clone", NULL);
    if (pid > 0) {
        say(REPLY_BORN, (int32_t)pid, NULL, 0, -1);
        _exit(0);
    }
    wait_for_go();
}

void op_become_root(const struct plan_op *op) {
    (void)op;
    check(setresgid(0, 0, 0), "setresgid", "0");
    check(setresuid(0, 0, 0), "setresuid", "0");
}

static void write_file(int directory, const char *path, const char *content) {
    int fd = openat(directory, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    check(fd, "open", path);
    check(write(fd, content, strlen(content)), "write", content);
    close(fd);
}

/* The init enters the new time namespace itself, so that the offsets are in force before the first program (time_namespaces(7)). */
void op_time_offsets(const struct plan_op *op) {
    int fd;

    check(unshare(CLONE_NEWTIME_), "unshare", "time");
    if (*op_text(op, 0))
        write_file(get(REG_PROC), "self/timens_offsets", op_text(op, 0));
    fd = openat(get(REG_PROC), "self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
    check(fd, "open", "time_for_children");
    check(setns(fd, CLONE_NEWTIME_), "setns", "time");
    close(fd);
}

/* cgroup v1: a single-threaded process that moves itself through `tasks` does not wait for an RCU grace period. */
void op_cgroup_join(const struct plan_op *op) {
    for (uint64_t i = 0; i < op->numbers[0]; i++) {
        if (op->fd + i >= REG_COUNT)
            fail(EBADF, "plan", "register");
        check(write(get((uint16_t)(op->fd + i)), "0", 1), "write", "tasks");
        put((uint16_t)(op->fd + i), -1);
    }
}

void op_session(const struct plan_op *op) {
    (void)op;
    if (setsid() < 0 && errno != EPERM)
        fail(errno, "setsid", NULL);
}

/* A kernel without keyrings, or a sandbox around us that forbids them, is no reason to fail (keyctl(2)). */
void op_keyring(const struct plan_op *op) {
    long key = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION, op_text(op, 0));

    if (key < 0) {
        if (errno != ENOSYS && errno != EPERM)
            fail(errno, "keyctl", op_text(op, 0));
        return;
    }
    /* the possessor may do all, the user may look and search: `exec` finds it by its name */
    syscall(SYS_keyctl, KEYCTL_SETPERM, key, KEY_POSSESSOR_ALL | KEY_USER_VIEW | KEY_USER_READ | KEY_USER_SEARCH);
}

void op_hostname(const struct plan_op *op) {
    check(sethostname(op_text(op, 0), strlen(op_text(op, 0))), "sethostname", op_text(op, 0));
}

void op_domainname(const struct plan_op *op) {
    check(setdomainname(op_text(op, 0), strlen(op_text(op, 0))), "setdomainname", op_text(op, 0));
}

void op_loopback(const struct plan_op *op) {
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)op;
    check(fd, "socket", NULL);
    check(ioctl(fd, SIOCGIFFLAGS, &request), "SIOCGIFFLAGS", "lo");
    request.ifr_flags |= IFF_UP;
    check(ioctl(fd, SIOCSIFFLAGS, &request), "SIOCSIFFLAGS", "lo");
    close(fd);
}

/* A procfs of our own that is mounted nowhere: nobody can put something over a file in it. One that stays open while others may
 * look at our descriptors has processes only. Where the kernel refuses both (a user namespace that sees only part of /proc), the
 * /proc that is there serves; op_proc_write crosses into no other mount. */
void op_proc_open(const struct plan_op *op) {
    struct statfs status;
    int proc = -1, context = sys_fsopen("proc");

    if (context >= 0 && op->numbers[0])
        check(sys_fsconfig(context, FSCONFIG_STRING, "subset", "pid"), "fsconfig", "subset");
    if (context >= 0) {
        if (sys_fsconfig(context, FSCONFIG_CREATE, NULL, NULL) == 0)
            proc = sys_fsmount(context, NOSUID_NODEV_NOEXEC);
        close(context);
    }
    if (proc < 0) {
        proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        check(proc, "open", "/proc");
        check(fstatfs(proc, &status), "statfs", "/proc");
        if (status.f_type != PROC_MAGIC)
            fail(EXDEV, "statfs", "/proc is not a procfs");
    }
    put(REG_PROC, proc);
}

/* A file of procfs and of no other file system: nothing that was mounted over it is taken for it. */
static int open_in_proc(const char *path) {
    uint64_t within = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    struct statfs status;
    int fd = sys_openat2(get(REG_PROC), path, O_WRONLY | O_NOCTTY, 0, within);

    if (fd < 0)
        return -1;
    check(fstatfs(fd, &status), "statfs", path);
    if (status.f_type != PROC_MAGIC)
        fail(EXDEV, "statfs", path);
    return fd;
}

void op_proc_write(const struct plan_op *op) {
    int fd = open_in_proc(op_text(op, 0));

    if (fd < 0 && (op->flags & OPF_OPTIONAL))
        return;
    check(fd, "open", op_text(op, 0));
    if (write(fd, op_text(op, 1), strlen(op_text(op, 1))) < 0 && !(op->flags & OPF_OPTIONAL))
        fail(errno, "write", op_text(op, 0));
    close(fd);
}

void op_null_open(const struct plan_op *op) {
    int fd = open("/dev/null", O_PATH | O_CLOEXEC | O_NOFOLLOW);

    (void)op;
    check(fd, "open", "/dev/null");
    if (!is_null_device(fd))
        fail(ENODEV, "stat", "/dev/null is not the null device");
    put(REG_NULL, fd);
}
