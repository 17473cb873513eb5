/* Namespaces and what is set in them: names, time offsets, sysctls. */
#include "init.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CLONE_NEWTIME_ 0x80

enum { NOSUID_NODEV_NOEXEC = 2 | 4 | 8 };
enum { KEYCTL_JOIN_SESSION = 1, KEYCTL_SETPERM = 5 };
enum { KEY_POSSESSOR_ALL = 0x3f000000, KEY_USER_VIEW = 0x10000, KEY_USER_READ = 0x20000, KEY_USER_SEARCH = 0x80000 };

/* Credentials that change make the process what fs.suid_dumpable says: dumpable, when that is 1. Root of a user namespace that was
 * joined could look into it. */
static void stay_undumpable(void) {
    check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), STEP_PR_SET_DUMPABLE, NULL);
}

void op_unshare(const struct op_unshare *op) {
    check(unshare((int)op->flags), STEP_unshare, NULL);
}

/* To join a namespace takes privilege in the user namespace that owns it. Where a user namespace is joined, too, either side of that
 * may be the one that has it: the host's root may join all, and loses that right when it enters a user namespace that does not own
 * the others; somebody else may join none until then, and afterwards what is owned by it. So it is tried on both sides. */
void op_setns(const struct op_setns *op) {
    if (op->again && state.registers[op->fd] < 0)
        return;
    if (setns(get(op->fd), (int)op->flags) < 0) {
        if (op->tentative && errno == EPERM)
            return;
        fail(errno, STEP_setns, NULL);
    }
    if (op->tentative)
        put(op->fd, -1);
    if (op->flags & CLONE_NEWUSER)
        stay_undumpable();
}

/* setns(2) into a pid namespace is for children only, and a new user namespace must not be there before what it does not own is
 * joined. The processes of what was joined may see the child from its start: nothing of the host's is open in it. */
void op_fork(const struct op_fork *op) {
    long pid;

    if (!is_connected()) /* then the fifo of `start` is open, and no message would let the child go on */
        fail(EBADMSG, STEP_plan, "fork after start");
    close_registers();
    pid = syscall(SYS_clone, op->flags | CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    check(pid, STEP_clone, NULL);
    if (pid > 0) {
        say(REPLY_FORKED, (int32_t)pid, NULL, 0, -1);
        _exit(0);
    }
    wait_for_go();
}

void op_become_root(const struct op_become_root *op) {
    (void)op;
    check(setresgid(0, 0, 0), STEP_setresgid, "0");
    check(setresuid(0, 0, 0), STEP_setresuid, "0");
    stay_undumpable();
}

static void write_file(int directory, const char *path, const char *content) {
    int fd = openat(directory, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    check(fd, STEP_open, path);
    check(write(fd, content, strlen(content)), STEP_write, content);
    close(fd);
}

/* The init enters the new time namespace itself, so that the offsets are in force before the first program (time_namespaces(7)). */
void op_time_namespace(const struct op_time_namespace *op) {
    int fd;

    check(unshare(CLONE_NEWTIME_), STEP_unshare, "time");
    if (*op->offsets)
        write_file(get(REG_PROC), "self/timens_offsets", op->offsets);
    fd = openat(get(REG_PROC), "self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
    check(fd, STEP_open, "time_for_children");
    check(setns(fd, CLONE_NEWTIME_), STEP_setns, "time");
    close(fd);
}

/* On cgroup v1 nothing can be cloned into a cgroup (CLONE_INTO_CGROUP is v2's), so a process has to be moved there, hierarchy after
 * hierarchy. Moving one through cgroup.procs takes the lock cgroup_threadgroup_rwsem for writing, a per-CPU lock whose writer waits
 * for an RCU grace period each time: some milliseconds, and a container joins a dozen hierarchies.
 *
 * The kernel leaves that lock out where a thread that is alone in its process moves itself through `tasks`: no other thread can come
 * or go meanwhile. The init is such a process. So the runtime opens the `tasks` files, which the init could not reach any more
 * from its namespaces, and the init writes "0", the writer itself, into each.
 */
void op_join_cgroup(const struct op_join_cgroup *op) {
    for (uint32_t i = 0; i < op->count; i++) {
        if (op->tasks + (uint64_t)i >= REG_COUNT)
            fail(EBADF, STEP_plan, "register");
        check(write(get((uint16_t)(op->tasks + i)), "0", 1), STEP_write, "tasks");
        put((uint16_t)(op->tasks + i), -1);
    }
}

void op_setsid(const struct op_setsid *op) {
    (void)op;
    if (setsid() < 0 && errno != EPERM)
        fail(errno, STEP_setsid, NULL);
}

/* A kernel without keyrings, or a sandbox around us that forbids them, is no reason to fail (keyctl(2)). */
void op_join_session_keyring(const struct op_join_session_keyring *op) {
    long key = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION, op->keyring);

    if (key < 0) {
        if (errno != ENOSYS && errno != EPERM)
            fail(errno, STEP_keyctl, op->keyring);
        return;
    }
    /* the possessor may do all, the user may look and search: `exec` finds it by its name */
    syscall(SYS_keyctl, KEYCTL_SETPERM, key, KEY_POSSESSOR_ALL | KEY_USER_VIEW | KEY_USER_READ | KEY_USER_SEARCH);
}

void op_sethostname(const struct op_sethostname *op) {
    check(sethostname(op->hostname, strlen(op->hostname)), STEP_sethostname, op->hostname);
}

void op_setdomainname(const struct op_setdomainname *op) {
    check(setdomainname(op->domainname, strlen(op->domainname)), STEP_setdomainname, op->domainname);
}

/* A procfs of our own that is mounted nowhere: no process can mount over a file in it. One that stays open while others may
 * look at our descriptors has processes only. Where the kernel refuses both (a user namespace that sees only part of /proc), the
 * /proc that is there serves; op_write_procfs crosses into no other mount. */
void op_open_procfs(const struct op_open_procfs *op) {
    struct statfs status;
    int proc = -1, context = sys_fsopen("proc");

    if (context >= 0 && op->pid_only)
        check(sys_fsconfig(context, FSCONFIG_STRING, "subset", "pid"), STEP_fsconfig, "subset");
    if (context >= 0) {
        if (sys_fsconfig(context, FSCONFIG_CREATE, NULL, NULL) == 0)
            proc = sys_fsmount(context, NOSUID_NODEV_NOEXEC);
        close(context);
    }
    if (proc < 0) {
        proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        check(proc, STEP_open, "/proc");
        check(fstatfs(proc, &status), STEP_statfs, "/proc");
        if (status.f_type != PROC_MAGIC)
            fail(EXDEV, STEP_statfs, "/proc is not a procfs");
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
    check(fstatfs(fd, &status), STEP_statfs, path);
    if (status.f_type != PROC_MAGIC)
        fail(EXDEV, STEP_statfs, path);
    return fd;
}

void op_write_procfs(const struct op_write_procfs *op) {
    int fd = open_in_proc(op->path);

    check(fd, STEP_open, op->path);
    check(write(fd, op->content, strlen(op->content)), STEP_write, op->path);
    close(fd);
}
