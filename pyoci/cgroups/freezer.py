"""Whether cgroups are frozen, asked without making a manager: `state` is called again and again."""

from pyoci.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroups.records import Record


def frozen(record: "Record") -> bool:
    """Whether the cgroups of `Manager.record` are frozen; those that can't be asked are not."""
    if record["manager"] == "systemd":
        record = record["inner"]
    if record["manager"] == "v1":
        path = record["paths"].get("freezer")
        return path is not None and frozen_v1(path)
    return frozen_v2(record["path"])


def frozen_v1(path: str) -> bool:
    """Frozen or freezing, by this cgroup's own freezer.state or one above it."""
    return _read(f"{path}/freezer.state") not in (b"", b"THAWED\n")


def frozen_v2(path: str) -> bool:
    """As `frozen_v1`. cgroup.events alone would say no for the moment in which a new process is being stopped."""
    return _read(f"{path}/cgroup.freeze") == b"1\n" or b"frozen 1" in _read(f"{path}/cgroup.events")


def _read(path: str) -> bytes:
    try:
        return files.read(path)
    except OSError:
        return b""
