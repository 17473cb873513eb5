/* Helper programs on the host.
 *
 * posix_spawn(3) would leave descriptors that are not close-on-exec, and ignore two signals for good.
 */
#include "child.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The kernel's struct sigaction, all zero: SIG_DFL on every architecture. */
static const unsigned long default_action[16];

/* The child's part, in memory that it shares with its waiting parent: nothing here leaves a trace but `error`. */
static _Noreturn void become(const char *path, char *const argv[], char *const environment[], const int *files,
                             int directory, volatile int *error) {
    static const unsigned long none[4];

    for (int number = 1; number < _NSIG; number++) /* the C library refuses to do it for its own two */
        syscall(SYS_rt_sigaction, number, default_action, NULL, (_NSIG - 1) / 8);
    if ((directory < 0 || fchdir(directory) == 0) && setpgid(0, 0) == 0 && dup2(files[0], 0) >= 0 &&
        dup2(files[1], 1) >= 0 && dup2(files[2], 2) >= 0 && syscall(SYS_close_range, 3, ~0U, 0) == 0) {
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, (_NSIG - 1) / 8);
        execve(path, argv, environment);
    }
    *error = errno;
    _exit(127);
}

int pyoci_start_program(const char *path, char *const argv[], char *const environment[], const int *files, int directory) {
    volatile int error = 0;
    sigset_t all, before;
    pid_t pid;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before); /* our handlers must not run in the child */
    pid = vfork();
    if (pid == 0)
        become(path, argv, environment, files, directory, &error);
    if (pid < 0)
        error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        return pid;
    if (pid > 0)
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    return -error;
}
