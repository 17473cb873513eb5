"""gather: what the compiler has to know of the host and of the request, found out once for create, run, exec and plan."""

import posix

from pyoci import userns
from pyoci._shim import lib
from pyoci.plan.facts import Facts
from pyoci.spec import capabilities, namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.base.spans import Spans
    from pyoci.cgroups.base import Manager
    from pyoci.host.inherited import Inherited


def gather(
    spec: "dict[str, Any]",
    id: str,
    rootfs: str,
    spans: "Spans",
    *,
    manager: "Manager | None" = None,
    cgroup_fds: int = 0,
    can_set_groups: bool = True,
    inherited: "Inherited | None" = None,
) -> Facts:
    """The facts for a container of this configuration. Raises OciError for a seccomp profile that can't be compiled.

    manager         of its cgroups, None for a process that joins a container: it mounts nothing
    cgroup_fds      how many v1 `tasks` files the init writes itself into
    can_set_groups  setgroups(2) is not denied in the user namespace that the process is in
    inherited       descriptors of our caller that the container keeps
    """
    facts = Facts(rootfs, id)
    in_user_namespace = namespaces.has(spec, "user")
    facts.open_sources = in_user_namespace and namespaces.has(spec, "mount") and posix.geteuid() == 0
    facts.capabilities = capabilities.ALL if in_user_namespace else lib.pyoci_permitted_capabilities()
    facts.nested = userns.is_nested()
    facts.can_set_groups = can_set_groups
    facts.cgroup = manager.mount_facts() if manager else None
    facts.cgroup_fds = cgroup_fds
    if inherited:
        facts.listen_fds = inherited.listen_fds
        facts.listen_names = inherited.listen_names
    facts.kcore = posix.access("/proc/kcore", posix.F_OK)
    began = spans.now()
    facts.seccomp = filter_of(spec)
    if facts.seccomp:
        spans.within(began, "seccomp filter", "/linux/seccomp")
    return facts


def filter_of(spec: "dict[str, Any]") -> tuple[bytes, int] | None:
    """The compiled linux.seccomp and its flags, None where there is nothing to filter. Raises OciError."""
    profile = (spec.get("linux") or {}).get("seccomp")
    if not profile:
        return None
    from pyoci.seccomp import filters

    program, flags = filters.program(profile)
    return (program, flags) if program else None
