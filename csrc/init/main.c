/* Start, the loop over the ops, the one way to fail. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct init init = {.sync = -1, .failures = -1, .mask = 022};

static op_function *const operations[OP_COUNT] = {
    [OP_UNSHARE] = op_unshare,
    [OP_JOIN] = op_join,
    [OP_FORK] = op_fork,
    [OP_BECOME_ROOT] = op_become_root,
    [OP_TIME_OFFSETS] = op_time_offsets,
    [OP_CGROUP_JOIN] = op_cgroup_join,
    [OP_SESSION] = op_session,
    [OP_KEYRING] = op_keyring,
    [OP_HOSTNAME] = op_hostname,
    [OP_DOMAINNAME] = op_domainname,
    [OP_LOOPBACK] = op_loopback,
    [OP_PROC_OPEN] = op_proc_open,
    [OP_PROC_WRITE] = op_proc_write,
    [OP_NULL_OPEN] = op_null_open,
    [OP_HOST_PROPAGATION] = op_host_propagation,
    [OP_ROOTFS] = op_rootfs,
    [OP_ROOT_JOINED] = op_root_joined,
    [OP_MOUNT_NEW] = op_mount_new,
    [OP_MOUNT_BIND] = op_mount_bind,
    [OP_MOUNT_ATTR] = op_mount_attr,
    [OP_TARGET] = op_target,
    [OP_ATTACH] = op_attach,
    [OP_KEEP] = op_keep,
    [OP_MOUNT_OLD] = op_mount_old,
    [OP_COPY_UP] = op_copy_up,
    [OP_MODE_LIKE] = op_mode_like,
    [OP_MKNOD] = op_mknod,
    [OP_SYMLINK] = op_symlink,
    [OP_MASK] = op_mask,
    [OP_READONLY] = op_readonly,
    [OP_CONSOLE] = op_console,
    [OP_STDIO_NULL] = op_stdio_null,
    [OP_STDIO_OWNER] = op_stdio_owner,
    [OP_ROOT_READONLY] = op_root_readonly,
    [OP_PIVOT_ROOT] = op_pivot_root,
    [OP_CHROOT] = op_chroot,
    [OP_ROOT_PROPAGATION] = op_root_propagation,
    [OP_HOOK] = op_hook,
    [OP_RLIMIT] = op_rlimit,
    [OP_SCHEDULER] = op_scheduler,
    [OP_IO_PRIORITY] = op_io_priority,
    [OP_PERSONALITY] = op_personality,
    [OP_UMASK] = op_umask,
    [OP_CWD] = op_cwd,
    [OP_BOUNDING] = op_bounding,
    [OP_USER] = op_user,
    [OP_CAPABILITIES] = op_capabilities,
    [OP_NO_NEW_PRIVS] = op_no_new_privs,
    [OP_SECCOMP] = op_seccomp,
    [OP_FIND_EXECUTABLE] = op_find_executable,
    [OP_HOME] = op_home,
    [OP_READY] = op_ready,
    [OP_WAIT_START] = op_wait_start,
    [OP_EXEC] = op_exec,
};

/* A filter may deny the end itself: _exit(2) of the C library then tries for ever. An instruction that is none needs no leave. */
_Noreturn void leave(int status) {
    syscall(SYS_exit_group, status);
    __builtin_trap();
}

_Noreturn void fail(int error, const char *step, const char *object) {
    char text[PLAN_MAX_REPLY];
    size_t used = 0;
    const char *parts[2] = {step, object ? object : ""};

    for (int i = 0; i < 2; i++) {
        size_t room = sizeof(text) / 2 - 1, length = strlen(parts[i]);
        if (length > room)
            length = room;
        memcpy(text + used, parts[i], length);
        used += length;
        text[used++] = '\0';
    }
    say_times();
    say(REPLY_ERROR, error, text, used, -1);
    leave(1);
}

void check(long result, const char *step, const char *object) {
    if (result < 0)
        fail(errno, step, object);
}

static uint64_t now(void) {
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Tell the times and take no more of them: behind the filter every system call needs its leave, and execve is the end. */
static void stop_watch(void) {
    say_times();
    init.plan.times = NULL;
}

static void execute_plan(void) {
    const struct plan *plan = &init.plan;

    if (plan->times)
        plan->times[0] = now();
    for (init.current = 0; init.current < plan->header->count; init.current++) {
        const struct plan_op *op = &plan->ops[init.current];
        if (op->code == OP_SECCOMP || op->code == OP_EXEC)
            stop_watch();
        operations[op->code](op);
        if (plan->times)
            plan->times[init.current + 1] = now();
    }
}

/* Python ignores SIGPIPE and SIGXFSZ, and a parent may have left anything: the container starts with a clean slate. */
static void reset_signals(void) {
    static const unsigned long standard[4]; /* the kernel's struct: SIG_DFL, no flags, no mask */
    sigset_t none;

    for (int number = 1; number < NSIG; number++) /* not sigaction(3): it keeps two for the C library */
        syscall(SYS_rt_sigaction, number, standard, NULL, sizeof(unsigned long));
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Keep 0-2, the `preserved` ones behind them, and the sync socket right behind those. */
static int keep_only(int sync, int preserved) {
    int place = 3 + preserved;

    if (sync != place && dup3(sync, place, O_CLOEXEC) < 0)
        _exit(1);
    if (sync == place)
        fcntl(sync, F_SETFD, FD_CLOEXEC);
    if (sys_close_range((unsigned)place + 1, ~0u) < 0)
        _exit(1);
    return place;
}

/* argv: name, number of the sync socket, count of preserved descriptors */
int main(int argc, char **argv) {
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, "pyoci-init"); /* until the program's own: so the runtime sees whether it ever ran */
    if (argc != 3)
        _exit(1);
    for (int i = 0; i < REG_COUNT; i++)
        init.registers[i] = -1;
    init.sync = keep_only(atoi(argv[1]), atoi(argv[2]));
    umask(0); /* device nodes and mount points get the very mode the plan names */
    reset_signals();
    while (receive_plan()) {
        execute_plan();
        say_times();
        say(REPLY_DONE, 0, NULL, 0, -1);
    }
    return 1;
}
