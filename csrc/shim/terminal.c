/* Raw mode with a way back.
 *
 * A process that is killed can restore nothing, so a guard does it: a child that waits on a socket. End of file
 * means that this process is gone, a byte that it has restored the terminal itself.
 */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static struct {
    bool active;
    int fd;
    int line;
    pid_t guard;
    struct termios saved;
} terminal;

/* The guard's life. A session of its own keeps the terminal's signals away and lets it change a terminal on which
 * it would be a background job. It holds nothing but the terminal and the socket, so no reader waits for its copies. */
static _Noreturn void guard(int terminal_fd, int line) {
    int first = fcntl(line, F_DUPFD, 3);
    int second = fcntl(terminal_fd, F_DUPFD, 3);
    char byte;
    ssize_t got;

    prctl(PR_SET_NAME, "pyoci-terminal");
    setsid();
    if (dup2(first, 0) < 0 || dup2(second, 1) < 0 || chdir("/") < 0)
        _exit(1);
    close(2);
    syscall(SYS_close_range, 3, ~0U, 0);
    do
        got = read(0, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        tcsetattr(1, TCSANOW, &terminal.saved);
    _exit(0);
}

static int start_guard(void) {
    sigset_t all, before;
    int ends[2], error;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    terminal.guard = fork();
    error = errno;
    if (terminal.guard == 0)
        guard(terminal.fd, ends[0]);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ends[0]);
    if (terminal.guard < 0) {
        close(ends[1]);
        return -error;
    }
    terminal.line = ends[1];
    return 0;
}

static void dismiss_guard(void) {
    ssize_t sent;

    do
        sent = send(terminal.line, "", 1, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    close(terminal.line);
    while (waitpid(terminal.guard, NULL, 0) < 0 && errno == EINTR)
        ;
}

int pyoci_terminal_raw_again(void) {
    struct termios raw = terminal.saved;

    if (!terminal.active)
        return -EINVAL;
    cfmakeraw(&raw);
    /* What comes from the container's terminal has plain newlines (pyoci_terminal_plain_newlines), and what others write to this
     * terminal meanwhile - a job in the background, our own errors - has them too: without this, lines become a staircase. */
    raw.c_oflag = terminal.saved.c_oflag;
    return tcsetattr(terminal.fd, TCSANOW, &raw) < 0 ? -errno : 0;
}

int pyoci_terminal_raw(int fd) {
    int result;

    if (terminal.active)
        return -EBUSY;
    if (tcgetattr(fd, &terminal.saved) < 0)
        return -errno;
    terminal.fd = fd;
    result = start_guard();
    if (result < 0)
        return result;
    terminal.active = true;
    result = pyoci_terminal_raw_again();
    if (result < 0)
        pyoci_terminal_restore();
    return result;
}

void pyoci_terminal_restore(void) {
    sigset_t output, before;

    if (!terminal.active)
        return;
    terminal.active = false;
    /* As a background job it would be stopped for this, were the signal not blocked. */
    sigemptyset(&output);
    sigaddset(&output, SIGTTOU);
    sigprocmask(SIG_BLOCK, &output, &before);
    tcsetattr(terminal.fd, TCSANOW, &terminal.saved);
    sigprocmask(SIG_SETMASK, &before, NULL);
    dismiss_guard();
}

int pyoci_terminal_peer(int master) {
    int fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

int pyoci_terminal_plain_newlines(int master) {
    struct termios settings;

    if (tcgetattr(master, &settings) < 0)
        return -errno;
    settings.c_oflag &= ~(tcflag_t)ONLCR;
    return tcsetattr(master, TCSANOW, &settings) < 0 ? -errno : 0;
}

int pyoci_terminal_copy_size(int from, int to) {
    struct winsize size;

    if (ioctl(from, TIOCGWINSZ, &size) < 0 || ioctl(to, TIOCSWINSZ, &size) < 0)
        return -errno;
    return 0;
}
