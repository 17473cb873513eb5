"""mounts[] -> ops: a mount is made detached, set up while no path leads to it, and attached onto a descriptor."""

import errno

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.plan import cgroupfs
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec import mount_options, namespaces, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Mount, Spec


# What the kernel itself fills: a link in the rootfs must not lead these elsewhere (CVE-2019-19921, CVE-2023-27561).
# They stay at hand in a register, see kept().
_KERNEL_TYPES: dict[str, int] = {"proc": lib.REG_PROCFS, "sysfs": lib.REG_SYSFS}
# Those that exist before they are mounted take no other label at the mount (the root of an mqueue takes one later); runc and crun
# leave out proc, too.
_UNLABELLED = ("proc", "sysfs", "cgroup", "cgroup2", "mqueue")
_OPEN_SOURCES = 16  # bind mounts whose sources are open at the same time


NOTIFY_DIRECTORY, NOTIFY_SOCKET = "/run/notify", "notify.sock"  # as runc has them


Kept = dict[str, tuple[int, int]]


def add(plan: Plan, spec: "Spec", facts: Facts, registers: dict[int, int]) -> None:
    """The ops of every mount, in the order of the list. `registers`: of those that stay at hand, by index."""
    for index, mount in enumerate(spec.get("mounts") or ()):
        pointer = f"/mounts/{index}"
        if is_root(mount) and not index:
            _add_root(plan, spec, facts, mount)
            continue
        if index in facts.links:
            target, path = facts.links[index], mount["destination"].rstrip("/")
            link = ops.symlink(target=target, path=path, below=lib.REG_ROOT, exact=True)
            plan.add(link, pointer, f"copy of the link {mount.get('source')} on {path}")
            continue
        _add_mount(plan, spec, facts, mount, pointer)
        if index in registers:
            plan.add(ops.dup(old=lib.REG_MOUNT, new=registers[index]), pointer, mount["destination"])


def add_notify(plan: Plan, spec: "Spec", facts: Facts) -> None:
    """The directory in which `start` or `run` makes a socket for sd_notify(3); nothing else can be made there."""
    if facts.notify:
        options = ["bind", "ro", "nosuid", "noexec", "nodev"]
        mount: Mount = {
            "destination": NOTIFY_DIRECTORY,
            "type": "bind",
            "source": facts.notify,
            "options": options,
        }
        _add_mount(plan, spec, facts, mount, "")


def is_root(mount: "Mount") -> bool:
    """Whether a mount covers the whole rootfs; to change the flags of what is there is something else."""
    return paths.without_dots(mount["destination"]) == "/" and "remount" not in (mount.get("options") or ())


def _add_root(plan: Plan, spec: "Spec", facts: Facts, mount: "Mount") -> None:
    """The first of `mounts` may cover the rootfs: all that follows is made in it, and it becomes the container's root.

    pivot_root(2) takes no shared mount, so it is shared only when it is the root (op_rootfs_propagation).
    """
    _add_mount(plan, spec, facts, mount, "/mounts/0")
    plan.add(ops.dup(old=lib.REG_MOUNT, new=lib.REG_ROOT), "/mounts/0", "root")
    if is_shared(spec):
        private = ops.mount_setattr(mount=lib.REG_ROOT, propagation=mount_options.MS_PRIVATE)
        plan.add(private, "/mounts/0", "root")


def read_only_last(spec: "Spec") -> dict[int, int]:
    """Index -> register of each tmpfs that shall be read-only.

    They become so at the end, like a read-only root, as in runc and crun: what is mounted below, the devices and the
    working directory have their places made in it. Raises OciError.
    """
    found: dict[int, int] = {}
    for index, mount in enumerate(spec.get("mounts") or ()):
        words = mount.get("options") or []
        if mount.get("type") != "tmpfs" or not ("ro" in words or "rro" in words):
            continue
        options = mount_options.parse(words)
        if options.bind or options.remount or not (options.set | options.deep_set) & mount_options.RDONLY:
            continue
        found[index] = lib.REG_KEPT + len(found) if index or not is_root(mount) else lib.REG_ROOT
    if len(found) > lib.REG_COUNT - lib.REG_KEPT:
        most = f"{lib.REG_COUNT - lib.REG_KEPT} at most"
        raise OciError(
            "mount", f"{len(found)} read-only tmpfs mounts are too many: {most}", pointer="/mounts"
        )
    return found


def kept(spec: "Spec") -> Kept:
    """Destination -> index and register of the kernel's file systems that no later mount covers.

    Paths in them are looked up from there and not by their names from the root: whoever shares the rootfs can rename the
    directory that is mounted on, and the path that is to be masked would be missing for that moment.
    """
    found: Kept = {}
    for index, mount in enumerate(spec.get("mounts") or ()):
        place, words = paths.without_dots(mount["destination"]), mount.get("options") or ()
        found = {where: what for where, what in found.items() if not paths.is_within(where, place)}
        if ".." in place:
            found.clear()  # who knows what it covers
        register = _KERNEL_TYPES.get(mount.get("type") or "", 0)
        if register and not {"bind", "rbind", "remount"}.intersection(words):
            found = {where: what for where, what in found.items() if what[1] != register}
            found[place] = (index, register)
    return found


def _add_mount(plan: Plan, spec: "Spec", facts: Facts, mount: "Mount", pointer: str) -> None:
    destination = "/" if is_root(mount) else mount["destination"]
    kind = mount.get("type") or ""
    found = mount_options.parse(mount.get("options") or [])
    bind = found.bind or kind == "bind"
    about = f"{'bind of ' + str(mount.get('source')) if bind else kind or 'none'} on {destination}"
    if found.remount:
        locked = (facts.nested or namespaces.has(spec, "user")) and _is_copied(spec, mount)
        _remount(plan, found, pointer, about, destination, locked=locked)
        return
    if kind in ("cgroup", "cgroup2") and not bind:
        cgroupfs.add(plan, spec, facts, found, pointer, about, destination)
        return
    source = mount.get("source") or ""
    if bind:
        idmapped = found.idmap or bool(mount.get("uidMappings"))
        propagation = copied_propagation(spec)
        host = not namespaces.has(spec, "mount")
        make_bind(
            plan, facts, source, found, pointer, about, idmapped=idmapped, propagation=propagation, host=host
        )
        if found.flagged:
            _set_bind_flags(plan, spec, facts, found, pointer, about)
        place = ops.mountpoint(
            path=destination, type=lib.MOUNTPOINT_LIKE_MOUNT, mode=0o755, nofollow=found.target_link
        )
        plan.add(place, pointer, about)
    elif kind == "tmpfs":
        _make_tmpfs(plan, source, found, pointer, about, destination, label=mount_options.label(spec))
    else:
        if kind == "sysfs" and _may_lack_sysfs(spec, facts):
            made = ops.sysfs(source=source, options=found.data, attributes=found.set)
            plan.add(made, pointer, about)
        else:
            make_new(plan, kind, source, found, pointer, about, label=mount_options.label(spec))
        place = ops.mountpoint(
            path=destination, type=lib.MOUNTPOINT_DIRECTORY, mode=0o755, no_symlinks=kind in _KERNEL_TYPES
        )
        plan.add(place, pointer, about)
    plan.add(ops.move_mount(mount=lib.REG_MOUNT, onto=lib.REG_MOUNTPOINT), pointer, about)
    if kind == "sysfs" and not bind and _may_lack_sysfs(spec, facts):
        _cover_cgroups(plan, spec, destination, pointer)
    _finish(plan, spec, found, pointer, about, fresh=not bind)


def _set_bind_flags(
    plan: Plan, spec: "Spec", facts: Facts, found: mount_options.Options, pointer: str, about: str
) -> None:
    """The copy of a mount has the flags of its source. A flag option replaces them all: what is named, and nothing else.

    With a user namespace, the container's own or the one that the runtime itself is in (rootless podman), a flag of the source
    must not go away like that: what the host forbids by nosuid, nodev, noexec or ro on a mount, root of a user namespace must
    not allow itself through a copy. The kernel sees to it where a user namespace copies the mounts of its parent: their flags
    are locked (mount_namespaces(7)), and mount(2) of other runtimes meets EPERM and repeats the old flags. Our copy is made by
    the host's root, so the kernel locks nothing on it, and the same rule is computed by op_bind_attributes.
    """
    if facts.nested or namespaces.has(spec, "user"):
        clear = found.unset | mount_options.NOSYMFOLLOW & ~found.set  # which is never locked
        op = ops.bind_attributes(mount=lib.REG_MOUNT, set=found.set, clear=clear)
    else:
        add, remove = found.bind_attributes()
        op = ops.mount_setattr(mount=lib.REG_MOUNT, set=add, clear=remove)
    plan.add(op, pointer, about)


def _may_lack_sysfs(spec: "Spec", facts: Facts) -> bool:
    """Whether the kernel may refuse a sysfs: it shows the network namespace, which another user namespace may own."""
    users = facts.nested or namespaces.has(spec, "user")
    return users and not namespaces.is_new(spec, "network")


def _cover_cgroups(plan: Plan, spec: "Spec", destination: str, pointer: str) -> None:
    """The host's /sys comes with the host's cgroups; a container has them only where its configuration says so."""
    place = f"{paths.clean(destination)}/fs/cgroup"
    if not any(paths.clean(mount["destination"]) == place for mount in spec.get("mounts") or ()):
        cover = ops.mask_path(path="/fs/cgroup", below=lib.REG_MOUNT)
        plan.add(cover, pointer, f"cover of {place}")


def make_bind(
    plan: Plan,
    facts: Facts,
    source: str,
    found: mount_options.Options,
    pointer: str,
    about: str,
    *,
    idmapped: bool,
    propagation: int,
    host: bool,
) -> None:
    """A detached copy of a host tree in REG_MOUNT. host: the init is in the host's mount namespace.

    In a user namespace the init may be unable to walk to the source, and an id map takes privilege over the file system: then
    the runtime opens it, and the copy, which comes from the host's own mount namespace, must stop telling the host's mounts: an
    unmount in it would be one on the host. A few are opened at a time: there may be more than a process may have open files.

    A source within the rootfs may lie on a mount that came earlier in the list, which only the container's mount namespace has.
    """
    register, below = 0, lib.REG_NONE
    inside = _inside_rootfs(facts, source)
    deep = _may_clear(found) if facts.open_sources or (facts.nested and facts.may_mount) else ()
    if idmapped or facts.open_sources or deep:
        if inside or plan.carried() >= _OPEN_SOURCES:
            plan.cut()
        kind = "tree" if not idmapped else "deep-idmapped-tree" if found.deep_idmap else "idmapped-tree"
        kind = ("inner-" if inside else "") + ("link-" if found.source_link else "") + kind
        if inside and deep:
            raise _locked_inside(about, pointer)
        register = plan.carry(kind, inside or source, found.recursive, pointer, about, *deep)
    elif inside:
        source, below = inside, lib.REG_ROOT
    plan.add(
        ops.open_tree(
            source=source,
            tree=register,
            recursive=found.recursive,
            below=below,
            nofollow=found.source_link,
        ),
        pointer,
        about,
    )
    if host or (register and not inside):
        own = ops.mount_setattr(mount=lib.REG_MOUNT, propagation=propagation, recursive=True)
        plan.add(own, pointer, about)


def _may_clear(found: mount_options.Options) -> tuple[int, ...]:
    """What the recursive options set and clear; nothing where no flag that counts as locked can go."""
    clears = found.deep_clear & ~mount_options.NOSYMFOLLOW or found.deep_set & mount_options.NODIRATIME
    return (found.deep_set, found.deep_clear) if clears else ()


def _locked_inside(about: str, pointer: str) -> OciError:
    """What lies on a source in the rootfs is known in the container's mount namespace alone."""
    message = f"{about}: recursive options that clear a flag, in a user namespace, and a source in the rootfs"
    hint = "give the flags to the earlier mount that the source lies on"
    return OciError("mount", message, errno=errno.EPERM, pointer=f"{pointer}/options", hint=hint)


def _inside_rootfs(facts: Facts, source: str) -> str:
    """The path below the rootfs of a source that the configuration names by its path on the host; "" for any other."""
    rootfs = paths.clean(facts.rootfs)
    path = paths.clean(source if source.startswith("/") else f"{facts.bundle}/{source}")
    return path[len(rootfs) :] or "/" if rootfs != "/" and paths.is_within(path, rootfs) else ""


def make_new(
    plan: Plan,
    kind: str,
    source: str,
    found: mount_options.Options,
    pointer: str,
    about: str,
    *,
    label: str = "",
    mode_of: int = lib.REG_NONE,
) -> None:
    """A new file system in REG_MOUNT, attributes included; `mode_of`: the directory that a tmpfs takes its mode from."""
    data = list(found.data)
    own_label = not label or found.has_data(label.partition("=")[0])
    if not own_label and kind not in _UNLABELLED:
        data.append(label)
    if found.needs_old_mount():
        flags = found.old_mount_flags()
        words = ",".join(
            [mount_options.quoted(item) for item in data if item not in mount_options.FILESYSTEM_FLAGS]
        )
        old = ops.mount(type=kind, source=source, data=words, flags=flags, mode_of=mode_of)
        plan.add(old, pointer, about)
        if found.set:
            plan.add(ops.mount_setattr(mount=lib.REG_MOUNT, set=found.set, clear=found.clear), pointer, about)
    else:
        options = [mount_options.unquoted(item) for item in data]
        made = ops.fsmount(type=kind, source=source, options=options, attributes=found.set, mode_of=mode_of)
        plan.add(made, pointer, about)
    if kind == "mqueue" and not own_label:
        plan.add(ops.label(mount=lib.REG_MOUNT, label=label.partition("=")[2]), "/linux/mountLabel", about)


def _make_tmpfs(
    plan: Plan,
    source: str,
    found: mount_options.Options,
    pointer: str,
    about: str,
    destination: str,
    *,
    label: str,
) -> None:
    """A tmpfs in REG_MOUNT, writable until the end. Without a mode of its own it has that of the directory it hides."""
    own_mode = found.has_data("mode")
    mode = 0o755 if own_mode else 0o1777
    plan.add(ops.mountpoint(path=destination, type=lib.MOUNTPOINT_DIRECTORY, mode=mode), pointer, about)
    found.set &= ~mount_options.RDONLY
    found.deep_set &= ~mount_options.RDONLY
    mode_of = lib.REG_NONE if own_mode else lib.REG_MOUNTPOINT
    make_new(plan, "tmpfs", source, found, pointer, about, label=label, mode_of=mode_of)
    if found.copy_up:
        plan.add(ops.copy_up(source=lib.REG_MOUNTPOINT, mount=lib.REG_MOUNT), pointer, about)


def _finish(
    plan: Plan, spec: "Spec", found: mount_options.Options, pointer: str, about: str, *, fresh: bool
) -> None:
    """What concerns the whole tree, and how it propagates: once it is in place, for the place has a say in that."""
    if found.deep_set or found.deep_clear:
        deep = ops.mount_setattr(
            mount=lib.REG_MOUNT, set=found.deep_set, clear=found.deep_clear, recursive=True
        )
        plan.add(deep, pointer, about)
    for flags in found.propagation:
        kind = flags & ~mount_options.MS_REC
        if fresh and kind == mount_options.MS_PRIVATE and not is_shared(spec):
            continue  # a new mount below a private one is private
        recursive = bool(flags & mount_options.MS_REC)
        change = ops.mount_setattr(mount=lib.REG_MOUNT, propagation=kind, recursive=recursive)
        plan.add(change, pointer, about)


def copied_propagation(spec: "Spec") -> int:
    """How the copies of the host's mounts that the runtime makes propagate: the init's own are like that already."""
    private = "private" in ((spec.get("linux") or {}).get("rootfsPropagation") or "")
    return mount_options.MS_PRIVATE if private else mount_options.MS_SLAVE


def is_shared(spec: "Spec") -> bool:
    """Whether the root mount itself is shared, so that what is attached below becomes shared too."""
    return "shared" in ((spec.get("linux") or {}).get("rootfsPropagation") or "")


def _is_copied(spec: "Spec", mount: "Mount") -> bool:
    """Whether a remount is about a copy of a mount of the host: that of the rootfs, or a bind mount."""
    place, copied = paths.clean(mount["destination"]), True
    for other in spec.get("mounts") or ():
        if other is mount:
            break
        if "remount" not in (other.get("options") or ()) and paths.clean(other["destination"]) == place:
            copied = mount_options.is_bind(other)
    return copied


def _remount(
    plan: Plan, found: mount_options.Options, pointer: str, about: str, destination: str, *, locked: bool
) -> None:
    """locked: what flags the mount has count as locked, as those of the source of a bind mount do (_set_bind_flags)."""
    plan.add(ops.mountpoint(path=destination, type=lib.MOUNTPOINT_EXISTS), pointer, about)
    added = found.set | found.deep_set
    if locked:
        cleared = found.unset | found.deep_clear
        change = ops.bind_attributes(mount=lib.REG_MOUNTPOINT, set=added, clear=cleared)
    else:
        change = ops.mount_setattr(
            mount=lib.REG_MOUNTPOINT,
            set=added,
            clear=found.clear | found.deep_clear,
            recursive=found.recursive,
        )
    plan.add(change, pointer, about)
    if found.data:
        plan.add(ops.reconfigure(mount=lib.REG_MOUNTPOINT, options=found.data), pointer, about)
