/* Notifications of a seccomp filter. */
#include "notification.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LARGEST = 4096 };

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

int pyoci_notification_continue(int listener, uint64_t id) {
    return answer(listener, id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

int pyoci_signal_thread(int process, int thread, int signal) {
    return syscall(SYS_tgkill, process, thread, signal) < 0 ? -errno : 0;
}
