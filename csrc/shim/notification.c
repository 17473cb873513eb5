/* Notifications of a seccomp filter. */
#include "notification.h"

#include "../plan.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.6 */
#define NOTIF_SET_FLAGS _IOW('!', 4, uint64_t)
enum { NOTIF_SYNC_WAKE_UP = 1 };

enum { LARGEST = 512 };

/* A newer kernel may have larger structs than we know, and wants room for them (seccomp_unotify(2)). */
static int get_sizes(struct seccomp_notif_sizes *sizes) {
    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, sizes) < 0)
        return -errno;
    return sizes->seccomp_notif > LARGEST || sizes->seccomp_notif_resp > LARGEST ? -E2BIG : 0;
}

int pyoci_notification_receive(int listener, struct pyoci_notification *call) {
    static struct seccomp_notif_sizes sizes;
    union {
        struct seccomp_notif known;
        char room[LARGEST];
    } found;
    int result = sizes.seccomp_notif ? 0 : get_sizes(&sizes);

    if (result < 0)
        return result;
    memset(&found, 0, sizeof(found.known) > sizes.seccomp_notif ? sizeof(found.known) : sizes.seccomp_notif);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &found) < 0)
        return -errno;
    call->id = found.known.id;
    call->thread = found.known.pid;
    call->arch = found.known.data.arch;
    call->number = found.known.data.nr;
    call->instruction = found.known.data.instruction_pointer;
    for (int i = 0; i < 6; i++)
        call->arguments[i] = found.known.data.args[i];
    return 0;
}

int pyoci_notification_is_valid(int listener, uint64_t id) {
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) < 0 ? -errno : 0;
}

static int answer(int listener, uint64_t id, int error, uint32_t flags) {
    union {
        struct seccomp_notif_resp known;
        char room[LARGEST];
    } given;

    memset(&given, 0, sizeof(given));
    given.known.id = id;
    given.known.error = -error;
    given.known.flags = flags;
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &given) < 0 ? -errno : 0;
}

int pyoci_notification_answer(int listener, uint64_t id, int error) {
    return answer(listener, id, error, 0);
}

int pyoci_notification_wake_here(int listener) {
    return ioctl(listener, NOTIF_SET_FLAGS, NOTIF_SYNC_WAKE_UP) < 0 ? -errno : 0;
}

static void count_call(const struct pyoci_notification *call, struct pyoci_recording *found) {
    struct pyoci_recorded *entry = found->calls;

    for (; entry < found->calls + found->filled; entry++)
        if (entry->number == call->number && entry->arch == call->arch) {
            entry->count++;
            return;
        }
    if (found->filled < (int)(sizeof(found->calls) / sizeof(*found->calls)))
        found->calls[found->filled++] = (struct pyoci_recorded){.arch = call->arch, .number = call->number, .count = 1};
    else
        found->more++;
}

/* Until its call is received, a process that waits for us is interrupted by signals that the call itself would not mind: fork(2) fails
 * with EINTR where a handler does not restart calls. So nobody shall run before us who could send one: all share one processor,
 * on which we come first. Where that is not to be had we are as quick as we can. */
static void share_a_processor(pid_t first) {
    cpu_set_t theirs, one;
    int number = 0;

    if (sched_getscheduler(0) != SCHED_FIFO || sched_getaffinity(first, sizeof(theirs), &theirs) < 0)
        return;
    while (!CPU_ISSET(number, &theirs))
        number++;
    CPU_ZERO(&one);
    CPU_SET(number, &one);
    if (sched_setaffinity(0, sizeof(one), &one) == 0)
        sched_setaffinity(first, sizeof(one), &one);
}

void pyoci_notification_record(int listener, int control, struct pyoci_recording *found) {
    struct pollfd files[2] = {{.fd = listener, .events = POLLIN}, {.fd = control}};
    struct pyoci_notification call;
    bool taken = false;

    for (;;) {
        if (poll(files, 2, -1) < 0)
            continue;
        if (files[1].revents || !(files[0].revents & POLLIN))
            return;
        if (pyoci_notification_receive(listener, &call) < 0)
            continue;
        if (call.number == CALL_LISTENER_TAKEN && !taken) {
            taken = true;
            share_a_processor((pid_t)call.thread);
            answer(listener, call.id, 0, 0);
        } else if (answer(listener, call.id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE) == 0) {
            count_call(&call, found);
        }
    }
}

int pyoci_signal_thread(int process, int thread, int signal) {
    return syscall(SYS_tgkill, process, thread, signal) < 0 ? -errno : 0;
}
