"""Control groups: how they are laid out here, and which limits a container can have."""

import os
import stat

from pyoci.cgroups import paths
from pyoci.cgroups.base import Request
from pyoci.doctor import kernel
from pyoci.doctor.check import NO, UNKNOWN, YES, Check, answer, read

AREA = "cgroups"

# controller: what of linux.resources needs it
_V2 = {
    "cpu": "resources.cpu shares, quota, period, burst, idle",
    "cpuset": "resources.cpu cpus and mems",
    "memory": "resources.memory; a container can take all of the host's",
    "pids": "resources.pids; a container can fork without end",
    "io": "resources.blockIO",
    "hugetlb": "resources.hugepageLimits",
    "rdma": "resources.rdma",
}
_DELEGABLE = (
    "cpu",
    "cpuset",
    "io",
    "memory",
    "pids",
)  # what systemd.resource-control(5) can delegate of these
_V1 = {
    **{name: cost for name, cost in _V2.items() if name != "io"},
    "blkio": _V2["io"],
    "devices": "resources.devices: root in a container can open every device of the host",
    "freezer": "pause and resume; kill --all may miss a process that forks meanwhile",
    "net_cls": "resources.network.classID",
    "net_prio": "resources.network.priorities",
}


def checks() -> list[Check]:
    """All checks of cgroups."""
    if paths.is_v2():
        return [Check(AREA, "cgroups", YES, "version 2"), *_checks_v2()]
    if paths.hierarchies():
        kind = "version 1, and a version 2 tree beside it" if paths.hybrid_mount() else "version 1"
        cost = (
            "" if os.geteuid() == 0 else "users can't be given cgroups of version 1: no limits without root"
        )
        return [Check(AREA, "cgroups", YES, kind, cost), *_checks_v1()]
    why = "nothing is mounted at /sys/fs/cgroup"
    hint = "mount -t cgroup2 cgroup2 /sys/fs/cgroup, or use --cgroup-manager disabled"
    return [Check(AREA, "cgroups", NO, why, "limits, pause, kill --all", hint, needed=True)]


# -- version 2


def _checks_v2() -> list[Check]:
    from pyoci.cgroups.v2 import V2

    try:
        place = V2.plan(Request("", "doctor")).main_path().rpartition("/")[0]
    except OSError as error:
        return [Check(AREA, "own cgroup", UNKNOWN, str(error))]
    own = _own_v2()
    found = [
        _writable(place, needed=os.geteuid() == 0),
        kernel.born_in_cgroup(AREA, own),
        kernel.device_programs(AREA),
    ]
    available = _available(place)
    found += [_controller_v2(name, cost, place, available) for name, cost in _V2.items()]
    return [*found, *_kill_and_swap(own)]


def _own_v2() -> str:
    return paths.own(paths.MOUNT, paths.of_process().get("", "/"))


def _writable(place: str, *, needed: bool) -> Check:
    """Whether a cgroup can be made below a directory; looked at, not tried: it would be on the machine."""
    name = f"cgroups can be made in {place}"
    cost = (
        "limits, unless systemd makes the cgroup: --systemd-cgroup"
        if not needed
        else "limits, pause, kill --all"
    )
    if os.access(place, os.W_OK):
        return Check(AREA, name, YES, needed=needed)
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        hint = "this is a container without a cgroup tree of its own: mount it writable, or delegate one"
        return Check(AREA, name, NO, "read-only file system", cost, hint, needed)
    return Check(
        AREA, name, NO, "permission denied", cost, "have systemd delegate one: --systemd-cgroup", needed
    )


def _available(place: str) -> set[str]:
    """Controllers that a cgroup below `place` can have: enabled there already, or to be enabled on the way down to it."""
    enabled = set(read(f"{place}/cgroup.subtree_control").split())
    if os.access(f"{place}/cgroup.subtree_control", os.W_OK):
        enabled |= set(read(f"{place}/cgroup.controllers").split())
        if place != paths.MOUNT:
            enabled |= _available(os.path.dirname(place))
    return enabled | _of_user_manager()


def _of_user_manager() -> set[str]:
    """What systemd gives to an ordinary user's own manager, and so to scopes made by --systemd-cgroup."""
    if os.geteuid() == 0:
        return set()
    uid = os.getuid()
    return set(
        read(f"{paths.MOUNT}/user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers").split()
    )


def _controller_v2(name: str, cost: str, place: str, available: set[str]) -> Check:
    if name in available:
        return Check(AREA, f"controller {name}", YES)
    if name not in read(f"{paths.MOUNT}/cgroup.controllers").split():
        why, hint = "this kernel, or this part of the tree, does not have it", ""
    else:
        why = f"not given to {place}"
        given = os.geteuid() != 0 and name in _DELEGABLE
        hint = f"systemctl edit user@.service: [Service] Delegate={' '.join(_DELEGABLE)}" if given else ""
    return Check(AREA, f"controller {name}", NO, why, cost, hint)


def _kill_and_swap(own: str) -> list[Check]:
    """Files that every cgroup has but the topmost."""
    if own == paths.MOUNT:
        below = next((entry.path for entry in os.scandir(own) if entry.is_dir(follow_symlinks=False)), "")
        if not below:
            return [Check(AREA, "cgroup.kill (Linux 5.14)", UNKNOWN, "this process has no cgroup to look at")]
        own = below
    kill = os.path.exists(f"{own}/cgroup.kill")
    cost = "" if kill else "kill --all freezes the container first, and takes longer"
    found = [Check(AREA, "cgroup.kill (Linux 5.14)", answer(kill), "", cost)]
    if os.path.exists(f"{own}/memory.max"):
        swap = os.path.exists(f"{own}/memory.swap.max")
        found.append(Check(AREA, "limits of swap", answer(swap), "", "" if swap else "resources.memory.swap"))
    return found


# -- version 1


def _checks_v1() -> list[Check]:
    own = paths.of_process()
    places: dict[str, str] = {}
    for tree in paths.hierarchies():
        at = tree.mount if os.geteuid() == 0 else paths.own(tree.mount, own.get(tree.controllers[0], "/"))
        places.update(dict.fromkeys(tree.controllers, at))
    found = [_controller_v1(name, cost, places.get(name, "")) for name, cost in _V1.items()]
    unified = paths.hybrid_mount()
    if unified:
        found.append(kernel.born_in_cgroup(AREA, paths.own(unified, own.get("", "/"))))
    if "memory" in places:
        swap = os.path.exists(f"{places['memory']}/memory.memsw.limit_in_bytes")
        hint = "" if swap else "boot with swapaccount=1"
        cost = "" if swap else "resources.memory.swap"
        found.append(Check(AREA, "limits of swap", answer(swap), "", cost, hint))
    return found


def _controller_v1(name: str, cost: str, place: str) -> Check:
    """A controller is there when its tree is mounted, and of use when directories can be made in it."""
    title, needed = f"controller {name}", name == "devices" and os.geteuid() == 0
    if not place:
        listed = any(line.split()[:1] == [name] for line in read("/proc/cgroups").splitlines())
        hint = f"mount -t cgroup -o {name} {name} {paths.MOUNT}/{name}" if listed else ""
        why = "its tree is not mounted" if listed else "this kernel does not have it"
        return Check(AREA, title, NO, why, cost, hint, needed)
    if os.access(place, os.W_OK) and stat.S_ISDIR(os.stat(place).st_mode):
        return Check(AREA, title, YES, needed=needed)
    read_only = os.statvfs(place).f_flag & os.ST_RDONLY
    why = f"{place} is mounted read-only" if read_only else f"{place} belongs to another user"
    return Check(AREA, title, NO, why, cost, "", needed)
