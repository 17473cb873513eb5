/* The conversation with the runtime, over the sync socket: plans come in, replies go out. When the runtime dies, reading ends and so
 * does the init. */
#include "init.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct {
    int sync;        /* the socket; -1 once it is closed */
    int fifo;        /* which `start` reads, in its place, once there is a `start` to wait for */
    uint32_t op;     /* the index of the op under way */
    uint64_t *times; /* when the first op of the plan began, then when each one ended; NULL when no times are wanted */
    uint32_t sent;   /* of how many ops the times have been sent */
    bool hook;       /* this process becomes a hook: nobody is at the other end */
} channel;

void open_channel(int sync) {
    channel.sync = sync;
    channel.fifo = -1;
    channel.times = NULL;
}

bool read_all(void *buffer, size_t size) {
    char *place = buffer;

    while (size > 0) {
        ssize_t got = read(channel.sync, place, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        place += got;
        size -= (size_t)got;
    }
    return true;
}

/* Read what descriptors ride on, and those. */
bool read_with_fds(void *buffer, size_t size, int fds[PLAN_MAX_FDS], size_t *count) {
    union {
        char bytes[CMSG_SPACE(sizeof(int) * PLAN_MAX_FDS)];
        struct cmsghdr align;
    } control;
    struct iovec vector = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
    ssize_t got;

    *count = 0;
    do
        got = recvmsg(channel.sync, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)size || (message.msg_flags & MSG_CTRUNC))
        return false;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t more = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (more > PLAN_MAX_FDS - *count)
            more = PLAN_MAX_FDS - *count;
        memcpy(fds + *count, CMSG_DATA(part), more * sizeof(int));
        *count += more;
    }
    return true;
}

/* Nothing can be said: the runtime is gone, or the container's filter denies it. Then the end itself has to tell that this was not the
 * program, which may end with any status, but not by the signal of this instruction while the process still has our name. */
static _Noreturn void give_up(void) {
    if (errno == EPIPE || errno == ECONNRESET)
        leave(1);
    __builtin_trap();
}

/* The fifo is read as a whole: one write, so that a reply comes in one piece. */
static void say_to_start(const struct plan_reply *reply, const char *text) {
    char whole[sizeof(*reply) + PLAN_MAX_REPLY];

    if (channel.fifo < 0 || (reply->kind != REPLY_ERROR && reply->kind != REPLY_TIMES))
        return;
    memcpy(whole, reply, sizeof(*reply));
    memcpy(whole + sizeof(*reply), text, reply->length);
    if (write(channel.fifo, whole, sizeof(*reply) + reply->length) < 0)
        give_up();
}

static void advance(struct msghdr *message, size_t sent) {
    message->msg_control = NULL;
    message->msg_controllen = 0;
    for (; message->msg_iovlen > 0; message->msg_iov++, message->msg_iovlen--) {
        struct iovec *part = message->msg_iov;
        if (sent < part->iov_len) {
            part->iov_base = (char *)part->iov_base + sent;
            part->iov_len -= sent;
            return;
        }
        sent -= part->iov_len;
    }
}

/* A freezer or a debugger may cut a long message in two. False when the message can't be sent. */
static bool send_whole(struct msghdr *message) {
    while (message->msg_iovlen > 0) {
        ssize_t sent = sendmsg(channel.sync, message, MSG_NOSIGNAL);
        if (sent >= 0)
            advance(message, (size_t)sent);
        else if (errno != EINTR)
            return false;
    }
    return true;
}

static void send_reply(struct plan_reply reply, const char *text, int fd) {
    struct iovec vector[2] = {{&reply, sizeof(reply)}, {(void *)(uintptr_t)text, reply.length}};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2};

    if (channel.sync < 0) {
        say_to_start(&reply, text);
        return;
    }
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
    }
    if (send_whole(&message))
        return;
    /* `create` may have ended already, with its last byte still unread here */
    if (errno == EPIPE && reply.kind == REPLY_ERROR)
        say_to_start(&reply, text);
    give_up();
}

/* Send a reply; `fd` rides along unless it is negative. */
void say(enum plan_reply_kind kind, int32_t error, const char *text, size_t length, int fd) {
    struct plan_reply reply = {.kind = (uint16_t)kind, .op = channel.op, .error = error, .length = (uint32_t)length};

    send_reply(reply, text, fd);
}

_Noreturn void fail(int error, enum plan_step step, const char *object) {
    struct plan_reply reply = {.kind = REPLY_ERROR, .step = (uint16_t)step, .op = channel.op, .error = error};

    object = object ? object : "";
    if (channel.hook) {
        dprintf(2, "%s%s%s", object, *object ? ": " : "", strerror(error));
        leave(127);
    }
    reply.length = (uint32_t)strnlen(object, PLAN_MAX_REPLY);
    tell_times();
    send_reply(reply, object, -1);
    leave(1);
}

void check(long result, enum plan_step step, const char *object) {
    if (result < 0)
        fail(errno, step, object);
}

static uint64_t now(void) {
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* `times` has room for one more than the plan has ops; NULL when no times are wanted. */
void plan_begins(uint64_t *times) {
    channel.op = channel.sent = 0;
    channel.times = times;
    if (times)
        times[0] = now();
}

void op_ends(void) {
    channel.op++;
    if (channel.times)
        channel.times[channel.op] = now();
}

/* When the ops before the current one began and ended, as far as it was not said before; in pieces that fit into a reply. */
void tell_times(void) {
    const uint32_t current = channel.op, most = PLAN_MAX_REPLY / sizeof(uint64_t) - 1;

    while (channel.times && channel.sent < current) {
        uint32_t count = current - channel.sent < most ? current - channel.sent : most;
        channel.op = channel.sent; /* the op that the reply names */
        say(REPLY_TIMES, 0, (const char *)&channel.times[channel.sent], (count + 1) * sizeof(uint64_t), -1);
        channel.sent += count;
    }
    channel.op = current;
}

/* Tell the times and take no more of them. */
void stop_watch(void) {
    tell_times();
    channel.times = NULL;
}

/* An error may be the answer of the container's own filter, or of its agent, and so may be the end of a file that has none. */
void read_byte(int fd) {
    char byte;
    ssize_t got;

    do
        got = read(fd, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1)
        fail(got < 0 ? errno : ENODATA, STEP_read, NULL);
}

/* One byte says that the runtime has written down what it must; at the end of file it is gone, and a word to it ends us. */
void wait_for_go(void) {
    read_byte(channel.sync);
}

/* What `create` is not there any more to hear is reported through the fifo that `start` reads. */
void set_fifo(int fifo) {
    channel.fifo = fifo;
}

/* `create` has ended. */
void tell_start(void) {
    close(channel.sync);
    channel.sync = -1;
}

/* In a child that becomes a hook: what fails from now on are its last words, on standard error, as those of any hook. */
void fail_as_hook(void) {
    channel.hook = true;
    channel.times = NULL;
    channel.sync = channel.fifo = -1;
}

bool is_connected(void) {
    return channel.sync >= 0;
}
