/* The process itself: limits, identity, privileges, the filter. */
#include "init.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { IOPRIO_WHO_PROCESS = 1, LAST_CAPABILITY = 63, MAX_GROUPS = 1024 };

/* the most that a kernel can be built for */
enum { MAX_PROCESSORS = 8192 };

/* A low limit comes at the very end, for it must not get in the way of the set-up; before that, with raise_only, the hard limit goes
 * up as long as there is privilege for it. */
void op_setrlimit(const struct op_setrlimit *op) {
    int resource = (int)op->resource;
    struct rlimit limit = {op->soft, op->hard}, now;

    if (op->raise_only) {
        check(getrlimit(resource, &now), STEP_getrlimit, NULL);
        if (limit.rlim_max <= now.rlim_max)
            return;
        limit.rlim_cur = now.rlim_cur;
    }
    check(setrlimit(resource, &limit), STEP_setrlimit, NULL);
}

void op_sched_setattr(const struct op_sched_setattr *op) {
    struct sched_attributes attributes = {
        .size = sizeof(attributes),
        .policy = op->policy,
        .flags = op->flags,
        .nice = op->nice,
        .priority = op->priority,
        .runtime = op->runtime,
        .deadline = op->deadline,
        .period = op->period,
    };

    check(syscall(SYS_sched_setattr, 0, &attributes, 0), STEP_sched_setattr, NULL);
}

/* The affinity of whoever called us comes along through clone(2) and execve(2), and since Linux 6.2 joining a cpuset does not lift it
 * any more: a container made by a service with CPUAffinity= would stay on those processors for good. A mask of all ones lifts it: the
 * kernel cuts it to the processors of the cpuset, and remembers that no other wish was made, for when the cpuset grows. */
void op_sched_setaffinity(const struct op_sched_setaffinity *op) {
    unsigned char all[MAX_PROCESSORS / 8];

    if (op->mask.size > 0) {
        check(syscall(SYS_sched_setaffinity, 0, op->mask.size, op->mask.data), STEP_sched_setaffinity, NULL);
        return;
    }
    memset(all, 0xff, sizeof(all));
    syscall(SYS_sched_setaffinity, 0, sizeof(all), all);
}

void op_ioprio_set(const struct op_ioprio_set *op) {
    check(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, op->priority), STEP_ioprio_set, NULL);
}

/* The kernel counts one bit less than it is told. */
void op_set_mempolicy(const struct op_set_mempolicy *op) {
    const void *nodes = op->nodes.size > 0 ? op->nodes.data : NULL;
    unsigned long bits = nodes ? op->nodes.size * 8 + 1 : 0;

    check(syscall(SYS_set_mempolicy, op->mode, nodes, bits), STEP_set_mempolicy, NULL);
}

void op_personality(const struct op_personality *op) {
    check(personality(op->persona), STEP_personality, NULL);
}

void op_umask(const struct op_umask *op) {
    state.mask = (mode_t)op->mask;
}

void op_mkdir(const struct op_mkdir *op) {
    bool made;
    int fd = open_or_create(get(REG_ROOT), op->path, MOUNTPOINT_DIRECTORY, 0755, 0, &made);

    if (fd >= 0)
        close(fd);
}

/* A magic link could lead out of the container; so could a descriptor that was left open: getcwd(2) shows both. */
void op_chdir(const struct op_chdir *op) {
    char where[4096];
    bool denied, creating = false;
    int fd;

    if (state.in_directory)
        return;
    fd = sys_openat2(AT_FDCWD, op->path, O_PATH | O_DIRECTORY, 0, RESOLVE_NO_MAGICLINKS);
    if (fd < 0 && errno == ENOENT && op->create)
        fd = open_or_create(get(REG_ROOT), op->path, MOUNTPOINT_DIRECTORY, 0755, 0, &creating);
    if (fd < 0 || fchdir(fd) < 0) {
        denied = errno == EACCES || errno == EPERM;
        if (!op->tentative || !denied) {
            if (fd < 0 && creating)
                fail_lookup();
            fail(errno, STEP_chdir, op->path);
        }
        if (fd >= 0)
            close(fd);
        return;
    }
    close(fd);
    check(syscall(SYS_getcwd, where, sizeof(where)), STEP_getcwd, op->path);
    if (where[0] != '/')
        fail(EXDEV, STEP_getcwd, "the current directory is outside of the container");
    state.in_directory = true;
}

void op_bounding_set(const struct op_bounding_set *op) {
    for (int capability = 0; capability <= LAST_CAPABILITY; capability++) {
        if (op->capabilities >> capability & 1)
            continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
            if (errno == EINVAL) /* past the last one this kernel knows */
                return;
            fail(errno, STEP_PR_CAPBSET_DROP, NULL);
        }
    }
}

/* The capabilities stay until op_capset says which ones the program gets. Groups first: they need the privilege. */
void op_user(const struct op_user *op) {
    char text[64];

    if (op->groups.count > MAX_GROUPS)
        fail(EINVAL, STEP_setgroups, "more than 1024 groups");
    check(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), STEP_PR_SET_KEEPCAPS, NULL);
    if (!op->keep_groups)
        check(setgroups((size_t)op->groups.count, op->groups.list), STEP_setgroups, NULL);
    snprintf(text, sizeof(text), "%u", op->gid);
    check(setresgid(op->gid, op->gid, op->gid), STEP_setresgid, text);
    snprintf(text, sizeof(text), "%u", op->uid);
    check(setresuid(op->uid, op->uid, op->uid), STEP_setresuid, text);
    /* a change of identity makes the process dumpable again in no case we know of, yet what matters is said, not assumed */
    check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), STEP_PR_SET_DUMPABLE, NULL);
}

void op_capset(const struct op_capset *op) {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    check(sys_capset(op->effective, op->permitted, op->inheritable), STEP_capset, NULL);
    for (int capability = 0; capability <= LAST_CAPABILITY; capability++)
        if (op->ambient >> capability & 1)
            check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0), STEP_PR_CAP_AMBIENT_RAISE, NULL);
}

void op_no_new_privs(const struct op_no_new_privs *op) {
    (void)op;
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), STEP_PR_SET_NO_NEW_PRIVS, NULL);
}

void op_seccomp(const struct op_seccomp *op) {
    struct sock_fprog program = {.len = (unsigned short)op->filter.count, .filter = op->filter.list};

    check_filter(&op->filter);
    if (op->flags & FILTER_NEW_LISTENER) /* no one would take it: that is op_seccomp_notify */
        fail(EINVAL, STEP_seccomp, "listener of the filter");
    close_registers();
    set_mask();
    check(syscall(SYS_seccomp, SECCOMP_FILTER, op->flags, &program), STEP_seccomp, NULL);
}
