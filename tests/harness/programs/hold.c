/* hold PATH: locks a file and watches it. Says "locked", and after the end of its input whether the file was opened meanwhile. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int file = open(argv[argc - 1], O_RDONLY), notes = inotify_init1(IN_CLOEXEC);
    struct pollfd events = {.fd = notes, .events = POLLIN};
    char byte;

    if (flock(file, LOCK_EX | LOCK_NB) < 0 || inotify_add_watch(notes, argv[argc - 1], IN_OPEN) < 0) {
        perror(argv[argc - 1]);
        return 1;
    }
    puts("locked");
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    puts(poll(&events, 1, 0) > 0 ? "opened" : "quiet");
    return 0;
}
