"""What is left of dead containers, and its removal.

A container is dead when no process of it runs: its creator was killed half-way, its program ended and it was not deleted,
or the machine has been booted since. Its entry holds on to cgroups, which `delete` removes with it. A process is left over when
it still waits for the `start` of a container whose entry is gone.
"""

import fcntl
import os
import select
import signal
import time

from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.cgroups import paths, tree
from pyoci.doctor.check import Leftover
from pyoci.lifecycle import store
from pyoci.lifecycle.delete import delete

_IMAGES = ("/memfd:pyoci-init (deleted)", "/pyoci-init (deleted)")  # with vm.memfd_noexec=2 it is no memfd
_DEATH_SECONDS = 5


def find(context: Context, root: str) -> list[Leftover]:
    """All leftovers of this root, and of the whole machine as far as we may look. Removes nothing."""
    return [*_containers(context, root), *_processes()]


def remove(context: Context, root: str, leftover: Leftover) -> None:
    """Remove one, if it is still what it was; the outcome goes into `removed` and `failure`."""
    try:
        if leftover.kind == "process":
            _end(int(leftover.name))
        else:
            _delete(context, root, leftover.name)
        leftover.removed = True
    except (OciError, OSError) as error:
        leftover.failure = error.text() if isinstance(error, OciError) else str(error.strerror).lower()


def _containers(context: Context, root: str) -> list[Leftover]:
    found = []
    for id in store.ids(root):
        why = _why_dead(context, root, id)
        if why:
            found.append(Leftover("container", id, why))
    return found


def _why_dead(context: Context, root: str, id: str) -> str:
    """Why a container counts as dead, "" when it does not, or another command is at work on it."""
    try:
        entry = store.open(context, root, id, lock=False, acts=False)
    except OciError as error:
        return error.message if error.code == "state-damaged" else ""
    try:
        if _locked(entry.directory) or entry.status() != "stopped":
            return ""
        record = entry.record
        if record.status == "creating":
            return "its creation was never finished"
        if not os.path.isdir(record.bundle):
            return f"it has stopped, and its bundle {record.bundle} is gone"
        return "it has stopped and was never deleted"
    finally:
        entry.close()


def _locked(directory: int) -> bool:
    """Whether another command works on an entry right now."""
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(directory, fcntl.LOCK_UN)
    return False


def _delete(context: Context, root: str, id: str) -> None:
    """As `pyoci delete`; --force only where the record is damaged, so that no living process is killed. Raises OciError."""
    try:
        delete(context, root, id, force=False)
    except OciError as error:
        if error.code == "not-found":
            return
        if error.code != "state-damaged":
            raise
        _delete_damaged(context, root, id)


def _delete_damaged(context: Context, root: str, id: str) -> None:
    try:
        delete(context, root, id, force=True)
    except OciError as error:
        if error.code != "process-unknown":  # which says that the entry is gone
            raise
        context.log.warning(error.text(), code=error.code)


def _processes() -> list[Leftover]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            fifo = _lost_fifo(int(name))
            if fifo:
                found.append(
                    Leftover(
                        "process", name, f"it waits for {fifo}, which is gone: it cannot be started any more"
                    )
                )
    return found


def _lost_fifo(pid: int) -> str:
    """The start fifo that a waiting init holds open though its entry was removed; "" for every other process."""
    try:
        if os.readlink(f"/proc/{pid}/exe") not in _IMAGES:
            return ""
        for fd in os.listdir(f"/proc/{pid}/fd"):
            path, _, gone = os.readlink(f"/proc/{pid}/fd/{fd}").rpartition(" ")
            if gone == "(deleted)" and path.endswith("/start"):
                return path
    except OSError:  # it has ended, or is another user's
        pass
    return ""


def _end(pid: int) -> None:
    """Kill a process if it is still left over, and remove the cgroups that it had to itself. Raises OSError."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not _lost_fifo(pid):
            return
        places = _cgroups_of(pid)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        select.select([pidfd], [], [], _DEATH_SECONDS)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)
    for place in places:
        _remove_cgroup(place)


def _cgroups_of(pid: int) -> list[str]:
    """The cgroups of a process, but for those that it shares with us, and the topmost."""
    ours, theirs = paths.of_process(), paths.of_process(pid)
    trees = {found.controllers[0]: found.mount for found in paths.hierarchies()}
    trees[""] = paths.MOUNT if paths.is_v2() else paths.hybrid_mount()
    return [
        mount + theirs[name]
        for name, mount in trees.items()
        if mount
        and theirs.get(name, "/") not in ("/", ours.get(name))
        and ".." not in theirs[name].split("/")
    ]


def _remove_cgroup(place: str) -> None:
    try:
        tree.remove(place, time.monotonic() + _DEATH_SECONDS)
    except OSError:  # others are in it: then it is not ours to remove
        pass
