"""The root file system: made a mount, pivoted into, closed up (config.md Root; config-linux.md masked and read-only paths)."""

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.plan import mounts
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec import defaults, mount_options, namespaces, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Spec


def add_root(plan: Plan, spec: "Spec", facts: Facts) -> None:
    """The host's mounts stop propagating as configured, then the rootfs becomes a mount of the container's own."""
    if not namespaces.has(spec, "mount"):
        plan.add(ops.open_rootfs(path=facts.rootfs), "/root/path", "rootfs")
        return
    name = (spec.get("linux") or {}).get("rootfsPropagation") or "rslave"
    flags = mount_options.PROPAGATION[name]
    # an unbindable tree could not be copied: it is made a slave, and unbindable when it is the root
    kind = mount_options.MS_SLAVE if flags & mount_options.MS_UNBINDABLE else flags & ~mount_options.MS_REC
    host = ops.host_propagation(flags=kind | mount_options.MS_REC)
    plan.add(host, "/linux/rootfsPropagation", "propagation of the host's mounts")
    tree = plan.carry("tree", facts.rootfs, True, "/root/path", "rootfs") if facts.open_sources else 0
    shared = bool(kind & mount_options.MS_SHARED)
    plan.add(ops.mount_rootfs(path=facts.rootfs, tree=tree, shared=shared), "/root/path", "rootfs")
    if tree:
        kind = mounts.copied_propagation(spec)
        own = ops.mount_setattr(mount=lib.REG_ROOT, propagation=kind, recursive=True)
        plan.add(own, "/root/path", "rootfs")


def add_closing(plan: Plan, spec: "Spec", kept: mounts.Kept, late: dict[int, int]) -> None:
    """Read-only and masked paths, at last the read-only root; before the pivot, for a mask may need the host's /dev/null.

    kept, late  from mounts.kept() and mounts.read_only_last()
    """
    linux = spec.get("linux") or {}
    for index, path in enumerate(linux.get("readonlyPaths") or ()):
        pointer, (register, below) = f"/linux/readonlyPaths/{index}", _nearest(kept, path)
        plan.add(ops.readonly_path(path=below, below=register), pointer, f"read-only path {path}")
    masked: dict[str, tuple[int, str]] = {}
    for index, path in enumerate(linux.get("maskedPaths") or ()):
        masked.setdefault(paths.without_dots(path), (index, path))  # engines name some twice
    for index, path in masked.values():
        pointer, (register, below) = f"/linux/maskedPaths/{index}", _nearest(kept, path)
        mask = ops.mask_path(path=below, below=register, label=linux.get("mountLabel") or "")
        plan.add(mask, pointer, f"masked path {path}")
    _add_read_only(plan, spec, late)


def _add_read_only(plan: Plan, spec: "Spec", late: dict[int, int]) -> None:
    """What becomes read-only last. The working directory may still have to be made there."""
    readonly = spec.get("root", {}).get("readonly")
    cwd = defaults.process(spec).get("cwd") or "/"
    if (late or readonly) and cwd != "/":
        plan.add(ops.mkdir(path=cwd), "/process/cwd", f"directory {cwd}")
    for index, register in late.items():
        about = f"read-only tmpfs on {spec['mounts'][index]['destination']}"
        op = ops.mount_setattr(mount=register, set=mount_options.RDONLY)
        plan.add(op, f"/mounts/{index}", about)
    if readonly:
        plan.add(ops.readonly_rootfs(), "/root/readonly", "read-only root")


def _nearest(kept: mounts.Kept, path: str) -> tuple[int, str]:
    """The register that a path is looked up from (REG_NONE: the root), and the path from there."""
    whole = paths.without_dots(path)
    for place, (_, register) in kept.items():
        if paths.is_within(whole, place) and ".." not in whole.split("/"):
            return register, whole[len(place) :]
    return lib.REG_NONE, path


def add_pivot(plan: Plan, spec: "Spec", facts: Facts) -> None:
    """The rootfs becomes "/", and propagates as configured: pivot_root(2) takes no shared mount."""
    own_mounts = namespaces.has(spec, "mount")
    if own_mounts and not facts.no_pivot:
        plan.add(ops.pivot_root(), "/root/path", "rootfs")
    else:
        if own_mounts:
            plan.add(ops.open_procfs(pid_only=True), "/root/path", "private procfs")
            plan.add(ops.move_root(path=paths.clean(facts.rootfs)), "/root/path", "rootfs")
        plan.add(ops.chroot(), "/root/path", "rootfs")
    name = (spec.get("linux") or {}).get("rootfsPropagation")
    # slave and private it is from the start, and what single mounts ask for stays
    if (
        own_mounts
        and name
        and mount_options.PROPAGATION[name] & (mount_options.MS_SHARED | mount_options.MS_UNBINDABLE)
    ):
        op = ops.rootfs_propagation(flags=mount_options.PROPAGATION[name])
        plan.add(op, "/linux/rootfsPropagation", f"root {name}")
