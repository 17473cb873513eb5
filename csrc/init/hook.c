/* Hooks that run in the container's namespaces: the state on stdin, a time-out, and the end of their output when they fail. */
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

enum {
    TAIL = 400,     /* of each of the two: both and the words around them fit into a reply */
    CHUNK = 4096,   /* at a time */
    MOST = 1 << 20, /* that a pipe holds: sixteen pages, or as much as fs.pipe-max-size grants */
};

struct output {
    int pipe, writer; /* the two ends; -1 once they are closed */
    char tail[TAIL + 1];
    size_t used;
};

/* Keep the last TAIL bytes of what a hook prints. Returns false at the end of its output. */
static bool collect(struct output *output) {
    char chunk[CHUNK];
    ssize_t got = read(output->pipe, chunk, sizeof(chunk));
    size_t fresh, keep;

    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    for (ssize_t i = 0; i < got; i++)
        if (chunk[i] == '\0') /* it would end the text */
            chunk[i] = '?';
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
static void become_hook(const struct op_hook *op, int input, const struct output outputs[2]) {
    char **env = list_strings(&op->args, string_room);

    fail_as_hook();
    dup2(input, 0);
    dup2(op->out ? get(op->out) : outputs[0].writer, 1);
    dup2(op->err ? get(op->err) : outputs[1].writer, 2);
    if (!op->as_program) /* as in runc; the program starts where the plan says */
        check(fchdir(get(REG_ROOT)), STEP_fchdir, "the root file system");
    /* neither what the container inherits, nor what /proc/self/fd/N in its path could lead to */
    close_registers();
    check(sys_close_range(3, ~0u), STEP_close_range, NULL);
    if (op->as_program) {
        state.hook.path = op->path;
        state.hook.args = &op->args;
        state.hook.env = op->program_env ? NULL : &op->env;
        return;
    }
    list_strings(&op->env, env);
    umask(state.mask);
    execve(op->path, string_room, env);
    fail(errno, STEP_execve, op->path);
}

static int64_t milliseconds(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static const char *trimmed(struct output *output) {
    while (output->used && strchr(" \n", output->tail[output->used - 1]))
        output->used--;
    output->tail[output->used] = '\0';
    return output->tail;
}

/* Read what a hook that has ended left in its pipe, and no more: a process of its that writes without pause must not hold us up. */
static void drain(struct pollfd *file, struct output *output) {
    for (int i = 0; i < MOST / CHUNK && file->fd >= 0 && poll(file, 1, 0) > 0; i++)
        if (!collect(output))
            break;
}

/* Wait until the hook itself ends (what it left running may hold the pipes). False when its time is over. */
static bool watch(pid_t pid, int64_t seconds, struct output outputs[2]) {
    struct pollfd files[3] = {{.fd = outputs[0].pipe, .events = POLLIN},
                              {.fd = outputs[1].pipe, .events = POLLIN},
                              {.fd = sys_pidfd_open(pid), .events = POLLIN}};
    int64_t end = milliseconds() + seconds * 1000;
    bool ended = false;

    check(files[2].fd, STEP_pidfd_open, "hook");
    while (!ended) {
        int64_t left = seconds ? end - milliseconds() : -1;
        if (seconds && left <= 0)
            break;
        if (poll(files, 3, (int)(left > 1000000 ? 1000000 : left)) < 0 && errno != EINTR)
            fail(errno, STEP_poll, "hook");
        for (int i = 0; i < 2; i++)
            if (files[i].revents && !collect(&outputs[i]))
                files[i].fd = -1;
        ended = files[2].revents != 0;
    }
    for (int i = 0; i < 2 && ended; i++)
        drain(&files[i], &outputs[i]);
    close(files[2].fd);
    return ended;
}

/* In the words of runc, after which engines and its tests look; where they begin, the runtime says which hook it is. */
static _Noreturn void fail_by_hook(const struct op_hook *op, bool ended, int status, struct output outputs[2]) {
    char words[PLAN_MAX_REPLY], how[64];

    if (!ended)
        snprintf(how, sizeof(how), "hook ran past specified timeout of %llu.0s", (unsigned long long)op->timeout);
    else if (WIFSIGNALED(status))
        snprintf(how, sizeof(how), "killed by signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof(how), "exit status %d", WEXITSTATUS(status));
    snprintf(words, sizeof(words), "%s, stdout: %s, stderr: %s", how, trimmed(&outputs[0]), trimmed(&outputs[1]));
    fail(0, STEP_hook, words);
}

static void open_output(struct output *output) {
    int ends[2];

    check(pipe2(ends, O_CLOEXEC), STEP_pipe, "hook");
    *output = (struct output){.pipe = ends[0], .writer = ends[1]};
}

void op_hook(const struct op_hook *op) {
    struct output outputs[2];
    int input, status;
    bool ended;
    pid_t pid;

    if (state.hook.path) /* this process becomes an earlier one */
        return;
    input = open_state(op);
    open_output(&outputs[0]);
    open_output(&outputs[1]);
    pid = fork();
    check(pid, STEP_fork, "hook");
    if (pid == 0) {
        become_hook(op, input, outputs);
        return;
    }
    close(input);
    close(outputs[0].writer);
    close(outputs[1].writer);
    ended = watch(pid, op->timeout > PLAN_MAX_TIMEOUT ? PLAN_MAX_TIMEOUT : (int64_t)op->timeout, outputs);
    if (!ended)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(outputs[0].pipe);
    close(outputs[1].pipe);
    if (!ended || status != 0)
        fail_by_hook(op, ended, status, outputs);
}
