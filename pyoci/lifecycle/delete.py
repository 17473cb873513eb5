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
        _delete_damaged(context, root, id, directory)
        return
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


def _delete_damaged(context: "Context", root: str, id: str, directory: int) -> None:
    """Remove a container whose record can't be read, as far as it can be told. Raises OciError, also for what may be left."""
    from pyoci.lifecycle.salvage import Salvaged

    found = Salvaged(context, root, id)
    try:
        found.entry.read_hooks()
        _delete(context, found.entry, True, directory)
    finally:
        found.entry.close()
    if not found.is_certain:
        raise found.doubt()


def destroy(context: "Context", entry: store.Entry, directory: int = -1) -> None:
    """Remove what is left of a container whose process is dead, other processes of it included. Raises OciError."""
    if entry.record.flags.get("host_pid"):
        kill_own(entry)
    cleanup.destroy(context, entry, entry.manager(), directory)
