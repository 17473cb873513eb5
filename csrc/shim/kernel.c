/* Single system calls for Python. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { TREE_CLONE = 1, TREE_RECURSIVE = 0x8000, MOUNT_IDMAP = 0x100000, MOVE_BY_DESCRIPTORS = 0x44 };
enum { STATX_ID = 0x1000, STATX_ID_UNIQUE = 0x4000 };

static int result_of(long result) {
    return result < 0 ? -errno : (int)result;
}

/* A detached copy of the mount (tree) at a host path, a relative one below `directory` (open_tree(2)). nofollow: of a link itself */
int pyoci_open_tree(int directory, const char *path, int recursive, int nofollow) {
    unsigned flags = TREE_CLONE | O_CLOEXEC | (recursive ? TREE_RECURSIVE : 0) | (nofollow ? AT_SYMLINK_NOFOLLOW : 0);

    return result_of(syscall(SYS_open_tree, directory, path, flags));
}

/* Show the files of a detached mount (tree) with the owners that a user namespace maps them to (mount_setattr(2)). It takes
 * privilege over the file system itself, which an init in a user namespace has not. */
int pyoci_idmap_mount(int mount, int user_namespace, int recursive) {
    struct {
        uint64_t set, clear, propagation, user_namespace;
    } attributes = {MOUNT_IDMAP, 0, 0, (uint64_t)user_namespace};

    return result_of(syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | (recursive ? TREE_RECURSIVE : 0), &attributes,
                             sizeof(attributes)));
}

/* The id of the mount that a descriptor is in (statx(2)): unique, which no other mount ever gets (Linux 6.8; 0 before), or the one of
 * mountinfo, which another mount may get later. */
int64_t pyoci_mount_id(int fd, int unique) {
    uint32_t mask = unique ? STATX_ID_UNIQUE : STATX_ID;
    struct {
        uint32_t mask, more[35];
        uint64_t mount_id, rest[13];
    } found = {.mask = 0};

    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, mask, &found) < 0)
        return -errno;
    return found.mask & mask ? (int64_t)found.mount_id : 0;
}

static long make_private(int mount) {
    struct {
        uint64_t set, clear, propagation, user_namespace;
    } attributes = {0, 0, MS_PRIVATE, 0};

    return syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | TREE_RECURSIVE, &attributes, sizeof(attributes));
}

/* Attach a detached mount (tree) onto a directory (move_mount(2)). Where that is shared, the mount becomes so too, and all that is
 * mounted on it later would be mounted elsewhere as well: it does not stay so. */
int pyoci_attach_mount(int tree, int onto) {
    if (make_private(tree) < 0 || syscall(SYS_move_mount, tree, "", onto, "", MOVE_BY_DESCRIPTORS) < 0)
        return -errno;
    return result_of(make_private(tree));
}

/* Unmount a mount with all that is mounted below it. What is there may be a copy of the host's mounts that still shares their
 * propagation: its unmount would be sent there, and take the host's mounts away. */
int pyoci_unmount(int mount) {
    char name[32];

    if (make_private(mount) < 0)
        return -errno;
    snprintf(name, sizeof(name), "/proc/self/fd/%d", mount);
    return result_of(umount2(name, MNT_DETACH));
}

int pyoci_pidfd_signal(int pidfd, int signal) {
    return result_of(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

/* The permitted set of this process as a bit mask, or -errno (capget(2)). */
int64_t pyoci_permitted_capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    return (int64_t)data[0].permitted | (int64_t)((uint64_t)data[1].permitted << 32);
}

/* Raise a hard limit of another process that is below `hard` (prlimit(2)). */
int pyoci_raise_limit(int pid, int resource, uint64_t hard) {
    struct rlimit limit;

    if (prlimit(pid, (enum __rlimit_resource)resource, NULL, &limit) < 0)
        return -errno;
    if (limit.rlim_max >= hard)
        return 0;
    limit.rlim_max = hard;
    return result_of(prlimit(pid, (enum __rlimit_resource)resource, &limit, NULL));
}

/* The signals that this process ignores, bit n - 1 for signal n. Python knows only how that was when it started. */
uint64_t pyoci_ignored_signals(void) {
    struct sigaction action;
    uint64_t ignored = 0;

    for (int number = 1; number <= 64; number++)
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            ignored |= UINT64_C(1) << (number - 1);
    return ignored;
}

/* The ABI of Landlock that this kernel has (landlock_create_ruleset(2)), or -errno: ENOSYS, EOPNOTSUPP where it is switched off. */
int pyoci_landlock_abi(void) {
    enum { CREATE_RULESET_VERSION = 1 };

    return result_of(syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION));
}

/* The CLONE_NEW* number of a namespace file (ioctl_ns(2)). */
int pyoci_namespace_type(int fd) {
    return result_of(ioctl(fd, NS_GET_NSTYPE));
}

static int is_cgroup(const struct statfs *facts) {
    return facts->f_type == CGROUP_SUPER_MAGIC || facts->f_type == CGROUP2_SUPER_MAGIC;
}

/* Whether a path is in a cgroup file system, 1 or 0 (statfs(2)). */
int pyoci_is_cgroup(const char *path) {
    struct statfs facts;

    return statfs(path, &facts) < 0 ? -errno : is_cgroup(&facts);
}

/* Open a directory of a cgroup file system to list it: by its whole path, or with a `directory` (not -1) one below that. From there
 * no link, no ".." and no mount leads away, so that what is walked is the tree that was opened first (openat2(2)). -EXDEV for a
 * directory of another file system. */
int pyoci_open_cgroup(int directory, const char *path) {
    uint64_t inside = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = directory < 0 ? RESOLVE_NO_MAGICLINKS : inside};
    struct statfs facts;
    int fd = result_of(syscall(SYS_openat2, directory < 0 ? AT_FDCWD : directory, path, &how, sizeof(how)));

    if (fd < 0 || directory >= 0)
        return fd;
    if (fstatfs(fd, &facts) < 0 || !is_cgroup(&facts)) {
        close(fd);
        return -EXDEV;
    }
    return fd;
}
