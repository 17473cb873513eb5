/* Catching the signals that Python does not: those that report a fault, and those that the C library keeps for itself.
 *
 * Anybody may send them to `run` as any other, and then they are for the container. Left to their defaults they would end the
 * runtime, and the container would stay behind without anybody who waits for it. Python's own handlers do not serve: they return
 * to the instruction that failed, and the C library refuses to set any for its own signals. So the kernel is asked directly.
 */
#include "shim.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct sigaction as the kernel has it (rt_sigaction(2)); the C library's is another one. */
struct action {
    void (*handler)(int number, siginfo_t *info, void *context);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

/* 32 and 33 are glibc's, and 34 is musl's too. This program has one thread, so neither library sends them to itself. */
static const int others[] = {SIGILL, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, 32, 33, 34};
enum { COUNT = sizeof(others) / sizeof(*others) };

static struct action before[COUNT];
static bool changed[COUNT];
static volatile int writer;

static int act(int number, const struct action *new, struct action *old) {
    return syscall(SYS_rt_sigaction, number, new, old, sizeof(new->mask)) < 0 ? -errno : 0;
}

static void noted(int number, siginfo_t *info, void *context) {
    uint8_t byte = (uint8_t)number;
    int error = errno;

    (void)context;
    if (info->si_code > 0) { /* of the kernel's making: a fault of ours, which ends us as soon as this function returns */
        struct action fatal = {.handler = NULL}; /* SIG_DFL */

        act(number, &fatal, NULL);
        syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number);
    } else if (write(writer, &byte, 1) < 0) { /* the pipe is full: then the container has enough signals */
    }
    errno = error;
}

/* From now on these signals are written to a descriptor, a byte with the number each, but for those that are ignored. */
void pyoci_note_signals(int fd) {
    struct action new = {.handler = noted}, python;

    writer = fd;
    /* How to return from a handler is the C library's knowledge; SIGCHLD has a handler of its making. */
    if (act(SIGCHLD, NULL, &python) < 0)
        return;
    new.restorer = python.restorer;
    new.flags = (python.flags & ~(unsigned long)(SA_RESTART | SA_ONSTACK | SA_NODEFER | SA_RESETHAND)) | SA_SIGINFO;
    for (int i = 0; i < COUNT; i++) {
        bool ignored = act(others[i], NULL, &before[i]) < 0 || (uintptr_t)before[i].handler == (uintptr_t)SIG_IGN;

        changed[i] = !ignored && act(others[i], &new, NULL) == 0;
    }
}

/* These signals do again what they did before. */
void pyoci_restore_signals(void) {
    for (int i = 0; i < COUNT; i++)
        if (changed[i])
            act(others[i], &before[i], NULL);
}
