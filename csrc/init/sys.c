/* System calls without a wrapper in the C library. The structures are the kernel's; linux/mount.h clashes with sys/mount.h. */
#include "init.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    MOVE_FROM_EMPTY = 0x04,
    MOVE_TO_EMPTY = 0x40,
    CLOEXEC_MOUNT = 1,
    PICK_CLOEXEC = 1,
    PICK_EMPTY_PATH = 8,
    CAPABILITY_VERSION_3 = 0x20080522,
    EMPTY_PATH = 0x1000,
    STATX_MOUNT_ID = 0x1000,
};

int sys_open_tree(int fd, const char *path, unsigned flags) {
    return (int)syscall(SYS_open_tree, fd, path, flags | O_CLOEXEC);
}

int sys_move_mount(int from, int to) {
    return (int)syscall(SYS_move_mount, from, "", to, "", MOVE_FROM_EMPTY | MOVE_TO_EMPTY);
}

int sys_fsopen(const char *type) {
    return (int)syscall(SYS_fsopen, type, CLOEXEC_MOUNT);
}

int sys_fspick(int fd) {
    return (int)syscall(SYS_fspick, fd, "", PICK_CLOEXEC | PICK_EMPTY_PATH);
}

int sys_fsconfig(int fd, unsigned command, const char *key, const char *value) {
    return (int)syscall(SYS_fsconfig, fd, command, key, value, 0);
}

int sys_fsmount(int fd, unsigned attributes) {
    return (int)syscall(SYS_fsmount, fd, CLOEXEC_MOUNT, attributes);
}

int sys_mount_setattr(int fd, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation) {
    struct {
        uint64_t set, clear, propagation, userns;
    } attributes = {set, clear, propagation, 0};

    return (int)syscall(SYS_mount_setattr, fd, "", EMPTY_PATH | flags, &attributes, sizeof(attributes));
}

int sys_openat2(int fd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct {
        uint64_t flags, mode, resolve;
    } how = {flags | O_CLOEXEC, mode, resolve};
    long result = -1;

    /* a rename or mount anywhere in the tree may make the kernel give up with EAGAIN; a hostile loop of them ends too */
    for (int tries = 0; tries < 1000; tries++) {
        result = syscall(SYS_openat2, fd, path, &how, sizeof(how));
        if (result >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return (int)result;
}

int sys_pivot_root(const char *to, const char *old) {
    return (int)syscall(SYS_pivot_root, to, old);
}

int sys_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
    struct {
        uint32_t version;
        int pid;
    } header = {CAPABILITY_VERSION_3, 0};
    struct {
        uint32_t effective, permitted, inheritable;
    } data[2] = {
        {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
        {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
    };

    return (int)syscall(SYS_capset, &header, data);
}

int sys_close_range(unsigned first, unsigned last) {
    return (int)syscall(SYS_close_range, first, last, 0);
}

int empty_tmpfs(const char *label, unsigned attributes) {
    int mount = -1, error, context = sys_fsopen("tmpfs");

    if (context < 0)
        return -1;
    if (sys_fsconfig(context, FSCONFIG_STRING, "source", "tmpfs") == 0 &&
        (!*label || sys_fsconfig(context, FSCONFIG_STRING, "context", label) == 0) &&
        sys_fsconfig(context, FSCONFIG_CREATE, NULL, NULL) == 0)
        mount = sys_fsmount(context, attributes);
    error = errno;
    close(context);
    errno = error;
    return mount;
}

/* The id of the mount that a file is found in (statx(2), STATX_MNT_ID, Linux 5.8); 0 where the kernel does not tell. */
uint64_t mount_id(int fd) {
    struct {
        uint32_t mask, more[35];
        uint64_t mount_id, rest[13];
    } found = {.mask = 0};

    if (syscall(SYS_statx, fd, "", EMPTY_PATH, STATX_MOUNT_ID, &found) < 0)
        return 0;
    return found.mount_id;
}

int sys_pidfd_open(pid_t pid) {
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* A filter may deny the end itself: _exit(2) of the C library then tries for ever. An instruction that is none needs no leave. */
_Noreturn void leave(int status) {
    syscall(SYS_exit_group, status);
    __builtin_trap();
}
