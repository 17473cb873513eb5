/* The parent half: what Python can't do by itself, or not cheaply. Every function returns -errno when it fails. */
#ifndef PYOCI_SHIM_H
#define PYOCI_SHIM_H

#include <stddef.h>
#include <stdint.h>

/* cffi:begin */

/* How a container's init is started; see spawn.c. All zero but for the descriptors, which are -1, before it is filled in. */
struct spawn {
    uint64_t clone_flags; /* CLONE_NEW* of the clone */
    int cgroup_fd;        /* cgroup v2 directory for CLONE_INTO_CGROUP, or -1 */
    int directory;        /* the working directory it starts in, or -1 for ours */
    int wait_for_maps;    /* it waits for one byte on `sync` until its id maps are written */
    int become_root;      /* then it becomes uid 0 and gid 0 of its user namespace */
    int preserved;        /* descriptors 3.. that it keeps */
    int die_with_parent;  /* PR_SET_PDEATHSIG: SIGKILL */
    int store;            /* a directory for its program where none runs from memory, or -1 */
    int sync;             /* result: our end of the sync socket */
    int pid;              /* result */
    int pidfd;            /* result */
    void *preparer;       /* the process of pyoci_prepare(), or NULL */
    void *child;          /* memory that the init shares until its execve(2) */
};

int pyoci_prepare(struct spawn *spawn, uint64_t unshare_flags);
int pyoci_spawn(struct spawn *spawn);
void pyoci_release(struct spawn *spawn);

int pyoci_send_plan(int sync, const void *plan, size_t size, const int *fds, int count);
int pyoci_send_byte(int sync);
int pyoci_receive(int sync, void *buffer, size_t size, int *fd);
int pyoci_send_fd(const char *socket_path, int fd, const char *name, size_t name_length);
int pyoci_bind_datagram(const char *path);
int pyoci_send_datagram(const char *name, const void *data, size_t size, int fd);

int pyoci_open_netlink(int network);
int pyoci_open_tree(int directory, const char *path, int recursive, int nofollow);
int pyoci_open_tree_inside(int pidfd, const char *rootfs, const char *path, int recursive, int nofollow);
int pyoci_idmap_mount(int mount, int user_namespace, int recursive);
int64_t pyoci_mount_id(int fd, int unique);
int pyoci_attach_mount(int tree, int onto);
int pyoci_unmount(int mount);
int pyoci_pidfd_signal(int pidfd, int signal);
int64_t pyoci_permitted_capabilities(void);
int pyoci_raise_limit(int pid, int resource, uint64_t hard);
int pyoci_landlock_abi(void);
int pyoci_namespace_type(int fd);
uint64_t pyoci_ignored_signals(void);
void pyoci_note_signals(int fd);
void pyoci_restore_signals(void);
int pyoci_is_cgroup(const char *path);
int pyoci_open_cgroup(int directory, const char *path);

/* cffi:end */

#endif
