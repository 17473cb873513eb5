/* Look-ups of csrc/init/resolve.c as an ordinary program, one for each line of standard input:
 *
 *     open    TARGET MODE RESOLVE PATH      open_or_create; the numbers in decimal, the mode in octal
 *     parent  0 0 0 PATH                    open_parent
 *     device  MAJOR MINOR 0 PATH            open_device
 *     why     0 0 0 -                       fail_lookup: what failed last, as "STEP PATH"
 *
 * The answer: "ok TYPE MODE NAME PATH", the path being that of the descriptor as /proc shows it, or "error NAME".
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static jmp_buf told;

/* In place of channel.c. */
_Noreturn void fail(int error, enum plan_step step, const char *object) {
    static const char *const steps[STEP_COUNT] = {
#define STEP(name) [STEP_##name] = #name,
#include "../ops.def"
    };

    (void)error;
    printf("%s %s\n", steps[step], object);
    longjmp(told, 1);
}

static void print(int fd, const char *name) {
    char link[64], path[PATH_MAX];
    struct stat status;
    ssize_t length;

    if (fd < 0) {
        printf("error %s\n", strerrorname_np(errno));
        return;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof(path) - 1);
    if (length < 0 || fstat(fd, &status) < 0)
        abort();
    path[length] = '\0';
    printf("ok %o %o %s %s\n", status.st_mode >> 12, status.st_mode & 07777, *name ? name : "-", path);
    close(fd);
}

int main(int argc, char **argv) {
    static char line[2 * PATH_MAX];
    int root, first;

    if (argc != 2)
        return 2;
    umask(0);
    root = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
    first = dup(root);
    close(first);
    while (fgets(line, sizeof(line), stdin)) {
        char word[16];
        unsigned target, mode, resolve;
        int at = 0;
        const char *name = "";

        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%15s %u %o %u %n", word, &target, &mode, &resolve, &at) != 4)
            return 2;
        if (strcmp(word, "open") == 0) {
            bool made;
            print(open_or_create(root, line + at, target, mode, resolve, &made), name);
        } else if (strcmp(word, "parent") == 0) {
            int fd = open_parent(root, line + at, &name);
            print(fd, name);
        } else if (strcmp(word, "why") == 0) {
            if (setjmp(told) == 0)
                fail_lookup();
        } else {
            print(open_device(root, line + at, O_RDONLY, makedev(target, mode)), name);
        }
        fflush(stdout);
    }
    if (dup(root) != first) {
        fprintf(stderr, "a descriptor was left open\n");
        return 1;
    }
    return 0;
}
