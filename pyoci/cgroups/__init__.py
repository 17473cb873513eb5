"""Control groups: `manager` for a new container, `from_record` for one that is there.

Managers differ by what runs the tree: cgroup v1, cgroup v2, or systemd on top of either
(`pyoci.cgroups.base.Manager` is what they all can do).
"""

from pyoci.cgroups import paths
from pyoci.spec import namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.spans import Spans
    from pyoci.cgroups.base import Manager, Request
    from pyoci.cgroups.records import Record
    from pyoci.spec.spec_types import Linux, Spec


def manager(
    spec: "Spec",
    id: str,
    *,
    entry: str = "",
    systemd: bool = False,
    rootless: bool = False,
    spans: "Spans | None" = None,
) -> "Manager":
    """The manager of a new container's cgroups; makes nothing yet. The times of what it writes go to `spans`.

    entry  ROOT/ID of the container
    """
    from pyoci.cgroups import paths

    request = _request(spec, id, entry, rootless, spans)
    if systemd:
        from pyoci.cgroups.systemd import Systemd

        return Systemd.plan(request)
    if paths.is_v2():
        from pyoci.cgroups.v2 import V2

        return V2.plan(request)
    from pyoci.cgroups.v1 import V1

    return V1.plan(request)


def from_record(record: "Record", entry: str = "") -> "Manager":
    """The manager that gave this record, for a container that exists or did; `entry` is its ROOT/ID."""
    if record["manager"] == "v1":
        from pyoci.cgroups.v1 import V1

        return V1.from_record(record)
    if record["manager"] == "v2":
        from pyoci.cgroups.v2 import V2

        return V2.from_record(record)
    from pyoci.cgroups.systemd import Systemd

    return Systemd.from_record(record, entry)


def _request(spec: "Spec", id: str, entry: str, rootless: bool, spans: "Spans | None") -> "Request":
    from pyoci.cgroups.base import Request

    linux = spec.get("linux") or {}
    return Request(
        linux.get("cgroupsPath") or "",
        id,
        entry=entry,
        resources=linux.get("resources"),
        annotations=spec.get("annotations"),
        rootless=rootless,
        owner=_delegated_to(spec, linux),
        spans=spans,
    )


def _delegated_to(spec: "Spec", linux: "Linux") -> int:
    """The host uid of the container's root when the container may manage its own cgroup, else -1.

    runtime-spec config-linux.md, "Cgroup ownership": only with a new cgroup namespace and a writable
    /sys/fs/cgroup.
    """
    if not namespaces.has(spec, "user") or not namespaces.is_new(spec, "cgroup"):
        return -1
    mounts = [entry for entry in spec.get("mounts") or [] if entry["destination"] == paths.MOUNT]
    if not mounts or "ro" in (mounts[-1].get("options") or []):
        return -1
    for entry in linux.get("uidMappings") or []:
        if entry["containerID"] == 0:
            return entry["hostID"]
    return -1
