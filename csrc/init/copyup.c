/* tmpcopyup: a new tmpfs starts with what it hides. Links are copied as links, nothing is followed. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_DEPTH = 64 };

struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

static void copy_directory(int from, int to, int depth);

static void copy_content(int from, int to, off_t size, const char *name) {
    while (size > 0) {
        ssize_t sent = sendfile(to, from, NULL, (size_t)size);
        check(sent, STEP_sendfile, name);
        if (sent == 0)
            return;
        size -= sent;
    }
}

static void copy_link(int from, int to, const char *name) {
    char link[PATH_MAX];
    ssize_t length = readlinkat(from, name, link, sizeof(link) - 1);

    check(length, STEP_readlink, name);
    link[length] = '\0';
    check(symlinkat(link, to, name), STEP_symlink, name);
}

static void copy_file_or_directory(int from, int to, const char *name, const struct stat *expected, int depth) {
    bool directory = S_ISDIR(expected->st_mode);
    int flags = O_NOFOLLOW | O_NOCTTY | O_CLOEXEC | (directory ? O_DIRECTORY : O_NONBLOCK), source, copy;
    struct stat status;

    source = openat(from, name, O_RDONLY | flags);
    check(source, STEP_open, name);
    check(fstat(source, &status), STEP_stat, name);
    if ((status.st_mode & S_IFMT) != (expected->st_mode & S_IFMT))
        fail(EAGAIN, STEP_open, name); /* another process replaced it meanwhile */
    if (directory) {
        check(mkdirat(to, name, 0700), STEP_mkdir, name);
        copy = openat(to, name, O_RDONLY | flags);
    } else {
        copy = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | flags, 0600);
    }
    check(copy, STEP_create, name);
    if (directory)
        copy_directory(source, copy, depth + 1);
    else
        copy_content(source, copy, status.st_size, name);
    check(fchown(copy, status.st_uid, status.st_gid), STEP_chown, name);
    check(fchmod(copy, status.st_mode & 07777), STEP_chmod, name);
    close(source);
    close(copy);
}

static void copy_entry(int from, int to, const char *name, int depth) {
    struct stat status;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    check(fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW), STEP_stat, name);
    if (S_ISLNK(status.st_mode))
        copy_link(from, to, name);
    else if (S_ISDIR(status.st_mode) || S_ISREG(status.st_mode))
        copy_file_or_directory(from, to, name, &status, depth);
    else
        check(mknodat(to, name, status.st_mode, status.st_rdev), STEP_mknod, name);
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
        check(fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW), STEP_chown, name);
}

static void copy_directory(int from, int to, int depth) {
    char buffer[2048] __attribute__((aligned(8)));
    long length;

    if (depth > MAX_DEPTH)
        fail(ELOOP, STEP_open, "directories too deep");
    while ((length = syscall(SYS_getdents64, from, buffer, sizeof(buffer))) > 0)
        for (long place = 0; place < length;) {
            struct entry *entry = (struct entry *)(void *)(buffer + place);
            copy_entry(from, to, entry->name, depth);
            place += entry->length;
        }
    check(length, STEP_getdents, NULL);
}

void op_copy_up(const struct op_copy_up *op) {
    int from = openat(get(op->source), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    int to = openat(get(op->mount), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    check(from, STEP_open, "directory to copy up");
    check(to, STEP_open, "tmpfs");
    copy_directory(from, to, 0);
    check(fstat(from, &status), STEP_stat, "directory to copy up");
    check(fchown(to, status.st_uid, status.st_gid), STEP_chown, NULL);
    close(from);
    close(to);
}
