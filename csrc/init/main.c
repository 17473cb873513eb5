/* Start, and the loop over the ops. */
#include "init.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void execute_op(const void *op) {
    switch (*(const uint16_t *)op) {
#define OP(name, error, fields)                                                                                             \
    case OP_##name:                                                                                                         \
        op_##name(op);                                                                                                      \
        break;
#include "../ops.def"
    }
}

static void execute_plan(const struct plan *plan) {
    const char *op = plan->ops;

    plan_begins(plan->times);
    for (uint32_t i = 0; i < plan->header->count; i++) {
        uint16_t code = *(const uint16_t *)(const void *)op;
        if (code == OP_seccomp || code == OP_seccomp_notify || code == OP_seccomp_listener || code == OP_execve)
            stop_watch(); /* every system call after the filter needs its leave */
        execute_op(op);
        op_ends();
        op += op_size(code);
    }
    tell_times();
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

/* Of the preserved descriptors some may be closed. What an op opens must not get such a number, which the program would inherit:
 * an empty file takes it until execve(2). */
static void fill_gaps(int preserved) {
    int empty = -1;

    for (int fd = 3; fd < 3 + preserved; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        if (empty < 0)
            empty = memfd_create("gap", MFD_CLOEXEC); /* which is this one: the lowest that is free */
        else if (dup3(empty, fd, O_CLOEXEC) < 0)
            _exit(1);
        if (empty < 0)
            _exit(1);
    }
}

/* Keep 0-2, the `preserved` ones after them, and the sync socket right after those. */
static int keep_only(int sync, int preserved) {
    int place = 3 + preserved;

    if (sync != place && dup3(sync, place, O_CLOEXEC) < 0)
        _exit(1);
    if (sync == place)
        fcntl(sync, F_SETFD, FD_CLOEXEC);
    if (sys_close_range((unsigned)place + 1, ~0u) < 0)
        _exit(1);
    fill_gaps(preserved);
    return place;
}

/* argv: name, number of the sync socket, count of preserved descriptors */
int main(int argc, char **argv) {
    struct plan plan = {.header = NULL};

    prctl(PR_SET_DUMPABLE, 0);
    /* Until execve(2) names the process after its program: so the runtime sees whether that ever ran. No file has this name. */
    prctl(PR_SET_NAME, "pyoci/init");
    if (argc != 3)
        _exit(1);
    clear_state();
    open_channel(keep_only(atoi(argv[1]), atoi(argv[2])));
    umask(0); /* device nodes and mount points get the very mode the plan names */
    reset_signals();
    while (receive_plan(&plan)) {
        execute_plan(&plan);
        say(REPLY_DONE, 0, NULL, 0, -1);
    }
    return 1;
}
