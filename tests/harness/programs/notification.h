/* Notifications of a seccomp filter (seccomp_unotify(2)), from linux/seccomp.h, which musl lacks. */
#ifndef NOTIFICATION_H
#define NOTIFICATION_H

#include <stdint.h>
#include <sys/ioctl.h>

struct notification {
    uint64_t id;
    uint32_t pid, flags;
    int32_t number;
    uint32_t arch;
    uint64_t instruction_pointer, arguments[6];
};

struct response {
    uint64_t id;
    int64_t value;
    int32_t error;
    uint32_t flags;
};

#define RECEIVE _IOWR('!', 0, struct notification)
#define SEND    _IOWR('!', 1, struct response)

#endif
