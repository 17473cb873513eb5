"""What the compiler has to know of the host and of the request, found out in one way for create, run, exec and plan.

`plan` makes nothing. Whether setgroups(2) is allowed in a user namespace that is still to be made, and which `tasks` files of
cgroup v1 the init gets, follows from rules that create and plan both ask: may_set_groups() and Manager.spawn_files().
"""

import posix

from pyoci import userns
from pyoci._shim import lib
from pyoci.lifecycle import state_document
from pyoci.plan.facts import Facts
from pyoci.spec import capabilities, namespaces
from pyoci.spec.annotations import LANDLOCK, SECCOMP_FAIL_UNKNOWN, asks_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.spans import Spans
    from pyoci.cgroups.base import Manager
    from pyoci.cgroups.resctrl import Group
    from pyoci.host.inherited import Inherited
    from pyoci.lifecycle.record import Record
    from pyoci.lifecycle.requests import CreateRequest, ProcessRequest
    from pyoci.spec.spec_types import Spec

_SYS_ADMIN = capabilities.mask(["CAP_SYS_ADMIN"])[0]


class Known:
    """What a caller knows of a process that is about to enter a container.

    spec            the configuration
    rootfs          host path of the container's root file system
    inherited       descriptors of our caller that the process keeps
    cgroup_fds      how many v1 `tasks` files the init writes itself into, in the plan that is compiled
    can_set_groups  setgroups(2) is not denied in the user namespace that the process is in
    keep_filter     a seccomp filter that had to be compiled goes into the cache
    """

    def __init__(self, spec: "Spec", rootfs: str, inherited: "Inherited") -> None:
        self.spec = spec
        self.rootfs = rootfs
        self.inherited = inherited
        self.cgroup_fds = 0
        self.can_set_groups = True
        self.keep_filter = True


def gather_new(
    request: "CreateRequest",
    known: Known,
    spans: "Spans",
    *,
    manager: "Manager | None",
    record: "Record",
    waits: bool,
) -> Facts:
    """The facts for the first process of a new container. Raises OciError for a seccomp profile that can't be compiled.

    manager  of its cgroups, None without    record  what is written down of it    waits  for `start`
    """
    facts = gather(request, known, spans)
    facts.cgroup = manager.mount_facts() if manager else None
    facts.bundle = record.bundle
    facts.links = _links(known.spec, record.bundle)
    facts.wait_start = waits
    facts.no_pivot = request.no_pivot
    facts.notify = notify_directory(request, known.spec)
    hooks = known.spec.get("hooks") or {}
    if hooks.get("createContainer") or hooks.get("startContainer"):
        facts.states = {
            "createContainer": state_document.halves(record, "creating"),
            "startContainer": state_document.halves(record, "created"),
        }
    return facts


def notify_directory(request: "CreateRequest", spec: "Spec") -> str:
    """The directory of the socket for sd_notify(3) in that of the container, "" when our caller has no NOTIFY_SOCKET.

    Without a mount namespace there is no place for it but the host's.
    """
    if not posix.environ.get(b"NOTIFY_SOCKET") or not namespaces.has(spec, "mount"):
        return ""
    from pyoci.host.notify import DIRECTORY

    return f"{request.root}/{request.id}/{DIRECTORY}"


def _links(spec: "Spec", bundle: str) -> dict[int, str]:
    """What the sources that shall be copied where they are links lead to, by the index of their mounts."""
    found: dict[int, str] = {}
    for index, mount in enumerate(spec.get("mounts") or ()):
        if "copy-symlink" in (mount.get("options") or ()):
            source = mount.get("source") or ""
            try:
                found[index] = posix.readlink(source if source.startswith("/") else f"{bundle}/{source}")
            except OSError:
                continue  # it is no link, or missing: the bind mount says so
    return found


def gather(request: "ProcessRequest", known: Known, spans: "Spans") -> Facts:
    """The facts for any process; one that joins a container needs no others. Raises OciError as gather_new()."""
    spec = known.spec
    facts = Facts(known.rootfs, request.id)
    in_user_namespace = namespaces.has(spec, "user")
    facts.ordinary_user = posix.geteuid() != 0
    permitted = 0 if facts.ordinary_user and in_user_namespace else lib.pyoci_permitted_capabilities()
    facts.may_mount = not facts.ordinary_user and bool(permitted & _SYS_ADMIN)
    facts.open_sources = in_user_namespace and namespaces.has(spec, "mount") and facts.may_mount
    facts.capabilities = capabilities.ALL if in_user_namespace else permitted
    facts.nested = userns.is_nested()
    facts.can_set_groups = known.can_set_groups
    facts.cgroup_fds = known.cgroup_fds
    facts.no_new_keyring = request.no_new_keyring
    facts.listen_fds = known.inherited.listen_fds
    facts.listen_names = known.inherited.listen_names
    facts.longest_string = 32 * posix.sysconf("SC_PAGE_SIZE")
    facts.kcore = posix.access("/proc/kcore", posix.F_OK)
    if LANDLOCK in (spec.get("annotations") or {}):
        facts.landlock_abi = lib.pyoci_landlock_abi()
    began = spans.now()
    facts.seccomp = filter_of(spec, keep=known.keep_filter)
    if facts.seccomp:
        spans.within(began, "seccomp filter", "/linux/seccomp")
    return facts


def filter_of(spec: "Spec", *, keep: bool = True) -> tuple[bytes, int] | None:
    """The compiled linux.seccomp and its flags, None where there is nothing to filter. Raises OciError."""
    profile = (spec.get("linux") or {}).get("seccomp")
    if not profile:
        return None
    from pyoci.seccomp import filters

    program, flags = filters.program(profile, keep=keep, fail_unknown=asks_for(spec, SECCOMP_FAIL_UNKNOWN))
    return (program, flags) if program else None


def is_rootless(request: "CreateRequest") -> bool:
    """Whether the runtime lacks the host root's rights, or its caller says so."""
    return posix.geteuid() != 0 if request.rootless is None else request.rootless


def may_set_groups(spec: "Spec", *, rootless: bool) -> bool:
    """Whether setgroups(2) is allowed in the user namespace of a new container, unless it joins one. Raises OSError."""
    if namespaces.is_new(spec, "user"):
        from pyoci.userns import idmap

        return idmap.allows_setgroups(spec["linux"].get("gidMappings") or [], rootless=rootless)
    return userns.may_set_groups("self")


def lacks_cgroup_rights(rootless: bool | None, *, systemd: bool) -> bool:
    """Whether the cgroups are those of an ordinary user, as runc decides it; `rootless` is what the caller has said, if anything.

    Root of a user namespace may be the root of cgroups, too, in a container that runs a systemd of its own, or an ordinary user's
    process that podman has put there. With systemd, the user whose bus it is tells one from the other; without, the path of the
    cgroup says nothing, and to be taken for an ordinary user does no harm.
    """
    if rootless is not None:
        return rootless
    if posix.geteuid() != 0:
        return True
    if not userns.is_nested():
        return False
    if not systemd:
        return True
    from pyoci.cgroups.dbus import bus

    return bus.user_bus_owner() != 0


def resctrl_of(spec: "Spec", id: str) -> "Group | None":
    """The resctrl group of a new container, which has made nothing yet; None without linux.intelRdt. Raises OciError."""
    wanted = spec.get("linux", {}).get("intelRdt")
    if wanted is None:
        return None
    from pyoci.cgroups import resctrl

    return resctrl.Group(wanted, id)


def manager_of(request: "CreateRequest", spec: "Spec", spans: "Spans") -> "Manager | None":
    """The manager of a new container's cgroups, which has made nothing yet; None where they are disabled. Raises OciError."""
    if request.cgroup_manager == "disabled":
        return None
    from pyoci import cgroups

    systemd = request.cgroup_manager == "systemd"
    rootless = lacks_cgroup_rights(request.rootless, systemd=systemd)
    entry = f"{request.root}/{request.id}"
    return cgroups.manager(spec, request.id, entry=entry, systemd=systemd, rootless=rootless, spans=spans)
