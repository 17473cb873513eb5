/* Tries to get hold of the runtime through /proc/PID/{exe,fd,mem} of every process it sees: grab SECONDS. Prints
 * "writable FILE" for a file of the host that can be written, "outside by FOLDER" for a folder that leads out,
 * "host's FILE" for a program of the host that a process runs, "memory of FILE" for its memory. */
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

/* Each finding once: a pipe that nobody reads yet holds no more. */
static void say(const char *what, const char *where) {
    static char said[200][128];
    static int count;
    char line[128];
    snprintf(line, sizeof line, "%s %.100s", what, where);
    for (int i = 0; i < count; i++)
        if (strcmp(said[i], line) == 0)
            return;
    if (count < 200) {
        strcpy(said[count++], line);
        puts(line);
    }
}

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
        say("writable", target);
        close(fd);
    }
}

/* The memory of a process that runs a file of the host, as the runtime before its init does. */
static void try_memory(const char *pid, const char *exe) {
    struct stat found;
    char target[4096], path[300];
    ssize_t n = readlink(exe, target, sizeof target - 1);
    if (n < 0 || stat(exe, &found) != 0)
        return;
    target[n] = 0;
    if (inside(target, &found) || strncmp(target, "/memfd:", 7) == 0)
        return;
    say("host's", target);
    snprintf(path, sizeof path, "/proc/%s/mem", pid);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        say("memory of", target);
        close(fd);
    }
}

static const char *target_of(const char *path) {
    static char target[4096];
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = 0;
    return target;
}

static void try_process(const char *pid) {
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/exe", pid);
    try_file(path);
    try_memory(pid, path);
    for (int fd = 3; fd < 40; fd++) {
        snprintf(path, sizeof path, "/proc/%s/fd/%d", pid, fd);
        char below[sizeof path + 64];
        snprintf(below, sizeof below, "%s/../../../../../../../../etc/hostname", path);
        try_file(path);
        if (access(below, F_OK) == 0)
            say("outside by", target_of(path));
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
