/* What a process finds about itself, one "key value" a line. Usage: probe WHAT [ARGUMENT...] */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* musl-gcc does not see the kernel's headers. From linux/keyctl.h and linux/ioprio.h: */
enum {
    KEYCTL_GET_KEYRING_ID = 0,
    KEYCTL_DESCRIBE = 6,
    KEYCTL_GET_SECURITY = 17,
    KEY_SPEC_SESSION_KEYRING = -3,
    IOPRIO_WHO_PROCESS = 1
};

static int show_fds(void) {
    for (int fd = 0; fd < 1024; fd++) {
        char link[64], target[4096];
        if (fcntl(fd, F_GETFD) < 0)
            continue;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, target, sizeof target - 1);
        printf("%d %.*s\n", fd, n < 0 ? 1 : (int)n, n < 0 ? "?" : target);
    }
    return 0;
}

static int show_signals(void) {
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int number = 1; number <= 64; number++) {
        struct sigaction action;
        if (sigismember(&blocked, number) == 1)
            printf("blocked %d\n", number);
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            printf("ignored %d\n", number);
    }
    return 0;
}

/* Every signal that can be waited for is reported by its number; TERM ends the program with status 0. */
static int catch_signals(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    puts("ready");
    for (;;) {
        int number = sigwaitinfo(&all, NULL);
        if (number < 0)
            continue;
        printf("got %d\n", number);
        if (number == SIGTERM)
            return 0;
    }
}

static int call(int argc, char **argv) {
    long a[6] = {0};
    for (int i = 0; i < 6 && i + 1 < argc; i++)
        a[i] = strtol(argv[i + 1], NULL, 0);
    long result = syscall(strtol(argv[0], NULL, 0), a[0], a[1], a[2], a[3], a[4], a[5]);
    printf("result %ld errno %d\n", result, result < 0 ? errno : 0);
    return 0;
}

static long number_of_thread;

static void *call_as_thread(void *unused) {
    syscall(number_of_thread, 0, 0, 0, 0, 0, 0);
    return unused;
}

static int call_in_a_thread(const char *number) {
    pthread_t thread;
    number_of_thread = strtol(number, NULL, 0);
    int error = pthread_create(&thread, NULL, call_as_thread, NULL);
    if (error == 0)
        error = pthread_join(thread, NULL);
    printf("thread errno %d\n", error);
    return 0;
}

/* As a program of the other architecture would, and without its 64 bits. */
static int call_i386(const char *number) {
    long result = -ENOSYS;
#if defined(__x86_64__)
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(strtol(number, NULL, 0)) : "memory");
#endif
    printf("result %ld errno %ld\n", result < 0 ? -1 : result, result < 0 ? -result : 0);
    return 0;
}

static int show_keyring(void) {
    char text[512] = "", label[512] = "";
    long id = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
    if (id < 0 || syscall(SYS_keyctl, KEYCTL_DESCRIBE, id, text, sizeof text - 1) < 0)
        printf("errno %d\n", errno);
    else
        printf("keyring %ld %s\n", id, text);
    if (id >= 0 && syscall(SYS_keyctl, KEYCTL_GET_SECURITY, id, label, sizeof label - 1) > 1)
        printf("label %s\n", label);
    return 0;
}

static int show_schedule(void) {
    int priority = -1; /* musl's own sched_get functions always fail */
    printf("policy %ld\n", syscall(SYS_sched_getscheduler, 0));
    syscall(SYS_sched_getparam, 0, &priority);
    printf("priority %d\n", priority);
    errno = 0;
    printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
    printf("ioprio %ld\n", syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
    return 0;
}

static int show_flags(void) {
    printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
    printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    printf("pdeathsig %d\n", ({
               int s = -1;
               prctl(PR_GET_PDEATHSIG, &s);
               s;
           }));
    printf("subreaper %d\n", ({
               int s = -1;
               prctl(PR_GET_CHILD_SUBREAPER, &s);
               s;
           }));
    printf("keepcaps %d\n", prctl(PR_GET_KEEPCAPS));
    printf("securebits %d\n", prctl(PR_GET_SECUREBITS));
    printf("umask %04o\n", (unsigned)umask(0));
    return 0;
}

static int show_arguments(int argc, char **argv) {
    for (int i = 0; i < argc; i++)
        printf("%s\n", argv[i]);
    return 0;
}

/* Opens the file given, reports what came of it. */
static int try_open(const char *path, const char *mode) {
    int fd = open(path, strcmp(mode, "w") == 0 ? O_WRONLY : strcmp(mode, "rw") == 0 ? O_RDWR : O_RDONLY);
    printf("%s errno %d\n", path, fd < 0 ? errno : 0);
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(what, "fds") == 0)
        return show_fds();
    if (strcmp(what, "signals") == 0)
        return show_signals();
    if (strcmp(what, "catch") == 0)
        return catch_signals();
    if (strcmp(what, "call") == 0 && argc > 2)
        return call(argc - 2, argv + 2);
    if (strcmp(what, "call-thread") == 0 && argc > 2)
        return call_in_a_thread(argv[2]);
    if (strcmp(what, "call-i386") == 0 && argc > 2)
        return call_i386(argv[2]);
    if (strcmp(what, "keyring") == 0)
        return show_keyring();
    if (strcmp(what, "schedule") == 0)
        return show_schedule();
    if (strcmp(what, "flags") == 0)
        return show_flags();
    if (strcmp(what, "open") == 0 && argc > 3)
        return try_open(argv[2], argv[3]);
    return show_arguments(argc, argv);
}
