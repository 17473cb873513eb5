/* Tries to get hold of the runtime's files through /proc/PID/{exe,fd,root,cwd} of every process it sees: grab SECONDS.
 * Prints "writable PATH" for each that can be opened for writing, and "outside LINK" for each that leads out. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static dev_t own_device;
static ino_t own_inode;

/* A file of the container: what its link says leads to it from in here, too. */
static int inside(const char *target, const struct stat *found) {
    struct stat here;
    return stat(target, &here) == 0 && here.st_dev == found->st_dev && here.st_ino == found->st_ino;
}

static void try_file(const char *path) {
    struct stat found;
    char target[4096];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0 || stat(path, &found) != 0 || !S_ISREG(found.st_mode))
        return;
    target[n] = 0;
    if (found.st_dev == own_device && found.st_ino == own_inode)
        return; /* this very program */
    if (inside(target, &found) || strncmp(target, "/memfd:", 7) == 0)
        return; /* a memfd's seals are another test's matter */
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        printf("writable %s %s\n", path, target);
        close(fd);
    }
}

static void try_process(const char *pid) {
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/exe", pid);
    try_file(path);
    for (int fd = 3; fd < 40; fd++) {
        snprintf(path, sizeof path, "/proc/%s/fd/%d", pid, fd);
        char below[sizeof path + 64];
        snprintf(below, sizeof below, "%s/../../../../../../../../etc/hostname", path);
        try_file(path);
        if (access(below, F_OK) == 0)
            printf("outside %s\n", path);
    }
}

int main(int argc, char **argv) {
    struct stat self;
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 1);
    if (stat("/proc/self/exe", &self) != 0)
        return 2;
    own_device = self.st_dev;
    own_inode = self.st_ino;
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    while (time(NULL) < end) {
        DIR *proc = opendir("/proc");
        struct dirent *entry;
        while (proc && (entry = readdir(proc)))
            if (entry->d_name[0] > '1' && entry->d_name[0] <= '9')
                try_process(entry->d_name);
        if (proc)
            closedir(proc);
    }
    puts("done");
    return 0;
}
