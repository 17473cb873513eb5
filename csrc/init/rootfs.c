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

    check(sys_mount_setattr(fd, recursive, 0, 0, flags & ~(uint64_t)MS_REC), STEP_mount_setattr, what);
}

static int open_host_root(void) {
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    check(fd, STEP_open, "/");
    return fd;
}

void op_host_propagation(const struct op_host_propagation *op) {
    int fd = open_host_root();

    set_propagation(fd, op->flags, "/");
    close(fd);
}

static bool is_same_directory(int one, int other) {
    struct stat first, second;

    check(fstat(one, &first), STEP_stat, NULL);
    check(fstat(other, &second), STEP_stat, NULL);
    return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* The mount that a directory lies in stops sharing: pivot_root(2) refuses a shared parent, and what is attached must stay ours. */
static void make_parent_private(int directory) {
    int fd = openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    check(fd, STEP_open, "rootfs");
    while (sys_mount_setattr(fd, 0, 0, 0, MS_PRIVATE) < 0) {
        int parent;
        if (errno != EINVAL) /* EINVAL: not the root of a mount */
            fail(errno, STEP_mount_setattr, "mount of the rootfs");
        parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        check(parent, STEP_open, "..");
        if (is_same_directory(fd, parent)) /* "/" is no mount: the runtime was started in a chroot */
            fail(EINVAL, STEP_mount_setattr, "/");
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
    check(place, STEP_open, path);
    return place;
}

void op_mount_rootfs(const struct op_mount_rootfs *op) {
    int place = open_place(op->path), tree;

    if (op->shared)
        make_parent_private(place);
    tree = op->tree ? take(op->tree) : sys_open_tree(place, "", TREE_CLONE | TREE_RECURSIVE | AT_EMPTY_PATH);
    check(tree, STEP_open_tree, op->path);
    check(sys_move_mount(tree, place), STEP_move_mount, op->path);
    close(place);
    put(REG_ROOT, tree);
}

void op_open_rootfs(const struct op_open_rootfs *op) {
    int fd = open(op->path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    check(fd, STEP_open, op->path);
    put(REG_ROOT, fd);
}

void op_readonly_rootfs(const struct op_readonly_rootfs *op) {
    (void)op;
    check(sys_mount_setattr(get(REG_ROOT), 0, ATTRIBUTE_READONLY, 0, 0), STEP_mount_setattr, "/");
}

/* The mount namespace still has the host's root as its root, and the rootfs as a mount somewhere below it. pivot_root(2) exchanges
 * them: the rootfs becomes the root, and the old root is attached to the place that the second path names.
 *
 * A directory for the old root would have to be made in the image, which may be read-only and is not ours to change. So both paths
 * are "." (pivot_root(2), NOTES): the old root lies on top of the new one, at the same place. The working directory then is in the
 * rootfs below, where "." does not reach what is mounted over it; `old`, which was opened before, does.
 *
 * What lies over "/" is unmounted with MNT_DETACH, because the host's mounts below it are in use by the host. As long as they share
 * propagation with the host's, that unmount would be sent there and take the host's mounts away: they become slaves first. Slaves,
 * not private: what the host unmounts between the two calls goes here, too, where a private copy would keep its device busy.
 */
void op_pivot_root(const struct op_pivot_root *op) {
    int old = open_host_root();

    (void)op;
    check(fchdir(get(REG_ROOT)), STEP_fchdir, "rootfs");
    check(sys_pivot_root(".", "."), STEP_pivot_root, NULL);
    check(fchdir(old), STEP_fchdir, "/");
    check(sys_mount_setattr(old, TREE_RECURSIVE, 0, 0, MS_SLAVE), STEP_mount_setattr, "old root");
    check(umount2(".", MNT_DETACH), STEP_umount, "old root");
    close(old);
    check(fchdir(get(REG_ROOT)), STEP_fchdir, "/");
}

/* For a host root that can't be pivoted (a ramfs): the rootfs moves on top of "/". The host's procfs and sysfs must not stay
 * reachable below: with them mounted in full, a user namespace inside could mount its own (user_namespaces(7)). */
void op_move_root(const struct op_move_root *op) {
    static const char *const kernel_trees[] = {"/proc", "/sys"};
    int host = open_host_root();

    (void)op;
    for (int i = 0; i < 2; i++)
        if (umount2(kernel_trees[i], MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT && errno != EPERM)
            fail(errno, STEP_umount, kernel_trees[i]);
    check(sys_move_mount(get(REG_ROOT), host), STEP_move_mount, "rootfs");
    close(host);
}

void op_chroot(const struct op_chroot *op) {
    (void)op;
    check(fchdir(get(REG_ROOT)), STEP_fchdir, "rootfs");
    check(chroot("."), STEP_chroot, "rootfs");
    check(chdir("/"), STEP_chdir, "/");
}

void op_rootfs_propagation(const struct op_rootfs_propagation *op) {
    set_propagation(get(REG_ROOT), op->flags, "/");
}
