/* The process itself: limits, identity, privileges, the filter, and the program. */
#include "init.h"
#include "kernel.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { IOPRIO_WHO_PROCESS = 1, LAST_CAPABILITY = 63, MAX_GROUPS = 1024 };

/* With OPF_RAISE only the hard limit goes up, as long as there is privilege for it: a low limit comes at the very end, for it
 * must not get in the way of the set-up. */
void op_rlimit(const struct plan_op *op) {
    int resource = (int)op->numbers[0];
    struct rlimit limit = {op->numbers[1], op->numbers[2]}, now;

    if (op->flags & OPF_RAISE) {
        check(getrlimit(resource, &now), "getrlimit", NULL);
        if (limit.rlim_max <= now.rlim_max)
            return;
        limit.rlim_cur = now.rlim_cur;
    }
    check(setrlimit(resource, &limit), "setrlimit", NULL);
}

/* The kernel reads as much as the structure itself says in its first field. */
void op_scheduler(const struct plan_op *op) {
    const void *attributes = op_blob(op, 0, op->numbers[0]);
    uint32_t size = UINT32_MAX;

    if (op->numbers[0] >= sizeof(size))
        memcpy(&size, attributes, sizeof(size));
    if (size > op->numbers[0])
        fail(EBADMSG, "plan", "scheduler");
    check(syscall(SYS_sched_setattr, 0, attributes, 0), "sched_setattr", NULL);
}

void op_io_priority(const struct plan_op *op) {
    check(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, op->numbers[0]), "ioprio_set", NULL);
}

void op_personality(const struct plan_op *op) {
    check(personality(op->numbers[0]), "personality", NULL);
}

void op_umask(const struct plan_op *op) {
    init.mask = (mode_t)op->numbers[0];
}

/* A magic link could lead out of the container; so could a descriptor that was left open: getcwd(2) shows both. */
void op_cwd(const struct plan_op *op) {
    const char *path = op_text(op, 0);
    char where[4096];
    int fd;

    if (init.cwd_done)
        return;
    fd = sys_openat2(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0, RESOLVE_NO_MAGICLINKS);
    if (fd < 0 && errno == ENOENT && !(op->flags & OPF_JOINED))
        fd = open_or_create(get(REG_ROOT), path, TARGET_DIRECTORY, 0755, 0);
    if (fd < 0 || fchdir(fd) < 0) {
        if (!(op->flags & OPF_EARLY) || (errno != EACCES && errno != EPERM))
            fail(errno, "chdir", path);
        if (fd >= 0)
            close(fd);
        return;
    }
    close(fd);
    check(syscall(SYS_getcwd, where, sizeof(where)), "getcwd", path);
    if (where[0] != '/')
        fail(EXDEV, "getcwd", "the current directory is outside of the container");
    init.cwd_done = true;
}

void op_bounding(const struct plan_op *op) {
    for (int capability = 0; capability <= LAST_CAPABILITY; capability++) {
        if (op->numbers[0] >> capability & 1)
            continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
            if (errno == EINVAL) /* past the last one this kernel knows */
                return;
            fail(errno, "PR_CAPBSET_DROP", NULL);
        }
    }
}

/* The capabilities stay until op_capabilities says which ones the program gets. Groups first: they need the privilege. */
void op_user(const struct plan_op *op) {
    gid_t list[MAX_GROUPS];
    char text[64];

    if (op->numbers[2] > MAX_GROUPS)
        fail(EINVAL, "setgroups", "more than 1024 groups");
    memcpy(list, op_blob(op, 0, op->numbers[2] * sizeof(gid_t)), op->numbers[2] * sizeof(gid_t));
    check(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS", NULL);
    if (!(op->flags & OPF_NO_GROUPS))
        check(setgroups((size_t)op->numbers[2], list), "setgroups", NULL);
    snprintf(text, sizeof(text), "%u", (unsigned)op->numbers[1]);
    check(setresgid((gid_t)op->numbers[1], (gid_t)op->numbers[1], (gid_t)op->numbers[1]), "setresgid", text);
    snprintf(text, sizeof(text), "%u", (unsigned)op->numbers[0]);
    check(setresuid((uid_t)op->numbers[0], (uid_t)op->numbers[0], (uid_t)op->numbers[0]), "setresuid", text);
    /* a change of identity makes the process dumpable again in no case we know of, yet what matters is said, not assumed */
    check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE", NULL);
}

void op_capabilities(const struct plan_op *op) {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    check(sys_capset(op->numbers[0], op->numbers[1], op->numbers[2]), "capset", NULL);
    for (int capability = 0; capability <= LAST_CAPABILITY; capability++)
        if (op->numbers[3] >> capability & 1)
            check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0), "PR_CAP_AMBIENT_RAISE", NULL);
}

void op_no_new_privs(const struct plan_op *op) {
    (void)op;
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS", NULL);
}

void op_seccomp(const struct plan_op *op) {
    size_t count = op->numbers[0];
    struct sock_fprog program = {.len = (unsigned short)count};

    if (count == 0 || count > MAX_FILTER)
        fail(EINVAL, "seccomp", "length of the filter");
    program.filter = (struct sock_filter *)(uintptr_t)op_blob(op, 0, count * sizeof(struct sock_filter));
    check(syscall(SYS_seccomp, SECCOMP_FILTER, op->numbers[1], &program), "seccomp", NULL);
}

/* Copy the interpreter that a script or an ELF file names; false when it names none, or in a way we don't understand. */
static bool read_interpreter(const char *path, char *interpreter, size_t room) {
    _Alignas(Elf64_Ehdr) char head[4096];
    int fd = sys_openat2(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, RESOLVE_NO_MAGICLINKS);
    ssize_t length = fd < 0 ? -1 : read(fd, head, sizeof(head) - 1);
    const Elf64_Ehdr *elf = (const void *)head;

    if (fd >= 0)
        close(fd);
    if (length < 4)
        return false;
    head[length] = '\0';
    if (head[0] == '#' && head[1] == '!') {
        const char *start = head + 2 + strspn(head + 2, " \t");
        snprintf(interpreter, room, "%.*s", (int)strcspn(start, " \t\n"), start);
        return *interpreter != '\0';
    }
    if ((size_t)length < sizeof(*elf) || memcmp(head, ELFMAG, SELFMAG) != 0 || head[EI_CLASS] != ELFCLASS64)
        return false;
    for (int i = 0; i < elf->e_phnum; i++) {
        Elf64_Phdr part;
        uint64_t place = elf->e_phoff + (uint64_t)i * elf->e_phentsize;
        if (place > (uint64_t)length || place + sizeof(part) > (uint64_t)length)
            return false;
        memcpy(&part, head + place, sizeof(part));
        if (part.p_type == PT_INTERP && part.p_offset < (uint64_t)length) {
            snprintf(interpreter, room, "%s", head + part.p_offset);
            return *interpreter != '\0';
        }
    }
    return false;
}

/* Whether path is a program we may execute: 0, or an errno. */
static int try_executable(const char *path) {
    struct stat status;
    int fd = sys_openat2(AT_FDCWD, path, O_PATH, 0, RESOLVE_NO_MAGICLINKS);

    if (fd < 0)
        return errno;
    if (fstat(fd, &status) < 0)
        status.st_mode = 0;
    close(fd);
    if (S_ISDIR(status.st_mode))
        return EISDIR;
    if (!S_ISREG(status.st_mode))
        return EACCES; /* as execve(2) has it; nothing else is opened, for that alone may have effects */
    return faccessat(AT_FDCWD, path, X_OK, 0) < 0 ? errno : 0;
}

/* execve(2) says "no such file" when only the interpreter is missing; say which. */
static void check_interpreter(const char *path) {
    char interpreter[512], text[sizeof(init.executable) + 600];

    if (!read_interpreter(path, interpreter, sizeof(interpreter)) || access(interpreter, F_OK) == 0 || errno != ENOENT)
        return;
    snprintf(text, sizeof(text), "%.300s needs the interpreter %.200s", path, interpreter);
    fail(ENOENT, "interpreter", text);
}

static void found_executable(const char *path) {
    check_interpreter(path);
    snprintf(init.executable, sizeof(init.executable), "%s", path);
}

/* The first executable of that name along PATH, as execvp(3) would take it; a name with a slash is a path itself. */
void op_find_executable(const struct plan_op *op) {
    const char *name = op_text(op, 0), *place = op_text(op, 1);
    char path[sizeof(init.executable)];
    int error, result = ENOENT;

    if (strlen(name) >= sizeof(path))
        fail(ENAMETOOLONG, "executable", name);
    if (strchr(name, '/')) {
        error = try_executable(name);
        if (error)
            fail(error, "executable", name);
        found_executable(name);
        return;
    }
    while (*name) {
        size_t length = strcspn(place, ":");
        if (length && *place == '/' &&
            (size_t)snprintf(path, sizeof(path), "%.*s/%s", (int)length, place, name) < sizeof(path)) {
            error = try_executable(path);
            if (error == 0) {
                found_executable(path);
                return;
            }
            if (error == EACCES)
                result = EACCES;
        }
        if (place[length] == '\0')
            break;
        place += length + 1;
    }
    fail(result, "path", name);
}

/* The sixth field of the line whose third is `uid`, from a passwd(5) text; NULL when there is none. */
static const char *home_in(char *text, unsigned uid) {
    for (char *line = text, *end; *line; line = end) {
        char *fields[7] = {line};
        int count = 1;

        end = line + strcspn(line, "\n");
        if (*end)
            *end++ = '\0';
        for (char *place = line; *place && count < 7; place++)
            if (*place == ':') {
                *place = '\0';
                fields[count++] = place + 1;
            }
        if (count >= 6 && *fields[2] && strtoul(fields[2], NULL, 10) == uid &&
            strspn(fields[2], "0123456789") == strlen(fields[2]))
            return fields[5];
    }
    return NULL;
}

/* HOME, when the configuration has none: from the container's own passwd(5), as far as 64 KiB of it go, else "/". */
void op_home(const struct plan_op *op) {
    static char text[65536];
    int fd = open_in(get(REG_ROOT), "etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    const char *home;

    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    home = home_in(text, (unsigned)op->numbers[0]);
    snprintf(init.home, sizeof(init.home), "HOME=%s", home && *home ? home : "/");
}

/* The first process of a pid namespace is deaf to signals it does not handle; one that only waits must not be. */
static void end_by_signal(int number) {
    _exit(128 + number);
}

static void heed_signals(void) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE};
    struct sigaction action = {.sa_handler = end_by_signal};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        sigaction(numbers[i], &action, NULL);
}

static bool is_needed_later(uint16_t code) {
    for (uint32_t i = init.current + 1; i < init.plan.header->count; i++)
        if (init.plan.ops[i].code == code)
            return true;
    return false;
}

/* A waiting init is a process of the container: what it has no more use for, nobody shall find in its /proc/PID/fd. */
static void close_registers(void) {
    for (uint16_t reg = 1; reg < REG_PASSED; reg++)
        if (reg != REG_PROC || !is_needed_later(OP_PROC_WRITE))
            put(reg, -1);
}

/* The runtime writes down what it has to before the container can do anything. */
void op_ready(const struct plan_op *op) {
    close_registers();
    say_times();
    heed_signals();
    say(REPLY_READY, 0, NULL, 0, -1);
    wait_for_go();
    if (op->fd2) {
        init.failures = get(op->fd2);
        close(init.sync);
        init.sync = -1;
    }
}

/* `create` has ended and `start` is to come. What fails from now on is told through the fifo that `start` reads; that fifo
 * closing without a word, by execve(2), means success. */
void op_wait_start(const struct plan_op *op) {
    int start = get(op->fd);
    char byte;
    ssize_t got;

    do
        got = read(start, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1)
        _exit(1);
}

/* The path is looked up again here, and others in the container may have put a link there: /proc/self/fd/N must lead to nothing
 * of the host's (CVE-2024-21626), so what is not the program's goes before and not by execve(2). */
void op_exec(const struct plan_op *op) {
    char **args, **env;

    op_lists(op, op->numbers[0], op->numbers[1], &args, &env);
    if (*init.home)
        env[op->numbers[1]] = init.home;
    close_all();
    umask(init.mask);
    execve(init.executable, args, env);
    fail(errno, "execve", init.executable);
}
