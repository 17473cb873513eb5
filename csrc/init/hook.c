/* Hooks that run in the container's namespaces: the state on stdin, a time-out, and their last words when they fail. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TAIL = 400 };

struct output {
    char tail[TAIL + 1];
    size_t used;
};

/* Keep the last TAIL bytes of what a hook prints. Returns false at the end of its output. */
static bool collect(int pipe, struct output *output) {
    char chunk[4096];
    ssize_t got = read(pipe, chunk, sizeof(chunk));
    size_t fresh, keep;

    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    fresh = (size_t)got > TAIL ? TAIL : (size_t)got;
    keep = output->used + fresh > TAIL ? TAIL - fresh : output->used;
    memmove(output->tail, output->tail + output->used - keep, keep);
    memcpy(output->tail + keep, chunk + got - fresh, fresh);
    output->used = keep + fresh;
    return true;
}

/* The state document, with this process's pid as the container sees it in its place (runtime.md, State). */
static int open_state(const struct op_hook *op) {
    int fd = memfd_create("state", MFD_CLOEXEC);

    check(fd, STEP_memfd_create, "state");
    check(write(fd, op->before.data, op->before.size), STEP_write, "state");
    check(dprintf(fd, "%d", getpid()), STEP_write, "state");
    check(write(fd, op->after.data, op->after.size), STEP_write, "state");
    check(lseek(fd, 0, SEEK_SET), STEP_lseek, "state");
    return fd;
}

/* In the child. A createContainer hook is executed as this process is. A startContainer hook is a file of the container's, so it is to
 * be confined as the program is: this process goes on with the plan, and op_execve executes the hook in the program's place. */
static void become_hook(const struct op_hook *op, int input, int output) {
    char **env = list_strings(&op->args, string_room);

    fail_as_hook();
    dup2(input, 0);
    dup2(output, 1);
    dup2(output, 2);
    if (!op->as_program) /* as in runc; the program starts where the plan says */
        check(fchdir(get(REG_ROOT)), STEP_fchdir, "the root file system");
    /* neither what the container inherits, nor what /proc/self/fd/N in its path could lead to */
    close_registers();
    sys_close_range(3, ~0u);
    if (op->as_program) {
        state.hook.path = op->path;
        state.hook.args = &op->args;
        state.hook.env = op->program_env ? NULL : &op->env;
        return;
    }
    list_strings(&op->env, env);
    umask(state.mask);
    execve(op->path, string_room, env);
    fail(errno, STEP_execve, NULL);
}

static int64_t milliseconds(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Wait until the hook itself ends (what it left running may hold the pipe). False when its time is over. */
static bool watch(pid_t pid, int pipe, int64_t seconds, struct output *output) {
    struct pollfd files[2] = {{.fd = sys_pidfd_open(pid), .events = POLLIN}, {.fd = pipe, .events = POLLIN}};
    int64_t end = milliseconds() + seconds * 1000;

    check(files[0].fd, STEP_pidfd_open, "hook");
    for (;;) {
        int64_t left = seconds ? end - milliseconds() : -1;
        if (seconds && left <= 0)
            break;
        if (poll(files, 2, (int)(left > 1000000 ? 1000000 : left)) < 0 && errno != EINTR)
            fail(errno, STEP_poll, "hook");
        if (files[1].revents && !collect(pipe, output))
            files[1].fd = -1;
        if (files[0].revents) {
            while (files[1].fd >= 0 && poll(&files[1], 1, 0) > 0 && collect(pipe, output))
                ;
            close(files[0].fd);
            return true;
        }
    }
    close(files[0].fd);
    return false;
}

void op_hook(const struct op_hook *op) {
    struct output output = {.used = 0};
    char words[TAIL + 64];
    const char *said;
    int input, ends[2], status;
    bool ended;
    pid_t pid;

    if (state.hook.path) /* this process becomes an earlier one */
        return;
    input = open_state(op);
    check(pipe2(ends, O_CLOEXEC), STEP_pipe, "hook");
    pid = fork();
    check(pid, STEP_fork, "hook");
    if (pid == 0) {
        become_hook(op, input, ends[1]);
        return;
    }
    close(input);
    close(ends[1]);
    ended = watch(pid, ends[0], op->timeout > PLAN_MAX_TIMEOUT ? PLAN_MAX_TIMEOUT : (int64_t)op->timeout, &output);
    if (!ended)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(ends[0]);
    output.tail[output.used] = '\0';
    if (!ended)
        fail(ETIMEDOUT, STEP_hook, output.tail);
    if (status == 0)
        return;
    said = output.used ? ": " : "";
    if (WIFSIGNALED(status))
        snprintf(words, sizeof(words), "killed by signal %d%s%s", WTERMSIG(status), said, output.tail);
    else
        snprintf(words, sizeof(words), "exit status %d%s%s", WEXITSTATUS(status), said, output.tail);
    fail(0, STEP_hook, words);
}
