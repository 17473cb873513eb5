"""pause and resume: all processes of a container stopped, and let go again, by its cgroup's freezer."""

from pyoci.base.errors import OciError
from pyoci.lifecycle import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cgroups.base import Manager


def pause(context: "Context", root: str, id: str) -> None:
    """`pause`: returns when every process of a created or running container has stopped. Raises OciError."""
    entry = store.open(context, root, id, lock=True)
    try:
        status = entry.status()
        if status == "paused":
            raise OciError("paused", "container not running: it is paused already", obj=id)
        if status not in ("created", "running"):
            raise OciError("not-running", "container not running", obj=id)
        _manager(entry, "pause").freeze()
    finally:
        entry.close()


def resume(context: "Context", root: str, id: str) -> None:
    """`resume`: resume the processes of a paused container. Raises OciError."""
    entry = store.open(context, root, id, lock=True)
    try:
        if entry.status() != "paused":
            raise OciError("not-paused", "container not paused", obj=id)
        manager = _manager(entry, "resume")
        manager.thaw()
        if entry.paused():
            message = f"cgroup {manager.main_path()} is still frozen"
            hint = "a cgroup above it is frozen: thaw that cgroup"
            raise OciError("cgroup-freeze", message, obj=manager.main_path(), hint=hint)
    finally:
        entry.close()


def _manager(entry: store.Entry, verb: str) -> "Manager":
    manager = entry.manager()
    if manager is not None and manager.main_path():
        return manager
    raise store.no_cgroup(entry.id, verb)
