"""What recursive options of a bind mount must not clear in a user namespace: the flags that count as locked.

The kernel would lock the flags of the host's mounts if the user namespace had copied them (mount_namespaces(7)), but the copy of
the tree is made by the host's root. What options say of the mount itself op_bind_attributes judges; a recursive one such as "rrw"
acts on all mounts of the tree, whose flags the host's mountinfo tells.
"""

import errno
import posix

from pyoci.base import files
from pyoci.base.errors import OciError
from pyoci.host import mountinfo
from pyoci.host.mountinfo import Mount
from pyoci.plan.hints import LOCKED
from pyoci.spec import mount_options, paths

_NAMES = {
    "ro": mount_options.RDONLY,
    "nosuid": mount_options.NOSUID,
    "nodev": mount_options.NODEV,
    "noexec": mount_options.NOEXEC,
    "noatime": mount_options.NOATIME,
    "nodiratime": mount_options.NODIRATIME,
}
_TIMES = mount_options.ATIME_MASK | mount_options.NODIRATIME


def check(
    mounts: list[Mount],
    source: str,
    directory: int,
    *,
    recursive: bool,
    set: int,
    clear: int,
    about: str,
    pointer: str,
) -> None:
    """Raise OciError, EPERM, where MOUNT_ATTR_* to set and to clear would clear a flag of a mount at a source, or below it.

    mounts     of our mount namespace
    directory  a descriptor of the directory that a relative source starts from
    recursive  the mounts below the source are copied, too
    """
    try:
        fd = posix.open(source, posix.O_PATH | posix.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return  # it cannot be opened as a tree either
    try:
        place = posix.readlink(f"/proc/self/fd/{fd}")
    finally:
        files.close(fd)
    for have in flags_of(mounts, place, recursive=recursive):
        name = lost(have, set, clear)
        if name:
            message = f"{about}: mount_setattr {name}"
            raise OciError("mount", message, errno=errno.EPERM, pointer=pointer, obj=name, hint=LOCKED)


def flags_of(mounts: list[Mount], place: str, *, recursive: bool) -> list[int]:
    """MOUNT_ATTR_* of the mount that a path is in and, with `recursive`, of those below the path."""
    own = mountinfo.holding(mounts, place)
    found = [own] if own else []
    if recursive:
        found += [mount for mount in mounts if mount.point != place and paths.is_within(mount.point, place)]
    return [_attributes(mount.options) for mount in found]


def lost(have: int, set: int, clear: int) -> str:
    """The name of a flag that would go, "" where none does. The ways to keep access times are one value, which must stay."""
    gone = have & clear & ~set & ~_TIMES
    if (set | clear) & _TIMES and (have & ~clear | set) & _TIMES != have & _TIMES:
        gone |= have & _TIMES
        if not gone:
            return "relatime"
    if gone & mount_options.STRICTATIME:
        return "strictatime"
    return next((name for name, flag in _NAMES.items() if gone & flag), "")


def _attributes(words: list[str]) -> int:
    have = sum([_NAMES[word] for word in words if word in _NAMES])
    return have if "noatime" in words or "relatime" in words else have | mount_options.STRICTATIME
