/* The container's tree: made a mount, made the root, made read-only. */
#include "init.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* MS_* propagation flags as mount_setattr(2) takes them: MS_REC says how far, not what. */
static void set_propagation(int fd, uint64_t flags, const char *what) {
    unsigned recursive = flags & MS_REC ? TREE_RECURSIVE : 0;

    check(sys_mount_setattr(fd, recursive, 0, 0, flags & ~(uint64_t)MS_REC), "mount_setattr", what);
}

static int open_host_root(void) {
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    check(fd, "open", "/");
    return fd;
}

void op_host_propagation(const struct plan_op *op) {
    int fd = open_host_root();

    set_propagation(fd, op->numbers[0], "/");
    close(fd);
}

static bool is_same_directory(int one, int other) {
    struct stat first, second;

    check(fstat(one, &first), "stat", NULL);
    check(fstat(other, &second), "stat", NULL);
    return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* The mount that a directory lies in stops sharing: pivot_root(2) refuses a shared parent, and what is attached must stay ours. */
static void make_parent_private(int directory) {
    int fd = openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    check(fd, "open", "rootfs");
    while (sys_mount_setattr(fd, 0, 0, 0, MS_PRIVATE) < 0) {
        int parent;
        if (errno != EINVAL) /* EINVAL: not the root of a mount */
            fail(errno, "mount_setattr", "mount of the rootfs");
        parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        check(parent, "open", "..");
        if (is_same_directory(fd, parent)) /* "/" is no mount: the runtime was started in a chroot */
            fail(EINVAL, "mount_setattr", "/");
        close(fd);
        fd = parent;
    }
    close(fd);
}

/* The directory that the tree is attached on: its own, where hooks in the container's namespace look for it. An init that may
 * not walk there takes "/", which serves the pivot just as well. */
static int open_place(const char *path) {
    int place = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (place < 0 && errno == EACCES)
        return open_host_root();
    check(place, "open", path);
    return place;
}

void op_rootfs(const struct plan_op *op) {
    int place = open_place(op_text(op, 0)), tree;

    if (op->flags & OPF_JOINED) {
        put(REG_ROOT, place);
        return;
    }
    if (op->flags & OPF_SHARED)
        make_parent_private(place);
    tree = op->fd ? get(op->fd) : sys_open_tree(place, "", TREE_CLONE | TREE_RECURSIVE | AT_EMPTY_PATH);
    check(tree, "open_tree", op_text(op, 0));
    check(sys_move_mount(tree, place), "move_mount", op_text(op, 0));
    close(place);
    if (op->fd)
        init.registers[op->fd] = -1;
    put(REG_ROOT, tree);
}

void op_root_joined(const struct plan_op *op) {
    (void)op;
    put(REG_ROOT, open_host_root());
}

void op_root_readonly(const struct plan_op *op) {
    (void)op;
    check(sys_mount_setattr(get(REG_ROOT), 0, ATTRIBUTE_READONLY, 0, 0), "mount_setattr", "/");
}

/* pivot_root(2), "pivot_root(".", ".")": the old root ends up below the new one and is let go from there. */
void op_pivot_root(const struct plan_op *op) {
    int old = open_host_root();

    (void)op;
    check(fchdir(get(REG_ROOT)), "fchdir", "rootfs");
    check(sys_pivot_root(".", "."), "pivot_root", NULL);
    check(fchdir(old), "fchdir", "/");
    check(sys_mount_setattr(old, TREE_RECURSIVE, 0, 0, MS_SLAVE), "mount_setattr", "old root");
    check(umount2(".", MNT_DETACH), "umount", "old root");
    close(old);
    check(fchdir(get(REG_ROOT)), "fchdir", "/");
}

/* For a host root that can't be pivoted (a ramfs): the rootfs moves on top of "/". The host's procfs and sysfs must not stay
 * reachable below: with them mounted in full, a user namespace inside could mount its own (user_namespaces(7)). */
void op_chroot(const struct plan_op *op) {
    static const char *const kernel_trees[] = {"/proc", "/sys"};

    for (int i = 0; i < 2 && !(op->flags & OPF_JOINED); i++)
        if (umount2(kernel_trees[i], MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT && errno != EPERM)
            fail(errno, "umount", kernel_trees[i]);
    if (!(op->flags & OPF_JOINED)) {
        int host = open_host_root();
        check(sys_move_mount(get(REG_ROOT), host), "move_mount", "rootfs");
        close(host);
    }
    check(fchdir(get(REG_ROOT)), "fchdir", "rootfs");
    check(chroot("."), "chroot", "rootfs");
    check(chdir("/"), "chdir", "/");
}

void op_root_propagation(const struct plan_op *op) {
    set_propagation(get(REG_ROOT), op->numbers[0], "/");
}
