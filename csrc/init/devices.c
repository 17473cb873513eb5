/* Device nodes, links, directories: made below a descriptor, never through a path of the container. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* What is there already must be that very device (config-linux.md, Devices: "runtime MUST generate an error"). */
static void check_existing(int parent, const char *name, const struct op_mknod *op) {
    struct stat status;

    check(fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW), STEP_stat, op->path);
    if ((status.st_mode & S_IFMT) != (op->mode & S_IFMT) || (!S_ISFIFO(op->mode) && status.st_rdev != op->device))
        fail(EEXIST, STEP_mknod, op->path);
}

void op_mknod(const struct op_mknod *op) {
    const char *name;
    int parent = open_parent(get(REG_ROOT), op->path, &name);

    if (parent < 0)
        fail_lookup();
    if (mknodat(parent, name, (mode_t)op->mode, (dev_t)op->device) < 0) {
        if (errno != EEXIST)
            fail(errno, STEP_mknod, op->path);
        check_existing(parent, name, op);
    } else {
        check(fchownat(parent, name, (uid_t)op->uid, (gid_t)op->gid, AT_SYMLINK_NOFOLLOW), STEP_chown, op->path);
    }
    close(parent);
}

/* errno stays as it is. */
static bool is_link_to(int parent, const char *name, const char *target) {
    char content[PATH_MAX];
    int error = errno;
    ssize_t length = readlinkat(parent, name, content, sizeof(content));

    errno = error;
    return length == (ssize_t)strlen(target) && memcmp(content, target, (size_t)length) == 0;
}

void op_symlink(const struct op_symlink *op) {
    const char *name;
    int parent = open_parent(get(op->below), op->path, &name);

    if (parent < 0)
        fail_lookup();
    if (symlinkat(op->target, parent, name) < 0 && (errno != EEXIST || (op->exact && !is_link_to(parent, name, op->target))))
        fail(errno, STEP_symlink, op->path);
    close(parent);
}

/* A null device that no directory has. -1 where the runtime may make no node: in a user namespace, or without CAP_MKNOD. */
static int open_own_null(void) {
    int null = -1, mount = empty_tmpfs("", 0);

    check(mount, STEP_fsmount, "tmpfs");
    if (mknodat(mount, "null", S_IFCHR | 0666, makedev(1, 3)) == 0)
        null = openat(mount, "null", O_RDWR | O_CLOEXEC);
    close(mount);
    return null;
}

/* As /proc/PID/fd/N, a standard file leads to its inode: with CAP_FOWNER the container could take the host's /dev/null away from every
 * user of the host by a chmod. So it is not the host's even where the container has no null device, or has removed it.
 */
void op_stdio_null(const struct op_stdio_null *op) {
    int null;

    (void)op;
    if (!is_null_device(0) && !is_null_device(1) && !is_null_device(2))
        return;
    null = open_device(get(REG_ROOT), "dev/null", O_RDWR, makedev(1, 3));
    if (null < 0)
        null = open_own_null();
    if (null < 0)
        return;
    for (int fd = 0; fd < 3; fd++)
        if (is_null_device(fd))
            check(dup2(null, fd), STEP_dup2, NULL);
    close(null);
}

/* Whether the program may own a standard file. Not the host's devices, which are there for all, nor the caller's terminal, which is
 * its user's after the container has ended: only the terminal made for this process. And an owner can open a file for writing that
 * it was given for reading only, so not those either. */
static bool may_own(int fd, const struct stat *status, bool console) {
    if (S_ISCHR(status->st_mode))
        return console && isatty(fd);
    return S_ISFIFO(status->st_mode) || S_ISSOCK(status->st_mode) ||
           (S_ISREG(status->st_mode) && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY);
}

/* The program must be able to open /dev/stdout again: what it is given to write to, pipes and its own terminal belong to it. */
void op_stdio_owner(const struct op_stdio_owner *op) {
    struct stat status;

    for (int fd = 0; fd < 3; fd++) {
        if (fstat(fd, &status) < 0 || status.st_uid == op->uid || !may_own(fd, &status, op->console))
            continue;
        if (fchown(fd, (uid_t)op->uid, (gid_t)-1) < 0 && errno != EINVAL && errno != EPERM && errno != EROFS)
            fail(errno, STEP_chown, "standard files");
    }
}
