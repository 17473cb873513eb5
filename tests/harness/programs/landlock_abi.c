/* Runs a command on a kernel that says it has an older ABI of Landlock: landlock_abi ABI COMMAND [ARGUMENT]...
 *
 * The version that landlock_create_ruleset(2) tells is answered here (seccomp_unotify(2)); all other calls are the kernel's.
 */
#include "notification.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* linux/filter.h, which musl lacks */
struct instruction {
    uint16_t code;
    uint8_t jt, jf;
    uint32_t k;
};

enum { LOAD = 0x20, JUMP_EQUAL = 0x15, RETURN = 0x06, CREATE_RULESET = 444, VERSION = 1 };
enum { FILTER = 1, NEW_LISTENER = 8, THIRD_ARGUMENT = 32 };
#define ALLOW  0x7fff0000u
#define NOTIFY 0x7fc00000u

static int load_filter(void) {
    static const struct instruction code[] = {
        {LOAD, 0, 0, 0},
        {JUMP_EQUAL, 0, 3, CREATE_RULESET},
        {LOAD, 0, 0, THIRD_ARGUMENT},
        {JUMP_EQUAL, 0, 1, VERSION},
        {RETURN, 0, 0, NOTIFY},
        {RETURN, 0, 0, ALLOW},
    };
    struct {
        unsigned short length;
        const struct instruction *code;
    } program = {sizeof(code) / sizeof(*code), code};

    return (int)syscall(SYS_seccomp, FILTER, NEW_LISTENER, &program);
}

/* One descriptor over a socket: given, or taken with fd -1. */
static int pass(int socket, int fd) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char byte = 0;
    struct iovec vector = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};

    memset(&control, 0, sizeof(control));
    if (fd >= 0) {
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
        return (int)sendmsg(socket, &message, 0);
    }
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message))
        return -1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    return fd;
}

static void answer(int listener, int abi) {
    struct notification call;
    struct response response = {.value = abi};

    for (;;) {
        memset(&call, 0, sizeof(call));
        if (ioctl(listener, RECEIVE, &call) < 0) {
            if (errno == EINTR)
                continue;
            _exit(0);
        }
        response.id = call.id;
        ioctl(listener, SEND, &response);
    }
}

int main(int argc, char **argv) {
    int ends[2], listener;

    if (argc < 3 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return 125;
    if (fork() == 0) { /* with a child that answers; the command keeps our pid */
        close(ends[1]);
        listener = pass(ends[0], -1);
        close(ends[0]);
        setsid();
        for (int fd = 0; fd < 3; fd++)
            close(fd);
        if (listener >= 0)
            answer(listener, atoi(argv[1]));
        _exit(0);
    }
    listener = load_filter();
    if (listener < 0 || pass(ends[1], listener) < 0)
        return 125;
    close(listener);
    execvp(argv[2], argv + 2);
    return 127;
}
