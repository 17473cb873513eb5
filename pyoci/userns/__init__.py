"""The user namespace that a process is in (user_namespaces(7))."""

import posix

from pyoci.base import files
from pyoci.base.errors import unreadable_proc

_INITIAL = 0xEFFFFFFD  # the inode of the initial one, in every kernel (PROC_USER_INIT_INO)


def is_nested() -> bool:
    """Whether this process is in another one than the initial one: root here is not the host's.

    The map does not tell: a nested namespace may map all ids to themselves, and container managers make such ones.
    """
    try:
        return posix.stat("/proc/self/ns/user").st_ino != _INITIAL
    except OSError:
        return False


def may_set_groups(pid: int | str) -> bool:
    """Whether setgroups(2) is allowed in that of a process, a pid or "self".

    Raises ProcessLookupError or FileNotFoundError for one that is gone, OciError where procfs fails.
    """
    path = f"/proc/{pid}/setgroups"
    if pid == "self" and not is_nested():
        return True  # it cannot be denied in the initial namespace, and a kernel without user namespaces has no such file
    try:
        return files.read(path).strip() == b"allow"
    except (FileNotFoundError, ProcessLookupError):
        raise
    except OSError as error:
        raise unreadable_proc(path, error) from None
