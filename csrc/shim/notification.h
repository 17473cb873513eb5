/* Notifications of a seccomp filter: the other half of seccomp_unotify(2), for the listener that `op_seccomp_listener` sends. */
#ifndef PYOCI_SHIM_NOTIFICATION_H
#define PYOCI_SHIM_NOTIFICATION_H

#include <stdint.h>

/* cffi:begin */

/* A system call that waits for an answer. thread: the id of the caller, as this process sees it; arch: AUDIT_ARCH_* */
struct pyoci_notification {
    uint64_t id;
    uint32_t thread;
    uint32_t arch;
    int32_t number;
    uint64_t instruction;
    uint64_t arguments[6];
};

/* Each returns 0 or -errno. -ENOENT: the caller waits no more. */
int pyoci_notification_receive(int listener, struct pyoci_notification *call);
int pyoci_notification_is_valid(int listener, uint64_t id);

/* The call returns -1 with this errno, or 0 for 0; it is not executed. */
int pyoci_notification_answer(int listener, uint64_t id, int error);

/* A system call that was made, and how often. */
struct pyoci_recorded {
    uint32_t arch;
    int32_t number;
    uint64_t count;
};

/* All that were made. more: how often others were than there is room for; no kernel has so many */
struct pyoci_recording {
    int filled;
    uint64_t more;
    struct pyoci_recorded calls[2048];
};

/* Lets every call go on, with what its pointers lead to by then, and counts it, until no process is left under the filter or the other
   end of `control` is closed. */
void pyoci_notification_record(int listener, int control, struct pyoci_recording *found);

/* Asks the kernel to wake whoever receives on the caller's processor (Linux 6.6), which then waits less. 0 or -errno. */
int pyoci_notification_wake_here(int listener);

/* A signal to one thread of a process: 0 or -errno (tgkill(2)). */
int pyoci_signal_thread(int process, int thread, int signal);

/* cffi:end */

#endif
