/* The kernel's numbers that the C library's headers lack (musl comes without linux/). */
#ifndef PYOCI_INIT_KERNEL_H
#define PYOCI_INIT_KERNEL_H

#include <stdint.h>

/* openat2(2) */
#define RESOLVE_NO_XDEV       0x01
#define RESOLVE_NO_MAGICLINKS 0x02
#define RESOLVE_NO_SYMLINKS   0x04
#define RESOLVE_BENEATH       0x08
#define RESOLVE_IN_ROOT       0x10

/* open_tree(2), mount_setattr(2), fsconfig(2) */
#define TREE_CLONE            0x1
#define TREE_RECURSIVE        0x8000
#define ATTRIBUTE_READONLY    0x1
#define ATTRIBUTE_NOSUID      0x2
#define ATTRIBUTE_NODEV       0x4
#define ATTRIBUTE_NOEXEC      0x8
#define ATTRIBUTE_NOATIME     0x10
#define ATTRIBUTE_STRICTATIME 0x20
#define ATTRIBUTE_ATIME       0x70 /* the mask of the two above, and relatime, which is 0 */
#define ATTRIBUTE_NODIRATIME  0x80
#define ATTRIBUTE_NOSYMFOLLOW 0x200000
#define FSCONFIG_FLAG         0
#define FSCONFIG_STRING       1
#define FSCONFIG_CREATE       6
#define FSCONFIG_RECONFIGURE  7

/* statfs(2) */
#define PROC_MAGIC        0x9fa0
#define SYSFS_MAGIC       0x62656572
#define DEVPTS_MAGIC      0x1cd1
#define STATFS_NOATIME    0x400
#define STATFS_NODIRATIME 0x800
#define STATFS_RELATIME   0x1000

/* seccomp(2), bpf filters */
#define SECCOMP_FILTER      1
#define FILTER_NEW_LISTENER 8
#define MAX_FILTER          4096

struct sock_filter {
    uint16_t code;
    uint8_t jt;
    uint8_t jf;
    uint32_t k;
};

struct sock_fprog {
    unsigned short len;
    const struct sock_filter *filter;
};

/* netlink(7), rtnetlink(7) */
#define NETLINK_ROUTE   0
#define NETLINK_REQUEST 0x1
#define NETLINK_ACK     0x4
#define NETLINK_ERROR   2
#define RTM_NEWLINK     16

struct netlink_header {
    uint32_t length; /* of the message with this header */
    uint16_t type;
    uint16_t flags;
    uint32_t sequence;
    uint32_t port;
};

struct link_message {
    uint8_t family;
    uint8_t pad;
    uint16_t type;
    int32_t index;
    uint32_t flags;
    uint32_t change; /* which of the flags */
};

/* sched_setattr(2), its first version */
struct sched_attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime;
    uint64_t deadline;
    uint64_t period;
};

#endif
