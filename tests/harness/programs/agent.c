/* A seccomp agent: it takes the listeners of filters and answers what they notify (seccomp_unotify(2)).
 *
 *     agent SOCKET [NUMBER:ANSWER]...
 *
 * An ANSWER to the system call with this number is "continue", "errno=N", "value=N", "hold" (none at all) or "close" (none, and the
 * listener is closed); all other calls continue. Tells on standard output: "ready"; "state BYTES" and the text that came with a listener;
 * "call NUMBER PID"; "gone" when no process is left under a filter. Ends at the end of standard input.
 */
#include "notification.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST = 16, LARGEST = 1 << 20, CONTINUE = 1 };

static char **answers;

static const char *answer_to(int number) {
    for (char **word = answers; *word; word++)
        if (atoi(*word) == number && strchr(*word, ':'))
            return strchr(*word, ':') + 1;
    return "continue";
}

static int take_listener(int socket) {
    static char text[LARGEST + 1];
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec vector = {text, LARGEST};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC), more;
    int listener = -1;

    if (got <= 0 || !CMSG_FIRSTHDR(&message))
        return -1;
    memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(listener));
    while (got < LARGEST && (more = read(socket, text + got, (size_t)(LARGEST - got))) > 0)
        got += more;
    printf("state %zd\n%.*s\n", got, (int)got, text);
    return listener;
}

/* False when the listener is of no use any more. */
static int serve(int listener) {
    struct notification call;
    struct response response = {0};
    const char *answer;

    memset(&call, 0, sizeof(call));
    if (ioctl(listener, RECEIVE, &call) < 0)
        return errno == EINTR || errno == ENOENT;
    printf("call %d %u\n", call.number, call.pid);
    answer = answer_to(call.number);
    response.id = call.id;
    if (strcmp(answer, "hold") == 0)
        return 1;
    if (strcmp(answer, "close") == 0)
        return 0;
    if (strncmp(answer, "errno=", 6) == 0)
        response.error = -atoi(answer + 6);
    else if (strncmp(answer, "value=", 6) == 0)
        response.value = atoi(answer + 6);
    else
        response.flags = CONTINUE;
    return ioctl(listener, SEND, &response) == 0 || errno == ENOENT;
}

int main(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct pollfd files[2 + MOST] = {{.fd = 0}};
    int count = 2, client;

    if (argc < 2 || strlen(argv[1]) >= sizeof(address.sun_path))
        return 2;
    answers = argv + 2;
    setvbuf(stdout, NULL, _IONBF, 0);
    strcpy(address.sun_path, argv[1]);
    files[1].fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    files[1].events = POLLIN;
    if (bind(files[1].fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(files[1].fd, MOST) < 0)
        return 1;
    puts("ready");
    while (poll(files, (nfds_t)count, -1) > 0 && !files[0].revents) {
        for (int i = 2; i < count; i++)
            if (files[i].revents && ((files[i].revents & POLLHUP) || !serve(files[i].fd))) {
                puts("gone");
                close(files[i].fd);
                files[i].fd = -1;
            }
        if (!files[1].revents || (client = accept(files[1].fd, NULL, NULL)) < 0)
            continue;
        files[count] = (struct pollfd){.fd = take_listener(client), .events = POLLIN};
        close(client);
        if (count < MOST + 1)
            count++;
    }
    return 0;
}
