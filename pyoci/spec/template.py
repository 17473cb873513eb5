"""What `pyoci spec` writes: a configuration that pyoci, runc and crun run."""

import json
import os

from pyoci.spec import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Linux, Mount, NamespaceType, Process, Spec


# crun before 1.19 refuses everything from 1.2 on; nothing here needs more than 1.0.
_VERSION = "1.0.2"
_CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_QUIET = ("nosuid", "noexec", "nodev")


def text(*, rootless: bool) -> str:
    """The configuration as JSON with tabs, as `runc spec` writes it, and a newline."""
    return json.dumps(document(rootless=rootless), indent="\t") + "\n"


def document(*, rootless: bool, uid: int | None = None, gid: int | None = None) -> "Spec":
    """The configuration: a shell on a terminal, in all its own namespaces, with little power.

    rootless  map container root to `uid` and `gid` (default: the caller's), keep the host's network
    """
    made: Spec = {
        "ociVersion": _VERSION,
        "process": _process(),
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "pyoci",
        "mounts": _mounts(),
        "linux": _linux(),
    }
    if rootless:
        _make_rootless(made, os.geteuid() if uid is None else uid, os.getegid() if gid is None else gid)
    return made


def _process() -> "Process":
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": [f"PATH={defaults.PATH}", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {
            "bounding": list(_CAPABILITIES),
            "effective": list(_CAPABILITIES),
            "permitted": list(_CAPABILITIES),
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def _mounts() -> "list[Mount]":
    shm = ("mode=1777", "size=65536k")
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ),
        _mount("/dev/shm", "tmpfs", "shm", *_QUIET, *shm),
        _mount("/dev/mqueue", "mqueue", "mqueue", *_QUIET),
        _mount("/sys", "sysfs", "sysfs", *_QUIET, "ro"),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", *_QUIET, "relatime", "ro"),
    ]


def _mount(destination: str, kind: str, source: str, *options: str) -> "Mount":
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _linux() -> "Linux":
    kinds: list[NamespaceType] = ["pid", "network", "ipc", "uts", "mount"]
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):  # cgroup v2
        kinds.append("cgroup")
    return {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": kind} for kind in kinds],
        "maskedPaths": list(_MASKED),
        "readonlyPaths": list(_READ_ONLY),
    }


def _make_rootless(made: "Spec", uid: int, gid: int) -> None:
    """What a user without privileges can have: the network stays the host's, and with it the host's /sys."""
    linux = made["linux"]
    del linux["resources"]
    linux["namespaces"] = [each for each in linux["namespaces"] if each["type"] != "network"] + [
        {"type": "user"}
    ]
    linux["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
    for mount in made["mounts"]:
        if mount["destination"] == "/sys":
            mount["type"], mount["source"] = "none", "/sys"
            mount["options"] = ["rbind", *_QUIET, "ro"]
        elif "options" in mount:
            mount["options"] = [each for each in mount["options"] if not each.startswith(("uid=", "gid="))]
