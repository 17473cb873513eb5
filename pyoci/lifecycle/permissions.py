"""Who may write to ROOT, to an entry of it, and to the directories on the way: whoever can, can forge the state of containers.

ROOT and ROOT/ID belong to root or to the caller, and no one else may write there. Each directory above may have the sticky bit
instead, as /tmp has: only the owner of a name replaces it there. In a user namespace the host's root shows as the overflow uid.

The group may write where it is the caller's own: where the umask is 002, users have groups of their own. An ACL that lets others
write shows in the mode, whose bits of the group are then its mask (acl(5)); so it is read only where they let the group write.
"""

import errno
import posix
import stat

from pyoci import userns
from pyoci.base import files
from pyoci.base.errors import OciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyoci.base.context import Context

_ACL_HEADER, _ACL_ENTRY = 4, 8  # bytes of linux/posix_acl_xattr.h
_ACL_USER, _ACL_GROUP_OBJ, _ACL_GROUP, _ACL_WRITE = 0x02, 0x04, 0x08, 0x02
_MOST_LINKS = 40  # as the kernel follows them
_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-./:@%"


def check_root(context: "Context", root: str, *, acts: bool) -> None:
    """Judge ROOT and its parents, once for each command.

    acts  Raise OciError `state-unsafe`; a command that only reads logs a warning instead.
    """
    known = root in context.roots
    if not known:
        context.roots[root] = of_root(root, given=context.root_given)
    problem = context.roots[root]
    if problem and (acts or not known):
        _say(context, problem, acts)


def check_entry(context: "Context", path: str, directory: int, *, acts: bool) -> None:
    """Judge an open ROOT/ID as check_root() judges ROOT."""
    facts = posix.fstat(directory)
    problem = _unsafe(path, facts, posix.geteuid(), any_owner=context.root_given)
    if problem:
        _say(context, problem, acts)


def of_root(root: str, *, given: bool) -> "tuple[str, str, str] | None":
    """The first directory from "/" to ROOT that others may write to: its path, why, and the command that mends it.

    given  by --root: then root acts on another user's ROOT. A ROOT that is missing or can't be reached is left to its user.
    """
    user = posix.geteuid()
    last = None
    try:
        for path, facts in _components(root):
            if last and (problem := _unsafe(*last, user, any_owner=given, above=True)):
                return problem
            last = path, facts
    except OSError:
        return _unsafe(*last, user, any_owner=given, above=True) if last else None
    return _unsafe(*last, user, any_owner=given) if last else None


def _components(path: str) -> "Iterator[tuple[str, posix.stat_result]]":
    """Each directory and each link that the kernel passes on the way to an absolute path. Raises OSError."""
    yield "/", posix.lstat("/")
    left = path.split("/")[::-1]
    at, links = "", 0
    while left:
        name = left.pop()
        if name in ("", "."):
            continue
        if name == "..":
            at = at.rpartition("/")[0]
            yield at or "/", posix.lstat(at or "/")
            continue
        here = f"{at}/{name}"
        facts = posix.lstat(here)
        yield here, facts
        if not stat.S_ISLNK(facts.st_mode):
            at = here
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, here)
        target = posix.readlink(here)
        if target[:1] == "/":
            at = ""
            yield "/", posix.lstat("/")
        left += target.split("/")[::-1]


def _unsafe(
    path: str, facts: "posix.stat_result", user: int, *, any_owner: bool, above: bool = False
) -> "tuple[str, str, str] | None":
    """Why a directory is unsafe, None when it is not: its path, the reason, and the command that mends it.

    any_owner  root has named ROOT, and so trusts whoever it belongs to    above  it is a parent of ROOT
    """
    owner, mode = facts.st_uid, facts.st_mode
    named = _quoted(path)
    if owner not in (0, user) and not (any_owner and user == 0) and not (above and _is_hosts_root(owner)):
        option = "-h " if stat.S_ISLNK(mode) else ""
        return path, f"it belongs to uid {owner}", f"chown {option}{0 if above else user} {named}"
    if stat.S_ISLNK(mode) or (above and mode & stat.S_ISVTX):
        return None
    who = "g" if mode & stat.S_IWGRP and _group_writes(path, facts, user) else ""
    who += "o" if mode & stat.S_IWOTH else ""
    if not who:
        return None
    return path, f"others may write to it (mode {stat.S_IMODE(mode):04o})", f"chmod {who}-w {named}"


def _group_writes(path: str, facts: "posix.stat_result", user: int) -> bool:
    """Whether others may write by the write bit of the group: by the ACL, where there is one."""
    group = posix.getegid()
    try:
        acl = posix.getxattr(path, "system.posix_acl_access")
    except OSError:
        return facts.st_gid != group
    import _struct

    for at in range(_ACL_HEADER, len(acl), _ACL_ENTRY):
        tag, bits, id = _struct.unpack_from("<HHI", acl, at)
        if not bits & _ACL_WRITE:
            continue
        if tag == _ACL_USER and id not in (0, user, facts.st_uid):
            return True
        if (tag == _ACL_GROUP and id != group) or (tag == _ACL_GROUP_OBJ and facts.st_gid != group):
            return True
    return False


def _is_hosts_root(owner: int) -> bool:
    """Whether this is how a user namespace shows the root of the host, and everybody else who has no id in it."""
    if not userns.is_nested():
        return False
    try:
        return owner == int(files.read("/proc/sys/kernel/overflowuid"))
    except (OSError, ValueError):
        return False


def _say(context: "Context", problem: "tuple[str, str, str]", acts: bool) -> None:
    path, why, command = problem
    message = f"the state in {path} can be forged: {why}"
    if acts:
        raise OciError(
            "state-unsafe",
            message,
            obj=path,
            hint=f"`{command}` mends it, once what it holds is known to be right",
        )
    context.log.warning(f"{message}; `{command}` mends it", code="state-unsafe")


def _quoted(path: str) -> str:
    """A path as a shell takes it."""
    if all(sign in _PLAIN for sign in path):
        return path
    return "'" + path.replace("'", "'\\''") + "'"
