/* Look-ups below a root that the container may control and change meanwhile.
 *
 * A path is handed to the kernel once, with RESOLVE_IN_ROOT; what comes back is a descriptor, and all later work is on
 * that. What is missing is made component by component, each relative to the descriptor of the one before.
 */
#include "init.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MAX_LINKS = 40 };

/* What failed last: a system call, and the path that it was for, as the root has it. */
static struct {
    enum plan_step step;
    char path[PATH_MAX];
} failed;

/* Remember what failed, with errno; returns -1. */
static int failed_at(enum plan_step step, const char *path) {
    int error = errno;

    failed.step = step;
    snprintf(failed.path, sizeof(failed.path), "%s%s", *path == '/' ? "" : "/", path);
    errno = error;
    return -1;
}

_Noreturn void fail_lookup(void) {
    fail(errno, failed.step, failed.path);
}

static const char *skip_slashes(const char *text) {
    while (*text == '/')
        text++;
    return text;
}

/* An O_PATH (or other) descriptor of a path below root, or -1 with errno. */
int open_in(int root, const char *path, uint64_t flags, uint64_t resolve) {
    const char *below = skip_slashes(path);
    int fd = sys_openat2(root, *below ? below : ".", flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve);

    return fd < 0 ? failed_at(STEP_openat2, path) : fd;
}

/* Open the longest existing prefix of path (which this shortens); *rest becomes what is left. */
static int open_prefix(int root, char *path, const char *whole, const char **rest, uint64_t resolve) {
    for (;;) {
        char *slash = strrchr(path, '/');
        int fd;

        if (slash)
            *slash = '\0';
        else
            *path = '\0';
        *rest = skip_slashes(whole + strlen(path));
        fd = open_in(root, path, O_PATH | O_DIRECTORY, resolve);
        if (fd >= 0 || errno != ENOENT || *path == '\0')
            return fd;
    }
}

/* A component of a path that is missing, and what is known of it. */
struct missing {
    int parent;
    char name[NAME_MAX + 1];
    char before[PATH_MAX]; /* the path up to it */
    const char *after;     /* and what comes after it */
};

static int failed_component(enum plan_step step, const struct missing *missing) {
    char path[PATH_MAX];
    int error = errno;

    snprintf(path, sizeof(path), "%.*s%s", (int)(sizeof(path) - sizeof(missing->name)), missing->before, missing->name);
    errno = error;
    return failed_at(step, path);
}

static int make_component(const struct missing *missing, bool directory, mode_t mode) {
    int fd;

    if (directory) {
        if (mkdirat(missing->parent, missing->name, mode) < 0 && errno != EEXIST)
            return failed_component(STEP_mkdir, missing);
        return 0;
    }
    fd = openat(missing->parent, missing->name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, mode);
    if (fd < 0 && errno != EEXIST)
        return failed_component(STEP_create, missing);
    if (fd >= 0)
        close(fd);
    return 0;
}

/* ELOOP for a link: with O_NOFOLLOW it would be the link itself that is opened (openat2(2), RESOLVE_NO_SYMLINKS). */
static int open_component(const struct missing *missing) {
    int fd = sys_openat2(missing->parent, missing->name, O_PATH, 0, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);

    return fd < 0 ? failed_component(STEP_openat2, missing) : fd;
}

/* Whether the component is a dangling link; then path becomes what it leads to, still to be looked up below the root. */
static bool follow_dangling(const struct missing *missing, char path[PATH_MAX]) {
    char link[PATH_MAX], whole[PATH_MAX];
    ssize_t length = readlinkat(missing->parent, missing->name, link, sizeof(link) - 1);

    if (length <= 0) {
        failed_component(STEP_readlink, missing);
        return false;
    }
    link[length] = '\0';
    if (snprintf(whole, sizeof(whole), "%s/%s/%s", link[0] == '/' ? "" : missing->before, link, missing->after) >=
        (int)sizeof(whole)) {
        errno = ENAMETOOLONG;
        failed_component(STEP_readlink, missing);
        return false;
    }
    strcpy(path, whole);
    return true;
}

/* The next component of rest, which is a part of path. False, with errno, for a name that is too long. */
static bool next_component(struct missing *missing, const char *path, const char *rest) {
    size_t length = strcspn(rest, "/"), before = (size_t)(rest - path);

    if (length > NAME_MAX) {
        errno = ENAMETOOLONG;
        failed_at(STEP_openat2, path);
        return false;
    }
    memcpy(missing->name, rest, length);
    missing->name[length] = '\0';
    memcpy(missing->before, path, before);
    missing->before[before] = '\0';
    missing->after = skip_slashes(rest + length);
    return true;
}

/* Make what is missing of path below root. 1: made, *out is the last component; 0: look path, which may have been rewritten, up
 * again; -1: errno. */
static int create_missing(int root, char path[PATH_MAX], bool directory, mode_t mode, uint64_t resolve, int *out) {
    char shortened[PATH_MAX];
    const char *rest;
    struct missing missing;
    int result = -1, error;

    strcpy(shortened, path);
    missing.parent = open_prefix(root, shortened, path, &rest, resolve);
    if (missing.parent < 0)
        return -1;
    for (; *rest; rest = missing.after) {
        int child;

        if (!next_component(&missing, path, rest))
            goto done;
        if (strcmp(missing.name, "..") == 0) { /* out of a directory that was just made: the kernel knows where to */
            result = 0;
            goto done;
        }
        if (make_component(&missing, *missing.after || directory, *missing.after ? 0755 : mode) < 0)
            goto done;
        child = open_component(&missing);
        if (child < 0) {
            if (errno == ELOOP && !(resolve & RESOLVE_NO_SYMLINKS) && follow_dangling(&missing, path))
                result = 0;
            goto done;
        }
        close(missing.parent);
        missing.parent = child;
    }
    *out = missing.parent;
    return 1;
done:
    error = errno;
    close(missing.parent);
    errno = error;
    return result;
}

/* The O_PATH descriptor of a path below root; what is missing is made, unless it has to exist. -1 with errno. *made: whether it
 * was missing. */
int open_or_create(int root, const char *path, enum plan_mountpoint type, mode_t mode, uint64_t resolve, bool *made) {
    char current[PATH_MAX];

    *made = false;
    path = skip_slashes(path);
    if (strlen(path) >= sizeof(current)) {
        errno = ENAMETOOLONG;
        return failed_at(STEP_openat2, path);
    }
    strcpy(current, path);
    for (size_t end = strlen(current); end > 0 && current[end - 1] == '/'; end--)
        current[end - 1] = '\0';
    for (int links = 0; links < MAX_LINKS; links++) {
        int result, fd = open_in(root, current, O_PATH, resolve);

        if (fd >= 0 || errno != ENOENT || type == MOUNTPOINT_EXISTS)
            return fd;
        *made = true;
        result = create_missing(root, current, type == MOUNTPOINT_DIRECTORY, mode, resolve, &fd);
        if (result != 0)
            return result > 0 ? fd : -1;
    }
    errno = ELOOP;
    return failed_at(STEP_openat2, path);
}

/* The directory a new name goes into, made when missing; *name points to the last component within path. */
int open_parent(int root, const char *path, const char **name) {
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    bool made;

    *name = slash ? slash + 1 : path;
    if (**name == '\0' || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0 || strlen(path) >= sizeof(directory)) {
        errno = EINVAL;
        return failed_at(STEP_openat2, path);
    }
    memcpy(directory, path, (size_t)(*name - path));
    directory[*name - path] = '\0';
    return open_or_create(root, directory, MOUNTPOINT_DIRECTORY, 0755, 0, &made);
}

static bool is_device(int fd, uint64_t device) {
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == device;
}

bool is_null_device(int fd) {
    return is_device(fd, makedev(1, 3));
}

/* Open a character device, which it must be: to open another one may have effects. -1 with errno, ENODEV for something else. */
int open_device(int root, const char *path, uint64_t flags, uint64_t device) {
    int fd = open_in(root, path, O_PATH, RESOLVE_NO_SYMLINKS);
    bool right = fd >= 0 && is_device(fd, device);

    if (fd < 0)
        return -1;
    close(fd);
    fd = right ? open_in(root, path, flags | O_NOCTTY, RESOLVE_NO_SYMLINKS) : -1;
    if (fd >= 0 && is_device(fd, device))
        return fd;
    if (fd >= 0)
        close(fd);
    if (fd >= 0 || !right) {
        errno = ENODEV;
        failed_at(STEP_openat2, path);
    }
    return -1;
}
