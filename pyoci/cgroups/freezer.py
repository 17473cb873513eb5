"""Whether cgroups are frozen, asked without making a manager: `state` is called again and again."""

from pyoci.base import files
from pyoci.cgroups import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroups.records import Record


def frozen(record: "Record") -> bool:
    """Whether the cgroups of `Manager.record` are frozen; those that can't be asked, or are others by now, are not."""
    if record["manager"] == "systemd":
        record = record["inner"]
    path = record["paths"].get("freezer", "") if record["manager"] == "v1" else record["path"]
    if not path or not _is_recorded(path, record.get("ids", {})):
        return False
    return frozen_v1(path) if record["manager"] == "v1" else frozen_v2(path)


def _is_recorded(path: str, ids: "dict[str, list[int]]") -> bool:
    """Whether a cgroup has the device and inode that were written down; pyoci 0.1 wrote none."""
    if not ids:
        return True
    try:
        return tree.identity(path) == ids.get(path)
    except OSError:
        return False


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
