"""What to do about a failed op: one line for what people meet, nothing where the error's own words say it all."""

import errno

from pyoci.spec.versions import KERNEL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from pyoci._ops import OpName, Step

_NAMESPACES = "the limit of namespaces is reached: raise /proc/sys/user/max_*_namespaces"
DEADLINE = "SCHED_DEADLINE is for processes that may run on all CPUs: omit linux.resources.cpu.cpus"
_PRIVILEGE = "this needs CAP_SYS_NICE in the initial user namespace: a user namespace does not grant it"
_FILTER_UNKNOWN = "this kernel does not support a flag or an action of the filter: `pyoci doctor` shows which"
_FILTER_LONG = "all filters of a process together may have 32768 instructions at most: shorten the profile"
_ONE_LISTENER = "pyoci itself is under a filter that notifies an agent, and there can be one: run it without"
_ONE_MORE_THREAD = (
    "a filter that notifies takes one more thread for a moment: raise pids.limit or RLIMIT_NPROC, or give"
    " SCHED_DEADLINE the flag SCHED_FLAG_RESET_ON_FORK"
)

# what is missing in the rootfs could not be made there
_MAKING: "tuple[Step, ...]" = ("mkdir", "create")
_MAY_NOT = "the container's root may not write there: create {} in the rootfs, or make that directory the container root's own"
_MISSING: dict[int, str] = {
    errno.EACCES: _MAY_NOT,
    errno.EPERM: _MAY_NOT,
    errno.EROFS: "it is missing and its file system is read-only: create {} beforehand",
}
_NO_NODES = "no device nodes can be made in a user namespace, so the host's is used: make {} there (mknod), or omit the device"
_UTS = "the uts namespace belongs to another user namespace: give the container a new one, without a path"
_TYPE = "the kernel does not know this file system type: correct it, or load the module"
_UNMAPPED = (
    "in a user namespace this takes ids that it maps: use one of /proc/PID/uid_map or gid_map, or omit it"
)
_KINDS = "a directory can only be mounted onto a directory, a file onto a file"
LOCKED = "the attribute is locked: the source was mounted with it outside this user namespace, so it cannot be cleared"
_NO_SELINUX = "file systems take no label where the kernel has no SELinux, or it is off: omit linux.mountLabel, or the option"
_RULE = 'create it in the rootfs or mount something there, correct the path, or add "optional": true to it'
_LOOP = "a symbolic link in the rootfs leads back to itself, or to a magic link of /proc"

# (op, step, errno) -> hint; "" for any step
_HINTS: "dict[tuple[OpName, Step | Literal[''], int], str]" = {
    ("unshare", "unshare", errno.ENOSPC): _NAMESPACES,
    (
        "unshare",
        "unshare",
        errno.EPERM,
    ): "without root a container needs a new user namespace: see `pyoci spec --rootless`",
    (
        "unshare",
        "unshare",
        errno.EINVAL,
    ): "this kernel does not support one of these namespaces: `pyoci doctor` shows which",
    ("time_namespace", "unshare", errno.ENOSPC): _NAMESPACES,
    ("time_namespace", "write", errno.ERANGE): "the offset would set the clock below 0 or above 146 years",
    (
        "join_session_keyring",
        "keyctl",
        errno.EDQUOT,
    ): "the user's quota of keys is used up: raise /proc/sys/kernel/keys/maxkeys, or use --no-new-keyring",
    ("sethostname", "sethostname", errno.EPERM): _UTS,
    ("setdomainname", "setdomainname", errno.EPERM): _UTS,
    (
        "mount_rootfs",
        "",
        errno.EINVAL,
    ): "a mount in or above the rootfs cannot be bind-mounted: it is unbindable, or locked by a user namespace",
    (
        "host_propagation",
        "mount_setattr",
        errno.EINVAL,
    ): "the runtime's root is no mount point, as in a plain chroot: bind-mount that directory onto itself before the chroot",
    ("pivot_root", "pivot_root", errno.EINVAL): "the host's root is a ramdisk: use --no-pivot",
    ("fsmount", "fsopen", errno.ENODEV): _TYPE,
    ("mount", "mount", errno.ENODEV): _TYPE,
    (
        "fsmount",
        "",
        errno.EPERM,
    ): "a user namespace may mount few file system types, and proc and sysfs only where no part of the host's is covered",
    (
        "open_tree",
        "open_tree",
        errno.ENOENT,
    ): "the source is missing on the host (relative paths start at the bundle): create it, or correct the path",
    (
        "open_tree",
        "open_tree",
        errno.EINVAL,
    ): "a mount at or below the source cannot be bind-mounted: it is unbindable, or locked by a user namespace",
    (
        "mount_setattr",
        "mount_setattr",
        errno.EPERM,
    ): LOCKED,
    ("bind_attributes", "mount_setattr", errno.EPERM): LOCKED,
    (
        "mountpoint",
        "openat2",
        errno.ELOOP,
    ): "it must be mounted on ordinary directory: the mount point, or a directory above it, is a symbolic link",
    (
        "mountpoint",
        "openat2",
        errno.EBUSY,
    ): "a link or .. in the mount point leads to the root, and it is on the top of rootfs: only the first of mounts may be, as /",
    ("mountpoint", "", errno.ENOTDIR): _KINDS,
    ("move_mount", "move_mount", errno.ENOTDIR): _KINDS,
    (
        "mknod",
        "mknod",
        errno.EPERM,
    ): "device files need CAP_MKNOD in the initial user namespace: bind-mount the host's device instead",
    ("mknod", "", errno.ENOTDIR): "a component of the path is a file in the rootfs",
    ("mask_path", "openat2", errno.ELOOP): _LOOP,
    ("readonly_path", "openat2", errno.ELOOP): _LOOP,
    ("console", "openat2", errno.ENOENT): "a terminal needs devpts on /dev/pts: add that mount",
    ("console", "openat2", errno.ENOSPC): "the limit of terminals is reached: raise /proc/sys/kernel/pty/max",
    (
        "setrlimit",
        "setrlimit",
        errno.EPERM,
    ): "a hard limit above the runtime's own needs CAP_SYS_RESOURCE; RLIMIT_NOFILE cannot exceed fs.nr_open",
    ("sched_setattr", "sched_setattr", errno.EPERM): _PRIVILEGE,
    (
        "sched_setattr",
        "sched_setattr",
        errno.EBUSY,
    ): "the CPUs have no deadline bandwidth left, or the cpuset does not cover all CPUs of its scheduling domain",
    ("ioprio_set", "ioprio_set", errno.EPERM): _PRIVILEGE,
    (
        "set_mempolicy",
        "set_mempolicy",
        errno.EINVAL,
    ): "none of the nodes has memory and is in the container's cpuset (linux.resources.cpu.mems), or the kernel is"
    " too old: MPOL_PREFERRED_MANY came with Linux 5.15, MPOL_WEIGHTED_INTERLEAVE with 6.9",
    (
        "set_mempolicy",
        "set_mempolicy",
        errno.ENOSYS,
    ): "the kernel was built without CONFIG_NUMA: omit linux.memoryPolicy",
    (
        "sched_setaffinity",
        "sched_setaffinity",
        errno.EINVAL,
    ): "none of these processors is both online and in the container's cpuset (linux.resources.cpu.cpus)",
    (
        "user",
        "",
        errno.EINVAL,
    ): "the id is not mapped in linux.uidMappings or linux.gidMappings, or there are too many groups",
    ("seccomp", "seccomp", errno.EINVAL): _FILTER_UNKNOWN,
    ("seccomp_notify", "seccomp", errno.EINVAL): _FILTER_UNKNOWN,
    ("seccomp", "seccomp", errno.ENOMEM): _FILTER_LONG,
    ("seccomp_notify", "seccomp", errno.ENOMEM): _FILTER_LONG,
    ("seccomp_listener", "seccomp", errno.EINVAL): _FILTER_UNKNOWN,
    ("seccomp_listener", "seccomp", errno.ENOMEM): _FILTER_LONG,
    (
        "seccomp_listener",
        "seccomp",
        errno.EMFILE,
    ): "a filter with a listener takes one more descriptor: raise RLIMIT_NOFILE",
    ("seccomp_notify", "seccomp", errno.EBUSY): _ONE_LISTENER,
    ("seccomp_listener", "seccomp", errno.EBUSY): _ONE_LISTENER,
    ("seccomp_notify", "pthread_create", errno.EAGAIN): _ONE_MORE_THREAD,
    ("seccomp_listener", "pthread_create", errno.EAGAIN): _ONE_MORE_THREAD,
    ("landlock_path", "openat2", errno.ENOENT): _RULE,
    ("landlock_path", "openat2", errno.ENOTDIR): _RULE,
    ("landlock_path", "openat2", errno.ELOOP): _LOOP,
    (
        "landlock_path",
        "landlock_add_rule",
        errno.EINVAL,
    ): "it is no directory: execute, write_file, read_file, truncate and ioctl_dev are the rights that a file can have",
    (
        "landlock_path",
        "landlock_add_rule",
        errno.EBADFD,
    ): "Landlock has no rules for what is no part of the file system",
    (
        "landlock",
        "landlock_restrict_self",
        errno.EPERM,
    ): "without process.noNewPrivileges this takes CAP_SYS_ADMIN in the container's user namespace: set it to true",
    (
        "landlock",
        "landlock_restrict_self",
        errno.E2BIG,
    ): "pyoci itself is under as many Landlock rulesets as there can be, 16: run it outside of them",
    ("chdir", "chdir", errno.EACCES): "process.user may not enter this directory: correct its mode or owner",
    ("chdir", "chdir", errno.ENOTDIR): "it is a file in the rootfs",
}
# (part of the pointer, step) -> hint for a write into procfs that failed with ENOENT or EINVAL
_LABELS: "dict[tuple[str, Step], str]" = {
    (
        "/linux/sysctl",
        "open",
    ): "this kernel, or this namespace, does not have this sysctl: correct or omit it",
    ("/linux/sysctl", "write"): "the kernel rejects this value: correct it",
    (
        "apparmorProfile",
        "open",
    ): "this kernel has no AppArmor, or it is switched off: `pyoci doctor` shows it",
    (
        "apparmorProfile",
        "write",
    ): "the AppArmor profile is not loaded: load it with apparmor_parser (aa-status lists the loaded ones)",
    ("selinuxLabel", "open"): "this kernel has no SELinux, or it is switched off: `pyoci doctor` shows it",
    ("selinuxLabel", "write"): "SELinux is switched off, or its policy does not know this label",
}


def hint(name: str, step: str, error: int, pointer: str, obj: str) -> str:
    """The hint for an op of which a step has failed with an errno, or ""."""
    if name == "open_tree" and error == errno.ENOENT and not pointer.startswith("/mounts"):
        return _NO_NODES.format(obj)
    if step == "fsconfig" and error == errno.EINVAL and obj.startswith("context="):
        return _NO_SELINUX
    if step in _MAKING and error in _MISSING:
        return _MISSING[error].format(obj)
    if error == errno.EINVAL and (obj[:4] in ("uid=", "gid=") or obj.endswith("/ping_group_range")):
        return _UNMAPPED
    if name == "write_procfs" and error in (errno.ENOENT, errno.EINVAL):
        return next((text for (part, at), text in _LABELS.items() if part in pointer and at == step), "")
    found = next(
        (text for key, text in _HINTS.items() if key in ((name, step, error), (name, "", error))), ""
    )
    if not found and error == errno.ENOSYS and step:
        return f"this kernel has no {step}; pyoci needs Linux {KERNEL} or later"
    if not found and error == errno.ENOMEM:
        return "the kernel is out of memory, or the container's memory limit is too low for the set-up"
    return found
