/* The container's init: executes a plan, then becomes the container's program.
 *
 * Rules of this half: no allocation after the plan is read; no path string is looked up in the container's tree but through
 * openat2(2) below REG_ROOT; every failure goes through fail(), which never returns.
 *
 * The files form layers, each of which knows only what stands above it here; the ops know nothing of each other.
 */
#ifndef PYOCI_INIT_H
#define PYOCI_INIT_H

#define PLAN_IN_MEMORY
#include "../ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* sys.c: system calls that musl has no wrapper for; they return -1 and set errno */
int sys_open_tree(int fd, const char *path, unsigned flags);
int sys_move_mount(int from, int to);
int sys_fsopen(const char *type);
int sys_fspick(int fd);
int sys_fsconfig(int fd, unsigned command, const char *key, const char *value);
int sys_fsmount(int fd, unsigned attributes);
int sys_mount_setattr(int fd, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation);
int sys_openat2(int fd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int sys_pivot_root(const char *to, const char *old);
int sys_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable);
int sys_close_range(unsigned first, unsigned last);
int sys_pidfd_open(pid_t pid);
int empty_tmpfs(const char *label, unsigned attributes); /* a detached mount; label: what SELinux calls its files, or "" */
uint64_t mount_id(int fd);                               /* 0 where the kernel does not tell */
_Noreturn void leave(int status);                        /* _exit(2), even under the container's filter */

/* channel.c: the conversation with the runtime, and the one way to fail */
void open_channel(int sync);
bool read_all(void *buffer, size_t size);
bool read_with_fds(void *buffer, size_t size, int fds[PLAN_MAX_FDS], size_t *count);
void plan_begins(uint64_t *times);
void op_ends(void);
void tell_times(void);
void stop_watch(void);
void say(enum plan_reply_kind kind, int32_t error, const char *text, size_t length, int fd);
_Noreturn void fail(int error, enum plan_step step, const char *object);
void check(long result, enum plan_step step, const char *object); /* fails with errno when result is negative */
void read_byte(int fd);
void wait_for_go(void);
void set_fifo(int fifo);
void tell_start(void);
void fail_as_hook(void);
bool is_connected(void);

/* state.c: what one op leaves for a later one */
enum { MOST_INTERPRETERS = 5 }; /* as the kernel has it: of a script, of its interpreter, and so on */

struct state {
    int registers[REG_COUNT];
    mode_t mask;        /* the file mode mask that programs get; our own is 0 */
    bool mask_set;      /* until it is this one */
    bool in_directory;  /* chdir is done */
    bool shared_root;   /* "/" shares its mounts with the host's, or is the host's */
    bool mask_attached; /* what is in REG_MASK is mounted somewhere */
    bool null_attached; /* the same of REG_NULL */
    uint16_t machine;   /* EM_* of an executable for another one, else 0 */
    char executable[4096];
    const char *interpreters[MOST_INTERPRETERS]; /* that it needs, one after the other */
    bool landlock;                               /* a ruleset is in force */
    char home[4096];                             /* "HOME=...", or empty */
    struct {                                     /* what this process becomes in place of the program; no path: nothing */
        const char *path;
        const struct plan_strings *args, *env; /* env: NULL for the program's */
    } hook;
};

extern struct state state;

void clear_state(void);
int get(uint16_t reg);
int take(uint16_t reg);
void put(uint16_t reg, int fd);
void close_registers(void);
void set_mask(void);

/* plan.c: a plan comes in and is checked before an op of it runs */
struct plan {
    struct plan_header *header;
    char *ops; /* the first one */
    char *text;
    uint32_t text_size;
    uint64_t *times; /* room for them, when they are asked for; else NULL */
    size_t mapped;   /* bytes of memory from header on */
};

bool receive_plan(struct plan *plan);
size_t op_size(uint16_t code);
void check_filter(const struct plan_filter *filter);
char **list_strings(const struct plan_strings *list, char **place);
extern char *string_room[2 * PLAN_MAX_STRINGS + 3]; /* a hook's arguments, and the program's environment */

/* resolve.c: look-ups in a tree that may be hostile; they return -1 and set errno, fail_lookup() then says at what */
int open_in(int root, const char *path, uint64_t flags, uint64_t resolve);
int open_or_create(int root, const char *path, enum plan_mountpoint type, mode_t mode, uint64_t resolve, bool *made);
int open_parent(int root, const char *path, const char **name);
int open_device(int root, const char *path, uint64_t flags, uint64_t device);
bool is_null_device(int fd);
_Noreturn void fail_lookup(void);

/* The ops: namespaces.c, netlink.c, rootfs.c, mounts.c, copyup.c, devices.c, console.c, hook.c, process.c, landlock.c,
 * program.c */
#define OP(name, error, fields) void op_##name(const struct op_##name *op);
#include "../ops.def"

#endif
