"""The user namespace that a process is in (user_namespaces(7))."""

from pyoci.base import files
from pyoci.base.errors import unreadable_proc


def is_nested() -> bool:
    """Whether this process is in another one than the first, which maps all ids to themselves: root here is not the host's."""
    try:
        return files.read("/proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]
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
