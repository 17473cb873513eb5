"""Linux 5.14 for one process and its children: a seccomp filter that refuses what later kernels brought.

Only system calls and flags can be refused so; file systems and cgroup files stay those of the running kernel.
"""

from __future__ import annotations

import errno
import os

from . import refusals
from .refusals import Refusal

why_not = refusals.why_not

# The calls with a flag that is newer: number on x86-64, the argument that has the flags (from 0), the flags, the errno of 5.14.
MFD_NOEXEC_SEAL, MFD_EXEC = 0x08, 0x10  # 6.3
MOVE_MOUNT_SET_GROUP, MOVE_MOUNT_BENEATH = 0x100, 0x200  # 5.15, 6.5
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20  # 5.19
PIDFD_THREAD = os.O_EXCL  # 6.9
OPEN_TREE_NAMESPACE = 0x02  # 7.0
FLAGS = {
    "memfd_create": (319, 1, MFD_NOEXEC_SEAL | MFD_EXEC, errno.EINVAL),
    "seccomp": (317, 1, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, errno.EINVAL),
    "open_tree": (428, 2, OPEN_TREE_NAMESPACE, errno.EINVAL),
    "move_mount": (429, 4, MOVE_MOUNT_SET_GROUP | MOVE_MOUNT_BENEATH, errno.EINVAL),
    "pidfd_open": (434, 1, PIDFD_THREAD, errno.EINVAL),
}
# The last system call of 5.14 on every architecture is quotactl_fd, 443, landlock's three and memfd_secret follow: 447.
LAST_CALL = 447


def program() -> bytes:
    """The filter, as an array of struct sock_filter."""
    newer = [Refusal(number, error, argument, flags) for number, argument, flags, error in FLAGS.values()]
    return refusals.program(newer, last_call=LAST_CALL)


def enter() -> None:
    """Load the filter into the calling process; for `preexec_fn` of subprocess."""
    refusals.load(program())
