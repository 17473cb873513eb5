"""linux.namespaces -> how the init is born, and what it leaves behind first (namespaces(7))."""

from pyoci._shim import lib
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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


def entries(spec: "dict[str, Any]") -> "list[dict[str, Any]]":
    """linux.namespaces, or [] ."""
    return (spec.get("linux") or {}).get("namespaces") or []


def has(spec: "dict[str, Any]", kind: str) -> bool:
    """Whether the container gets a namespace of this type other than the runtime's, be it new or joined."""
    return any(entry["type"] == kind for entry in entries(spec))


def is_new(spec: "dict[str, Any]", kind: str) -> bool:
    """Whether a new namespace of this type is made."""
    return any(entry["type"] == kind and not entry.get("path") for entry in entries(spec))


def birth(spec: "dict[str, Any]") -> Birth:
    """Sort the namespaces by the moment they are entered. cgroup and time come later, see add_late()."""
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


def early(spec: "dict[str, Any]", made: int = 0, cgroup_fds: int = 0) -> Plan:
    """The first plan: what needs nothing but the list of namespaces and takes the kernel longest.

    made        CLONE_NEW* flags of those that the init is born into already
    cgroup_fds  count of `tasks` files (cgroup v1) that it has to write itself into before anybody else can see it
    """
    plan = Plan()
    found = birth(spec)
    add_cgroup(plan, cgroup_fds)
    for kind, path, index in found.joined:
        add_join(plan, kind, path, f"/linux/namespaces/{index}")
    if found.forks:
        add_fork(plan, found.born, "/linux/namespaces")
    # One that is born in a user namespace became its root before its execve(2), which takes the privileges of anybody else.
    if has(spec, "user") and (found.forks or not found.born & NEWUSER):
        plan.add(lib.OP_BECOME_ROOT, "/linux/namespaces", "root of the user namespace")
    flags = found.unshared
    if flags & ~made:
        names = ", ".join([name for name, flag in FLAGS.items() if flags & flag])
        plan.add(lib.OP_UNSHARE, "/linux/namespaces", f"new namespaces: {names}", numbers=(flags,))
    if flags & NEWNET:
        plan.add(lib.OP_LOOPBACK, "/linux/namespaces", "loopback interface")
    return plan


def add_join(plan: Plan, kind: str, path: str, pointer: str) -> None:
    """Join a namespace by its path."""
    register = plan.carry("namespace", kind, path, f"{pointer}/path")
    plan.add(lib.OP_JOIN, pointer, f"{kind} namespace {path}", fd=register, numbers=(FLAGS[kind],))


def add_fork(plan: Plan, born: int, pointer: str) -> None:
    """A child goes on, born in new namespaces (CLONE_NEW*)."""
    names = [name for name, flag in FLAGS.items() if born & flag]
    about = f"process in new namespaces: {', '.join(names)}" if names else "process in the namespaces joined"
    plan.add(lib.OP_FORK, pointer, about, numbers=(born,))


def add_cgroup(plan: Plan, count: int) -> None:
    """cgroup v1: the init moves itself by `count` files; in v2 it was born in its cgroup."""
    if count:
        registers = [plan.carry("cgroup", index) for index in range(count)]
        plan.add(lib.OP_CGROUP_JOIN, "/linux/cgroupsPath", "cgroup", fd=registers[0], numbers=(count,))


def add_late(plan: Plan, spec: "dict[str, Any]", facts: Facts) -> None:
    """What has to wait: the cgroup namespace starts where the init is then, the time namespace wants its offsets first."""
    for index, entry in enumerate(entries(spec)):
        if entry["type"] == "time" and entry.get("path"):
            add_join(plan, "time", entry["path"], f"/linux/namespaces/{index}")
    add_cgroup(plan, facts.cgroup_fds)
    if is_new(spec, "cgroup"):
        plan.add(lib.OP_UNSHARE, "/linux/namespaces", "new namespaces: cgroup", numbers=(NEWCGROUP,))
    if is_new(spec, "time"):
        offsets = (spec.get("linux") or {}).get("timeOffsets") or {}
        lines = "".join(
            [
                f"{clock} {value.get('secs', 0)} {value.get('nanosecs', 0)}\n"
                for clock, value in offsets.items()
            ]
        )
        plan.add(lib.OP_TIME_OFFSETS, "/linux/timeOffsets", "time namespace", texts=(lines,))
