"""Linux 5.14 for one process and its children: a seccomp filter that refuses what later kernels brought.

Only system calls and flags can be refused so; file systems and cgroup files stay those of the running kernel.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

from .bpf import ALLOW, ERRNO, X86_64

# The calls with a flag that is newer: number on x86-64, the argument that has the flags (from 0), the flags, the errno of 5.14.
MFD_NOEXEC_SEAL, MFD_EXEC = 0x08, 0x10  # 6.3
MOVE_MOUNT_SET_GROUP, MOVE_MOUNT_BENEATH = 0x100, 0x200  # 5.15, 6.5
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20  # 5.19
PIDFD_THREAD = os.O_EXCL  # 6.9
OPEN_TREE_NAMESPACE = 0x02  # 7.0
FLAGS = {
    "memfd_create": (319, 1, MFD_NOEXEC_SEAL | MFD_EXEC, 22),
    "seccomp": (317, 1, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, 22),
    "open_tree": (428, 2, OPEN_TREE_NAMESPACE, 22),
    "move_mount": (429, 4, MOVE_MOUNT_SET_GROUP | MOVE_MOUNT_BENEATH, 22),
    "pidfd_open": (434, 1, PIDFD_THREAD, 22),
}
# The last system call of 5.14 on every architecture is quotactl_fd, 443, landlock's three and memfd_secret follow: 447.
LAST_CALL = 447
ENOSYS = 38

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
LOAD, JUMP_EQUAL, JUMP_ABOVE, JUMP_BITS, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06


def program() -> bytes:
    """The filter, as an array of struct sock_filter."""
    code = [
        (LOAD, 0, 0, 4),
        (JUMP_EQUAL, 1, 0, X86_64),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, 0),
        (JUMP_ABOVE, 0, 1, LAST_CALL),
        (RETURN, 0, 0, ERRNO | ENOSYS),
    ]
    for number, argument, flags, errno in FLAGS.values():
        code += [
            (JUMP_EQUAL, 0, 4, number),
            (LOAD, 0, 0, 16 + 8 * argument),
            (JUMP_BITS, 0, 1, flags),
            (RETURN, 0, 0, ERRNO | errno),
            (RETURN, 0, 0, ALLOW),
        ]
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def why_not() -> str | None:
    """Why the filter can't be loaded here, or None."""
    if platform.machine() != "x86_64":
        return "the filter knows the system call numbers of x86-64"
    return None if os.geteuid() == 0 else "a filter without no_new_privs takes root"


def enter() -> None:
    """Load the filter into the calling process; for `preexec_fn` of subprocess."""
    text = program()
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = ctypes.create_string_buffer(text, len(text))
    head = struct.pack("@HP", len(text) // 8, ctypes.addressof(instructions))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(head, len(head))):
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")
