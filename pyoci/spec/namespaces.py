"""linux.namespaces: the types with their CLONE_NEW* flags, and how a container's init comes into each (namespaces(7))."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.spec.spec_types import Namespace


NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x80,
    0x20000,
    0x2000000,
    0x4000000,
    0x8000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
FLAGS: dict[str, int] = {
    "time": NEWTIME,
    "mount": NEWNS,
    "cgroup": NEWCGROUP,
    "uts": NEWUTS,
    "ipc": NEWIPC,
    "user": NEWUSER,
    "pid": NEWPID,
    "network": NEWNET,
}
# Joined in this order: the user namespace gives the privilege to join what it owns, the mount namespace changes all paths.
JOIN_ORDER = ("user", "pid", "uts", "ipc", "network", "cgroup", "mount")


class Birth:
    """How the init is started: what it is born in, what it joins, what it unshares first thing.

    born      CLONE_NEW* of the clone: a pid namespace holds children only, a user namespace must own the others
    joined    (type, path, index in linux.namespaces) of what is joined by path, in the order of joining
    forks     a child goes on behind the joining: it alone is in a joined pid namespace, or owned by a joined user namespace, and
              it is the one to be born in a user namespace of its own, which must not be there before
    unshared  CLONE_NEW* for the init itself: made while the runtime still compiles
    """

    __slots__ = ("born", "joined", "forks", "unshared")

    def __init__(self) -> None:
        self.born = 0
        self.joined: list[tuple[str, str, int]] = []
        self.forks = False
        self.unshared = 0


def entries(spec: "Any") -> "list[Namespace]":
    """linux.namespaces, or [] ."""
    return (spec.get("linux") or {}).get("namespaces") or []


def has(spec: "Any", kind: str) -> bool:
    """Whether the container gets a namespace of this type other than the runtime's, be it new or joined."""
    return any(entry["type"] == kind for entry in entries(spec))


def is_new(spec: "Any", kind: str) -> bool:
    """Whether a new namespace of this type is made."""
    return any(entry["type"] == kind and not entry.get("path") for entry in entries(spec))


def birth(spec: "dict[str, Any]") -> Birth:
    """Sort the namespaces by the moment they are entered. cgroup and time come later, see `pyoci.plan.namespaces.add_late`."""
    found = Birth()
    for index, entry in enumerate(entries(spec)):
        kind, path = entry["type"], entry.get("path")
        if path:
            if kind != "time":
                found.joined.append((kind, path, index))
        elif kind in ("pid", "user"):
            found.born |= FLAGS[kind]
        elif kind not in ("cgroup", "time"):
            found.unshared |= FLAGS[kind]
    found.joined.sort(key=lambda item: JOIN_ORDER.index(item[0]))
    kinds = {kind for kind, _, _ in found.joined}
    found.forks = "pid" in kinds or bool(
        kinds and found.born and ("user" in kinds or found.born & FLAGS["user"])
    )
    return found
