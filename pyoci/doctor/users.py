"""Users: who we are, what we may, and which ids an ordinary user's containers can have."""

import os
import pwd

from pyoci import userns
from pyoci._shim import lib
from pyoci.doctor.check import NO, UNKNOWN, YES, Check, answer, read
from pyoci.doctor.trial import Trial
from pyoci.spec import capabilities
from pyoci.userns import idmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import IDMapping


AREA = "users"
_MANY = 65536
_MISSED = {
    "CAP_SYS_RESOURCE": "limits (process.rlimits, oomScoreAdj) beyond the runtime's own",
    "CAP_SYS_ADMIN": "containers without a user namespace",
    "CAP_MKNOD": "device files",
    "CAP_NET_ADMIN": "the loopback interface of a container",
    "CAP_SYS_PTRACE": "exec into containers of other users",
}


def checks() -> list[Check]:
    """All checks of the caller's identity and rights."""
    found = [_identity(), _no_new_privs()]
    if os.geteuid() == 0:
        return [*found, _capabilities(), _map_of_root()]
    return [*found, *_ranges(), *_tools(), _runtime_dir(), _linger()]


def _identity() -> Check:
    uid = os.geteuid()
    if uid != 0:
        return Check(
            AREA,
            "root",
            NO,
            f"uid {uid}",
            "device files, cgroups without systemd, joining others' namespaces",
        )
    if not userns.is_nested():
        return Check(AREA, "root", YES)
    return Check(AREA, "root of the host", NO, "root of a user namespace", "device files, some file systems")


def _no_new_privs() -> Check:
    fields = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines() if ":" in line)
    bound = fields.get("NoNewPrivs", "0").strip() == "1"
    cost = "newuidmap and newgidmap do not work" if bound and os.geteuid() != 0 else ""
    return Check(
        AREA, "free to gain privileges", answer(not bound), "no_new_privs is set" if bound else "", cost
    )


def _capabilities() -> Check:
    have = lib.pyoci_permitted_capabilities()
    last = read("/proc/sys/kernel/cap_last_cap")
    names = capabilities.NAMES[: int(last or 0) + 1]
    missing = [name for number, name in enumerate(names) if not have >> number & 1]
    if not missing:
        return Check(AREA, "all capabilities", YES)
    cost = "; ".join(_MISSED[name] for name in missing if name in _MISSED)
    cost = cost or "containers can't have them"
    return Check(AREA, "all capabilities", NO, f"{', '.join(missing)} missing", cost)


def _map_of_root() -> Check:
    """A user namespace with many ids."""
    ids: list[IDMapping] = [{"containerID": 0, "hostID": 100000, "size": _MANY}]
    why = Trial("user").maps(ids, ids).run()
    return Check(
        AREA, "maps of many ids", answer(not why), why, "linux.uidMappings and gidMappings" if why else ""
    )


def _ranges() -> list[Check]:
    """subuid(5) and subgid(5)."""
    found = []
    for kind in idmap.kinds():
        total = sum(count for _, count in idmap.granted(kind, idmap.user_name()))
        name = f"{kind.name}s in {kind.ranges}"
        if total >= _MANY:
            found.append(Check(AREA, name, YES, f"{total} {kind.name}s"))
            continue
        user = idmap.user_name()
        hint = f"usermod --add-sub{kind.name}s 100000-165535 {user}"
        why = f"{total} for {user}" if total else f"none for {user}"
        cost = f"containers with more than one {kind.name}, as images made for root need it"
        found.append(Check(AREA, name, NO, why, cost, hint))
    return found


def _tools() -> list[Check]:
    """newuidmap and newgidmap: there, and able to write a map of a throw-away process."""
    found = []
    maps: dict[str, list[IDMapping]] = {}
    for kind in idmap.kinds():
        path = idmap.find_tool(kind.tool)
        cost = f"containers with more than one {kind.name}"
        if not path:
            hint = "install it (Debian: apt-get install uidmap)"
            found.append(Check(AREA, kind.tool, NO, "it was not found in the usual directories", cost, hint))
            continue
        found.append(Check(AREA, kind.tool, YES, path))
        ranges = idmap.granted(kind, idmap.user_name())[:1]
        maps[kind.name] = [{"containerID": 0, "hostID": kind.own, "size": 1}]
        maps[kind.name] += [{"containerID": 1, "hostID": first, "size": count} for first, count in ranges]
    if len(maps) == 2 and all(len(lines) > 1 for lines in maps.values()):
        why = Trial("user").maps(maps["uid"], maps["gid"]).run()
        cost = "containers with more than one id" if why else ""
        found.append(Check(AREA, "maps of many ids", answer(not why), why, cost))
    return found


def _runtime_dir() -> Check:
    name = "XDG_RUNTIME_DIR"
    given = os.environ.get(name, "")
    if given and os.access(given, os.W_OK):
        return Check(AREA, name, YES, given)
    why = f"{given} is not writable" if given else "not set"
    cost = "the default place of the containers' state may be missing"
    return Check(AREA, name, NO, why, cost, "log in through systemd-logind, or use --root")


def _linger() -> Check:
    """Whether the user's processes outlive the last logout."""
    name = "containers outlive the login"
    if not os.path.isdir("/run/systemd/system"):
        return Check(AREA, name, UNKNOWN, "systemd does not run here")
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return Check(AREA, name, UNKNOWN, f"uid {os.getuid()} has no name")
    if os.path.exists(f"/var/lib/systemd/linger/{user}"):
        return Check(AREA, name, YES, "lingering is on")
    cost = "systemd ends the user's containers and removes /run/user at the last logout"
    return Check(AREA, name, NO, "lingering is off", cost, f"loginctl enable-linger {user}")
