"""Id maps of a new user namespace: who its users and groups are on the host (user_namespaces(7))."""

import errno
import posix

from pyoci import userns
from pyoci.base import files, wait_status
from pyoci.base.errors import OciError, from_os_error
from pyoci.host import programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import IDMapping


# Engines call without PATH, and a program that gains privilege is not looked for where its caller says.
_TOOL_PLACES = ("/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin", "/usr/sbin", "/sbin")
_MOST_LINES = 340  # user_namespaces(7)
_TIMEOUT = 60  # seconds: the tools may ask a name service


class Kind:
    """What differs between the map of users and that of groups.

    name    "uid" or "gid"                      own     our own id of this kind
    tool    the program that writes such a map for users
    ranges  the file that says which ids it may give out
    member  of linux in config.json
    """

    def __init__(self, name: str, own: int, tool: str, ranges: str, member: str) -> None:
        self.name = name
        self.own = own
        self.tool = tool
        self.ranges = ranges
        self.member = member


def kinds() -> tuple[Kind, Kind]:
    """Users and groups, as this process sees them."""
    return (
        Kind("uid", posix.geteuid(), "newuidmap", "/etc/subuid", "uidMappings"),
        Kind("gid", posix.getegid(), "newgidmap", "/etc/subgid", "gidMappings"),
    )


def write_maps(pid: int, uid_maps: "list[IDMapping]", gid_maps: "list[IDMapping]", *, rootless: bool) -> None:
    """Write the maps of process `pid`, alone in its new user namespace.

    uid_maps, gid_maps  linux.uidMappings and linux.gidMappings
    rootless            we may lack the privilege to map any id: then a map of just our own id is written
                        after setgroups(2) was forbidden, larger ones by newuidmap and newgidmap

    For a caller without privilege the process must be dumpable, or its files in /proc belong to root.
    Raises OciError "idmap" whose pointer names the map.
    """
    users, groups = kinds()
    if not rootless:
        _write_direct(pid, users, uid_maps)
        _write_direct(pid, groups, gid_maps)
        return
    _write_rootless(pid, users, uid_maps)
    if _gives_up_setgroups(groups, gid_maps):
        _forbid_setgroups(pid)
    _write_rootless(pid, groups, gid_maps)


def allows_setgroups(gid_maps: "list[IDMapping]", *, rootless: bool) -> bool:
    """Whether setgroups(2) is allowed in a new user namespace that gets this map by write_maps(). Raises OSError."""
    if rootless and _gives_up_setgroups(kinds()[1], gid_maps):
        return False
    return userns.may_set_groups("self")  # what is denied here is denied in every namespace below


def _gives_up_setgroups(kind: Kind, gid_maps: "list[IDMapping]") -> bool:
    """Whether setgroups(2) is forbidden for the right to map our own group without privilege (user_namespaces(7))."""
    return posix.geteuid() != 0 and _only_own(kind, gid_maps)


def _write_rootless(pid: int, kind: Kind, maps: "list[IDMapping]") -> None:
    """Write a map ourselves where the kernel allows it, else through the setuid tool."""
    if kind.own == 0 or _only_own(kind, maps):
        try:
            _write(pid, kind, maps)
            return
        except PermissionError:
            pass  # the tool may do it, or say why not
        except OSError as error:
            raise _refused(kind, maps, error) from None
    _write_by_tool(pid, kind, maps)


def _only_own(kind: Kind, maps: "list[IDMapping]") -> bool:
    """Whether a map has nothing but our own id, which needs no privilege."""
    return len(maps) == 1 and maps[0]["size"] == 1 and maps[0]["hostID"] == kind.own


def _write_direct(pid: int, kind: Kind, maps: "list[IDMapping]") -> None:
    try:
        _write(pid, kind, maps)
    except OSError as error:
        raise _refused(kind, maps, error) from None


def _write(pid: int, kind: Kind, maps: "list[IDMapping]") -> None:
    """The kernel takes a map in a single write. Raises OSError."""
    lines = (f"{entry['containerID']} {entry['hostID']} {entry['size']}\n" for entry in maps)
    files.write(f"/proc/{pid}/{kind.name}_map", "".join(lines).encode())


def _forbid_setgroups(pid: int) -> None:
    try:
        files.write(f"/proc/{pid}/setgroups", b"deny")
    except OSError as error:
        message = "cannot deny setgroups(2) in the user namespace"
        raise from_os_error("idmap", message, error, pointer="/linux/gidMappings") from None


def _refused(kind: Kind, maps: "list[IDMapping]", error: OSError) -> OciError:
    """The kernel did not take a map: why it may be."""
    hint = ""
    if error.errno == errno.EINVAL and len(maps) > _MOST_LINES:
        hint = f"the kernel takes {_MOST_LINES} mappings at most, not {len(maps)}: make one of those that continue each other"
    elif error.errno == errno.EINVAL:
        hint = "mappings must not be empty or overlap, nor end above 4294967295, and together must fit into one memory page"
    elif error.errno == errno.EPERM:
        foreign = _not_mapped(kind, maps)
        hint = "mapping ids other than one's own needs CAP_SETUID and CAP_SETGID"
        if any(entry["hostID"] == 0 for entry in maps):
            # since Linux 5.12: else files could get capabilities that count outside, user_namespaces(7)
            hint = (
                "mapping the host id 0 needs CAP_SETFCAP, ids other than one's own CAP_SETUID and CAP_SETGID"
            )
        if foreign:
            hint = f"the host id {foreign} has no mapping in the user namespace the runtime itself runs in"
    message = f"the {kind.name} map ({_text(maps)}) cannot be written"
    return from_os_error("idmap", message, error, pointer=f"/linux/{kind.member}", hint=hint)


def _text(maps: "list[IDMapping]") -> str:
    shown = [f"{entry['containerID']} to {entry['hostID']} x {entry['size']}" for entry in maps[:5]]
    return ", ".join(shown) + (", ..." if len(maps) > 5 else "")


def _not_mapped(kind: Kind, maps: "list[IDMapping]") -> str:
    """The first host range of a map that our own user namespace lacks, or ""."""
    rows = files.read(f"/proc/self/{kind.name}_map").decode().splitlines()
    ranges = [(int(first), int(size)) for first, _, size in (row.split() for row in rows)]
    return _uncovered(maps, ranges)


def _uncovered(maps: "list[IDMapping]", ranges: list[tuple[int, int]]) -> str:
    """The first host range of a map that is not within one of the ranges, each (first, count), or ""."""
    for entry in maps:
        first, size = entry["hostID"], entry["size"]
        if not any(start <= first and first + size <= start + count for start, count in ranges):
            return f"{first}" if size == 1 else f"range {first} to {first + size - 1}"
    return ""


def _write_by_tool(pid: int, kind: Kind, maps: "list[IDMapping]") -> None:
    pointer = f"/linux/{kind.member}"
    path = find_tool(kind.tool)
    if not path:
        message = f"{kind.tool} is missing: without privileges it is needed to map any {kind.name} but the user's own"
        hint = "install it (Debian: uidmap)"
        raise OciError("idmap", message, pointer=pointer, errno=errno.ENOENT, obj=kind.tool, hint=hint)
    numbers = [
        str(number) for entry in maps for number in (entry["containerID"], entry["hostID"], entry["size"])
    ]
    try:
        status, *output = programs.run(path, [kind.tool, str(pid), *numbers], [], timeout=_TIMEOUT)
    except OSError as error:
        raise from_os_error("idmap", f"{path} cannot be started", error, pointer=pointer, obj=path) from None
    if status == 0:
        return
    said = "no end within a minute" if status == programs.TIMED_OUT else wait_status.in_words(status)
    shown = programs.one_line(b"\n".join(output))
    message = f"the {kind.name} map ({_text(maps)}) cannot be written: {kind.tool}: {shown or said}"
    raise OciError("idmap", message, pointer=pointer, obj=path, hint=_tool_hint(kind, maps, path))


def find_tool(name: str) -> str:
    """The path of newuidmap or newgidmap, or ""."""
    for place in _TOOL_PLACES:
        path = f"{place}/{name}"
        if posix.access(path, posix.X_OK):
            return path
    return ""


def _tool_hint(kind: Kind, maps: "list[IDMapping]", path: str) -> str:
    """Why a tool may have refused."""
    user = user_name()
    missing = _uncovered(maps, [*granted(kind, user), (kind.own, 1)])
    if missing:
        return f"{kind.ranges} does not grant {user} the host {kind.name} {missing}"
    if not posix.stat(path).st_mode & 0o6000:
        return f"{path} is not set-user-ID; it needs that bit, or file capabilities"
    return "no_new_privs, a nosuid mount or a process that is not dumpable can prevent the tool from working"


def user_name() -> str:
    """Our name in the user database, else the uid in digits."""
    import pwd

    uid = posix.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def granted(kind: Kind, user: str) -> list[tuple[int, int]]:
    """The ranges that subuid(5) or subgid(5) gives to us, each (first, count)."""
    try:
        rows = files.read(kind.ranges).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    found = []
    for row in rows:
        owner, _, numbers = row.partition(":")
        first, _, count = numbers.partition(":")
        if owner in (user, str(posix.getuid())) and first.isdecimal() and count.isdecimal():
            found.append((int(first), int(count)))
    return found
