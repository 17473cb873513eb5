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

/* An O_PATH (or other) descriptor of a path below root, or -1 with errno. */
int open_in(int root, const char *path, uint64_t flags, uint64_t resolve) {
    while (*path == '/')
        path++;
    return sys_openat2(root, *path ? path : ".", flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve);
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
        *rest = whole + strlen(path);
        while (**rest == '/')
            (*rest)++;
        fd = open_in(root, path, O_PATH | O_DIRECTORY, resolve);
        if (fd >= 0 || errno != ENOENT || *path == '\0')
            return fd;
    }
}

/* ELOOP for a link: with O_NOFOLLOW it would be the link itself that is opened (openat2(2), RESOLVE_NO_SYMLINKS). */
static int open_child(int parent, const char *name) {
    return sys_openat2(parent, name, O_PATH, 0, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
}

static int make_child(int parent, const char *name, bool directory, mode_t mode) {
    int fd;

    if (directory)
        return mkdirat(parent, name, mode) < 0 && errno != EEXIST ? -1 : 0;
    fd = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, mode);
    if (fd < 0)
        return errno == EEXIST ? 0 : -1;
    close(fd);
    return 0;
}

/* Whether name below parent is a dangling link; then path becomes what it leads to, still to be looked up below the root. */
static bool follow_dangling(int parent, const char *name, const char *before, const char *rest, char path[PATH_MAX]) {
    char link[PATH_MAX], whole[PATH_MAX];
    ssize_t length = readlinkat(parent, name, link, sizeof(link) - 1);

    if (length <= 0)
        return false;
    link[length] = '\0';
    if (snprintf(whole, sizeof(whole), "%s/%s/%s", link[0] == '/' ? "" : before, link, rest) >= (int)sizeof(whole)) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(path, whole);
    return true;
}

static const char *skip_slashes(const char *text) {
    while (*text == '/')
        text++;
    return text;
}

/* Make what is missing of path below root. 1: made, *out is the last component; 0: look path, which may have been rewritten, up
 * again; -1: errno. */
static int create_missing(int root, char path[PATH_MAX], bool directory, mode_t mode, uint64_t resolve, int *out) {
    char shortened[PATH_MAX], name[NAME_MAX + 1], before[PATH_MAX];
    const char *rest;
    int parent;

    strcpy(shortened, path);
    parent = open_prefix(root, shortened, path, &rest, resolve);
    if (parent < 0)
        return -1;
    while (*rest) {
        size_t length = strcspn(rest, "/");
        const char *after = skip_slashes(rest + length);
        int child;

        if (length > NAME_MAX) {
            errno = ENAMETOOLONG;
            goto failed;
        }
        memcpy(name, rest, length);
        name[length] = '\0';
        memcpy(before, path, (size_t)(rest - path));
        before[rest - path] = '\0';
        if (strcmp(name, "..") == 0) { /* out of a directory that was just made: the kernel knows where to */
            close(parent);
            return 0;
        }
        if (make_child(parent, name, *after || directory, *after ? 0755 : mode) < 0)
            goto failed;
        child = open_child(parent, name);
        if (child < 0) {
            if (errno == ELOOP && !(resolve & RESOLVE_NO_SYMLINKS) && follow_dangling(parent, name, before, after, path)) {
                close(parent);
                return 0;
            }
            goto failed;
        }
        close(parent);
        parent = child;
        rest = after;
    }
    *out = parent;
    return 1;
failed : {
    int error = errno;
    close(parent);
    errno = error;
    return -1;
}
}

/* The O_PATH descriptor of a path below root; what is missing is made unless target is TARGET_EXISTS. -1 with errno. */
int open_or_create(int root, const char *path, int target, mode_t mode, uint64_t resolve) {
    char current[PATH_MAX];

    path = skip_slashes(path);
    if (strlen(path) >= sizeof(current)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(current, path);
    for (size_t end = strlen(current); end > 0 && current[end - 1] == '/'; end--)
        current[end - 1] = '\0';
    for (int links = 0; links < MAX_LINKS; links++) {
        int made, fd = open_in(root, current, O_PATH, resolve);

        if (fd >= 0 || errno != ENOENT || target == TARGET_EXISTS)
            return fd;
        made = create_missing(root, current, target == TARGET_DIRECTORY, mode, resolve, &fd);
        if (made != 0)
            return made > 0 ? fd : -1;
    }
    errno = ELOOP;
    return -1;
}

/* The directory a new name goes into, made when missing; *name points to the last component within path. */
int open_parent(int root, const char *path, const char **name) {
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');

    *name = slash ? slash + 1 : path;
    if (**name == '\0' || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0 || strlen(path) >= sizeof(directory)) {
        errno = EINVAL;
        return -1;
    }
    memcpy(directory, path, (size_t)(*name - path));
    directory[*name - path] = '\0';
    return open_or_create(root, directory, TARGET_DIRECTORY, 0755, 0);
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
    if (fd >= 0 || !right)
        errno = ENODEV;
    return -1;
}
