/* Mounts: made as detached descriptors, changed while nobody sees them, attached onto a descriptor. */
#include "init.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kernel explains a refused option in the log of the context: "e tmpfs: Bad value for 'mode'". */
static _Noreturn void fail_with_log(int context, int error, const char *option) {
    char text[512], log[256];
    ssize_t length = read(context, log, sizeof(log) - 1);

    if (length < 3)
        fail(error, "fsconfig", option);
    log[length] = '\0';
    log[strcspn(log, "\n")] = '\0';
    snprintf(text, sizeof(text), "%.200s (%.250s)", option, log + 2);
    fail(error, "fsconfig", text);
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
            fail(EINVAL, "fsconfig", option);
        memcpy(key, option, length);
        key[length] = '\0';
        result = sys_fsconfig(context, FSCONFIG_STRING, key, equals + 1);
    }
    if (result < 0)
        fail_with_log(context, errno, option);
}

static int make_directory_mount(unsigned attributes) {
    int mount, context = sys_fsopen("tmpfs");

    check(context, "fsopen", "tmpfs");
    check(sys_fsconfig(context, FSCONFIG_STRING, "source", "tmpfs"), "fsconfig", "source");
    check(sys_fsconfig(context, FSCONFIG_CREATE, NULL, NULL), "fsconfig", "tmpfs");
    mount = sys_fsmount(context, attributes);
    check(mount, "fsmount", "tmpfs");
    close(context);
    return mount;
}

void op_mount_new(const struct plan_op *op) {
    const char *type = op_text(op, 0), *source = op_text(op, 1), *option = op_text(op, 2);
    int mount, context = sys_fsopen(type);

    check(context, "fsopen", type);
    if (*source && sys_fsconfig(context, FSCONFIG_STRING, "source", source) < 0)
        fail_with_log(context, errno, source);
    for (uint64_t i = 0; i < op->numbers[1]; i++) {
        if (i > 0)
            option = next_text(option);
        set_option(context, option);
    }
    if (sys_fsconfig(context, FSCONFIG_CREATE, NULL, NULL) < 0)
        fail_with_log(context, errno, type);
    mount = sys_fsmount(context, (unsigned)op->numbers[0]);
    check(mount, "fsmount", type);
    close(context);
    put(op->fd2 ? op->fd2 : REG_MOUNT, mount);
}

void op_mount_bind(const struct plan_op *op) {
    unsigned flags = TREE_CLONE | (op->flags & OPF_RECURSIVE ? TREE_RECURSIVE : 0);
    int tree;

    if (op->fd) {
        tree = get(op->fd);
        init.registers[op->fd] = -1;
    } else {
        tree = sys_open_tree(AT_FDCWD, op_text(op, 0), flags);
        check(tree, "open_tree", op_text(op, 0));
    }
    put(REG_MOUNT, tree);
}

void op_mount_attr(const struct plan_op *op) {
    unsigned flags = op->flags & OPF_RECURSIVE ? TREE_RECURSIVE : 0;

    check(sys_mount_setattr(get(op->fd), flags, op->numbers[0], op->numbers[1], op->numbers[2]), "mount_setattr", NULL);
}

void op_target(const struct plan_op *op) {
    uint64_t resolve = op->flags & OPF_NO_SYMLINKS ? RESOLVE_NO_SYMLINKS : 0;
    int fd, root, target = (int)op->numbers[0];
    struct stat status;

    if (op->numbers[0] > TARGET_LIKE_MOUNT)
        fail(EBADMSG, "plan", "target");
    if (target == TARGET_LIKE_MOUNT) {
        check(fstat(get(REG_MOUNT), &status), "stat", "source");
        target = S_ISDIR(status.st_mode) ? TARGET_DIRECTORY : TARGET_FILE;
    }
    root = get(op->fd ? op->fd : REG_ROOT);
    fd = open_or_create(root, op_text(op, 0), TARGET_EXISTS, 0, resolve);
    init.target_made = fd < 0;
    if (fd < 0 && errno == ENOENT)
        fd = open_or_create(root, op_text(op, 0), target, (mode_t)op->numbers[1], resolve);
    check(fd, "open", op_text(op, 0));
    put(REG_TARGET, fd);
}

/* A tmpfs without a mode of its own takes that of the directory it hides; where there was none it stays open to all, as every tmpfs
 * is by default: programs of any user write into what an engine asked for. */
void op_mode_like(const struct plan_op *op) {
    struct stat status;
    int root;

    if (init.target_made)
        return;
    root = openat(get(op->fd), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(root, "open", NULL);
    check(fstat(get(op->fd2), &status), "stat", NULL);
    check(fchmod(root, status.st_mode & 07777), "chmod", NULL);
    close(root);
}

static bool is_directory(int fd) {
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

/* For a directory on a file, or the reverse, move_mount(2) has only EINVAL; mount(2) says ENOTDIR, and engines look for that. */
void op_attach(const struct plan_op *op) {
    int mount = get(op->fd), target = get(op->fd2);

    if (sys_move_mount(mount, target) == 0)
        return;
    if (errno == EINVAL && is_directory(mount) != is_directory(target))
        fail(ENOTDIR, "move_mount", NULL);
    fail(errno, "move_mount", NULL);
}

void op_keep(const struct plan_op *op) {
    int fd = get(op->fd);

    init.registers[op->fd] = -1;
    put(op->fd2, fd);
}

/* mount(2) for what fsconfig(2) can't take (values of 256 bytes and more): made on a tmpfs that lies on top of "/" for that
 * moment, and taken off again as a detached mount. "/proc" is still the host's here. */
void op_mount_old(const struct plan_op *op) {
    char place[64], target[80];
    int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), stage = make_directory_mount(0), tree;

    check(host, "open", "/");
    check(sys_move_mount(stage, host), "move_mount", "stage");
    check(mkdirat(stage, "m", 0700), "mkdir", "stage");
    snprintf(place, sizeof(place), "/proc/self/fd/%d", stage);
    snprintf(target, sizeof(target), "%s/m", place);
    check(mount(op_text(op, 1), target, op_text(op, 0), op->numbers[0], op_text(op, 2)), "mount", op_text(op, 1));
    tree = sys_open_tree(stage, "m", TREE_CLONE);
    check(tree, "open_tree", op_text(op, 1));
    check(umount2(place, MNT_DETACH), "umount", "stage");
    close(stage);
    close(host);
    put(REG_MOUNT, tree);
}

static void bind_over(int source, unsigned flags, int target, uint64_t attributes) {
    int tree = sys_open_tree(source, "", TREE_CLONE | AT_EMPTY_PATH | flags);

    check(tree, "open_tree", NULL);
    if (attributes)
        check(sys_mount_setattr(tree, 0, attributes, 0, 0), "mount_setattr", NULL);
    check(sys_move_mount(tree, target), "move_mount", NULL);
    close(tree);
}

/* All masked directories share one file system: a tmpfs each costs memory and, with many CPUs, time in the shrinkers. */
static void mask_directory(int target) {
    if (init.mask_attached) {
        bind_over(get(REG_MASK), 0, target, 0);
        return;
    }
    put(REG_MASK, make_directory_mount(ATTRIBUTE_READONLY));
    check(sys_move_mount(get(REG_MASK), target), "move_mount", NULL);
    init.mask_attached = true;
}

/* A path that is not there needs no mask (config-linux.md, Masked Paths). */
static int open_if_there(const struct plan_op *op) {
    int fd = open_in(get(op->fd ? op->fd : REG_ROOT), op_text(op, 0), O_PATH, 0);

    if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
        fail(errno, "open", op_text(op, 0));
    return fd;
}

void op_mask(const struct plan_op *op) {
    struct stat status;
    int target = open_if_there(op);

    if (target < 0)
        return;
    check(fstat(target, &status), "stat", op_text(op, 0));
    if (S_ISDIR(status.st_mode))
        mask_directory(target);
    else
        bind_over(get(REG_NULL), 0, target, 0);
    close(target);
}

void op_readonly(const struct plan_op *op) {
    int target = open_if_there(op);

    if (target < 0)
        return;
    bind_over(target, TREE_RECURSIVE, target, ATTRIBUTE_READONLY);
    close(target);
}
