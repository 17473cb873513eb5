/* Tries things that Landlock may deny, and prints "WORD OBJECT ERRNO" of each, 0 for what went well.
 *
 *     reach WORD OBJECT [WORD OBJECT]...
 *
 * read, write, truncate, list, exec: a path; make, mkdir, mkfifo: a path that is not there; rename: FROM:TO; tiocgwinsz: a device;
 * bind, connect: a TCP port of 127.0.0.1; abstract: the name of an abstract socket; signal, trace: a pid
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int opened(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC, 0644);

    if (fd >= 0)
        close(fd);
    return fd;
}

static int listed(const char *path) {
    DIR *directory = opendir(path);

    return directory ? closedir(directory) : -1;
}

/* The errno of execve(2) comes back through a pipe, and nothing when the program ran. */
static int executed(const char *path) {
    int ends[2], error = 0;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    if (fork() == 0) {
        execl(path, path, "true", NULL);
        error = errno;
        _exit(write(ends[1], &error, sizeof(error)) < 0);
    }
    close(ends[1]);
    if (read(ends[0], &error, sizeof(error)) < 0)
        error = errno;
    close(ends[0]);
    wait(NULL);
    errno = error;
    return error ? -1 : 0;
}

static int renamed(char *both) {
    char *to = strchr(both, ':');

    *to = '\0';
    int result = rename(both, to + 1);
    *to = ':';
    return result;
}

static int asked_for_size(const char *path) {
    struct winsize size;
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

    return fd < 0 ? -1 : ioctl(fd, TIOCSWINSZ, &(struct winsize){.ws_row = 1}) < 0 ? -1 : ioctl(fd, TIOCGWINSZ, &size);
}

static int tcp(int number, int (*call)(int, const struct sockaddr *, socklen_t)) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return fd < 0 ? -1 : call(fd, (struct sockaddr *)&address, sizeof(address));
}

static int abstract_socket(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strncpy(address.sun_path + 1, name, sizeof(address.sun_path) - 2);
    return connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)));
}

static int try(const char *word, char *object) {
    switch (word[0] == 'm' ? word[2] : word[0]) {
    case 'r':
        return strcmp(word, "rename") == 0 ? renamed(object) : opened(object, O_RDONLY);
    case 'w':
        return opened(object, O_WRONLY);
    case 'k': /* make */
        return opened(object, O_WRONLY | O_CREAT | O_EXCL);
    case 'd': /* mkdir */
        return mkdir(object, 0755);
    case 'f': /* mkfifo */
        return mkfifo(object, 0644);
    case 't':
        if (strcmp(word, "trace") == 0)
            return (int)ptrace(PTRACE_SEIZE, atoi(object), 0, 0);
        return strcmp(word, "truncate") == 0 ? truncate(object, 0) : asked_for_size(object);
    case 'l':
        return listed(object);
    case 'e':
        return executed(object);
    case 'b':
        return tcp(atoi(object), bind);
    case 'c':
        return tcp(atoi(object), connect);
    case 'a':
        return abstract_socket(object);
    case 's':
        return kill(atoi(object), 0);
    }
    return 0;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i + 1 < argc; i += 2) {
        errno = 0;
        int result = try(argv[i], argv[i + 1]);
        printf("%s %s %d\n", argv[i], argv[i + 1], result < 0 ? errno : 0);
    }
    return 0;
}
