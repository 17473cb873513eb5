"""Rules on namespaces, id mappings, sysctls, devices and paths of the linux section."""

import posix

from pyoci.base.numbers import decimal
from pyoci.base.printable import utf8_size
from pyoci.spec.json_pointer import escape
from pyoci.spec.paths import components, slice_path, without_dots
from pyoci.spec.problem import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from pyoci.spec.spec_types import Clock, Device, IDMapping, Linux, NetDevice, Spec, TimeOffsets, User


IPC_SYSCTLS = {
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
    "kernel.shmmni", "kernel.shm_rmid_forced",
}  # fmt: skip
ID_LIMIT = 1 << 32
NO_ID = ID_LIMIT - 1
MAP_LINES = 340  # the kernel takes no more lines in a uid_map, user_namespaces(7)
IF_NAME_MAX = 15
_MAPPING = '{"containerID": 0, "hostID": 100000, "size": 65536}'
CLOCKS: "tuple[Clock, ...]" = ("boottime", "monotonic")


def namespaces(linux: "Linux", report: Report) -> dict[str, str]:
    """The namespaces asked for, type -> path ("" for a new one)."""
    found: dict[str, str] = {}
    for index, namespace in enumerate(linux.get("namespaces", ())):
        kind, path = namespace["type"], namespace.get("path", "")
        if kind in found:
            report("namespace-twice", f"/linux/namespaces/{index}", f"the {kind} namespace is listed twice")
        if path and (path[0] != "/" or "\0" in path):
            report(
                "namespace-path",
                f"/linux/namespaces/{index}/path",
                f'the path "{path}" of the {kind} namespace is not absolute',
                expected="an absolute path, such as /proc/1234/ns/net",
            )
        found[kind] = path
    return found


def users(user: "User", linux: "Linux", namespaces: dict[str, str], report: Report) -> None:
    """The id mappings of the user namespace, and that the process has ids in it."""
    uids, gids = linux.get("uidMappings"), linux.get("gidMappings")
    if "user" not in namespaces:
        name: Literal["uidMappings", "gidMappings"]
        for name in ("uidMappings", "gidMappings"):
            if linux.get(name):
                report(
                    "mapping-namespace",
                    f"/linux/{name}",
                    f"{name} is set, but there is no user namespace",
                    hint='add {"type": "user"} to linux.namespaces',
                )
        return
    if uids:
        mappings(uids, "/linux/uidMappings", report)
    if gids:
        mappings(gids, "/linux/gidMappings", report)
    if namespaces["user"]:
        return
    if not uids or not gids:
        missing = [name for name, lines in (("uidMappings", uids), ("gidMappings", gids)) if not lines]
        report(
            "mapping-missing",
            "/linux",
            "a new user namespace needs uidMappings and gidMappings",
            hint="add " + ", ".join([f'"{name}": [{_MAPPING}]' for name in missing]),
        )
        return
    _mapped_ids(user, uids, gids, report)


def mappings(lines: "list[IDMapping]", at: str, report: Report) -> None:
    """Sizes, ends and overlaps of the lines of one uid_map or gid_map, user_namespaces(7)."""
    if len(lines) > MAP_LINES:
        report("mapping-count", at, f"{len(lines)} mappings are too many", expected=f"{MAP_LINES} at most")
        return
    for index, line in enumerate(lines):
        size = line["size"]
        if not size:
            report("mapping-size", f"{at}/{index}/size", "the size of a mapping is 0")
        side: Literal["containerID", "hostID"]
        for side in ("containerID", "hostID"):
            start = line[side]
            if start + size > ID_LIMIT:
                report("mapping-end", f"{at}/{index}/{side}", f"the range ends above the last id {NO_ID - 1}")
            if any(
                other[side] < start + size and start < other[side] + other["size"] for other in lines[:index]
            ):
                text = f"the {side} range {start} to {start + size - 1} overlaps with an earlier one"
                report("mapping-overlap", f"{at}/{index}/{side}", text)


def is_mapped(lines: "list[IDMapping]", number: int) -> bool:
    """Whether an id of the container stands for one of the host."""
    return any(line["containerID"] <= number < line["containerID"] + line["size"] for line in lines)


def _mapped_ids(user: "User", uids: "list[IDMapping]", gids: "list[IDMapping]", report: Report) -> None:
    for name, lines, number in (("uid", uids, user.get("uid", 0)), ("gid", gids, user.get("gid", 0))):
        if not is_mapped(lines, 0):
            report(
                "mapping-root",
                f"/linux/{name}Mappings",
                f"{name} 0 of the container is not mapped to the host",
                hint=f"the container's root does the set-up: map 0 too, to any unused {name} of the host",
            )
        if not is_mapped(lines, number):
            report(
                "user-unmapped",
                f"/process/user/{name}" if name in user else "/process",
                f"the {name} {number} of the process is not in linux.{name}Mappings",
            )
    for index, number in enumerate(user.get("additionalGids", ())):
        if not is_mapped(gids, number):
            report(
                "user-unmapped",
                f"/process/user/additionalGids/{index}",
                f"the additional gid {number} is not in linux.gidMappings",
            )


def rootless(spec: "Spec", linux: "Linux", namespaces: dict[str, str], report: Report) -> None:
    """What a runtime that is not root must be given."""
    if "user" not in namespaces:
        report(
            "rootless-namespace",
            "/linux/namespaces",
            "rootless container requires user namespaces",
            hint='add {"type": "user"}, uidMappings and gidMappings, or start from "spec --rootless"',
        )
        return


def mount_ids(spec: "Spec", linux: "Linux", report: Report) -> None:
    """uid= and gid= of mounts that are made in a new user namespace: devpts with gid=5 (tty) is in many configurations."""
    maps = {"uid": linux.get("uidMappings", []), "gid": linux.get("gidMappings", [])}
    for index, mount in enumerate(spec.get("mounts", ())):
        for place, option in enumerate(mount.get("options", ())):
            name, _, number = option.partition("=")
            if name not in maps or not number.isdecimal():
                continue
            if not is_mapped(maps[name], decimal(number, ID_LIMIT)):
                report(
                    "mount-id-unmapped",
                    f"/mounts/{index}/options/{place}",
                    f'"{option}": the id is not mapped in the user namespace',
                    hint=f"leave the option out, or map {name} {number} in linux.{name}Mappings",
                )


def linux(linux: "Linux", namespaces: dict[str, str], systemd: bool, report: Report) -> None:
    """What needs a namespace or names something in the container."""
    if "timeOffsets" in linux:
        _time_offsets(linux["timeOffsets"], namespaces, report)
    _hidden_paths(linux, namespaces, report)
    if "mountLabel" in linux:
        report.nul((linux["mountLabel"],), "/linux/mountLabel")
    if "sysctl" in linux:
        _sysctls(linux["sysctl"], namespaces, report)
        if namespaces.get("user") == "":
            _ping_group_range(linux["sysctl"], linux.get("gidMappings", []), report)
    if "devices" in linux:
        _devices(linux["devices"], report)
    if linux.get("netDevices"):
        _net_devices(linux["netDevices"], namespaces, report)
    if linux.get("cgroupsPath"):
        _cgroups_path(linux["cgroupsPath"], systemd, report)


def _time_offsets(offsets: "TimeOffsets", namespaces: dict[str, str], report: Report) -> None:
    if offsets and "time" not in namespaces:
        report(
            "time-namespace",
            "/linux/timeOffsets",
            "time namespace offsets specified, but there is no time namespace",
            hint='add {"type": "time"} to linux.namespaces',
        )
    elif offsets and namespaces["time"]:
        report(
            "time-namespace",
            "/linux/timeOffsets",
            "the clocks of an existing namespace cannot be set",
        )
    for name in offsets:
        if name not in CLOCKS:
            report(
                "time-clock",
                f"/linux/timeOffsets/{escape(name)}",
                f'no clock "{name}"',
                expected="boottime, monotonic",
            )
    for clock in CLOCKS:
        if offsets.get(clock, {}).get("nanosecs", 0) > 999_999_999:
            report(
                "time-nanosecs",
                f"/linux/timeOffsets/{clock}/nanosecs",
                "a second or more",
                expected="0 to 999999999",
            )


def _hidden_paths(linux: "Linux", namespaces: dict[str, str], report: Report) -> None:
    name: Literal["maskedPaths", "readonlyPaths"]
    for name in ("maskedPaths", "readonlyPaths"):
        paths = linux.get(name)
        if not paths:
            continue
        if "mount" not in namespaces:
            report(
                "hidden-path-namespace",
                f"/linux/{name}",
                f"unable to apply {name} without a private MNT namespace",
                hint='add {"type": "mount"} to linux.namespaces',
            )
        report.nul(paths, f"/linux/{name}")
        for index, path in enumerate(paths):
            if path[:1] != "/":
                report(
                    "hidden-path",
                    f"/linux/{name}/{index}",
                    f'"{path}" is not absolute',
                    expected="an absolute path",
                )


def dotted(name: str) -> str:
    """A sysctl's name with dots, from either of the two spellings of sysctl.d(5)."""
    slash, dot = name.find("/"), name.find(".")
    if slash < 0 or -1 < dot < slash:
        return name
    return name.translate({ord("/"): ".", ord("."): "/"})


def sysctl_path(name: str) -> str:
    """The path of a sysctl below /proc/sys."""
    return dotted(name).translate({ord("/"): ".", ord("."): "/"})


def _sysctls(sysctls: dict[str, str], namespaces: dict[str, str], report: Report) -> None:
    for name, value in sysctls.items():
        wrong = _sysctl(dotted(name), namespaces)
        if wrong:
            report("sysctl-namespace", f"/linux/sysctl/{escape(name)}", f'sysctl "{name}" {wrong}')
        elif "\0" in name + value or not {"", "/", "//"}.isdisjoint(dotted(name).split(".")):
            report("sysctl-name", f"/linux/sysctl/{escape(name)}", f'"{name}" is not the name of a sysctl')


def _ping_group_range(sysctls: dict[str, str], gids: "list[IDMapping]", report: Report) -> None:
    """The groups that may send echo requests: the kernel looks both ends of the range up in the user namespace (icmp(7))."""
    for name, value in sysctls.items():
        ends = value.split() if dotted(name) == "net.ipv4.ping_group_range" else []
        unmapped = [end for end in ends if not is_mapped(gids, decimal(end, ID_LIMIT))]
        if unmapped:
            report(
                "sysctl-unmapped",
                f"/linux/sysctl/{escape(name)}",
                f"the gid {unmapped[0]} of the range is not mapped in linux.gidMappings",
                hint="write a range of mapped groups, such as the first and the last one of the container",
            )


def _sysctl(name: str, namespaces: dict[str, str]) -> str:
    """Why a sysctl would change the host and not only the container, or "".

    Not all of /proc/sys belongs to a namespace; only what does may be set.
    """
    if name in IPC_SYSCTLS or name.startswith("fs.mqueue."):
        return "" if "ipc" in namespaces else "is not allowed in the hosts ipc namespace"
    if name.startswith("net."):
        if "network" in namespaces and not _is_own_network(namespaces["network"]):
            return ""
        return "is not allowed in host network namespace"
    if name == "kernel.domainname" and "uts" in namespaces:
        return ""
    if name == "kernel.hostname" and "uts" in namespaces:
        return 'is not allowed as it conflicts with "hostname"'
    if name.startswith("user.") and "user" in namespaces:
        return ""
    return "is not in a separate kernel namespace"


def _is_own_network(path: str) -> bool:
    if not path:
        return False
    try:
        there, here = posix.stat(path), posix.stat("/proc/self/ns/net")
    except (OSError, ValueError):
        return False  # joining it will say what is wrong
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _devices(devices: "list[Device]", report: Report) -> None:
    listed: dict[str, tuple[int, tuple[str, int | None, int | None]]] = {}
    for index, device in enumerate(devices):
        path = device["path"]
        kind = "c" if device["type"] == "u" else device["type"]
        node = (kind, None, None) if kind == "p" else (kind, device.get("major"), device.get("minor"))
        before, other = listed.setdefault(without_dots(path), (index, node))
        if other != node:
            report(
                "device-clash",
                f"/linux/devices/{index}/path",
                f"{path} is another device at /linux/devices/{before}",
                hint="a path can be one device only: take one of the two out",
            )
        if path[:1] != "/" or "\0" in path:
            report(
                "device-path",
                f"/linux/devices/{index}/path",
                f'"{path}" is not absolute',
                expected="an absolute path",
            )
        if device["type"] == "p":
            continue
        if "major" not in device or "minor" not in device:
            report("device-number", f"/linux/devices/{index}", f"{path} needs both major and minor")
        elif not (0 <= device["major"] <= 4095 and 0 <= device["minor"] <= 1048575):
            report(
                "device-number",
                f"/linux/devices/{index}",
                f"the device number {device['major']}:{device['minor']} is out of range",
                expected="major 0 to 4095, minor 0 to 1048575",
            )


def _net_devices(devices: "dict[str, NetDevice]", namespaces: dict[str, str], report: Report) -> None:
    if "network" not in namespaces or _is_own_network(namespaces["network"]):
        report(
            "net-device-namespace",
            "/linux/netDevices",
            "unable to move network devices without a private NET namespace",
        )
    taken: dict[str, str] = {}
    for name, device in devices.items():
        inside = device.get("name") or name
        for text, at in ((name, ""), (inside, "/name")):
            if not is_interface_name(text):
                report(
                    "net-device-name",
                    f"/linux/netDevices/{escape(name)}{at}",
                    f'"{text}" cannot name a network device',
                )
                break
        if inside in taken and "%d" not in inside:
            report(
                "net-device-twice",
                f"/linux/netDevices/{escape(name)}",
                f'{taken[inside]} and {name} would both be "{inside}" in the container',
            )
        taken[inside] = name


def is_interface_name(name: str) -> bool:
    """Whether the kernel would take a name for a network device (dev_valid_name)."""
    if not 0 < utf8_size(name) <= IF_NAME_MAX or name in (".", ".."):
        return False
    return not any(char in "/:\0" or char.isspace() for char in name)


def _cgroups_path(path: str, systemd: bool, report: Report) -> None:
    if "\n" in path or "\0" in path:
        report("cgroup-path", "/linux/cgroupsPath", "linux.cgroupsPath holds a line break or a NUL byte")
    elif systemd:
        _systemd_path(path, report)
    elif not components(path):
        report(
            "cgroup-path",
            "/linux/cgroupsPath",
            f'linux.cgroupsPath "{path}" does not name a cgroup for this container alone',
            hint="use a cgroup for this container alone, such as /containers/ID",
        )


def _systemd_path(path: str, report: Report) -> None:
    parts = path.split(":")
    if len(parts) != 3 or not parts[2]:
        report(
            "cgroup-path-systemd",
            "/linux/cgroupsPath",
            f'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "{path}"',
            hint="this path is of the cgroup driver cgroupfs, and --systemd-cgroup asks for systemd: "
            "give engine and kubelet the same driver",
        )
        return
    if not _is_slice(parts[0] if parts[0] not in ("", "-") else "-.slice"):
        report(
            "cgroup-path-systemd",
            "/linux/cgroupsPath",
            f'"{parts[0]}" is not the name of a systemd slice',
            expected="such as machine.slice, or - for the root",
        )
    elif parts[2].endswith(".slice") and (parts[2] == "-.slice" or not _is_slice(parts[2])):
        report(
            "cgroup-path-systemd",
            "/linux/cgroupsPath",
            f'"{parts[2]}" is not the name of a systemd slice that a container may have to itself',
            expected="such as machine-box.slice",
        )


def _is_slice(name: str) -> bool:
    try:
        slice_path(name)
    except ValueError:
        return False
    return True
