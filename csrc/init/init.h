/* The container's init: executes a plan, then becomes the container's program.
 *
 * Rules of this half: no allocation after the plan is read; no path string is looked up in the container's tree but through
 * openat2(2) below REG_ROOT; every failure goes through fail(), which never returns.
 */
#ifndef PYOCI_INIT_H
#define PYOCI_INIT_H

#include "../plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct plan {
    struct plan_header *header;
    struct plan_op *ops;
    char *text;
    uint32_t text_size;
    uint64_t *times; /* when the first op began, then when each one ended; NULL when nobody asks */
    uint32_t told;   /* of how many ops the times have been sent */
    size_t mapped;   /* bytes of memory from header on */
};

struct init {
    int sync;     /* socket to the runtime; -1 once it is closed */
    int failures; /* fifo that `start` reads, instead of sync, once it waits for start */
    uint32_t current;
    mode_t mask; /* the file mode mask that programs get; our own is 0 */
    bool cwd_done;
    bool mask_attached;
    bool target_made; /* by the last op_target */
    int registers[REG_COUNT];
    struct plan plan;
    char executable[4096];
    char home[4096]; /* "HOME=...", or empty */
};

extern struct init init;

typedef void op_function(const struct plan_op *op);

/* main.c */
_Noreturn void leave(int status); /* _exit(2), even under the container's filter */
_Noreturn void fail(int error, const char *step, const char *object);
void check(long result, const char *step, const char *object); /* fails with errno when result is negative */

/* decode.c: access to what an op names; a plan that lies ends the init */
bool plan_is_sound(const struct plan_header *header, const struct plan_op *ops, const char *text);
const char *op_text(const struct plan_op *op, int index);
const void *op_blob(const struct plan_op *op, int index, uint64_t size);
void op_lists(const struct plan_op *op, uint64_t first, uint64_t second, char ***first_out, char ***second_out);
const char *next_text(const char *text);
int get(uint16_t reg);
void put(uint16_t reg, int fd);
void close_all(void);

/* channel.c */
bool receive_plan(void);
void say(uint32_t kind, int32_t error, const char *text, size_t length, int fd);
void say_times(void);
void wait_for_go(void);

/* resolve.c: look-ups in a tree that may be hostile */
int open_in(int root, const char *path, uint64_t flags, uint64_t resolve);
int open_or_create(int root, const char *path, int target, mode_t mode, uint64_t resolve);
int open_parent(int root, const char *path, const char **name);
int open_device(int root, const char *path, uint64_t flags, uint64_t device);
bool is_null_device(int fd);

/* sys.c: system calls that musl has no wrapper for; they return -1 and set errno */
int sys_open_tree(int fd, const char *path, unsigned flags);
int sys_move_mount(int from, int to);
int sys_fsopen(const char *type);
int sys_fsconfig(int fd, unsigned command, const char *key, const char *value);
int sys_fsmount(int fd, unsigned attributes);
int sys_mount_setattr(int fd, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation);
int sys_openat2(int fd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int sys_pivot_root(const char *to, const char *old);
int sys_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable);
int sys_close_range(unsigned first, unsigned last);
int sys_pidfd_open(pid_t pid);

/* the ops, by room */
op_function op_unshare, op_join, op_fork, op_become_root, op_time_offsets, op_cgroup_join, op_session, op_keyring,
    op_hostname, op_domainname, op_loopback;
op_function op_proc_open, op_proc_write, op_null_open;
op_function op_host_propagation, op_rootfs, op_root_joined, op_root_readonly, op_pivot_root, op_chroot, op_root_propagation;
op_function op_mount_new, op_mount_bind, op_mount_attr, op_target, op_attach, op_keep, op_mount_old, op_copy_up;
op_function op_mode_like, op_mknod, op_symlink, op_mask, op_readonly;
op_function op_console, op_stdio_null, op_stdio_owner;
op_function op_hook;
op_function op_rlimit, op_scheduler, op_io_priority, op_personality, op_umask, op_cwd, op_bounding, op_user, op_capabilities,
    op_no_new_privs, op_seccomp, op_find_executable, op_home, op_ready, op_wait_start, op_exec;

#endif
