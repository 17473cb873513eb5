/* Mounts: made as detached descriptors, changed while no path leads to them, attached onto a descriptor. */
#include "init.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MODE_TEXT = 16 }; /* bytes of "mode=1777" */

/* The kernel explains a refused option in the log of the context: "e tmpfs: Bad value for 'mode'". */
static _Noreturn void fail_with_log(int context, int error, const char *option) {
    char text[512], log[256];
    ssize_t length = read(context, log, sizeof(log) - 1);

    if (length < 3)
        fail(error, STEP_fsconfig, option);
    log[length] = '\0';
    log[strcspn(log, "\n")] = '\0';
    snprintf(text, sizeof(text), "%.200s (%.250s)", option, log + 2);
    fail(error, STEP_fsconfig, text);
}

static void set_option(int context, const char *option) {
    char key[256];
    const char *equals = strchr(option, '=');
    int result;

    if (!equals) {
        result = sys_fsconfig(context, FSCONFIG_FLAG, option, NULL);
    } else {
        size_t length = (size_t)(equals - option);
        if (length >= sizeof(key))
            fail(EINVAL, STEP_fsconfig, option);
        memcpy(key, option, length);
        key[length] = '\0';
        result = sys_fsconfig(context, FSCONFIG_STRING, key, equals + 1);
    }
    if (result < 0)
        fail_with_log(context, errno, option);
}

/* mount(2) and open_tree(2) work below a mount that is attached. This tmpfs is, on top of a directory, until detach_tmpfs(). */
static int attach_tmpfs(const char *label, int onto) {
    int mount = empty_tmpfs(label, 0);

    check(mount, STEP_fsmount, "tmpfs");
    check(sys_move_mount(mount, onto), STEP_move_mount, "tmpfs");
    return mount;
}

/* "/proc" is still the host's. */
static void detach_tmpfs(int mount) {
    char place[64];

    snprintf(place, sizeof(place), "/proc/self/fd/%d", mount);
    check(umount2(place, MNT_DETACH), STEP_umount, "tmpfs");
    close(mount);
}

/* A tmpfs without a mode of its own takes that of the directory it hides, as in runc. Where there was none, op_mountpoint has made one
 * that is open to all, as every tmpfs is by default: so the next run finds the same mode. */
static void name_mode(char text[MODE_TEXT], int directory) {
    struct stat status;

    check(fstat(directory, &status), STEP_stat, NULL);
    snprintf(text, MODE_TEXT, "mode=%04o", status.st_mode & 07777);
}

static void set_options(int context, const char *source, const struct plan_strings *options) {
    const char *option = options->first;

    if (*source && sys_fsconfig(context, FSCONFIG_STRING, "source", source) < 0)
        fail_with_log(context, errno, source);
    for (uint64_t i = 0; i < options->count; i++) {
        set_option(context, option);
        option += strlen(option) + 1;
    }
}

void op_fsmount(const struct op_fsmount *op) {
    int mount, context = sys_fsopen(op->type);
    char mode[MODE_TEXT];

    check(context, STEP_fsopen, op->type);
    set_options(context, op->source, &op->options);
    if (op->mode_of) {
        name_mode(mode, get(op->mode_of));
        set_option(context, mode);
    }
    if (sys_fsconfig(context, FSCONFIG_CREATE, NULL, NULL) < 0)
        fail_with_log(context, errno, op->type);
    mount = sys_fsmount(context, (unsigned)op->attributes);
    check(mount, STEP_fsmount, op->type);
    close(context);
    put(op->to ? op->to : REG_MOUNT, mount);
}

/* An O_PATH descriptor, as fsmount(2) returns it, takes no fsetxattr(2). */
void op_label(const struct op_label *op) {
    int root = openat(get(op->mount), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    check(root, STEP_open, NULL);
    check(fsetxattr(root, "security.selinux", op->label, strlen(op->label), 0), STEP_fsetxattr, op->label);
    close(root);
}

void op_reconfigure(const struct op_reconfigure *op) {
    int context = sys_fspick(get(op->mount));

    check(context, STEP_fspick, NULL);
    set_options(context, "", &op->options);
    if (sys_fsconfig(context, FSCONFIG_RECONFIGURE, NULL, NULL) < 0)
        fail_with_log(context, errno, "remount");
    close(context);
}

/* The tree is a copy of the host's, and the host's mounts below it may be writable: root of the container's user namespace may be the
 * host's (an identity map), and could set the kernel up through them. What the host mounts there later would be writable, so it stays
 * out. How access times are kept is not ours to change: it is locked. */
static int copy_sysfs(uint64_t attributes) {
    const uint64_t flags = ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV | ATTRIBUTE_NOEXEC;
    int tree = sys_open_tree(AT_FDCWD, "/sys", TREE_CLONE | TREE_RECURSIVE);
    struct statfs status;

    check(tree, STEP_open_tree, "/sys");
    check(fstatfs(tree, &status), STEP_statfs, "/sys");
    if (status.f_type != SYSFS_MAGIC)
        fail(EPERM, STEP_fsopen, "sysfs, and the host has none on /sys");
    check(sys_mount_setattr(tree, TREE_RECURSIVE, ATTRIBUTE_READONLY | (attributes & flags), 0, MS_PRIVATE),
          STEP_mount_setattr, "/sys");
    return tree;
}

void op_sysfs(const struct op_sysfs *op) {
    int mount = -1, context = sys_fsopen("sysfs");

    if (context < 0 && errno != EPERM)
        fail(errno, STEP_fsopen, "sysfs");
    if (context >= 0) {
        set_options(context, op->source, &op->options);
        if (sys_fsconfig(context, FSCONFIG_CREATE, NULL, NULL) < 0)
            fail_with_log(context, errno, "sysfs");
        mount = sys_fsmount(context, (unsigned)op->attributes);
        if (mount < 0 && errno != EPERM)
            fail(errno, STEP_fsmount, "sysfs");
        close(context);
    }
    put(REG_MOUNT, mount < 0 ? copy_sysfs(op->attributes) : mount);
}

/* A source in the container's own tree: a link there must not lead to a file of the host. */
static int open_tree_below(int root, const char *path, unsigned flags, uint64_t nofollow) {
    int tree, place = open_in(root, path, O_PATH | nofollow, 0);

    if (place < 0)
        fail_lookup();
    tree = sys_open_tree(place, "", flags | AT_EMPTY_PATH);
    close(place);
    return tree;
}

void op_open_tree(const struct op_open_tree *op) {
    unsigned flags = TREE_CLONE | (op->recursive ? TREE_RECURSIVE : 0);
    int tree;

    if (op->tree)
        tree = take(op->tree);
    else if (op->below)
        tree = open_tree_below(get(op->below), op->source, flags, op->nofollow ? O_NOFOLLOW : 0);
    else
        tree = sys_open_tree(AT_FDCWD, op->source, flags | (op->nofollow ? AT_SYMLINK_NOFOLLOW : 0));
    check(tree, STEP_open_tree, op->source);
    put(REG_MOUNT, tree);
}

void op_mount_setattr(const struct op_mount_setattr *op) {
    unsigned flags = op->recursive ? TREE_RECURSIVE : 0;

    check(sys_mount_setattr(get(op->mount), flags, op->set, op->clear, op->propagation), STEP_mount_setattr, NULL);
}

/* The lockable flags of a mount; statfs(2) has the first four by the same numbers. */
static uint64_t lockable_attributes(int mount) {
    struct statfs status;
    uint64_t found;

    check(fstatfs(mount, &status), STEP_statfs, NULL);
    found = (uint64_t)status.f_flags & (ATTRIBUTE_READONLY | ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV | ATTRIBUTE_NOEXEC);
    if (status.f_flags & STATFS_NOATIME)
        found |= ATTRIBUTE_NOATIME;
    else if (!(status.f_flags & STATFS_RELATIME))
        found |= ATTRIBUTE_STRICTATIME;
    if (status.f_flags & STATFS_NODIRATIME)
        found |= ATTRIBUTE_NODIRATIME;
    return found;
}

static const char *name_of(uint64_t attribute) {
    return attribute & ATTRIBUTE_READONLY      ? "ro"
           : attribute & ATTRIBUTE_NOSUID      ? "nosuid"
           : attribute & ATTRIBUTE_NODEV       ? "nodev"
           : attribute & ATTRIBUTE_NOEXEC      ? "noexec"
           : attribute & ATTRIBUTE_NODIRATIME  ? "nodiratime"
           : attribute & ATTRIBUTE_NOATIME     ? "noatime"
           : attribute & ATTRIBUTE_STRICTATIME ? "strictatime"
                                               : "relatime";
}

/* What the source has stays, and an option that would clear it fails as it does where the kernel has locked the flags. The ways to
 * keep access times are one value, nodiratime included: none of them can be exchanged, nor added to. nosymfollow is never locked. */
void op_bind_attributes(const struct op_bind_attributes *op) {
    const uint64_t times = ATTRIBUTE_ATIME | ATTRIBUTE_NODIRATIME;
    const uint64_t flags = ATTRIBUTE_READONLY | ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV | ATTRIBUTE_NOEXEC;
    uint64_t source = lockable_attributes(get(op->mount)), lost = source & op->clear & ~op->set;
    bool names_times = (op->clear & ATTRIBUTE_ATIME) == ATTRIBUTE_ATIME || (op->set & ATTRIBUTE_NODIRATIME);

    if (lost & flags)
        fail(EPERM, STEP_mount_setattr, name_of(lost & flags));
    if (names_times ? (op->set & times) != (source & times) : (lost & (ATTRIBUTE_NOATIME | ATTRIBUTE_NODIRATIME)) != 0)
        fail(EPERM, STEP_mount_setattr, name_of(source & times));
    check(sys_mount_setattr(get(op->mount), 0, (op->set & ~times) | (source & flags),
                            flags | (op->clear & ATTRIBUTE_NOSYMFOLLOW), 0),
          STEP_mount_setattr, NULL);
}

/* Whether a directory is the root, which a link or ".." may have led to. A mount on it would be out of reach from the root that we
 * hold, and from that of the container. */
static bool is_root(int fd) {
    struct stat one, root;

    check(fstat(fd, &one), STEP_stat, NULL);
    check(fstat(get(REG_ROOT), &root), STEP_stat, NULL);
    return one.st_ino == root.st_ino && one.st_dev == root.st_dev && mount_id(fd) == mount_id(get(REG_ROOT));
}

void op_mountpoint(const struct op_mountpoint *op) {
    uint64_t resolve = op->no_symlinks ? RESOLVE_NO_SYMLINKS : 0;
    enum plan_mountpoint type = op->type;
    struct stat status;
    bool made;
    int fd, below = get(op->below ? op->below : REG_ROOT);

    if (type == MOUNTPOINT_LIKE_MOUNT) {
        check(fstat(get(REG_MOUNT), &status), STEP_stat, "source");
        type = S_ISDIR(status.st_mode) ? MOUNTPOINT_DIRECTORY : MOUNTPOINT_FILE;
    }
    fd = op->nofollow ? open_in(below, op->path, O_PATH | O_NOFOLLOW, resolve) : -1;
    if (fd < 0)
        fd = open_or_create(below, op->path, type, (mode_t)op->mode, resolve, &made);
    if (fd < 0)
        fail_lookup();
    if (type != MOUNTPOINT_EXISTS && strcmp(op->path, "/") != 0 && is_root(fd))
        fail(EBUSY, STEP_openat2, op->path);
    put(REG_MOUNTPOINT, fd);
}

static bool is_directory(int fd) {
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

/* For a directory on a file, or the reverse, move_mount(2) has only EINVAL; mount(2) says ENOTDIR, and engines look for that. */
void op_move_mount(const struct op_move_mount *op) {
    int mount = get(op->mount), onto = get(op->onto);

    if (sys_move_mount(mount, onto) == 0)
        return;
    if (errno == EINVAL && is_directory(mount) != is_directory(onto))
        fail(ENOTDIR, STEP_move_mount, NULL);
    fail(errno, STEP_move_mount, NULL);
}

void op_dup(const struct op_dup *op) {
    put(op->new, take(op->old));
}

/* mount(2) for what fsconfig(2) can't take (values of 256 bytes and more): made on a tmpfs that is there for that moment, and
 * cloned as a detached mount. */
void op_mount(const struct op_mount *op) {
    char target[64], mode[MODE_TEXT] = "", data[4096];
    int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), stage, tree;

    check(host, STEP_open, "/");
    /* On top of "/" it hides nothing, as paths start below it. But where the root is to be shared, "/" shares its mounts with the host:
     * then it hides the container's root, and with it the layers of an overlay that lie there. */
    stage = attach_tmpfs("", state.shared_root ? get(REG_ROOT) : host);
    close(host);
    check(mkdirat(stage, "m", 0700), STEP_mkdir, "tmpfs");
    snprintf(target, sizeof(target), "/proc/self/fd/%d/m", stage);
    if (op->mode_of)
        name_mode(mode, get(op->mode_of));
    if (snprintf(data, sizeof(data), "%s%s%s", op->data, *op->data && *mode ? "," : "", mode) >= (int)sizeof(data))
        fail(E2BIG, STEP_mount, "options of more than 4095 bytes");
    check(mount(op->source, target, op->type, op->flags, data), STEP_mount, op->source);
    tree = sys_open_tree(stage, "m", TREE_CLONE);
    check(tree, STEP_open_tree, op->source);
    detach_tmpfs(stage);
    put(REG_MOUNT, tree);
}

static void bind_over(int source, unsigned flags, int target, uint64_t attributes) {
    int tree = sys_open_tree(source, "", TREE_CLONE | AT_EMPTY_PATH | flags);

    check(tree, STEP_open_tree, NULL);
    if (attributes)
        check(sys_mount_setattr(tree, 0, attributes, 0, 0), STEP_mount_setattr, NULL);
    check(sys_move_mount(tree, target), STEP_move_mount, NULL);
    close(tree);
}

/* The host's /dev/null, proven to be it. */
static int open_host_null(void) {
    int fd = open("/dev/null", O_PATH | O_CLOEXEC | O_NOFOLLOW);

    check(fd, STEP_open, "/dev/null");
    if (!is_null_device(fd))
        fail(ENODEV, STEP_stat, "/dev/null is not the null device");
    return fd;
}

/* What covers a file is a null device of its own: a bind mount of the host's /dev/null leads to the host's inode, and the container
 * could lock it, watch it and, with CAP_FOWNER, take it away from every user of the host by a chmod. But in a user namespace,
 * or without CAP_MKNOD, no device node can be made. Then it is the host's.
 */
static int make_null(int masks) {
    int tree, host;

    if (mknodat(masks, "null", S_IFCHR | 0666, makedev(1, 3)) == 0)
        return sys_open_tree(masks, "null", TREE_CLONE);
    if (errno != EPERM)
        fail(errno, STEP_mknod, "null");
    host = open_host_null();
    tree = sys_open_tree(host, "", TREE_CLONE | AT_EMPTY_PATH);
    close(host);
    return tree;
}

/* All masks share one file system: a tmpfs each costs memory and, with many CPUs, time in the shrinkers. They are read-only: a
 * directory takes no files, and a device, which can be written to all the same, no other mode, owner or time.
 */
static void make_masks(const char *label) {
    int masks = attach_tmpfs(label, get(REG_ROOT)), null;

    check(mkdirat(masks, "directory", 0755), STEP_mkdir, "tmpfs");
    put(REG_MASK, sys_open_tree(masks, "directory", TREE_CLONE));
    check(state.registers[REG_MASK], STEP_open_tree, "directory");
    null = make_null(masks);
    check(null, STEP_open_tree, "null");
    put(REG_NULL, null);
    detach_tmpfs(masks);
    check(sys_mount_setattr(get(REG_MASK), 0, ATTRIBUTE_READONLY, 0, 0), STEP_mount_setattr, "directory");
    check(sys_mount_setattr(null, 0, ATTRIBUTE_READONLY, 0, 0), STEP_mount_setattr, "null");
}

/* The first time with the mount itself, for what is attached nowhere can't be cloned before Linux 6.15. */
static void cover(uint16_t reg, bool *attached, int target) {
    if (*attached) {
        bind_over(get(reg), 0, target, 0);
        return;
    }
    check(sys_move_mount(get(reg), target), STEP_move_mount, NULL);
    *attached = true;
}

/* A path that is not there needs no mask (config-linux.md, Masked Paths). */
static int open_if_there(uint16_t below, const char *path) {
    int fd = open_in(get(below ? below : REG_ROOT), path, O_PATH, 0);

    if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
        fail_lookup();
    return fd;
}

void op_mask_path(const struct op_mask_path *op) {
    struct stat status;
    int target = open_if_there(op->below, op->path);

    if (target < 0)
        return;
    check(fstat(target, &status), STEP_stat, op->path);
    if (state.registers[REG_MASK] < 0)
        make_masks(op->label);
    if (S_ISDIR(status.st_mode))
        cover(REG_MASK, &state.mask_attached, target);
    else
        cover(REG_NULL, &state.null_attached, target);
    close(target);
}

void op_readonly_path(const struct op_readonly_path *op) {
    int target = open_if_there(op->below, op->path);

    if (target < 0)
        return;
    bind_over(target, TREE_RECURSIVE, target, ATTRIBUTE_READONLY);
    close(target);
}
