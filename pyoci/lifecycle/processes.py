"""The processes of a container that exists: signalled, killed, waited for, thawed."""

import errno

from pyoci.base import files
from pyoci.base.errors import OciError
from pyoci.init import exit_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from pyoci.lifecycle.store import Entry
else:
    import _signal

_THAW_MILLISECONDS = 200


def not_running(id: str) -> OciError:
    """The error for a container without a process; engines look for its words."""
    return OciError("not-running", "container not running", obj=id)


def signal_all(entry: "Entry", signal: int) -> bool:
    """Signal all processes; False where there is no cgroup to find them by. Raises OciError."""
    manager = entry.manager()
    return manager is not None and manager.signal_all(signal)


def kill_own(entry: "Entry") -> None:
    """Kill all processes in the container's cgroup, unless another one has taken its place, which `destroy` warns of.

    Raises OciError.
    """
    try:
        signal_all(entry, _signal.SIGKILL)
    except OciError as error:
        if error.code != "cgroup-changed":
            raise


def kill_left(entry: "Entry") -> bool:
    """Kill what runs on after the container's first process; whether there was anything. Raises OciError.

    Without a pid namespace of its own, the end of the first process ends no other one.
    """
    manager = entry.manager()
    try:
        return manager is not None and bool(manager.pids()) and manager.signal_all(_signal.SIGKILL)
    except OciError as error:
        if error.code != "cgroup-changed":
            raise
        return False


def signal_first(entry: "Entry", signal: int) -> bool:
    """Signal the container's first process; False when it is gone. Raises OciError."""
    pidfd = entry.open_process()
    if pidfd < 0:
        return False
    try:
        _signal.pidfd_send_signal(pidfd, signal)
        return True
    except ProcessLookupError:
        return False
    except OSError as error:
        denied = "the process belongs to another user: run the command as that user or as root"
        hint = denied if error.errno == errno.EPERM else ""
        message = f"cannot send signal {signal} to container {entry.id}"
        raise OciError("kill", message, errno=error.errno or 0, obj=entry.id, hint=hint) from None
    finally:
        files.close(pidfd)


def kill_and_wait(entry: "Entry") -> None:
    """Kill the container's process and wait for its death. Raises OciError when it does not die."""
    record = entry.record
    pidfd = entry.open_process() if record.pid else -1
    try:
        if pidfd >= 0:
            signal_first(entry, _signal.SIGKILL)
        dead = _kill_rest(entry, pidfd)
    finally:
        if pidfd >= 0:
            files.close(pidfd)
    if not dead:
        hint = "a process is in uninterruptible sleep (state D), or its cgroup is frozen"
        raise OciError(
            "not-dying", f"container {entry.id} does not end although it was killed", obj=entry.id, hint=hint
        )


def _kill_rest(entry: "Entry", pidfd: int) -> bool:
    """Kill those whom the death of the first process does not end; whether that one (-1: it is gone) is dead. Raises OciError."""
    record = entry.record
    if record.flags.get("host_pid") or not (record.pid or _shares_cgroup(entry)):
        kill_own(entry)
    if pidfd < 0:
        return True
    try:
        thaw(entry)
    except OciError as error:
        if error.code != "cgroup-changed":
            raise
    if exit_status.within(pidfd, _THAW_MILLISECONDS):
        return True
    kill_own(entry)
    return exit_status.within(pidfd, exit_status.DEATH_MILLISECONDS)


def _shares_cgroup(entry: "Entry") -> bool:
    """Whether the cgroup was there before: then a `create` that was killed early may not have found out that it is in use.

    Whoever is in it is left alone; an init of ours ends by itself when its runtime is gone.
    """
    record = entry.record.cgroup
    return bool(record and record["manager"] != "systemd" and record.get("kept"))


def thaw(entry: "Entry") -> None:
    """Let a paused container's killed process die: in a frozen cgroup of v1 even SIGKILL waits. Raises OciError."""
    if entry.paused():
        manager = entry.manager()
        if manager is not None:
            manager.thaw()
