"""The root file system: made a mount, pivoted into, closed up (config.md Root; config-linux.md masked and read-only paths)."""

from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.plan import mounts
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec import mount_options, namespaces, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def add_root(plan: Plan, spec: "dict[str, Any]", facts: Facts) -> None:
    """The host's mounts stop propagating as configured, then the rootfs becomes a mount of the container's own."""
    if not namespaces.has(spec, "mount"):
        plan.add(lib.OP_ROOTFS, "/root/path", "rootfs", flags=lib.OPF_JOINED, texts=(facts.rootfs,))
        return
    name = (spec.get("linux") or {}).get("rootfsPropagation") or "rslave"
    flags = mount_options.PROPAGATION.get(name)
    if flags is None:
        raise OciError("config", f"rootfsPropagation {name!r} is unknown", pointer="/linux/rootfsPropagation")
    # an unbindable tree could not be copied: it is made a slave, and unbindable when it is the root
    kind = mount_options.MS_SLAVE if flags & mount_options.MS_UNBINDABLE else flags & ~mount_options.MS_REC
    plan.add(
        lib.OP_HOST_PROPAGATION,
        "/linux/rootfsPropagation",
        "propagation of the host's mounts",
        numbers=(kind | mount_options.MS_REC,),
    )
    shared = lib.OPF_SHARED if kind & mount_options.MS_SHARED else 0
    if facts.open_sources:
        register = plan.carry("tree", facts.rootfs, True, "/root/path", "rootfs")
        plan.add(lib.OP_ROOTFS, "/root/path", "rootfs", flags=shared, fd=register, texts=(facts.rootfs,))
        slave = (0, 0, mount_options.MS_SLAVE)
        plan.add(
            lib.OP_MOUNT_ATTR, "/root/path", "rootfs", flags=lib.OPF_RECURSIVE, fd=lib.REG_ROOT, numbers=slave
        )
    else:
        plan.add(lib.OP_ROOTFS, "/root/path", "rootfs", flags=shared, texts=(facts.rootfs,))


def add_closing(plan: Plan, spec: "dict[str, Any]", kept: mounts.Kept) -> None:
    """Read-only and masked paths, at last the read-only root; before the pivot, while the host's /dev/null is still ours."""
    linux = spec.get("linux") or {}
    for index, path in enumerate(linux.get("readonlyPaths") or ()):
        pointer, (register, below) = f"/linux/readonlyPaths/{index}", _nearest(kept, path)
        plan.add(lib.OP_READONLY, pointer, f"read-only path {path}", fd=register, texts=(below,))
    for index, path in enumerate(linux.get("maskedPaths") or ()):
        pointer, (register, below) = f"/linux/maskedPaths/{index}", _nearest(kept, path)
        plan.add(lib.OP_MASK, pointer, f"masked path {path}", fd=register, texts=(below,))
    if (spec.get("root") or {}).get("readonly"):
        plan.add(lib.OP_ROOT_READONLY, "/root/readonly", "read-only root")


def _nearest(kept: mounts.Kept, path: str) -> tuple[int, str]:
    """The register that a path is looked up from (REG_NONE: the root), and the path from there."""
    whole = paths.without_dots(path)
    for place, (_, register) in kept.items():
        if paths.is_within(whole, place) and ".." not in whole.split("/"):
            return register, whole[len(place) :]
    return lib.REG_NONE, path


def add_pivot(plan: Plan, spec: "dict[str, Any]", facts: Facts) -> None:
    """The rootfs becomes "/", and propagates as configured: pivot_root(2) takes no shared mount."""
    if not namespaces.has(spec, "mount"):
        plan.add(lib.OP_CHROOT, "/root/path", "rootfs", flags=lib.OPF_JOINED)
    elif facts.no_pivot:
        plan.add(lib.OP_CHROOT, "/root/path", "rootfs")
    else:
        plan.add(lib.OP_PIVOT_ROOT, "/root/path", "rootfs")
    name = (spec.get("linux") or {}).get("rootfsPropagation")
    if name:
        plan.add(
            lib.OP_ROOT_PROPAGATION,
            "/linux/rootfsPropagation",
            f"root {name}",
            numbers=(mount_options.PROPAGATION[name],),
        )
