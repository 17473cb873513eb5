"""delete: what create made is removed, whatever state the container is in."""

from pyoci.base.errors import OciError
from pyoci.lifecycle import cleanup, store
from pyoci.lifecycle.processes import kill_and_wait, kill_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context


def delete(
    context: "Context", root: str, id: str, *, force: bool, only: int = 0, directory: int = -1
) -> None:
    """`delete`: undo what create made. A running container is refused unless forced. Raises OciError.

    only       the pid of the container that is meant, 0 for any: a new one may have got the id of one that was deleted
    directory  a descriptor of the working directory of poststop hooks, or -1 for ours
    """
    try:
        entry = store.open(context, root, id, lock=True)
        if only and entry.record.pid != only:
            entry.close()
            return
    except OciError as error:
        if force and error.code in ("not-found", "invalid-id"):
            return
        if not force or error.code != "state-damaged":
            raise
        entry = _salvage(context, root, id)
    try:
        entry.read_hooks()
        _delete(context, entry, force, directory)
    finally:
        entry.close()


def _delete(context: "Context", entry: store.Entry, force: bool, directory: int) -> None:
    status, id = entry.status(), entry.id
    entry.manager()  # while its process lives: what that is in is its cgroup, even where the record has no ids
    if status in ("running", "paused") and not force:
        message = f"cannot delete container {id} that is not stopped: {status}"
        raise OciError(
            "not-stopped", message, obj=id, hint="stop it with `pyoci kill`, or use `delete --force`"
        )
    if status != "stopped" or not entry.record.pid:
        kill_and_wait(entry)
    destroy(context, entry, directory)


def destroy(context: "Context", entry: store.Entry, directory: int = -1) -> None:
    """Remove what is left of a container whose process is dead, other processes of it included. Raises OciError."""
    if entry.record.flags.get("host_pid"):
        kill_own(entry)
    cleanup.destroy(context, entry, entry.manager(), directory)


def _salvage(context: "Context", root: str, id: str) -> store.Entry:
    """The entry of a container whose record can't be read, with what its saved configuration still tells. Raises OciError."""
    entry = store.open(context, root, id, lock=True, damaged=True)
    try:
        spec = entry.config()
        from pyoci import cgroups

        systemd = ":" in spec.get("linux", {}).get("cgroupsPath", "")
        record = cgroups.manager(spec, id, systemd=systemd, rootless=True).record()
        if record["manager"] != "systemd":
            record["kept"] = []
        entry.record.cgroup = record
        if "intelRdt" in spec.get("linux", {}):
            from pyoci.cgroups import resctrl

            entry.record.rdt = resctrl.salvaged(spec["linux"]["intelRdt"], id)
        entry.record.hooks = ["poststop"]
    except OciError as error:
        context.log.warning(error.text(), code=error.code)
    return entry
