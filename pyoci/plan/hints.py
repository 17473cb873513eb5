"""What to do about a failed op: one line for what people meet, nothing where the error's own words say it all."""

import errno

_NAMESPACES = "the limit of namespaces is reached: see /proc/sys/user/max_*_namespaces"
_PRIVILEGE = "it needs CAP_SYS_NICE on the host, which a user namespace does not give"

# (op, errno) -> hint
_HINTS: dict[tuple[str, int], str] = {
    ("OP_UNSHARE", errno.ENOSPC): _NAMESPACES,
    ("OP_TIME_OFFSETS", errno.ENOSPC): _NAMESPACES,
    ("OP_TIME_OFFSETS", errno.ERANGE): "the clock would stand before 0 or beyond 146 years",
    ("OP_UNSHARE", errno.EPERM): "without root a container needs a user namespace of its own",
    ("OP_UNSHARE", errno.EINVAL): "this kernel lacks one of these namespaces: `pyoci doctor` says which",
    (
        "OP_KEYRING",
        errno.EDQUOT,
    ): "the user's quota of keys is used up: see /proc/sys/kernel/keys, or use --no-new-keyring",
    (
        "OP_HOSTNAME",
        errno.EPERM,
    ): "the uts namespace belongs to another user namespace: let the container have a new one",
    (
        "OP_DOMAINNAME",
        errno.EPERM,
    ): "the uts namespace belongs to another user namespace: let the container have a new one",
    (
        "OP_ROOTFS",
        errno.EINVAL,
    ): "a mount in or above the rootfs does not allow to be bound (unbindable, or locked by a user namespace)",
    ("OP_PIVOT_ROOT", errno.EINVAL): "the host's root is a ramdisk: use --no-pivot",
    (
        "OP_MOUNT_NEW",
        errno.ENODEV,
    ): "the kernel does not know this file system type: its module may have to be loaded",
    (
        "OP_MOUNT_OLD",
        errno.ENODEV,
    ): "the kernel does not know this file system type: its module may have to be loaded",
    (
        "OP_MOUNT_NEW",
        errno.EPERM,
    ): "in a user namespace the kernel mounts few types, and proc and sysfs only where they are seen in full",
    (
        "OP_MOUNT_BIND",
        errno.ENOENT,
    ): "the source is looked up on the host, a relative one from the bundle: make it, or correct the path",
    (
        "OP_MOUNT_BIND",
        errno.EINVAL,
    ): "a mount at or below the source does not allow to be bound (unbindable, or locked by a user namespace)",
    (
        "OP_MOUNT_ATTR",
        errno.EPERM,
    ): "the source is mounted with this attribute by somebody with more privilege",
    ("OP_TARGET", errno.ELOOP): "the mount point, or a directory before it, is a symbolic link in the rootfs",
    ("OP_TARGET", errno.ENOTDIR): "a directory can only be mounted onto a directory, a file onto a file",
    ("OP_ATTACH", errno.ENOTDIR): "a directory can only be mounted onto a directory, a file onto a file",
    (
        "OP_TARGET",
        errno.EROFS,
    ): "the mount point is missing, and the file system it belongs to is read-only: make it before",
    ("OP_MKNOD", errno.EPERM): "device files need CAP_MKNOD on the host: bind the host's instead",
    ("OP_MKNOD", errno.ENOTDIR): "a part of the path is a file in the rootfs",
    (
        "OP_MASK",
        errno.ELOOP,
    ): "a symbolic link in the rootfs leads back to itself, or to a magic link of /proc",
    (
        "OP_READONLY",
        errno.ELOOP,
    ): "a symbolic link in the rootfs leads back to itself, or to a magic link of /proc",
    ("OP_CONSOLE", errno.ENOENT): "a terminal needs a devpts mounted on /dev/pts",
    ("OP_CONSOLE", errno.ENOSPC): "the limit of terminals is reached: see /proc/sys/kernel/pty",
    (
        "OP_RLIMIT",
        errno.EPERM,
    ): "a hard limit above the runtime's own needs CAP_SYS_RESOURCE (and for RLIMIT_NOFILE stays below fs.nr_open)",
    ("OP_SCHEDULER", errno.EPERM): _PRIVILEGE,
    ("OP_SCHEDULER", errno.EBUSY): "the CPUs have no time left to promise, or are shared with others",
    ("OP_IO_PRIORITY", errno.EPERM): _PRIVILEGE,
    (
        "OP_USER",
        errno.EINVAL,
    ): "the id is not mapped in linux.uidMappings or linux.gidMappings, or there are too many groups",
    (
        "OP_SECCOMP",
        errno.EINVAL,
    ): "this kernel does not know a flag or an action of the filter: `pyoci doctor` says which",
    ("OP_SECCOMP", errno.ENOMEM): "all filters of a process together have at most 32768 instructions",
    ("OP_CWD", errno.EACCES): "the user of the process may not enter it",
    ("OP_CWD", errno.ENOTDIR): "it is a file in the rootfs",
}
_LABELS = {
    ("/linux/sysctl", "open"): "this kernel, or the container's namespace, does not have it",
    ("/linux/sysctl", "write"): "the kernel takes no such value",
    (
        "apparmorProfile",
        "open",
    ): "this kernel has no AppArmor, or it is switched off: `pyoci doctor` shows it",
    (
        "apparmorProfile",
        "write",
    ): "the AppArmor profile is not loaded: apparmor_parser loads it, aa-status lists what is there",
    ("selinuxLabel", "open"): "this kernel has no SELinux, or it is switched off: `pyoci doctor` shows it",
    ("selinuxLabel", "write"): "SELinux is switched off, or its policy does not know this label",
}


def hint(name: str, error: int, step: str, pointer: str) -> str:
    """The hint for an op (its name in plan.h) of which a step has failed with an errno, or ""."""
    if error == errno.ENOSYS:
        return f"this kernel has no {step}; pyoci needs Linux 5.14 or later"
    if name == "OP_PROC_WRITE" and error in (errno.ENOENT, errno.EINVAL):
        return next((text for (part, at), text in _LABELS.items() if part in pointer and at == step), "")
    found = _HINTS.get((name, error), "")
    if not found and error == errno.ENOMEM:
        return "the kernel is out of memory, or the container's memory limit is too small to set it up"
    return found
