/* A bind mount's source that is a path of the container's own tree, which only the container's mount namespace shows as it is. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"

enum { TREE_CLONE = 1, TREE_RECURSIVE = 0x8000, STACK = 16384 };

/* What the helper is told, and its result: a descriptor or -errno. */
struct helper {
    int pidfd;
    const char *rootfs, *path;
    unsigned flags;
    int nofollow;
    const struct stat *place; /* the rootfs, as the host has it */
    int result;
    char stack[STACK] __attribute__((aligned(16)));
};

static int is_same(const struct stat *one, const struct stat *other) {
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/* The init has attached its tree at the rootfs's own path or, where it may not walk there, on "/" (op_mount_rootfs). */
static int open_root(const struct helper *self) {
    struct stat root;
    const char *path = stat("/", &root) == 0 && is_same(&root, self->place) ? "/" : self->rootfs;

    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* The tree is the container's: a link in it must not lead to a file of the host. */
static int open_tree_below(int root, const struct helper *self) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC | (self->nofollow ? O_NOFOLLOW : 0),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int tree, place = (int)syscall(SYS_openat2, root, self->path, &how, sizeof(how));

    if (place < 0)
        return -errno;
    tree = (int)syscall(SYS_open_tree, place, "", self->flags);
    tree = tree < 0 ? -errno : tree;
    close(place);
    return tree;
}

/* It shares our memory, while we wait, and our descriptors: what it opens is ours. Its root and its mount namespace are its own. */
__attribute__((no_sanitize_address)) static int run_helper(void *argument) {
    struct helper *self = argument;
    int root = -1;

    if (setns(self->pidfd, CLONE_NEWNS) == 0)
        root = open_root(self);
    self->result = root < 0 ? -errno : open_tree_below(root, self);
    if (root >= 0)
        close(root);
    for (;;)
        raw2(SYS_exit_group, 0, 0);
    return 0;
}

/* A detached copy of the mount (tree) at a path below the rootfs, as the mount namespace of a process has it. Only a process that is
 * there may copy it (open_tree(2)), and one that was there must not come back to us: so a helper does it. */
int pyoci_open_tree_inside(int pidfd, const char *rootfs, const char *path, int recursive, int nofollow) {
    struct stat place;
    struct helper self = {
        .pidfd = pidfd,
        .rootfs = rootfs,
        .path = path,
        .flags = TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH | (recursive ? TREE_RECURSIVE : 0),
        .nofollow = nofollow,
        .place = &place,
        .result = -ECHILD,
    };
    struct clone_args arguments = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_FILES,
        .exit_signal = SIGCHLD,
        .stack = (uint64_t)(uintptr_t)self.stack,
        .stack_size = STACK,
    };
    sigset_t all, before;
    long pid;

    if (stat(rootfs, &place) < 0)
        return -errno;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before); /* our handlers must not run in the helper */
    pid = raw_clone3(&arguments, sizeof(arguments), run_helper, &self);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return (int)pid;
    while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return self.result;
}
