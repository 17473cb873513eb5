/* The program that the process becomes: found, waited with, executed. */
#include "init.h"
#include "kernel.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
static const Elf64_Half native[] = {EM_X86_64, EM_386};
#elif defined(__aarch64__)
static const Elf64_Half native[] = {EM_AARCH64, EM_ARM};
#else
static const Elf64_Half native[1]; /* it is not said here */
#endif

/* Note an ELF file of another machine. That is no failure yet, for binfmt_misc(5) may have a program that runs it. */
static void note_machine(const Elf64_Ehdr *elf) {
    state.machine = native[0] ? elf->e_machine : 0; /* at the same place in files of 32 and of 64 bits */
    for (size_t i = 0; i < sizeof(native) / sizeof(*native); i++)
        if (elf->e_machine == native[i])
            state.machine = 0;
}

enum format { OTHER, SCRIPT, ELF };

/* Copy the interpreter that a script or an ELF file names; OTHER when it names none, or in a way we don't understand. */
static enum format read_interpreter(const char *path, char *interpreter, size_t room) {
    _Alignas(Elf64_Ehdr) char head[4096];
    int fd = sys_openat2(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, RESOLVE_NO_MAGICLINKS);
    ssize_t length = fd < 0 ? -1 : read(fd, head, sizeof(head) - 1);
    const Elf64_Ehdr *elf = (const void *)head;

    if (fd >= 0)
        close(fd);
    if (length < 4)
        return OTHER;
    head[length] = '\0';
    if (head[0] == '#' && head[1] == '!') {
        const char *start = head + 2 + strspn(head + 2, " \t");
        snprintf(interpreter, room, "%.*s", (int)strcspn(start, " \t\n"), start);
        return *interpreter ? SCRIPT : OTHER;
    }
    if ((size_t)length < sizeof(*elf) || memcmp(head, ELFMAG, SELFMAG) != 0)
        return OTHER;
    note_machine(elf);
    if (head[EI_CLASS] != ELFCLASS64 || state.machine)
        return OTHER;
    for (int i = 0; i < elf->e_phnum; i++) {
        Elf64_Phdr part;
        uint64_t place = elf->e_phoff + (uint64_t)i * elf->e_phentsize;
        if (place > (uint64_t)length || place + sizeof(part) > (uint64_t)length)
            return OTHER;
        memcpy(&part, head + place, sizeof(part));
        if (part.p_type == PT_INTERP && part.p_offset < (uint64_t)length) {
            snprintf(interpreter, room, "%s", head + part.p_offset);
            return *interpreter ? ELF : OTHER;
        }
    }
    return OTHER;
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
    /* without the flag the kernel leaves out the capabilities of a user who is not root, which execve(2) heeds */
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? errno : 0;
}

/* A mount with noexec denies what the file's mode allows. */
static bool is_on_noexec(const char *path) {
    struct statfs status;

    return statfs(path, &status) == 0 && (status.f_flags & ATTRIBUTE_NOEXEC);
}

static char foreign[512]; /* an interpreter for another machine, where it is not the program itself that is for one */

static _Noreturn void fail_interpreter(int error, const char *path, const char *interpreter) {
    char text[sizeof(state.executable) + 600];

    snprintf(text, sizeof(text), "%.300s needs the interpreter %.200s", path, interpreter);
    fail(error, STEP_interpreter, text);
}

/* execve(2) says "no such file" or "permission denied" of the program when its interpreter is missing, or can't be executed; say
 * which. The interpreter of a script may be a script itself. */
static void check_interpreter(const char *path) {
    static char names[MOST_INTERPRETERS][512];
    const char *file = path;
    enum format format;
    int error;

    for (int depth = 0; depth < MOST_INTERPRETERS; depth++) {
        format = read_interpreter(file, names[depth], sizeof(names[depth]));
        if (depth > 0 && state.machine)
            snprintf(foreign, sizeof(foreign), "%.511s", file);
        if (format == OTHER)
            return;
        file = state.interpreters[depth] = names[depth];
        if (format == SCRIPT)
            error = try_executable(file); /* it is read next */
        else
            error = faccessat(AT_FDCWD, file, X_OK, AT_EACCESS) < 0 ? errno : 0;
        if (error == EACCES && is_on_noexec(file))
            error = ENOEXEC;
        if (error == ENOENT || error == EISDIR || error == EACCES || error == ENOEXEC)
            fail_interpreter(error, path, file);
        if (error || format == ELF)
            return;
    }
}

static void found_executable(const char *path) {
    check_interpreter(path);
    snprintf(state.executable, sizeof(state.executable), "%s", path);
}

/* The first executable of that name along PATH, as execvp(3) would take it; a name with a slash is a path itself. */
void op_find_executable(const struct op_find_executable *op) {
    const char *name = op->program, *place = op->path;
    char path[sizeof(state.executable)];
    int error, result = ENOENT;
    bool noexec = false;

    if (strlen(name) >= sizeof(path))
        fail(ENAMETOOLONG, STEP_executable, name);
    if (strchr(name, '/')) {
        error = try_executable(name);
        if (error)
            fail(error, error == EACCES && is_on_noexec(name) ? STEP_noexec : STEP_executable, name);
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
            if (error == EACCES) {
                result = EACCES;
                noexec = is_on_noexec(path);
            }
        }
        if (place[length] == '\0')
            break;
        place += length + 1;
    }
    fail(result, noexec ? STEP_noexec : STEP_path, name);
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
void op_home(const struct op_home *op) {
    static char text[65536];
    int fd = open_in(get(REG_ROOT), "etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    const char *home;

    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    home = home_in(text, op->uid);
    snprintf(state.home, sizeof(state.home), "HOME=%s", home && *home ? home : "/");
}

/* The first process of a pid namespace is deaf to signals it does not handle; one that only waits must not be. */
static void end_by_signal(int number) {
    leave(128 + number);
}

static void heed_signals(void) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE};
    struct sigaction action = {.sa_handler = end_by_signal};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        sigaction(numbers[i], &action, NULL);
}

/* A waiting init is a process of the container: what it no longer needs must not be found in its /proc/PID/fd. */
static void close_what_is_done(void) {
    for (uint16_t reg = 1; reg < REG_PASSED; reg++)
        put(reg, -1);
}

/* The runtime writes down what it has to before the container can do anything. */
void op_ready(const struct op_ready *op) {
    close_what_is_done();
    tell_times();
    heed_signals();
    say(REPLY_READY, 0, NULL, 0, -1);
    wait_for_go();
    if (op->failure) {
        set_fifo(take(op->failure));
        tell_start();
    }
}

enum { NO_LISTENER_YET = -1, NO_FILTER = -2 };

static atomic_int listener; /* or one of these */

/* A thread from before the filter, which does not apply to it. ready: all is set up, too */
static void *tell_listener(void *ready) {
    static const struct timespec moment = {.tv_nsec = 20000};
    int fd;

    while ((fd = listener) == NO_LISTENER_YET)
        nanosleep(&moment, NULL);
    if (fd >= 0) {
        say(REPLY_LISTENER, 0, NULL, 0, fd);
        close(fd);
        if (ready)
            say(REPLY_READY, 0, NULL, 0, -1);
    }
    return NULL;
}

static void load_with_listener(const struct plan_filter *filter, uint64_t flags, bool ready) {
    struct sock_fprog program = {.len = (unsigned short)filter->count, .filter = filter->list};
    pthread_t thread;
    long fd;

    set_mask();
    listener = NO_LISTENER_YET;
    errno = pthread_create(&thread, NULL, tell_listener, ready ? &listener : NULL);
    check(-errno, STEP_pthread_create, NULL);
    fd = syscall(SYS_seccomp, SECCOMP_FILTER, flags, &program);
    listener = fd < 0 ? NO_FILTER : (int)fd;
    check(fd, STEP_seccomp, NULL);
}

/* With a filter that notifies, each of our system calls may wait for the agent's answer, and no agent answers before it has the listener.
 * So it is not we who send that to the runtime but a thread, which shares our descriptors and not our filter; and because nothing tells
 * the thread about it but a system call, it looks again and again. Then the runtime gets the listener whatever the profile says. All
 * else is done before the filter is in force, so that a profile must allow little: to read one byte, and later what `start` begins.
 */
void op_seccomp_notify(const struct op_seccomp_notify *op) {
    check_filter(&op->filter);
    close_what_is_done();
    heed_signals();
    if (op->failure)
        set_fifo(take(op->failure));
    load_with_listener(&op->filter, op->flags, true);
    wait_for_go();
    if (op->failure)
        tell_start();
}

/* The filter comes as late as one without a listener, so what answers it sees what the program calls. But execve(2) ends the thread:
 * it must have sent the listener by then, and whatever would wait for that is a system call under the filter. This one is a number
 * that the filter notifies whatever the profile says; it is answered by who has the listener.
 */
void op_seccomp_listener(const struct op_seccomp_listener *op) {
    check_filter(&op->filter);
    close_registers();
    load_with_listener(&op->filter, op->flags, false);
    check(syscall(CALL_LISTENER_TAKEN), STEP_seccomp, "listener of the filter");
}

/* `create` has ended and `start` is to come. What fails from now on is reported through the fifo that `start` reads; that fifo
 * closing without a word, by execve(2), means success. */
void op_wait_start(const struct op_wait_start *op) {
    read_byte(get(op->fifo));
}

static const char *elf_machine(const char *path) {
    static char text[sizeof(state.executable) + 32];

    snprintf(text, sizeof(text), "%.900s is for ELF machine %u", path, (unsigned)state.machine);
    return text;
}

/* The path is looked up again here, and others in the container may have put a link there: /proc/self/fd/N must lead to nothing
 * of the host's (CVE-2024-21626), so what is not the program's goes before and not by execve(2). */
void op_execve(const struct op_execve *op) {
    const char *path = state.hook.path ? state.hook.path : state.executable;
    char **env = list_strings(state.hook.path ? state.hook.args : &op->args, string_room);
    char **end = list_strings(state.hook.env ? state.hook.env : &op->env, env);

    if (*state.home && !state.hook.env) {
        end[-1] = state.home;
        *end = NULL;
    }
    close_registers();
    set_mask();
    errno = ENODATA; /* which an agent leaves that says it was done */
    execve(path, string_room, env);
    if (errno == ENOEXEC && state.machine && !state.hook.path)
        fail(ENOEXEC, STEP_machine, elf_machine(*foreign ? foreign : path));
    fail(errno, errno == EACCES && state.landlock ? STEP_landlock : STEP_execve, path);
}
