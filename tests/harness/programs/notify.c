/* sd_notify(3): sends each argument as a message to $NOTIFY_SOCKET; "BARRIER=1" goes with a pipe, and waits until that is closed. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int send_message(const struct sockaddr_un *address, const char *text, int fd) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec vector = {.iov_base = (void *)(size_t)text, .iov_len = strlen(text)};
    struct msghdr message = {
        .msg_name = (void *)(size_t)address, .msg_namelen = sizeof(*address), .msg_iov = &vector, .msg_iovlen = 1};
    int client = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), result;

    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
    }
    result = sendmsg(client, &message, 0) < 0 ? -1 : 0;
    close(client);
    return result;
}

static int pass_barrier(const struct sockaddr_un *address) {
    struct pollfd end = {.events = 0};
    int ends[2];

    if (pipe(ends) < 0 || send_message(address, "BARRIER=1", ends[1]) < 0)
        return -1;
    close(ends[1]);
    end.fd = ends[0];
    return poll(&end, 1, 20000) == 1 ? 0 : -1;
}

int main(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");

    if (!path || strlen(path) >= sizeof(address.sun_path)) {
        puts("no socket");
        return 1;
    }
    strcpy(address.sun_path, path);
    for (int i = 1; i < argc; i++) {
        int result = strcmp(argv[i], "BARRIER=1") == 0 ? pass_barrier(&address) : send_message(&address, argv[i], -1);
        if (result < 0) {
            perror(argv[i]);
            return 1;
        }
    }
    puts("notified");
    return 0;
}
