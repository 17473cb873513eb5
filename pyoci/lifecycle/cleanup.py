"""cleanup: what a container leaves is removed, in the order of the specification (runtime.md, Lifecycle, 12 and 13)."""

from pyoci.base import log, spans
from pyoci.base.errors import OciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroups.base import Manager
    from pyoci.lifecycle.store import Entry


def destroy(entry: "Entry", manager: "Manager | None") -> None:
    """Remove the cgroup, run the poststop hooks, remove the entry, of a container whose process is dead.

    Raises OciError for a cgroup or an entry that can't be removed; then the entry stays, for another try.
    """
    if manager is not None:
        manager.destroy()
        spans.lap("cgroup removal", "/linux/cgroupsPath")
    _poststop(entry)
    entry.remove()
    spans.lap("removal")


def destroy_anyway(entry: "Entry", manager: "Manager | None") -> None:
    """The same after a failure that shall be reported first: what can't be removed is only logged. Raises nothing."""
    try:
        destroy(entry, manager)
    except OciError as error:
        log.warning(error.text(), code=error.code)


def _poststop(entry: "Entry") -> None:
    """Run the poststop hooks; their failures are only logged (config.md, POSIX-platform Hooks)."""
    wanted = (entry.record.get("hooks") or {}).get("poststop")
    if not wanted:
        return
    from pyoci.host import hooks
    from pyoci.lifecycle.state_document import document

    text = document(entry, "stopped", 0)
    for failure in hooks.run_ignoring(wanted, text, name="poststop", pointer="/hooks/poststop"):
        log.warning(failure.text(), code=failure.code, pointer=failure.pointer)
    spans.lap("hooks", "/hooks/poststop")
