"""linux.namespaces: the types with their CLONE_NEW* flags, and how a container's init comes into each (namespaces(7))."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Namespace, Spec


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
JOIN_ORDER = ("user", "pid", "uts", "ipc", "network", "cgroup", "time", "mount")


class Sorted:
    """linux.namespaces, sorted by the way the init comes into each.

    clone_flags    CLONE_NEW* of the clone: a pid namespace holds children only, a user namespace must own the others
    joined         (type, path, index in linux.namespaces) of what it joins by setns(2), in this order
    forks          a child goes on after the joining: it alone is in a joined pid namespace, or owned by a joined user namespace,
                   and it is the one to be cloned into a user namespace of its own, which must not be there before
    unshare_flags  CLONE_NEW* that the init unshares, while the runtime still compiles
    ahead          those of unshare_flags that are made before the init is there, which no user namespace has to own
    """

    __slots__ = ("ahead", "clone_flags", "joined", "forks", "unshare_flags")

    def __init__(self) -> None:
        self.clone_flags = 0
        self.joined: list[tuple[str, str, int]] = []
        self.forks = False
        self.unshare_flags = 0
        self.ahead = 0

    @property
    def joins_user(self) -> bool:
        """Whether the init stays in a user namespace that it joins."""
        return not self.clone_flags & NEWUSER and any(kind == "user" for kind, _, _ in self.joined)


def entries(spec: "Spec") -> "list[Namespace]":
    """linux.namespaces, or [] ."""
    return (spec.get("linux") or {}).get("namespaces") or []


def has(spec: "Spec", kind: str) -> bool:
    """Whether the container gets a namespace of this type other than the runtime's, be it new or joined."""
    return any(entry["type"] == kind for entry in entries(spec))


def is_new(spec: "Spec", kind: str) -> bool:
    """Whether a new namespace of this type is made."""
    return any(entry["type"] == kind and not entry.get("path") for entry in entries(spec))


def sort(spec: "Spec") -> Sorted:
    """Sort the namespaces by the moment they are entered.

    A new cgroup or time namespace comes later, see `pyoci.plan.namespaces.add_late`.
    """
    found = Sorted()
    for index, entry in enumerate(entries(spec)):
        kind, path = entry["type"], entry.get("path")
        if path:
            found.joined.append((kind, path, index))
        elif kind in ("pid", "user"):
            found.clone_flags |= FLAGS[kind]
        elif kind not in ("cgroup", "time"):
            found.unshare_flags |= FLAGS[kind]
    found.joined.sort(key=lambda item: JOIN_ORDER.index(item[0]))
    kinds = {kind for kind, _, _ in found.joined}
    found.forks = "pid" in kinds or bool(
        kinds and found.clone_flags and ("user" in kinds or found.clone_flags & FLAGS["user"])
    )
    if not (found.forks or "user" in kinds or found.clone_flags & FLAGS["user"]):
        found.ahead = found.unshare_flags
    return found
