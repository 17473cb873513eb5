"""Why docker's default profile leaves out a system call: what who is in a container could do with it."""

from __future__ import annotations

_NAMESPACES = (
    "makes or joins namespaces; a new user namespace opens much of the kernel to a user without privileges"
)
_MOUNTS = "changes what is mounted, with CAP_SYS_ADMIN"
_MODULES = "handles modules of the kernel, with CAP_SYS_MODULE"
_KEYS = "the kernel's keyrings are those of the host"
_TIME = "the time is that of the host, unless it is of a time namespace"
_PORTS = "the input and output ports of the hardware"
_URING = "makes other system calls without the filter seeing them; a frequent place of holes in the kernel"
_OTHERS = "reads or changes the memory or the files of other processes"
_MEMORY = "places memory on the host's nodes; slows down others"
_SWAP = "the swap space is the host's"
_KEXEC = "replaces the running kernel, with CAP_SYS_BOOT"
_HANDLES = "opens files by number, past mounts and directories: the way out of a container of 2014"
_OLD = "old, hardly maintained, and needed by nothing of today"

RISKS: dict[str, str] = {
    "acct": "switches the accounting of processes of a whole pid namespace",
    "add_key": _KEYS,
    "bpf": "loads programs into the kernel; they may see and change what the whole host does",
    "clock_adjtime": _TIME,
    "clock_adjtime64": _TIME,
    "clock_settime": _TIME,
    "clock_settime64": _TIME,
    "clone": _NAMESPACES,
    "clone3": f"its flags are in memory, where no filter sees them: it {_NAMESPACES}",
    "create_module": _MODULES,
    "delete_module": _MODULES,
    "finit_module": _MODULES,
    "fsconfig": _MOUNTS,
    "fsmount": _MOUNTS,
    "fsopen": _MOUNTS,
    "fspick": _MOUNTS,
    "get_kernel_syms": _MODULES,
    "get_mempolicy": _MEMORY,
    "init_module": _MODULES,
    "io_uring_enter": _URING,
    "io_uring_register": _URING,
    "io_uring_setup": _URING,
    "ioperm": _PORTS,
    "iopl": _PORTS,
    "kcmp": "tells what other processes share, and something of the kernel's addresses",
    "kexec_file_load": _KEXEC,
    "kexec_load": _KEXEC,
    "keyctl": _KEYS,
    "lookup_dcookie": "tells profilers the paths of files; shows what the host has",
    "mbind": _MEMORY,
    "migrate_pages": _MEMORY,
    "mount": _MOUNTS,
    "mount_setattr": _MOUNTS,
    "move_mount": _MOUNTS,
    "move_pages": _MEMORY,
    "name_to_handle_at": _HANDLES,
    "nfsservctl": _OLD,
    "open_by_handle_at": _HANDLES,
    "open_tree": _MOUNTS,
    "open_tree_attr": _MOUNTS,
    "perf_event_open": "watches the processor and the kernel; a frequent place of holes",
    "personality": "switches off the random placement of memory, and on the habits of other systems",
    "pidfd_getfd": _OTHERS,
    "pivot_root": _MOUNTS,
    "process_madvise": _OTHERS,
    "process_vm_readv": _OTHERS,
    "process_vm_writev": _OTHERS,
    "ptrace": _OTHERS,
    "query_module": _MODULES,
    "quotactl": "sets the quotas of the host's file systems",
    "quotactl_fd": "sets the quotas of the host's file systems",
    "reboot": "ends the pid namespace, or the host",
    "request_key": _KEYS,
    "set_mempolicy": _MEMORY,
    "set_mempolicy_home_node": _MEMORY,
    "setdomainname": "changes the name of the uts namespace",
    "sethostname": "changes the name of the uts namespace",
    "setns": _NAMESPACES,
    "settimeofday": _TIME,
    "socket": "AF_VSOCK reaches the host from a virtual machine past every network namespace",
    "stime": _TIME,
    "swapoff": _SWAP,
    "swapon": _SWAP,
    "_sysctl": _OLD,
    "sysfs": _OLD,
    "syslog": "the kernel's log has the host's secrets and the kernel's addresses",
    "umount": _MOUNTS,
    "umount2": _MOUNTS,
    "unshare": _NAMESPACES,
    "uselib": _OLD,
    "userfaultfd": "stops the kernel in the midst of a system call, which many exploits need",
    "ustat": _OLD,
    "vhangup": "takes the terminal from others",
    "vm86": "the processor's mode for old programs, with few users and some holes",
    "vm86old": "the processor's mode for old programs, with few users and some holes",
}
