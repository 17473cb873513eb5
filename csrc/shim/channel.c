/* The parent's end of the sync socket, and descriptors that are handed to others. */
#include "../plan.h"
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

union control {
    char bytes[CMSG_SPACE(sizeof(int) * PLAN_MAX_FDS)];
    struct cmsghdr align;
};

/* Send `size` bytes, the descriptors with the first of them. */
static int send_with_fds(int socket, const void *data, size_t size, const int *fds, int count) {
    union control control;
    struct iovec vector = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

    if (count > PLAN_MAX_FDS)
        return -E2BIG;
    if (count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
        memset(control.bytes, 0, message.msg_controllen);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
        memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * (size_t)count);
    }
    while (vector.iov_len > 0) {
        ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -errno;
        vector.iov_base = (char *)vector.iov_base + sent;
        vector.iov_len -= (size_t)sent;
        message.msg_control = NULL;
        message.msg_controllen = 0;
    }
    return 0;
}

/* Send a plan. The header goes alone, for the init reads it, and the descriptors on it, before the rest. */
int pyoci_send_plan(int sync, const void *plan, size_t size, const int *fds, int count) {
    int result = send_with_fds(sync, plan, sizeof(struct plan_header), fds, count);

    if (result < 0)
        return result;
    return send_with_fds(sync, (const char *)plan + sizeof(struct plan_header), size - sizeof(struct plan_header), NULL, 0);
}

int pyoci_send_byte(int sync) {
    return send_with_fds(sync, "", 1, NULL, 0);
}

/* One recvmsg(2), with room for one descriptor: the kernel drops what else comes along. CMSG_LEN, for CMSG_SPACE has padding
 * that a second one would fit into. */
static ssize_t receive_some(int sync, void *buffer, size_t size, int *fd) {
    union control control;
    struct iovec vector = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    const struct cmsghdr *part;
    ssize_t got;

    if (!fd || *fd >= 0)
        return recvmsg(sync, &message, 0);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_LEN(sizeof(int));
    got = recvmsg(sync, &message, MSG_CMSG_CLOEXEC);
    part = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS && part->cmsg_len >= CMSG_LEN(sizeof(int)))
        memcpy(fd, CMSG_DATA(part), sizeof(int));
    return got;
}

/* Read exactly `size` bytes; the first descriptor that rides on them goes to *fd (else -1) unless fd is NULL. Returns 1, 0 at
 * the end of file, -EINTR only before the first byte. */
int pyoci_receive(int sync, void *buffer, size_t size, int *fd) {
    char *place = buffer;
    size_t left = size;

    if (fd)
        *fd = -1;
    while (left > 0) {
        ssize_t got = receive_some(sync, place, left, fd);
        if (got < 0 && errno == EINTR && left < size)
            continue;
        if (got < 0)
            return errno == ECONNRESET ? 0 : -errno;
        if (got == 0)
            return 0;
        place += got;
        left -= (size_t)got;
    }
    return 1;
}

/* Connect to a listening socket and hand a descriptor over, with its name as the message. A path longer than sun_path goes
 * through a descriptor of its directory. */
int pyoci_send_fd(const char *socket_path, int fd, const char *name, size_t name_length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int result, directory = -1, client;

    if (strlen(socket_path) < sizeof(address.sun_path)) {
        strcpy(address.sun_path, socket_path);
    } else {
        directory = open(socket_path, O_PATH | O_CLOEXEC);
        if (directory < 0)
            return -errno;
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", directory);
    }
    client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0)
        result = -errno;
    else if (connect(client, (struct sockaddr *)&address, sizeof(address)) < 0)
        result = -errno;
    else
        result = send_with_fds(client, name, name_length, &fd, 1);
    if (client >= 0)
        close(client);
    if (directory >= 0)
        close(directory);
    return result;
}

/* A path, or a name that begins with "@" for one of the abstract names. -ENAMETOOLONG, else its length. */
static int fill_address(struct sockaddr_un *address, const char *name) {
    size_t length = strlen(name);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (length >= sizeof(address->sun_path))
        return -ENAMETOOLONG;
    memcpy(address->sun_path, name, length);
    if (*name == '@')
        *address->sun_path = '\0';
    return (int)(offsetof(struct sockaddr_un, sun_path) + length + (*name == '@' ? 0 : 1));
}

static int open_datagram(int flags) {
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0);

    return fd < 0 ? -errno : fd;
}

/* A socket, which does not block, that everybody may send datagrams to. By the mask and not by chmod(2), which a link that takes its
 * place would lead elsewhere. */
int pyoci_bind_datagram(const char *path) {
    struct sockaddr_un address;
    int length = fill_address(&address, path), fd = length < 0 ? length : open_datagram(SOCK_NONBLOCK), error = 0;
    mode_t mask;

    if (fd < 0)
        return fd;
    mask = umask(0);
    if (bind(fd, (struct sockaddr *)&address, (socklen_t)length) < 0)
        error = errno;
    umask(mask);
    if (error)
        close(fd);
    return error ? -error : fd;
}

/* Send a datagram, with a descriptor unless fd is negative. */
int pyoci_send_datagram(const char *name, const void *data, size_t size, int fd) {
    struct sockaddr_un address;
    int length = fill_address(&address, name), client = length < 0 ? length : open_datagram(0), result;

    if (client < 0)
        return client;
    if (connect(client, (struct sockaddr *)&address, (socklen_t)length) < 0)
        result = -errno;
    else
        result = send_with_fds(client, data, size, &fd, fd >= 0);
    close(client);
    return result;
}
