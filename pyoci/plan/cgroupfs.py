"""A mount of type cgroup: the container's part of the cgroup tree, for both versions (cgroups(7), config-linux.md)."""

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec import mount_options, namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Spec


def add(
    plan: Plan,
    spec: "Spec",
    facts: Facts,
    found: mount_options.Options,
    pointer: str,
    about: str,
    destination: str,
) -> None:
    """The ops of a cgroup mount. Without any cgroup on the host there is nothing to show, and nothing is mounted."""
    if facts.cgroup is None:
        return
    own_namespace = namespaces.has(spec, "cgroup")
    if facts.cgroup["version"] == 2:
        _unified(plan, facts, own_namespace, found, pointer, about, destination)
    else:
        label = mount_options.label(spec)
        _hierarchies(plan, facts, own_namespace, found, pointer, about, destination, label)


def _unified(
    plan: Plan,
    facts: Facts,
    own_namespace: bool,
    found: mount_options.Options,
    pointer: str,
    about: str,
    destination: str,
) -> None:
    assert facts.cgroup is not None
    if own_namespace:
        made = ops.fsmount(type="cgroup2", source="cgroup", options=found.data, attributes=found.set)
        plan.add(made, pointer, about)
    else:
        plan.add(ops.open_tree(source=facts.cgroup["path"]), pointer, about)
        plan.add(ops.mount_setattr(mount=lib.REG_MOUNT, set=found.set, clear=found.clear), pointer, about)
    _attach(plan, pointer, about, destination, lib.REG_MOUNT)


def _attach(plan: Plan, pointer: str, about: str, destination: str, register: int) -> None:
    place = ops.mountpoint(path=destination, type=lib.MOUNTPOINT_DIRECTORY, mode=0o755, no_symlinks=True)
    plan.add(place, pointer, about)
    plan.add(ops.move_mount(mount=register, onto=lib.REG_MOUNTPOINT), pointer, about)


def _hierarchies(
    plan: Plan,
    facts: Facts,
    own_namespace: bool,
    found: mount_options.Options,
    pointer: str,
    about: str,
    destination: str,
    label: str,
) -> None:
    """v1: a tmpfs with one directory for each hierarchy. It becomes read-only last, and each of them with it."""
    assert facts.cgroup is not None
    writable = found.set & ~mount_options.RDONLY
    options = ["mode=755", label] if label else ["mode=755"]
    tmpfs = ops.fsmount(type="tmpfs", source="tmpfs", options=options, attributes=writable, to=lib.REG_CGROUP)
    plan.add(tmpfs, pointer, about)
    _attach(plan, pointer, about, destination, lib.REG_CGROUP)
    for controller in facts.cgroup["controllers"]:
        what = f"cgroup {controller['name']} on {destination}/{controller['dir']}"
        if own_namespace:
            words = controller["options"].split(",")
            made = ops.fsmount(type="cgroup", source="cgroup", options=words, attributes=found.set)
            plan.add(made, pointer, what)
        else:
            plan.add(ops.open_tree(source=controller["host"]), pointer, what)
            plan.add(ops.mount_setattr(mount=lib.REG_MOUNT, set=found.set, clear=found.clear), pointer, what)
        place = ops.mountpoint(
            path=controller["dir"], type=lib.MOUNTPOINT_DIRECTORY, mode=0o755, below=lib.REG_CGROUP
        )
        plan.add(place, pointer, what)
        plan.add(ops.move_mount(mount=lib.REG_MOUNT, onto=lib.REG_MOUNTPOINT), pointer, what)
    for name, target in facts.cgroup["links"]:
        link = ops.symlink(target=target, path=name, below=lib.REG_CGROUP)
        plan.add(link, pointer, f"{destination}/{name}")
    if found.set & mount_options.RDONLY:
        plan.add(ops.mount_setattr(mount=lib.REG_CGROUP, set=mount_options.RDONLY), pointer, about)
