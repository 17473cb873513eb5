#include "kernel.h"

#include "ops.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { SYNC = 3, FIRST = 16, MOST = 4096, BUDGET = 200000, MAPS = 8, ERRORS = 232 };

/* What an open descriptor is. */
enum kind { CLOSED, PLAIN, DIRECTORY, NULL_DEVICE, TERMINAL, SOCKET, PASSED };

static struct {
    const uint8_t *answers, *answers_end, *stream, *stream_end;
    jmp_buf end;
    char verdict[1200];
    int calls;
    enum kind files[MOST];
    void *maps[MAPS];
    uint64_t clock;
    void *(*thread)(void *); /* begun, and not run yet */
    uint32_t ops;            /* of the plan that came in last */
} now;

/* the names of the steps */
static const char *const steps[STEP_COUNT] = {
#define STEP(name) [STEP_##name] = #name,
#include "ops.def"
};

static void give_up(const char *promise) {
    fprintf(stderr, "broken promise: %s\n", promise);
    abort();
}

static _Noreturn void end(const char *verdict) {
    snprintf(now.verdict, sizeof(now.verdict), "%s", verdict);
    longjmp(now.end, 1);
}

static uint8_t answer(void) {
    if (++now.calls > BUDGET)
        end("endless");
    return now.answers < now.answers_end ? *now.answers++ : 0;
}

static int refuse(uint8_t answer) {
    static const int errors[] = {ENOENT, EACCES, EPERM,   EINVAL,       EEXIST, ELOOP,  EINTR,
                                 EAGAIN, ENOSYS, ENOTDIR, ENAMETOOLONG, EXDEV,  ENOSPC, EBUSY};

    errno = errors[answer % (sizeof(errors) / sizeof(*errors))];
    return -1;
}

/* A call with nothing to give but success. */
static int result(void) {
    uint8_t found = answer();

    return found >= ERRORS ? refuse(found) : 0;
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), wanted = strlen(end);

    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

static enum kind kind_of(const char *path) {
    if (ends_with(path, "null"))
        return NULL_DEVICE;
    return ends_with(path, "ptmx") ? TERMINAL : PLAIN;
}

/* The lowest free number, as the kernel has it. */
static int new_file(enum kind kind) {
    for (int fd = FIRST; fd < MOST; fd++)
        if (now.files[fd] == CLOSED) {
            now.files[fd] = kind;
            return fd;
        }
    errno = EMFILE;
    return -1;
}

static int open_file(enum kind kind) {
    return result() < 0 ? -1 : new_file(kind);
}

static int bad(int fd) {
    if (fd >= 0 && fd < MOST && now.files[fd] != CLOSED)
        return 0;
    errno = EBADF;
    return -1;
}

/* Read each byte, so that the sanitizer sees what is not there. */
static void touch(const void *memory, size_t size) {
    volatile uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)memory)[i]);
}

static size_t take(const uint8_t **from, const uint8_t *end, void *to, size_t size) {
    size_t left = (size_t)(end - *from);

    if (size > left)
        size = left;
    memcpy(to, *from, size);
    *from += size;
    return size;
}

/* -- the plan and the replies ----------------------------------------------------------------------------------------- */

ssize_t fake_recvmsg(int fd, struct msghdr *message, int flags) {
    const struct iovec *vector = message->msg_iov;
    const struct plan_header *header = vector->iov_base;
    struct cmsghdr *part = CMSG_FIRSTHDR(message);
    size_t count = (32u + answer()) % (PLAN_MAX_FDS + 1);
    ssize_t got;

    (void)flags;
    if (bad(fd) < 0)
        return -1;
    got = (ssize_t)take(&now.stream, now.stream_end, vector->iov_base, vector->iov_len);
    if (got == 0)
        return 0;
    now.ops = (size_t)got == sizeof(*header) ? header->count : 0;
    if (CMSG_SPACE(count * sizeof(int)) > message->msg_controllen)
        give_up("room for every descriptor that may come");
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (size_t i = 0; i < count; i++) {
        int passed = new_file(PASSED);
        memcpy(CMSG_DATA(part) + i * sizeof(int), &passed, sizeof(int));
    }
    message->msg_controllen = CMSG_SPACE(count * sizeof(int));
    message->msg_flags = 0;
    return got;
}

static void check_reply(const uint8_t *data, size_t size) {
    struct plan_reply reply;

    if (size < sizeof(reply))
        return; /* the rest of one that was cut */
    memcpy(&reply, data, sizeof(reply));
    if (reply.kind < REPLY_DONE || reply.kind > REPLY_LISTENER)
        return;
    if (reply.step >= STEP_COUNT || (reply.step != STEP_NONE) != (reply.kind == REPLY_ERROR))
        give_up("an error has a step, and nothing else has");
    if (reply.length > PLAN_MAX_REPLY)
        give_up("no reply is longer than PLAN_MAX_REPLY");
    if (reply.length != size - sizeof(reply))
        give_up("a reply has the length that it says");
    if (reply.kind == REPLY_TIMES && reply.op + reply.length / 8 > now.ops + 1)
        give_up("times are of ops of the plan");
    if (reply.kind == REPLY_ERROR)
        snprintf(now.verdict, sizeof(now.verdict), "op %u: %s %.*s", reply.op, steps[reply.step], (int)reply.length,
                 (const char *)data + sizeof(reply));
}

ssize_t fake_sendmsg(int fd, const struct msghdr *message, int flags) {
    uint8_t all[sizeof(struct plan_reply) + PLAN_MAX_REPLY + 1];
    size_t size = 0;
    uint8_t how = answer();

    (void)flags;
    if (bad(fd) < 0 || how >= ERRORS)
        return refuse(how);
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        const struct iovec *part = &message->msg_iov[i];
        if (size + part->iov_len > sizeof(all))
            give_up("no reply is longer than PLAN_MAX_REPLY");
        if (part->iov_len)
            memcpy(all + size, part->iov_base, part->iov_len);
        size += part->iov_len;
    }
    if (message->msg_control)
        touch(message->msg_control, message->msg_controllen);
    check_reply(all, size);
    return how > ERRORS / 2 ? (ssize_t)(size - size / 2) : (ssize_t)size;
}

/* The kernel's answer to a request over netlink. */
static const struct {
    uint32_t length;
    uint16_t type, flags; /* NLMSG_ERROR */
    uint32_t sequence, port;
    int32_t error;
} granted = {.length = 20, .type = 2};

/* A thread runs when the one that began it waits. */
static void run_thread(void) {
    void *(*thread)(void *) = now.thread;

    now.thread = NULL;
    if (thread)
        thread(NULL);
}

int fake_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument) {
    (void)attributes, (void)argument;
    if (result() < 0)
        return errno;
    *thread = 0;
    now.thread = function;
    return 0;
}

int fake_nanosleep(const struct timespec *time, struct timespec *left) {
    (void)time, (void)left;
    give_up("a thread that waits for what this one does is not waited for");
    return -1;
}

ssize_t fake_read(int fd, void *buffer, size_t size) {
    uint8_t content;

    if (bad(fd) < 0)
        return -1;
    run_thread();
    if (fd == SYNC) {
        (void)answer();
        return (ssize_t)take(&now.stream, now.stream_end, buffer, size);
    }
    content = answer();
    if (content >= ERRORS)
        return refuse(content);
    if (now.answers == now.answers_end && size == 1) /* the start fifo */
        return 1;
    if (now.answers == now.answers_end && now.files[fd] == SOCKET && size == sizeof(granted)) {
        memcpy(buffer, &granted, size);
        return (ssize_t)size;
    }
    return (ssize_t)take(&now.answers, now.answers_end, buffer, size < content * 24u ? size : content * 24u);
}

ssize_t fake_write(int fd, const void *data, size_t size) {
    touch(data, size);
    if (fd >= 0 && fd < MOST && now.files[fd] == PASSED) /* the fifo of `start` */
        check_reply(data, size);
    return bad(fd) < 0 || result() < 0 ? -1 : (ssize_t)size;
}

/* -- memory ----------------------------------------------------------------------------------------------------------- */

/* From malloc(3): the sanitizer guards its ends. */
void *fake_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    (void)address, (void)protection, (void)flags, (void)fd, (void)offset;
    if (result() < 0)
        return (void *)-1;
    for (int i = 0; i < MAPS; i++)
        if (!now.maps[i])
            return now.maps[i] = calloc(1, size ? size : 1);
    give_up("plans are unmapped before the next one comes");
    return NULL;
}

int fake_munmap(void *address, size_t size) {
    (void)size;
    for (int i = 0; i < MAPS; i++)
        if (now.maps[i] == address) {
            free(address);
            now.maps[i] = NULL;
            return 0;
        }
    give_up("only what was mapped is unmapped");
    return -1;
}

/* -- descriptors ------------------------------------------------------------------------------------------------------ */

int fake_open(const char *path, int flags, ...) {
    touch(path, strlen(path));
    return open_file(flags & O_DIRECTORY ? DIRECTORY : kind_of(path));
}

int fake_openat(int fd, const char *path, int flags, ...) {
    return fd != AT_FDCWD && bad(fd) < 0 ? -1 : fake_open(path, flags);
}

int fake_close(int fd) {
    if (fd == SYNC && now.files[SYNC] == CLOSED)
        give_up("the sync socket is closed once");
    if (fd >= FIRST && bad(fd) < 0)
        give_up("no descriptor is closed twice: it may be another one by then");
    if (fd >= 0 && fd < MOST && fd > 2)
        now.files[fd] = CLOSED;
    return 0;
}

int fake_dup2(int from, int to) {
    return bad(from) < 0 || result() < 0 ? -1 : to;
}

int fake_dup3(int from, int to, int flags) {
    (void)flags;
    return fake_dup2(from, to);
}

int fake_fcntl(int fd, int command, ...) {
    (void)command;
    return bad(fd) < 0 ? -1 : 0;
}

int fake_pipe2(int ends[2], int flags) {
    (void)flags;
    if (result() < 0)
        return -1;
    ends[0] = new_file(PLAIN);
    ends[1] = new_file(PLAIN);
    return ends[1] < 0 ? -1 : 0;
}

int fake_memfd_create(const char *name, unsigned flags) {
    (void)flags;
    touch(name, strlen(name));
    return open_file(PLAIN);
}

int fake_socket(int domain, int type, int protocol) {
    (void)domain, (void)type, (void)protocol;
    return open_file(SOCKET);
}

off_t fake_lseek(int fd, off_t offset, int from) {
    (void)from;
    return bad(fd) < 0 ? -1 : offset;
}

ssize_t fake_sendfile(int to, int from, off_t *offset, size_t size) {
    uint8_t how = answer();

    (void)offset;
    if (bad(to) < 0 || bad(from) < 0 || how >= ERRORS)
        return refuse(how);
    return how > ERRORS / 2 ? 0 : (ssize_t)(size - size / 2);
}

int fake_dprintf(int fd, const char *format, ...) {
    char text[64];
    va_list list;
    int length;

    va_start(list, format);
    length = vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    return bad(fd) < 0 || result() < 0 ? -1 : length;
}

int fake_ioctl(int fd, unsigned long request, ...) {
    if (bad(fd) < 0)
        return -1;
    return request == TIOCGPTPEER ? open_file(TERMINAL) : result();
}

int fake_poll(struct pollfd *files, nfds_t count, int timeout) {
    uint8_t how = answer();

    if (how >= ERRORS) {
        errno = EINTR;
        return -1;
    }
    now.clock += timeout > 0 ? (uint64_t)timeout * 1000000u : 0;
    for (nfds_t i = 0; i < count; i++)
        files[i].revents = files[i].fd >= 0 && !(how >> i & 1) ? POLLIN : 0;
    return 1;
}

/* -- files ------------------------------------------------------------------------------------------------------------ */

static void describe(struct stat *status, enum kind kind) {
    static const mode_t modes[] = {[PLAIN] = S_IFREG | 0755,    [DIRECTORY] = S_IFDIR | 0755, [NULL_DEVICE] = S_IFCHR | 0666,
                                   [TERMINAL] = S_IFCHR | 0620, [SOCKET] = S_IFSOCK,          [PASSED] = S_IFREG | 0755};
    uint8_t how = answer();

    memset(status, 0, sizeof(*status));
    if (how >= 128 && how < ERRORS)
        kind = PLAIN + how % 5;
    status->st_mode = modes[kind];
    if (how % 3 == 2)
        status->st_mode = S_IFLNK | 0777;
    status->st_size = how;
    status->st_ino = how ? how : 1;
    status->st_rdev = kind == NULL_DEVICE ? makedev(1, 3) : kind == TERMINAL ? makedev(5, 2) : 0;
}

int fake_fstat(int fd, struct stat *status) {
    if (fd > 2 && bad(fd) < 0)
        return -1;
    describe(status, fd > 2 ? now.files[fd] : PLAIN);
    return 0;
}

int fake_fstatat(int fd, const char *path, struct stat *status, int flags) {
    (void)flags;
    touch(path, strlen(path));
    if (bad(fd) < 0 || result() < 0)
        return -1;
    describe(status, kind_of(path));
    return 0;
}

int fake_fstatfs(int fd, struct statfs *status) {
    if (bad(fd) < 0 || result() < 0)
        return -1;
    memset(status, 0, sizeof(*status));
    status->f_type = now.files[fd] == TERMINAL ? 0x1cd1 : 0x9fa0;
    return 0;
}

ssize_t fake_readlinkat(int fd, const char *path, char *buffer, size_t size) {
    uint8_t how = answer();
    size_t length = how * 20u;

    touch(path, strlen(path));
    if (bad(fd) < 0 || how >= ERRORS)
        return refuse(how);
    if (length > size)
        length = size;
    memset(buffer, how & 1 ? '/' : 'l', length);
    (void)take(&now.answers, now.answers_end, buffer, length < 8 ? length : 8);
    return (ssize_t)length;
}

static int on_path(int fd, const char *path) {
    touch(path, strlen(path));
    return fd != AT_FDCWD && bad(fd) < 0 ? -1 : result();
}

int fake_statfs(const char *path, struct statfs *status) {
    if (on_path(AT_FDCWD, path) < 0)
        return -1;
    memset(status, answer(), sizeof(*status));
    return 0;
}

int fake_mkdirat(int fd, const char *path, mode_t mode) {
    (void)mode;
    return on_path(fd, path);
}

int fake_mknodat(int fd, const char *path, mode_t mode, dev_t device) {
    (void)mode, (void)device;
    return on_path(fd, path);
}

int fake_symlinkat(const char *content, int fd, const char *path) {
    touch(content, strlen(content));
    return on_path(fd, path);
}

int fake_fchownat(int fd, const char *path, uid_t uid, gid_t gid, int flags) {
    (void)uid, (void)gid, (void)flags;
    return on_path(fd, path);
}

int fake_faccessat(int fd, const char *path, int mode, int flags) {
    (void)mode, (void)flags;
    return on_path(fd, path);
}

int fake_access(const char *path, int mode) {
    return fake_faccessat(AT_FDCWD, path, mode, 0);
}

int fake_fchown(int fd, uid_t uid, gid_t gid) {
    (void)uid, (void)gid;
    return fd > 2 && bad(fd) < 0 ? -1 : result();
}

int fake_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags) {
    (void)flags;
    touch(name, strlen(name));
    touch(value, size);
    return bad(fd) < 0 ? -1 : result();
}

int fake_fchmod(int fd, mode_t mode) {
    (void)mode;
    return bad(fd) < 0 ? -1 : result();
}

int fake_fchdir(int fd) {
    return bad(fd) < 0 ? -1 : result();
}

int fake_chdir(const char *path) {
    return on_path(AT_FDCWD, path);
}

int fake_chroot(const char *path) {
    return on_path(AT_FDCWD, path);
}

int fake_mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data) {
    (void)flags;
    touch(source, strlen(source));
    touch(type, strlen(type));
    touch(data, strlen(data));
    return on_path(AT_FDCWD, target);
}

int fake_umount2(const char *target, int flags) {
    (void)flags;
    return on_path(AT_FDCWD, target);
}

mode_t fake_umask(mode_t mode) {
    (void)mode;
    return 022;
}

/* -- processes -------------------------------------------------------------------------------------------------------- */

_Noreturn void fake__exit(int status) {
    char text[sizeof("exit status -2147483648")];

    snprintf(text, sizeof(text), "exit status %d", status);
    if (*now.verdict)
        longjmp(now.end, 1); /* the reply said more */
    end(text);
}

int fake_execve(const char *path, char *const *arguments, char *const *environment) {
    uint8_t how = answer();

    touch(path, strlen(path));
    for (; *arguments; arguments++)
        touch(*arguments, strlen(*arguments));
    for (; *environment; environment++)
        touch(*environment, strlen(*environment));
    if (how >= ERRORS)
        return refuse(how);
    for (int fd = SYNC; fd < MOST; fd++)
        if (now.files[fd] == DIRECTORY)
            give_up("no directory is open when the program's path is looked up for the last time");
    now.verdict[0] = '\0';
    end("executed");
}

pid_t fake_fork(void) {
    uint8_t how = answer();

    if (how >= ERRORS)
        return refuse(how);
    return how & 1 ? 0 : 100;
}

/* A fork into namespaces of others, who can see what is open. */
static long clone_process(void) {
    for (int fd = SYNC + 1; fd < MOST; fd++)
        if (now.files[fd] != CLOSED)
            give_up("nothing is open in a process that others can see");
    return fake_fork();
}

int fake_isatty(int fd) {
    return bad(fd) == 0 && (answer() & 1);
}

pid_t fake_getpid(void) {
    return 1;
}

pid_t fake_setsid(void) {
    return result() < 0 ? -1 : 1;
}

int fake_kill(pid_t pid, int signal) {
    (void)signal;
    if (pid != 100)
        give_up("only its own child is killed");
    return 0;
}

pid_t fake_waitpid(pid_t pid, int *status, int options) {
    uint8_t how = answer();

    (void)options;
    *status = how < 128 ? 0 : how << 8 | how % 32;
    return pid;
}

int fake_prctl(int option, ...) {
    (void)option;
    return result();
}

int fake_unshare(int flags) {
    (void)flags;
    return result();
}

int fake_setns(int fd, int flags) {
    (void)flags;
    return bad(fd) < 0 ? -1 : result();
}

int fake_sethostname(const char *name, size_t size) {
    touch(name, size);
    return result();
}

int fake_setdomainname(const char *name, size_t size) {
    touch(name, size);
    return result();
}

int fake_setgroups(size_t count, const gid_t *groups) {
    touch(groups, count * sizeof(*groups));
    return result();
}

int fake_setresuid(uid_t real, uid_t effective, uid_t saved) {
    (void)real, (void)effective, (void)saved;
    return result();
}

int fake_setresgid(gid_t real, gid_t effective, gid_t saved) {
    (void)real, (void)effective, (void)saved;
    return result();
}

int fake_getrlimit(int resource, struct rlimit *limit) {
    (void)resource;
    limit->rlim_cur = limit->rlim_max = answer();
    return result();
}

int fake_setrlimit(int resource, const struct rlimit *limit) {
    (void)resource;
    touch(limit, sizeof(*limit));
    return result();
}

int fake_personality(unsigned long number) {
    (void)number;
    return result();
}

int fake_sigaction(int number, const void *action, void *old) {
    (void)number, (void)action, (void)old;
    return 0;
}

int fake_sigprocmask(int how, const void *set, void *old) {
    (void)how, (void)set, (void)old;
    return 0;
}

int fake_clock_gettime(clockid_t clock, struct timespec *time) {
    (void)clock;
    now.clock += 1000;
    *time = (struct timespec){.tv_sec = (time_t)(now.clock / 1000000000u), .tv_nsec = (long)(now.clock % 1000000000u)};
    return 0;
}

/* -- system calls without a wrapper ----------------------------------------------------------------------------------- */

/* Well-formed, as the kernel writes them; the names are the answers. */
static long list_directory(int fd, uint8_t *buffer, size_t size) {
    uint8_t how = answer();
    size_t used = 0;

    if (bad(fd) < 0 || how >= ERRORS)
        return refuse(how);
    for (uint8_t i = 0; i < how % 4; i++) {
        char name[256] = {0};
        size_t length = take(&now.answers, now.answers_end, name, (size_t)how + 1);
        unsigned short whole = (unsigned short)((19 + strlen(name) + 1 + 7) & ~7u);

        if (length == 0 || *name == '\0' || strchr(name, '/') || used + whole > size)
            break;
        memset(buffer + used, 0, whole);
        memcpy(buffer + used + 16, &whole, sizeof(whole));
        memcpy(buffer + used + 19, name, strlen(name) + 1);
        used += whole;
    }
    return (long)used;
}

static long current_directory(char *buffer, size_t size) {
    const char *where = answer() & 1 ? "(unreachable)/x" : "/";

    if (size < 32 || result() < 0)
        return -1;
    strcpy(buffer, where);
    return (long)strlen(where) + 1;
}

static long configure(const char *key, const char *value) {
    touch(key, key ? strlen(key) : 0);
    touch(value, value ? strlen(value) : 0);
    return result();
}

static long scheduler(const void *attributes) {
    uint32_t size;

    memcpy(&size, attributes, sizeof(size));
    touch(attributes, size < 4096 ? size : 4096);
    return result();
}

static long filter(const struct sock_fprog *program, unsigned long flags) {
    touch(program->filter, program->len * sizeof(*program->filter));
    if (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
        return open_file(PLAIN);
    return result();
}

static long close_range_of(unsigned first) {
    for (unsigned fd = first; fd < MOST; fd++)
        now.files[fd] = CLOSED;
    return 0;
}

long fake_syscall(long number, ...) {
    long a[5];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 5; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    switch (number) {
    case SYS_exit_group:
        fake__exit((int)a[0]);
    case SYS_openat2:
        touch((const void *)a[2], (size_t)a[3]);
        return fake_openat((int)a[0], (const char *)a[1], (int)*(const uint64_t *)a[2]);
    case SYS_open_tree:
        return on_path((int)a[0], (const char *)a[1]) < 0 ? -1 : new_file(DIRECTORY);
    case SYS_fsopen:
        return on_path(AT_FDCWD, (const char *)a[0]) < 0 ? -1 : new_file(PLAIN);
    case SYS_fspick:
        return bad((int)a[0]) < 0 ? -1 : new_file(PLAIN);
    case SYS_fsmount:
        return bad((int)a[0]) < 0 ? -1 : open_file(DIRECTORY);
    case SYS_clone:
        return clone_process();
    case SYS_pidfd_open:
        return open_file(PLAIN);
    case SYS_move_mount:
        return bad((int)a[0]) < 0 || bad((int)a[2]) < 0 ? -1 : result();
    case SYS_mount_setattr:
        touch((const void *)a[3], (size_t)a[4]);
        return bad((int)a[0]) < 0 ? -1 : result();
    case SYS_fsconfig:
        return bad((int)a[0]) < 0 ? -1 : configure((const char *)a[2], (const char *)a[3]);
    case SYS_pivot_root:
        return on_path(AT_FDCWD, (const char *)a[0]);
    case SYS_keyctl:
        return a[0] == 1 ? on_path(AT_FDCWD, (const char *)a[1]) : result();
    case SYS_getdents64:
        return list_directory((int)a[0], (uint8_t *)a[1], (size_t)a[2]);
    case SYS_getcwd:
        return current_directory((char *)a[0], (size_t)a[1]);
    case SYS_sched_setattr:
        return scheduler((const void *)a[1]);
    case SYS_seccomp:
        return filter((const struct sock_fprog *)a[2], (unsigned long)a[1]);
    case CALL_LISTENER_TAKEN:
        run_thread();
        return result();
    case SYS_close_range:
        return close_range_of((unsigned)a[0]);
    case SYS_capset:
        touch((const void *)a[1], 24);
        return result();
    case SYS_statx:
        memset((void *)a[4], answer() & 1 ? 1 : (int)a[0], 256); /* each file in a mount of its own, or all in one */
        return bad((int)a[0]) < 0 ? -1 : result();
    case SYS_sched_setaffinity:
        touch((const void *)a[2], (size_t)a[1]);
        return result();
    case SYS_set_mempolicy:
        if (a[2] > 0)
            touch((const void *)a[1], (size_t)(a[2] - 1) / 8);
        return result();
    case SYS_landlock_create_ruleset:
        touch((const void *)a[0], (size_t)a[1]);
        return open_file(PLAIN);
    case SYS_landlock_add_rule:
        touch((const void *)a[2], a[1] == 1 ? 12 : 16);
        return bad((int)a[0]) < 0 ? -1 : result();
    case SYS_landlock_restrict_self:
        return bad((int)a[0]) < 0 ? -1 : result();
    case SYS_execveat: /* that it is allowed, and no more */
        if ((int)a[4] != 0x10000)
            give_up("no program is executed but by execve");
        return on_path((int)a[0], (const char *)a[1]);
    case SYS_ioprio_set:
    case SYS_rt_sigaction:
        return result();
    }
    give_up("the system calls are those this kernel knows");
    return -1;
}

/* -- one run ---------------------------------------------------------------------------------------------------------- */

static void clean_up(void) {
    for (int i = 0; i < MAPS; i++)
        free(now.maps[i]);
}

const char *run_init(const uint8_t *data, size_t size) {
    static char name[] = "init", sync[] = "3", preserved[] = "0", *arguments[] = {name, sync, preserved, NULL};
    uint16_t count = 0;

    memset(&now, 0, sizeof(now));
    (void)take(&data, data + size, &count, size < sizeof(count) ? 0 : sizeof(count));
    size -= size < sizeof(count) ? 0 : sizeof(count);
    if (count > size)
        count = (uint16_t)size;
    now.answers = data;
    now.answers_end = now.stream = data + count;
    now.stream_end = data + size;
    for (int fd = 0; fd <= SYNC; fd++)
        now.files[fd] = PLAIN;
    if (setjmp(now.end) == 0) {
        init_main(3, arguments);
        strcpy(now.verdict, "hung up");
    }
    clean_up();
    return now.verdict;
}
