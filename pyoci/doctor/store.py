"""ROOT, the directory of the containers' state."""

import os
import stat

from pyoci.doctor.check import NO, YES, Check
from pyoci.host import mountinfo
from pyoci.lifecycle import permissions

AREA = "state"
_LEAST = 16 << 20  # bytes that should be free
_MEMORY = {"tmpfs", "ramfs"}
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"}


def checks(root: str, *, given: bool) -> list[Check]:
    """All checks of ROOT, given by --root or not; it is looked at and not made."""
    place = root
    while not os.path.lexists(place):
        place = os.path.dirname(place) or "/"
    found = [_writable(root, place)]
    if found[0].result == YES:
        found += [_private(root, given), _lasting(place), _room(place)]
    return found


def _writable(root: str, place: str) -> Check:
    """A directory, or one that can be made below the first that there is."""
    name, cost = f"{root} is writable", "no container can be created"
    hint = "choose another with --root" + ("" if os.geteuid() == 0 else ", or set XDG_RUNTIME_DIR")
    if not os.path.isdir(place):
        return Check(AREA, name, NO, f"{place} is no directory", cost, hint, needed=True)
    if not os.access(place, os.W_OK | os.X_OK):
        read_only = os.statvfs(place).f_flag & os.ST_RDONLY
        why = f"{place} is on a read-only file system" if read_only else f"{place} belongs to another user"
        return Check(AREA, name, NO, why, cost, hint, needed=True)
    return Check(AREA, name, YES, "" if place == root else "it will be made", needed=True)


def _private(root: str, given: bool) -> Check:
    """Who can write there can have the runtime, as root, kill and remove what they like."""
    name = "only its owner can write there"
    if not os.path.isdir(root):
        return Check(AREA, name, YES, "it will be made with mode 0700")
    unsafe = permissions.of_root(root, given=given)
    if unsafe is None:
        return Check(AREA, name, YES, f"mode {stat.S_IMODE(os.stat(root).st_mode):04o}")
    path, why, command = unsafe
    cost = "others can forge the state of containers: commands that act on them are refused"
    return Check(AREA, name, NO, f"{path}: {why}", cost, command)


def _lasting(place: str) -> Check:
    """State must not outlive the machine's boot, nor be shared between machines."""
    kind, point = _file_system(place)
    name = "it ends with the machine's boot"
    if kind in _REMOTE:
        why = f"{point} is {kind}"
        return Check(AREA, name, NO, why, "locks and fifos may not work there", "choose a tmpfs with --root")
    if kind in _MEMORY:
        return Check(AREA, name, YES, f"{kind} on {point}")
    cost = "after a reboot the earlier containers are still listed, as stopped"
    return Check(AREA, name, NO, f"{kind} on {point}", cost, "choose a tmpfs with --root, or delete them")


def _file_system(path: str) -> tuple[str, str]:
    """Type and mount point of the file system that a path is on, from /proc/self/mountinfo."""
    found = mountinfo.holding(mountinfo.read(), os.path.realpath(path))
    return (found.type, found.point) if found else ("", "")


def _room(place: str) -> Check:
    facts = os.statvfs(place)
    free = facts.f_bavail * facts.f_frsize
    if free < _LEAST:
        why, works = f"{free >> 10} KiB left", False
    elif facts.f_files and facts.f_favail < 100:
        why, works = f"{facts.f_favail} inodes left", False
    else:
        why, works = f"{free >> 20} MiB left", True
    cost = "" if works else "no container can be created when it is full"
    return Check(AREA, "enough space", YES if works else NO, why, cost, needed=free < 1 << 16)
