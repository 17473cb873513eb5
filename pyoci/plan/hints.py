"""What to do about a failed op: one line for what people meet, nothing where the error's own words say it all."""

import errno

from pyoci.spec.versions import KERNEL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from pyoci._ops import OpName, Step

_NAMESPACES = "the limit of namespaces is reached: see /proc/sys/user/max_*_namespaces"
_PRIVILEGE = "it needs CAP_SYS_NICE on the host, which a user namespace does not give"

# what is missing in the rootfs could not be made there
_MAKING: "tuple[Step, ...]" = ("mkdir", "create")
_MAY_NOT = "the container's root may not write there: make {} in the rootfs before, or give it that directory"
_MISSING: dict[int, str] = {
    errno.EACCES: _MAY_NOT,
    errno.EPERM: _MAY_NOT,
    errno.EROFS: "it is missing, and the file system it belongs to is read-only: make {} before",
}
_UTS = "the uts namespace belongs to another user namespace: let the container have a new one"
_TYPE = "the kernel does not know this file system type: its module may have to be loaded"
_KINDS = "a directory can only be mounted onto a directory, a file onto a file"
_LOOP = "a symbolic link in the rootfs leads back to itself, or to a magic link of /proc"

# (op, step, errno) -> hint; "" for any step
_HINTS: "dict[tuple[OpName, Step | Literal[''], int], str]" = {
    ("unshare", "unshare", errno.ENOSPC): _NAMESPACES,
    ("unshare", "unshare", errno.EPERM): "without root a container needs a user namespace of its own",
    (
        "unshare",
        "unshare",
        errno.EINVAL,
    ): "this kernel lacks one of these namespaces: `pyoci doctor` says which",
    ("time_namespace", "unshare", errno.ENOSPC): _NAMESPACES,
    ("time_namespace", "write", errno.ERANGE): "the clock would stand before 0 or beyond 146 years",
    (
        "join_session_keyring",
        "keyctl",
        errno.EDQUOT,
    ): "the user's quota of keys is used up: see /proc/sys/kernel/keys, or use --no-new-keyring",
    ("sethostname", "sethostname", errno.EPERM): _UTS,
    ("setdomainname", "setdomainname", errno.EPERM): _UTS,
    (
        "mount_rootfs",
        "",
        errno.EINVAL,
    ): "a mount in or above the rootfs does not allow to be bound (unbindable, or locked by a user namespace)",
    ("pivot_root", "pivot_root", errno.EINVAL): "the host's root is a ramdisk: use --no-pivot",
    ("fsmount", "fsopen", errno.ENODEV): _TYPE,
    ("mount", "mount", errno.ENODEV): _TYPE,
    (
        "fsmount",
        "",
        errno.EPERM,
    ): "in a user namespace the kernel mounts few types, and proc and sysfs only where they are seen in full",
    (
        "open_tree",
        "open_tree",
        errno.ENOENT,
    ): "the source is looked up on the host, a relative one from the bundle: make it, or correct the path",
    (
        "open_tree",
        "open_tree",
        errno.EINVAL,
    ): "a mount at or below the source does not allow to be bound (unbindable, or locked by a user namespace)",
    (
        "mount_setattr",
        "mount_setattr",
        errno.EPERM,
    ): "the source is mounted with this attribute by somebody with more privilege",
    (
        "mountpoint",
        "openat2",
        errno.ELOOP,
    ): "the mount point, or a directory before it, is a symbolic link in the rootfs",
    ("mountpoint", "", errno.ENOTDIR): _KINDS,
    ("move_mount", "move_mount", errno.ENOTDIR): _KINDS,
    ("mknod", "mknod", errno.EPERM): "device files need CAP_MKNOD on the host: bind the host's instead",
    ("mknod", "", errno.ENOTDIR): "a part of the path is a file in the rootfs",
    ("mask_path", "openat2", errno.ELOOP): _LOOP,
    ("readonly_path", "openat2", errno.ELOOP): _LOOP,
    ("console", "openat2", errno.ENOENT): "a terminal needs a devpts mounted on /dev/pts",
    ("console", "openat2", errno.ENOSPC): "the limit of terminals is reached: see /proc/sys/kernel/pty",
    (
        "setrlimit",
        "setrlimit",
        errno.EPERM,
    ): "a hard limit above the runtime's own needs CAP_SYS_RESOURCE (and for RLIMIT_NOFILE stays below fs.nr_open)",
    ("sched_setattr", "sched_setattr", errno.EPERM): _PRIVILEGE,
    (
        "sched_setattr",
        "sched_setattr",
        errno.EBUSY,
    ): "the CPUs have no time left to promise, or are shared with others",
    ("ioprio_set", "ioprio_set", errno.EPERM): _PRIVILEGE,
    (
        "user",
        "",
        errno.EINVAL,
    ): "the id is not mapped in linux.uidMappings or linux.gidMappings, or there are too many groups",
    (
        "seccomp",
        "seccomp",
        errno.EINVAL,
    ): "this kernel does not know a flag or an action of the filter: `pyoci doctor` says which",
    ("seccomp", "seccomp", errno.ENOMEM): "all filters of a process together have at most 32768 instructions",
    ("chdir", "chdir", errno.EACCES): "the user of the process may not enter it",
    ("chdir", "chdir", errno.ENOTDIR): "it is a file in the rootfs",
}
# (part of the pointer, step) -> hint for a write into procfs that failed with ENOENT or EINVAL
_LABELS: "dict[tuple[str, Step], str]" = {
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


def hint(name: str, step: str, error: int, pointer: str, obj: str) -> str:
    """The hint for an op of which a step has failed with an errno, or ""."""
    if error == errno.ENOSYS:
        return f"this kernel has no {step}; pyoci needs Linux {KERNEL} or later" if step else ""
    if step in _MAKING and error in _MISSING:
        return _MISSING[error].format(obj)
    if name == "write_procfs" and error in (errno.ENOENT, errno.EINVAL):
        return next((text for (part, at), text in _LABELS.items() if part in pointer and at == step), "")
    found = next(
        (text for key, text in _HINTS.items() if key in ((name, step, error), (name, "", error))), ""
    )
    if not found and error == errno.ENOMEM:
        return "the kernel is out of memory, or the container's memory limit is too small to set it up"
    return found
