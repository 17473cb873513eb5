/* spawn: from the Python process to the container's init.
 *
 * fork(2) would copy the page tables of the whole interpreter, and each page that either side writes afterwards. So the child
 * shares our memory until its execve(2), with CLONE_VM as vfork(2) does. Unlike vfork it has no CLONE_VFORK: that would stop us until
 * the execve, and a child in a new user namespace waits for its id maps, which we write.
 *
 * So two processes run in one memory at the same time, and the child must not touch what we may be using. Its code has a stack of
 * its own and the `struct child`, and makes raw system calls only: errno, like all of the C library's state, is ours, and a function
 * of the library may take a lock that we hold. The kernel, too, takes the two for one in places: what it keeps with the memory
 * (oom_score_adj, dumpable) is set only after the execve.
 *
 *     parent ──clone3──> child: wait for the id maps, become root, execveat(init in a sealed memfd)
 *     parent ──clone3──> preparer: unshare ... wait ──clone3(CLONE_PARENT)──> child     when it is known early what to unshare
 *
 * Both are in no namespace that others live in: what is to be joined, the init joins itself (op_setns, op_fork).
 *
 * What runs in the container afterwards is the static init, never this program: its memory, its files and the interpreter are
 * out of reach through /proc/PID (CVE-2019-5736 and its kin).
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"

extern const unsigned char pyoci_init_image[];
extern const size_t pyoci_init_image_size;

#ifndef MFD_EXEC
#define MFD_EXEC 0x10
#endif

/* AddressSanitizer knows nothing of the stacks that these run on. */
#define ON_OWN_STACK __attribute__((no_sanitize_address))

enum { STACK_SIZE = 16384 };

struct child {
    struct spawn options;
    int sync;        /* the child's end */
    int parent_sync; /* the parent's end, which it must not hold */
    int image;
    char sync_text[16];
    char preserved_text[16];
    atomic_int pid;   /* what the preparer's clone3 returned */
    atomic_int error; /* of the preparer */
    char stack[STACK_SIZE] __attribute__((aligned(16)));
};

/* The process that makes namespaces while we still read the configuration. */
struct preparer {
    long pid;
    int go[2]; /* a byte lets it have the child */
    uint64_t unshare_flags;
    int directory;
    int parent;
    struct child *child;
    char stack[STACK_SIZE] __attribute__((aligned(16)));
};

ON_OWN_STACK static void die(int status) {
    for (;;)
        raw2(SYS_exit_group, status, 0);
}

/* One byte means "go on"; the end of file, that the runtime is gone. */
ON_OWN_STACK static int wait_for_byte(int fd) {
    char byte;
    long got;

    do
        got = raw3(SYS_read, fd, (long)&byte, 1);
    while (got == -EINTR);
    return got == 1;
}

ON_OWN_STACK static int run_child(void *argument) {
    struct child *self = argument;
    static char name[] = "pyoci-init", *const environment[] = {NULL};
    char *arguments[] = {name, self->sync_text, self->preserved_text, NULL};

    raw2(SYS_close, self->parent_sync, 0);
    if (self->options.die_with_parent)
        raw5(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (self->options.wait_for_maps && !wait_for_byte(self->sync))
        die(1);
    if (self->options.become_root && (raw3(SYS_setresgid, 0, 0, 0) < 0 || raw3(SYS_setresuid, 0, 0, 0) < 0))
        die(1); /* no such user there: it would go on as one of the host */
    raw5(SYS_execveat, self->image, (long)"", (long)arguments, (long)environment, AT_EMPTY_PATH);
    die(1);
    return 1;
}

static long start_child(struct child *child, uint64_t more_flags) {
    struct clone_args arguments = {
        .flags = child->options.clone_flags | CLONE_VM | more_flags,
        .exit_signal = more_flags & CLONE_PARENT ? 0 : SIGCHLD,
        .stack = (uint64_t)(uintptr_t)child->stack,
        .stack_size = STACK_SIZE,
    };

    if (child->options.cgroup_fd >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)child->options.cgroup_fd;
    }
    return raw_clone3(&arguments, sizeof(arguments), run_child, child);
}

static void report(struct child *child, long result) {
    if (result < 0)
        atomic_store(&child->error, (int)-result);
    else
        atomic_store(&child->pid, (int)result);
}

/* What it reported; nothing when it was killed before. */
static long outcome(struct child *child) {
    long pid = atomic_load(&child->pid);

    if (atomic_load(&child->error))
        return -atomic_load(&child->error);
    return pid > 0 ? pid : -ECHILD;
}

static void reap(long pid) {
    while (waitpid((pid_t)pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
}

/* It shares our descriptors, so that the child gets those opened meanwhile; our death, which no pipe would tell it, is its own. */
ON_OWN_STACK static int run_preparer(void *argument) {
    struct preparer *preparer = argument;
    long result;

    raw5(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (raw2(SYS_getppid, 0, 0) != preparer->parent)
        die(1);
    /* before the new mount namespace, whose copy of the directory it then is in: of the host's mounts nothing can be bound */
    result = preparer->directory >= 0 ? raw2(SYS_fchdir, preparer->directory, 0) : 0;
    if (result == 0)
        result = raw2(SYS_unshare, (long)preparer->unshare_flags, 0);
    if (!wait_for_byte(preparer->go[0]))
        die(1);
    report(preparer->child, result < 0 ? result : start_child(preparer->child, CLONE_PARENT));
    die(0);
    return 0;
}

/* No process uses it any more, or none ever did. */
static void free_preparer(struct spawn *spawn) {
    struct preparer *preparer = spawn->preparer;

    spawn->preparer = NULL;
    close(preparer->go[0]);
    close(preparer->go[1]);
    munmap(preparer, sizeof(*preparer));
}

static void kill_preparer(struct spawn *spawn) {
    struct preparer *preparer = spawn->preparer;

    kill((pid_t)preparer->pid, SIGKILL);
    reap(preparer->pid);
    free_preparer(spawn);
}

/* Let the preparer have the child. One that can't get the message is killed, for it would wait for ever. */
static long finish_preparer(struct spawn *spawn) {
    struct preparer *preparer = spawn->preparer;
    struct child *child = spawn->child;
    ssize_t written;

    preparer->child = child;
    do
        written = write(preparer->go[1], "", 1);
    while (written < 0 && errno == EINTR);
    if (written < 0) {
        int error = errno;
        kill_preparer(spawn);
        return -error;
    }
    reap(preparer->pid);
    free_preparer(spawn);
    return outcome(child);
}

static int write_image(int fd) {
    size_t done = 0;

    while (done < pyoci_init_image_size) {
        ssize_t written = write(fd, pyoci_init_image + done, pyoci_init_image_size - done);
        if (written < 0)
            return -errno;
        done += (size_t)written;
    }
    return 0;
}

/* A tmpfs that is attached nowhere: no path leads to it, and no noexec of the host's mounts is in force there. */
static int open_tmpfs(void) {
    int mount, error, context = (int)syscall(SYS_fsopen, "tmpfs", 1 /* FSOPEN_CLOEXEC */);

    if (context < 0)
        return -errno;
    mount = (int)syscall(SYS_fsconfig, context, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0);
    if (mount == 0)
        mount = (int)syscall(SYS_fsmount, context, 1 /* FSMOUNT_CLOEXEC */, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    error = errno;
    close(context);
    return mount < 0 ? -error : mount;
}

/* The same bytes in a file of a directory, which never has a name there. -EACCES where that is mounted noexec. */
static int open_nameless_image(int directory) {
    char path[32];
    struct statvfs mounted;
    int image = -1, result, writer = openat(directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0500);

    if (writer < 0)
        return -errno;
    result = write_image(writer);
    if (result == 0 && (fchmod(writer, 0555) < 0 || fstatvfs(writer, &mounted) < 0))
        result = -errno;
    else if (result == 0 && mounted.f_flag & ST_NOEXEC)
        result = -EACCES;
    if (result == 0) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", writer);
        image = open(path, O_RDONLY | O_CLOEXEC);
        result = image < 0 ? -errno : image;
    }
    close(writer);
    return result;
}

/* Where vm.memfd_noexec forbids programs in a memfd: a file that has no name either. It can't be sealed, but it serves one process
 * alone, it is open for reading only, and what runs can't be written to (ETXTBSY). Root's is on a read-only mount besides; who may
 * not mount has it in `directory`.
 */
static int open_unsealed_image(int directory) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    int mount = open_tmpfs(), writer, result, image = -1;

    if (mount == -EPERM && directory >= 0)
        return open_nameless_image(directory);
    if (mount < 0)
        return mount;
    writer = openat(mount, "pyoci-init", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0500);
    result = writer < 0 ? -errno : write_image(writer);
    if (result == 0 && fchmod(writer, 0555) < 0)
        result = -errno;
    if (writer >= 0)
        close(writer);
    if (result == 0)
        image = openat(mount, "pyoci-init", O_RDONLY | O_CLOEXEC);
    if (result == 0 && (image < 0 || unlinkat(mount, "pyoci-init", 0) < 0 ||
                        syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0))
        result = -errno;
    close(mount);
    if (result < 0 && image >= 0)
        close(image);
    return result < 0 ? result : image;
}

/* The init's bytes in a file that has no name and that no process, of root or not, can change any more. */
static int open_image(int directory) {
    int result, fd = memfd_create("pyoci-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = memfd_create("pyoci-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 && errno == EACCES)
        return open_unsealed_image(directory);
    if (fd < 0)
        return -errno;
    result = write_image(fd);
    if (result == 0 && fchmod(fd, 0555) < 0)
        result = -errno;
    if (result == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        result = -errno;
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

/* Call a function that makes a process with every signal blocked: a handler of Python's must not run in it, in our memory. */
static long undisturbed(long (*make)(struct spawn *), struct spawn *spawn) {
    sigset_t all, before;
    long pid;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = make(spawn);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

/* The child starts where we are at that moment. In a user namespace of its own it could not go to a directory that belongs to
 * another user, such as the root of its namespace, which it is not yet. */
static long start(struct spawn *spawn) {
    int here = -1, error;
    long pid;

    if (spawn->preparer)
        return finish_preparer(spawn);
    if (spawn->directory < 0)
        return start_child(spawn->child, 0);
    here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (here < 0 || fchdir(spawn->directory) < 0) {
        error = errno;
        close(here);
        return -error;
    }
    pid = start_child(spawn->child, 0);
    error = fchdir(here) < 0 ? errno : 0;
    close(here);
    if (error && pid > 0) {
        kill((pid_t)pid, SIGKILL);
        reap(pid);
    }
    return error ? -error : pid;
}

static long start_preparer(struct spawn *spawn) {
    struct preparer *preparer = spawn->preparer;
    struct clone_args arguments = {
        .flags = CLONE_VM | CLONE_FILES,
        .exit_signal = SIGCHLD,
        .stack = (uint64_t)(uintptr_t)preparer->stack,
        .stack_size = STACK_SIZE,
    };

    return raw_clone3(&arguments, sizeof(arguments), run_preparer, preparer);
}

/* Memory that is shared with another process until its execve(2): in a mapping of its own, for whoever comes next must not
 * get it before. NULL with errno. */
static void *map_shared(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

/* Begin to make namespaces (CLONE_NEW* but for pid and user) for an init that joins none; pyoci_spawn then uses them. */
int pyoci_prepare(struct spawn *spawn, uint64_t unshare_flags) {
    struct preparer *preparer = map_shared(sizeof(*preparer));
    int error;

    if (!preparer)
        return -errno;
    preparer->unshare_flags = unshare_flags;
    preparer->directory = spawn->directory;
    preparer->parent = getpid();
    if (pipe2(preparer->go, O_CLOEXEC) < 0) {
        error = errno;
        munmap(preparer, sizeof(*preparer));
        return -error;
    }
    spawn->preparer = preparer;
    preparer->pid = undisturbed(start_preparer, spawn);
    if (preparer->pid >= 0)
        return 0;
    error = (int)preparer->pid;
    free_preparer(spawn);
    return error;
}

/* Give up what pyoci_prepare began, and free the memory that the init shared: it has ended, or made its execve(2). */
void pyoci_release(struct spawn *spawn) {
    if (spawn->preparer)
        kill_preparer(spawn);
    if (spawn->child)
        munmap(spawn->child, sizeof(struct child));
    spawn->child = NULL;
}

/* The image of the init and the sync socket, in `child` and *ours. */
static int open_channel(struct child *child, int *ours) {
    int ends[2];

    child->image = open_image(child->options.store);
    if (child->image < 0)
        return child->image;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        int error = errno;
        close(child->image);
        return -error;
    }
    child->parent_sync = *ours = ends[0];
    child->sync = fcntl(ends[1], F_DUPFD, 3 + child->options.preserved);
    close(ends[1]);
    snprintf(child->sync_text, sizeof(child->sync_text), "%d", child->sync);
    snprintf(child->preserved_text, sizeof(child->preserved_text), "%d", child->options.preserved);
    return 0;
}

/* Start the container's init as `spawn` says and fill in its results. The init then waits for a plan on the sync socket. */
int pyoci_spawn(struct spawn *spawn) {
    struct child *child;
    int sync = -1, result;
    long pid;

    spawn->sync = spawn->pid = spawn->pidfd = -1;
    spawn->child = child = map_shared(sizeof(*child));
    if (!child)
        return -errno;
    child->options = *spawn;
    result = open_channel(child, &sync);
    if (result < 0)
        return result;
    pid = child->sync < 0 ? -EMFILE : undisturbed(start, spawn);
    close(child->image);
    close(child->sync);
    if (pid < 0) {
        close(sync);
        return (int)pid;
    }
    spawn->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (spawn->pidfd < 0) {
        int error = errno;
        close(sync);
        kill((pid_t)pid, SIGKILL);
        waitpid((pid_t)pid, NULL, 0);
        return -error;
    }
    spawn->sync = sync;
    spawn->pid = (int)pid;
    return 0;
}
