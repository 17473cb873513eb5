"""A mount of type cgroup: the container's part of the cgroup tree, for both versions (cgroups(7), config-linux.md)."""

from pyoci._shim import lib
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec import mount_options, namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def add(
    plan: Plan,
    spec: "dict[str, Any]",
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
        _hierarchies(plan, facts, own_namespace, found, pointer, about, destination)


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
        plan.add(
            lib.OP_MOUNT_NEW,
            pointer,
            about,
            texts=("cgroup2", "cgroup", found.data),
            numbers=(found.set, len(found.data)),
        )
    else:
        plan.add(lib.OP_MOUNT_BIND, pointer, about, texts=(facts.cgroup["path"],))
        plan.add(lib.OP_MOUNT_ATTR, pointer, about, fd=lib.REG_MOUNT, numbers=(found.set, found.clear, 0))
    _attach(plan, pointer, about, destination, lib.REG_MOUNT)


def _attach(plan: Plan, pointer: str, about: str, destination: str, register: int) -> None:
    numbers = (lib.TARGET_DIRECTORY, 0o755)
    plan.add(lib.OP_TARGET, pointer, about, flags=lib.OPF_NO_SYMLINKS, texts=(destination,), numbers=numbers)
    plan.add(lib.OP_ATTACH, pointer, about, fd=register, fd2=lib.REG_TARGET)


def _hierarchies(
    plan: Plan,
    facts: Facts,
    own_namespace: bool,
    found: mount_options.Options,
    pointer: str,
    about: str,
    destination: str,
) -> None:
    """v1: a tmpfs with one directory for each hierarchy. It becomes read-only last, and each of them with it."""
    assert facts.cgroup is not None
    writable = found.set & ~mount_options.RDONLY
    numbers = (writable, 1)
    plan.add(
        lib.OP_MOUNT_NEW,
        pointer,
        about,
        fd2=lib.REG_CGROUP,
        texts=("tmpfs", "tmpfs", ["mode=755"]),
        numbers=numbers,
    )
    _attach(plan, pointer, about, destination, lib.REG_CGROUP)
    for controller in facts.cgroup["controllers"]:
        what = f"cgroup {controller['name']} on {destination}/{controller['dir']}"
        if own_namespace:
            words = controller["options"].split(",")
            texts = ("cgroup", "cgroup", words)
            plan.add(lib.OP_MOUNT_NEW, pointer, what, texts=texts, numbers=(found.set, len(words)))
        else:
            plan.add(lib.OP_MOUNT_BIND, pointer, what, texts=(controller["host"],))
            plan.add(lib.OP_MOUNT_ATTR, pointer, what, fd=lib.REG_MOUNT, numbers=(found.set, found.clear, 0))
        where = (lib.TARGET_DIRECTORY, 0o755)
        plan.add(lib.OP_TARGET, pointer, what, fd=lib.REG_CGROUP, texts=(controller["dir"],), numbers=where)
        plan.add(lib.OP_ATTACH, pointer, what, fd=lib.REG_MOUNT, fd2=lib.REG_TARGET)
    for name, content in facts.cgroup["links"]:
        plan.add(lib.OP_SYMLINK, pointer, f"{destination}/{name}", fd=lib.REG_CGROUP, texts=(content, name))
    if found.set & mount_options.RDONLY:
        plan.add(lib.OP_MOUNT_ATTR, pointer, about, fd=lib.REG_CGROUP, numbers=(mount_options.RDONLY, 0, 0))
