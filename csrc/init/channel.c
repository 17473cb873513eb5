/* The sync socket: plans come in, replies go out. When the runtime dies, reading ends and so does the init. */
#include "init.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static bool read_all(void *buffer, size_t size) {
    char *place = buffer;

    while (size > 0) {
        ssize_t got = read(init.sync, place, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        place += got;
        size -= (size_t)got;
    }
    return true;
}

/* The header, with the descriptors that ride on it, which fill the registers from REG_PASSED on. */
static bool receive_header(struct plan_header *header) {
    union {
        char bytes[CMSG_SPACE(sizeof(int) * PLAN_MAX_FDS)];
        struct cmsghdr align;
    } control;
    struct iovec vector = {.iov_base = header, .iov_len = sizeof(*header)};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
    ssize_t got;

    do
        got = recvmsg(init.sync, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof(*header) || (message.msg_flags & MSG_CTRUNC))
        return false;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count && REG_PASSED + i < REG_COUNT; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
            put((uint16_t)(REG_PASSED + i), fd);
        }
    }
    return true;
}

/* Read the next plan into memory of its own, with room for the times when they are asked for. False at the end of file. */
bool receive_plan(void) {
    struct plan_header header;
    struct plan *plan = &init.plan;
    size_t times, mapped;
    char *memory;

    if (!receive_header(&header))
        return false;
    if (header.magic != PLAN_MAGIC || header.size < sizeof(header) || header.size > PLAN_MAX_SIZE ||
        header.count > PLAN_MAX_OPS)
        return false;
    if (plan->header)
        munmap(plan->header, plan->mapped);
    *plan = (struct plan){.header = NULL};
    times = header.flags & PLAN_TIMED ? (header.count + 1) * sizeof(uint64_t) : 0;
    mapped = ((header.size + 7u) & ~7u) + times;
    memory = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    memcpy(memory, &header, sizeof(header));
    if (!read_all(memory + sizeof(header), header.size - sizeof(header)))
        return false;
    plan->header = (struct plan_header *)memory;
    plan->mapped = mapped;
    plan->ops = (struct plan_op *)(memory + sizeof(header));
    if (sizeof(header) + (uint64_t)header.count * sizeof(*plan->ops) >= header.size)
        return false;
    plan->text = (char *)(plan->ops + header.count);
    plan->text_size = header.size - (uint32_t)(plan->text - memory);
    plan->times = times ? (uint64_t *)(memory + ((header.size + 7u) & ~7u)) : NULL;
    return plan_is_sound(plan->header, plan->ops, plan->text);
}

/* Once `start` is being waited for there is only the fifo that it reads. One write, so that it comes in one piece. */
static void say_to_start(const struct plan_reply *reply, const char *text) {
    char whole[sizeof(*reply) + PLAN_MAX_REPLY];

    if (init.failures < 0 || (reply->kind != REPLY_ERROR && reply->kind != REPLY_TIMES) || reply->length > PLAN_MAX_REPLY)
        return;
    memcpy(whole, reply, sizeof(*reply));
    memcpy(whole + sizeof(*reply), text, reply->length);
    if (write(init.failures, whole, sizeof(*reply) + reply->length) < 0)
        leave(1);
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

/* A freezer or a debugger may cut a long message in two. */
static void send_whole(struct msghdr *message) {
    while (message->msg_iovlen > 0) {
        ssize_t sent = sendmsg(init.sync, message, MSG_NOSIGNAL);
        if (sent >= 0)
            advance(message, (size_t)sent);
        else if (errno != EINTR)
            leave(1);
    }
}

/* Send a reply; `fd` rides along unless it is negative. */
void say(uint32_t kind, int32_t error, const char *text, size_t length, int fd) {
    struct plan_reply reply = {.kind = kind, .op = init.current, .error = error, .length = (uint32_t)length};
    struct iovec vector[2] = {{&reply, sizeof(reply)}, {(void *)(uintptr_t)text, length}};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2};

    if (init.sync < 0) {
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
    send_whole(&message);
}

/* When the ops before the current one began and ended, as far as it was not said before; in pieces that fit into a reply. */
void say_times(void) {
    struct plan *plan = &init.plan;
    const uint32_t current = init.current, most = PLAN_MAX_REPLY / sizeof(uint64_t) - 1;

    while (plan->times && plan->told < current) {
        uint32_t count = current - plan->told < most ? current - plan->told : most;
        init.current = plan->told; /* the op that the reply names */
        say(REPLY_TIMES, 0, (const char *)&plan->times[plan->told], (count + 1) * sizeof(uint64_t), -1);
        plan->told += count;
    }
    init.current = current;
}

/* One byte says that the runtime has written down what it must; the end of file says that it is gone. */
void wait_for_go(void) {
    char go;

    if (!read_all(&go, 1))
        _exit(1);
}
