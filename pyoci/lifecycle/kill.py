"""kill: a signal for the container's process, or for all of its processes."""

from pyoci.base import signal_numbers
from pyoci.lifecycle import store
from pyoci.lifecycle.processes import kill_left, not_running, signal_all, signal_first, thaw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context


def kill(context: "Context", root: str, id: str, signal: int, *, everyone: bool = False) -> None:
    """`kill`: send a signal to the container's process, or to all of them. Raises OciError.

    The pid is never trusted alone: the signal goes through a pidfd whose start time is that of the record.
    """
    entry = store.open(context, root, id, lock=False)
    try:
        status = entry.status()
        host_pid = signal == signal_numbers.KILL and entry.record.flags.get("host_pid", False)
        if status in ("stopped", "creating"):
            if everyone:
                signal_all(entry, signal)
                return
            if host_pid and status == "stopped" and kill_left(entry):
                return
            raise not_running(id)
        everyone = everyone or host_pid
        if everyone and signal_all(entry, signal):
            return
        if not signal_first(entry, signal):
            raise not_running(id)
        if signal == signal_numbers.KILL:
            thaw(entry)
    finally:
        entry.close()
