/* A socket to the kernel's networking in another network namespace. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_socket(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    return fd < 0 ? -errno : fd;
}

/* A NETLINK_ROUTE socket of the network namespace `network`, or of ours for -1 (rtnetlink(7)). A socket stays in the namespace that
 * it was made in, so we enter that one for a moment. Who may not come back must not leave: whether we may is tried first. */
int pyoci_open_netlink(int network) {
    int own, fd;

    if (network < 0)
        return open_socket();
    own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return -errno;
    if (setns(own, CLONE_NEWNET) < 0 || setns(network, CLONE_NEWNET) < 0) {
        fd = -errno;
    } else {
        fd = open_socket();
        if (setns(own, CLONE_NEWNET) < 0)
            abort();
    }
    close(own);
    return fd;
}
