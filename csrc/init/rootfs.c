/* The container's tree: made a mount, made the root, made read-only. */
#include "init.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* The propagation of the mount that a directory lies in, which is found by going up. */
static void set_propagation_of(int directory, uint64_t propagation) {
    int fd = openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    check(fd, STEP_open, "rootfs");
    while (sys_mount_setattr(fd, 0, 0, 0, propagation) < 0) {
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

    state.shared_root = op->shared;
    if (op->shared) /* pivot_root(2) refuses a shared parent, and what is attached must stay ours */
        set_propagation_of(place, MS_PRIVATE);
    tree = op->tree ? take(op->tree) : sys_open_tree(place, "", TREE_CLONE | TREE_RECURSIVE | AT_EMPTY_PATH);
    check(tree, STEP_open_tree, op->path);
    check(sys_move_mount(tree, place), STEP_move_mount, op->path);
    close(place);
    put(REG_ROOT, tree);
}

void op_open_rootfs(const struct op_open_rootfs *op) {
    int fd = open(op->path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    state.shared_root = true; /* without a mount namespace "/" is the host's */
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

/* Unmount what is on a path, if it still is that mount; a locked one, which a user namespace got from its parent, is covered. First
 * the mount that it lies in, it and all below it stop telling the host's mounts, or those would go, too. */
static void hide_mount(const char *path, uint64_t id) {
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), parent, cover;

    if (fd < 0 || mount_id(fd) != id) { /* out of reach, or below another mount */
        close(fd);
        return;
    }
    parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (parent >= 0)
        set_propagation_of(parent, MS_SLAVE);
    check(sys_mount_setattr(fd, TREE_RECURSIVE, 0, 0, MS_SLAVE), STEP_mount_setattr, path);
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0) {
        if (errno != EINVAL && errno != EPERM)
            fail(errno, STEP_umount, path);
        cover = empty_tmpfs("", ATTRIBUTE_READONLY);
        check(cover, STEP_fsmount, "tmpfs");
        check(sys_move_mount(cover, fd), STEP_move_mount, path);
        close(cover);
    }
    close(parent);
    close(fd);
}

/* A line of mountinfo (proc_pid_mountinfo(5)): "36 35 0:21 / /proc rw,relatime shared:1 - proc proc rw". */
static void hide_line(char *line, const char *rootfs) {
    char *path = line, *type = strstr(line, " - "), *end, *to;
    size_t length = strlen(rootfs);

    for (int field = 0; field < 4 && path; field++) {
        path = strchr(path, ' ');
        path = path ? path + 1 : NULL;
    }
    if (!path || !type || (strncmp(type + 3, "proc ", 5) != 0 && strncmp(type + 3, "sysfs ", 6) != 0))
        return;
    end = strchr(path, ' ');
    *end = '\0';
    to = path;
    for (const char *from = path; *from; to++) /* blanks and the like are written as \040 */
        if (from[0] == '\\' && from[1] && from[2] && from[3]) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    *to = '\0';
    if (strncmp(path, rootfs, length) != 0 || (path[length] != '/' && path[length] != '\0')) /* the container's own */
        hide_mount(path, strtoull(line, NULL, 10));
}

/* The host's procfs and sysfs must not stay reachable below the rootfs: with one of them mounted in full, wherever it is, a user
 * namespace inside could mount its own (user_namespaces(7)). What was mounted last lies on top, so it goes first. */
static void hide_kernel_trees(const char *rootfs) {
    enum { SIZE = 16 << 20 }; /* room for some 100,000 mounts, of which only what is used costs memory */
    int fd = openat(get(REG_PROC), "self/mountinfo", O_RDONLY | O_CLOEXEC);
    char *text = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t used = 0;
    ssize_t got;

    check(fd, STEP_open, "/proc/self/mountinfo");
    if (text == MAP_FAILED)
        fail(errno, STEP_open, "/proc/self/mountinfo");
    while (used < SIZE - 1 && (got = read(fd, text + used, SIZE - 1 - used)) > 0)
        used += (size_t)got;
    check(got, STEP_open, "/proc/self/mountinfo");
    if (used == SIZE - 1)
        fail(EFBIG, STEP_open, "/proc/self/mountinfo");
    close(fd);
    while (used > 0) {
        text[--used] = '\0';
        while (used > 0 && text[used - 1] != '\n')
            used--;
        hide_line(text + used, rootfs);
    }
    munmap(text, SIZE);
}

/* For a host root that can't be pivoted (a ramfs): the rootfs moves on top of "/". */
void op_move_root(const struct op_move_root *op) {
    int host = open_host_root();

    hide_kernel_trees(op->path);
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
