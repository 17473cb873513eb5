/* What Python's archive, compiled against the headers of glibc, wants and musl does not have.
 *
 * The static launcher is linked with musl: before main, glibc asks the processor some seventy times what it is, and in a
 * virtual machine every question is answered by the host, which takes half a millisecond in all. The two C libraries agree on
 * the layout of what they hand to programs, as musl means to; functions of these names are glibc's only.
 */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* -- functions that check the size of what they write to (_FORTIFY_SOURCE) -- */

static void demand(int fits) {
    if (!fits)
        abort();
}

void *__memcpy_chk(void *to, const void *from, size_t count, size_t room);
void *__memmove_chk(void *to, const void *from, size_t count, size_t room);
void *__memset_chk(void *to, int byte, size_t count, size_t room);
void __explicit_bzero_chk(void *to, size_t count, size_t room);
char *__strcpy_chk(char *to, const char *from, size_t room);
char *__strcat_chk(char *to, const char *from, size_t room);
char *__realpath_chk(const char *path, char *to, size_t room);
ssize_t __read_chk(int file, void *to, size_t count, size_t room);
long __fdelt_chk(long file);
int __open64_2(const char *path, int flags);
int __fprintf_chk(FILE *file, int flag, const char *format, ...);
int __printf_chk(int flag, const char *format, ...);
int __vfprintf_chk(FILE *file, int flag, const char *format, va_list values);
int __snprintf_chk(char *to, size_t count, int flag, size_t room, const char *format, ...);
int __vsnprintf_chk(char *to, size_t count, int flag, size_t room, const char *format, va_list values);
int __sprintf_chk(char *to, int flag, size_t room, const char *format, ...);

void *__memcpy_chk(void *to, const void *from, size_t count, size_t room) {
    demand(count <= room);
    return memcpy(to, from, count);
}

void *__memmove_chk(void *to, const void *from, size_t count, size_t room) {
    demand(count <= room);
    return memmove(to, from, count);
}

void *__memset_chk(void *to, int byte, size_t count, size_t room) {
    demand(count <= room);
    return memset(to, byte, count);
}

void __explicit_bzero_chk(void *to, size_t count, size_t room) {
    demand(count <= room);
    explicit_bzero(to, count);
}

char *__strcpy_chk(char *to, const char *from, size_t room) {
    demand(strlen(from) < room);
    return strcpy(to, from);
}

char *__strcat_chk(char *to, const char *from, size_t room) {
    demand(strlen(to) + strlen(from) < room);
    return strcat(to, from);
}

char *__realpath_chk(const char *path, char *to, size_t room) {
    demand(room >= 4096);
    return realpath(path, to);
}

ssize_t __read_chk(int file, void *to, size_t count, size_t room) {
    demand(count <= room);
    return read(file, to, count);
}

long __fdelt_chk(long file) {
    demand(file >= 0 && file < FD_SETSIZE);
    return file / (8 * (long)sizeof(long));
}

int __open64_2(const char *path, int flags) {
    demand(!(flags & O_CREAT) && (flags & O_TMPFILE) != O_TMPFILE);
    return open(path, flags);
}

int __vfprintf_chk(FILE *file, int flag, const char *format, va_list values) {
    (void)flag;
    return vfprintf(file, format, values);
}

int __fprintf_chk(FILE *file, int flag, const char *format, ...) {
    va_list values;
    va_start(values, format);
    int count = __vfprintf_chk(file, flag, format, values);
    va_end(values);
    return count;
}

int __printf_chk(int flag, const char *format, ...) {
    va_list values;
    va_start(values, format);
    int count = __vfprintf_chk(stdout, flag, format, values);
    va_end(values);
    return count;
}

int __vsnprintf_chk(char *to, size_t count, int flag, size_t room, const char *format, va_list values) {
    (void)flag;
    demand(count <= room);
    return vsnprintf(to, count, format, values);
}

int __snprintf_chk(char *to, size_t count, int flag, size_t room, const char *format, ...) {
    va_list values;
    va_start(values, format);
    int written = __vsnprintf_chk(to, count, flag, room, format, values);
    va_end(values);
    return written;
}

int __sprintf_chk(char *to, int flag, size_t room, const char *format, ...) {
    va_list values;
    (void)flag;
    va_start(values, format);
    int written = vsnprintf(to, room > INT32_MAX ? INT32_MAX : room, format, values);
    va_end(values);
    demand(written < 0 || (size_t)written < room);
    return written;
}

/* -- texts -- */

/* The build writes them down as glibc has them: errors read the same from every kind of launcher. */
static const char *const error_texts[] = {
#include "error_texts.h"
};

char *strerror(int number) {
    static char unknown[40];
    if (number >= 0 && (size_t)number < sizeof error_texts / sizeof *error_texts && error_texts[number])
        return (char *)(uintptr_t)error_texts[number];
    snprintf(unknown, sizeof unknown, "Unknown error %d", number);
    return unknown;
}

/* glibc's returns the text, musl's a number. */
char *strerror_r(int number, char *to, size_t room) {
    (void)to, (void)room;
    return strerror(number);
}

/* -- other names, and what musl leaves out -- */

int fcntl64(int file, int command, ...);
long __sysconf(int name);
void *__sched_cpualloc(size_t count);
void __sched_cpufree(void *set);
int close_range(unsigned first, unsigned last, int flags);
ssize_t preadv64v2(int file, const struct iovec *parts, int count, off_t at, int flags);
ssize_t pwritev64v2(int file, const struct iovec *parts, int count, off_t at, int flags);
int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until);
void closefrom(int first);
int backtrace(void **addresses, int size);
int dladdr1(const void *address, void *info, void **more, int flags);
int _dl_find_object(void *address, void *result);
int posix_spawn_file_actions_addclosefrom_np(void *actions, int first);

int fcntl64(int file, int command, ...) {
    va_list values;
    va_start(values, command);
    void *value = va_arg(values, void *);
    va_end(values);
    return fcntl(file, command, value);
}

long __sysconf(int name) {
    return sysconf(name);
}

void *__sched_cpualloc(size_t count) {
    return calloc((count + 63) / 64, 8);
}

void __sched_cpufree(void *set) {
    free(set);
}

int close_range(unsigned first, unsigned last, int flags) {
    return (int)syscall(SYS_close_range, first, last, flags);
}

void closefrom(int first) {
    close_range((unsigned)first, ~0u, 0);
}

/* faulthandler's, which no hot module uses: there is nothing to tell of a stack. */
int backtrace(void **addresses, int size) {
    (void)addresses, (void)size;
    return 0;
}

int dladdr1(const void *address, void *info, void **more, int flags) {
    (void)address, (void)info, (void)more, (void)flags;
    return 0;
}

/* What the compiler's unwinder (libgcc) asks, which Python from 3.15 on pulls in: without an answer it looks for itself. */
int _dl_find_object(void *address, void *result) {
    (void)address, (void)result;
    return -1;
}

/* posix_spawn's, which no hot module uses */
int posix_spawn_file_actions_addclosefrom_np(void *actions, int first) {
    (void)actions, (void)first;
    return ENOSYS;
}

ssize_t preadv64v2(int file, const struct iovec *parts, int count, off_t at, int flags) {
    return syscall(SYS_preadv2, file, parts, count, at, 0, flags);
}

ssize_t pwritev64v2(int file, const struct iovec *parts, int count, off_t at, int flags) {
    return syscall(SYS_pwritev2, file, parts, count, at, 0, flags);
}

/* sem_timedwait knows the system's clock only */
int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until) {
    struct timespec now, then;
    if (clock_gettime(clock, &now) || clock_gettime(CLOCK_REALTIME, &then))
        return -1;
    then.tv_sec += until->tv_sec - now.tv_sec;
    then.tv_nsec += until->tv_nsec - now.tv_nsec;
    if (then.tv_nsec < 0) {
        then.tv_nsec += 1000000000;
        then.tv_sec--;
    } else if (then.tv_nsec >= 1000000000) {
        then.tv_nsec -= 1000000000;
        then.tv_sec++;
    }
    return sem_timedwait(semaphore, &then);
}
