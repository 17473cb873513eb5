"""The devices a container finds in /dev: the default ones, those of linux.devices, and the links (config-linux.md)."""

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec import defaults, mount_options, namespaces, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Device, Spec


_S_IFCHR, _S_IFBLK, _S_IFIFO = 0o020000, 0o060000, 0o010000
_TYPES: dict[str, int] = {"c": _S_IFCHR, "u": _S_IFCHR, "b": _S_IFBLK, "p": _S_IFIFO}

LINKS = (
    ("pts/ptmx", "/dev/ptmx"),
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
)


def add(plan: Plan, spec: "Spec", facts: Facts) -> None:
    """The ops for all devices and links. With the host's own /dev bound in, nothing in it is touched."""
    if _dev_is_bound(spec):
        return
    own = (spec.get("linux") or {}).get("devices") or []
    listed = {paths.without_dots(device["path"]) for device in own}
    nodes = not (facts.nested or namespaces.has(spec, "user"))
    for path, (major, minor) in defaults.DEVICES.items():
        if path not in listed:
            _add(plan, nodes, path, _S_IFCHR | 0o666, _number(major, minor), 0, 0, "")
    for index, device in enumerate(own):
        _add_listed(plan, nodes, device, f"/linux/devices/{index}")
    links = [*LINKS, ("/proc/kcore", "/dev/core")] if facts.kcore else LINKS
    for target, path in links:
        plan.add(ops.symlink(target=target, path=path, below=lib.REG_ROOT), "", f"link {path}")


def _dev_is_bound(spec: "Spec") -> bool:
    return any(
        paths.without_dots(mount["destination"]) == "/dev" and mount_options.is_bind(mount)
        for mount in spec.get("mounts") or ()
    )


def _number(major: int, minor: int) -> int:
    """A device number as the kernel's 64-bit dev_t of mknod(2) has it (makedev(3))."""
    return (minor & 0xFF) | (major & 0xFFF) << 8 | (minor & ~0xFF) << 12 | (major & ~0xFFF) << 32


def _add_listed(plan: Plan, nodes: bool, device: "Device", pointer: str) -> None:
    kind = device["type"]
    mode = device.get("fileMode")
    permissions = 0o666 if mode is None else mode & 0o7777
    number = 0 if kind == "p" else _number(device.get("major", 0), device.get("minor", 0))
    uid, gid = device.get("uid") or 0, device.get("gid") or 0
    path = paths.without_dots(device["path"])  # a slash at the end would ask for a directory
    _add(plan, nodes, path, _TYPES[kind] | permissions, number, uid, gid, pointer)


def _add(
    plan: Plan,
    nodes: bool,
    path: str,
    mode: int,
    number: int,
    uid: int,
    gid: int,
    pointer: str,
) -> None:
    """A device node; a user namespace may not make any (not `nodes`), so it gets the host's by a bind mount.

    Read-only: a device can be written to all the same, but the mode, the owner and the times of the host's node stay as they are.
    """
    about = f"device {path}"
    if nodes or mode & 0o170000 == _S_IFIFO:
        plan.add(ops.mknod(path=path, mode=mode, device=number, uid=uid, gid=gid), pointer, about)
        return
    plan.add(ops.open_tree(source=path), pointer, about)
    plan.add(ops.mount_setattr(mount=lib.REG_MOUNT, set=mount_options.RDONLY), pointer, about)
    plan.add(ops.mountpoint(path=path, type=lib.MOUNTPOINT_FILE, mode=0o666), pointer, about)
    plan.add(ops.move_mount(mount=lib.REG_MOUNT, onto=lib.REG_MOUNTPOINT), pointer, about)
