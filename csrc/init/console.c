/* The terminal: made in the container's own devpts, its master handed to the runtime. */
#include "init.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

static int open_master(void) {
    struct statfs where;
    int master = open_device(get(REG_ROOT), "dev/pts/ptmx", O_RDWR, makedev(5, 2));

    if (master < 0)
        fail_lookup();
    check(fstatfs(master, &where), STEP_statfs, "/dev/pts/ptmx");
    if (where.f_type != DEVPTS_MAGIC)
        fail(ENODEV, STEP_statfs, "/dev/pts/ptmx is not of a devpts");
    return master;
}

/* The slave comes from the master itself, not by a name in /dev/pts that the container may have replaced. */
static int open_slave(int master) {
    int unlock = 0, slave;

    check(ioctl(master, TIOCSPTLCK, &unlock), STEP_TIOCSPTLCK, "terminal");
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    check(slave, STEP_TIOCGPTPEER, NULL);
    return slave;
}

static void attach_console(int slave) {
    bool made;
    int tree, target = open_or_create(get(REG_ROOT), "dev/console", MOUNTPOINT_FILE, 0600, RESOLVE_NO_SYMLINKS, &made);

    if (target < 0)
        fail_lookup();
    tree = sys_open_tree(slave, "", TREE_CLONE | AT_EMPTY_PATH);
    check(tree, STEP_open_tree, "terminal");
    check(sys_move_mount(tree, target), STEP_move_mount, "/dev/console");
    close(tree);
    close(target);
}

void op_console(const struct op_console *op) {
    static const char name[] = "/dev/pts/ptmx";
    struct winsize size = {.ws_row = (unsigned short)op->rows, .ws_col = (unsigned short)op->columns};
    int master = open_master(), slave = open_slave(master);

    if (op->rows || op->columns)
        check(ioctl(master, TIOCSWINSZ, &size), STEP_TIOCSWINSZ, NULL);
    if (op->dev_console)
        attach_console(slave);
    check(ioctl(slave, TIOCSCTTY, 0), STEP_TIOCSCTTY, NULL);
    for (int fd = 0; fd < 3; fd++)
        check(dup2(slave, fd), STEP_dup2, NULL);
    if (slave > 2)
        close(slave);
    say(REPLY_TERMINAL, 0, name, sizeof(name), master);
    close(master);
}
