"""The user namespace that a process is in (user_namespaces(7))."""

from pyoci.base import files


def is_nested() -> bool:
    """Whether this process is in another one than the first, which maps all ids to themselves: root here is not the host's."""
    try:
        return files.read("/proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]
    except OSError:
        return False


def may_set_groups(pid: int | str) -> bool:
    """Whether setgroups(2) is allowed in that of a process, a pid or "self". Raises OSError."""
    return files.read(f"/proc/{pid}/setgroups").strip() == b"allow"
