"""User namespaces for id-mapped mounts: a mapping is given to the kernel as a namespace that has it (mount_setattr(2))."""

import posix

from pyoci.base import files
from pyoci.base.errors import OciError, from_os_error
from pyoci.host.spawn import Child
from pyoci.spec import mount_options, namespaces
from pyoci.userns import idmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.ops import Plan
    from pyoci.spec.spec_types import IDMapping, Mount, Spec


def namespaces_of(spec: "Spec", plan: "Plan", pid: int, rootless: bool) -> list[int]:
    """A descriptor for each mount of the plan that is id-mapped, in their order; the caller closes them.

    A mount without mappings of its own takes those of the container, whose init is `pid`. Raises OciError.
    """
    found: list[int] = []
    linux = spec.get("linux") or {}
    own = {"uids": linux.get("uidMappings") or [], "gids": linux.get("gidMappings") or []}
    try:
        for what in plan.passed:
            if str(what[0]).endswith("idmapped-tree"):
                pointer = str(what[3])
                mount = spec["mounts"][int(pointer.rpartition("/")[2])]
                inline = mount_options.inline_maps(mount.get("options") or [], own)
                found.append(_namespace_of(mount, inline, pointer, pid, rootless))
    except OciError:
        files.close_all(found)
        raise
    return found


def _namespace_of(
    mount: "Mount",
    inline: "tuple[list[IDMapping], list[IDMapping]] | None",
    pointer: str,
    pid: int,
    rootless: bool,
) -> int:
    uids, gids = inline or (mount.get("uidMappings"), mount.get("gidMappings"))
    if uids and gids:
        return make_namespace(uids, gids, pointer, rootless=rootless)
    return _open(pid, pointer)


def make_namespace(uids: "list[IDMapping]", gids: "list[IDMapping]", pointer: str, *, rootless: bool) -> int:
    """A descriptor of a new user namespace with these maps, for the mount at `pointer`. Raises OciError.

    A namespace starts with a process, which is killed as soon as we hold the file.
    """
    helper = Child()
    try:
        helper.spawn(namespaces.NEWUSER, wait_for_maps=True, die_with_parent=True)
        try:
            idmap.write_maps(helper.pid, uids, gids, rootless=rootless)
        except OciError as error:
            error.pointer = pointer + "/uidMappings"
            raise
        return _open(helper.pid, pointer)
    finally:
        helper.kill()


def _open(pid: int, pointer: str) -> int:
    try:
        return posix.open(f"/proc/{pid}/ns/user", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise from_os_error(
            "namespace", "user namespace for an id-mapped mount", error, pointer=pointer
        ) from None
