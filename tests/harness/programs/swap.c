/* Exchanges two names of a directory again and again: swap DIRECTORY NAME NAME. It ends when its parent does. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXCHANGE = 2 }; /* RENAME_EXCHANGE, from linux/fs.h */

int main(int argc, char **argv) {
    if (argc != 4 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return 2;
    int fd = open(argv[1], O_RDONLY | O_DIRECTORY);
    if (fd < 0 || syscall(SYS_renameat2, fd, argv[2], fd, argv[3], EXCHANGE) != 0) {
        perror("swap");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;)
        syscall(SYS_renameat2, fd, argv[2], fd, argv[3], EXCHANGE);
}
