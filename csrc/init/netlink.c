/* The loopback interface of a new network namespace, over netlink (rtnetlink(7)).
 *
 * An ioctl(2) on an AF_INET socket would do the same, but a service may have no such sockets: systemd's RestrictAddressFamilies=
 * AF_UNIX AF_NETLINK is a filter that what the service starts inherits.
 */
#include "init.h"
#include "kernel.h"

#include <errno.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOPBACK_INDEX = 1 }; /* in every network namespace */

/* The kernel carries a request out, and answers it, before write(2) returns. */
static int ask_route(const void *request, size_t size) {
    struct {
        struct netlink_header header;
        int32_t error; /* 0 for success, or -errno */
    } answer = {.error = 0};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    ssize_t got;

    check(fd, STEP_socket, "netlink");
    check(write(fd, request, size), STEP_write, "netlink");
    got = read(fd, &answer, sizeof(answer));
    check(got, STEP_read, "netlink");
    close(fd);
    if ((size_t)got < sizeof(answer) || answer.header.type != NETLINK_ERROR || answer.error > 0)
        return EPROTO;
    return -answer.error;
}

void op_loopback_up(const struct op_loopback_up *op) {
    struct {
        struct netlink_header header;
        struct link_message link;
    } request = {
        .header = {.length = sizeof(request), .type = RTM_NEWLINK, .flags = NETLINK_REQUEST | NETLINK_ACK},
        .link = {.index = LOOPBACK_INDEX, .flags = IFF_UP, .change = IFF_UP},
    };
    int error = ask_route(&request, sizeof(request));

    (void)op;
    if (error)
        fail(error, STEP_RTM_NEWLINK, "lo");
}
