"""Writing limits into the files of a cgroup, and saying which one the kernel refused."""

import errno
import posix

from pyoci.base import files
from pyoci.base.errors import OciError
from pyoci.base.spans import Spans
from pyoci.cgroups import resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.cgroups.resources import Write

_HINTS = {
    (
        "memory",
        errno.EBUSY,
    ): "the processes in the cgroup already use more than this, and the kernel cannot reclaim it",
    ("memory", errno.EINVAL): "the memory limit must not exceed the limit of memory and swap together",
    (
        "cpuset",
        errno.EINVAL,
    ): "the list must be a subset of the parent cgroup's, and of what the machine has",
    ("cpuset", errno.ERANGE): "the machine has no CPU or memory node with that number",
    ("cpuset", errno.EACCES): "the list must be a subset of the parent cgroup's",
    ("cpu", errno.EINVAL): "the quota must not exceed the parent cgroup's, nor the burst the quota",
    ("devices", errno.EPERM): "the parent cgroup denies this device, or the runtime lacks CAP_SYS_ADMIN",
}


def put(path: str, text: str) -> None:
    """One write(2) of a whole value, as cgroup files want it. Raises OSError."""
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(fd, text.encode())
    finally:
        files.close(fd)


def write_limits(
    writes: "list[Write]",
    directory: "Callable[[str, str], str]",
    *,
    undo: bool = False,
    spans: Spans | None = None,
) -> None:
    """Make all writes; `directory(controller, pointer)` returns the cgroup's directory or raises OciError.

    Some files bound one another (limit and limit with swap, period, quota and burst), and which order is
    right depends on the old values: so what is refused as invalid is tried again once others are in place.
    Raises OciError for the first that the kernel refuses for good; with `undo` after writing back the old
    values, as far as they go in one line.
    """
    before: list[tuple[str, str]] = []
    try:
        _write(writes, directory, spans or Spans(), before if undo else None)
    except OciError:
        for path, text in reversed(before):
            try:
                put(path, text)
            except OSError:
                continue
        raise


def _write(
    writes: "list[Write]",
    directory: "Callable[[str, str], str]",
    spans: Spans,
    before: list[tuple[str, str]] | None,
) -> None:
    """The writes; `before` gets the path and the old text of what was written."""
    waiting = writes
    while waiting:
        refused: list[tuple[Write, OSError]] = []
        for write in waiting:
            file, value, pointer = write
            began = spans.now()
            path = f"{directory(file.partition('.')[0], pointer)}/{file}"
            old = "" if before is None else _old(path)
            try:
                put(path, value)
            except OSError as error:
                if error.errno == errno.ENOENT and resources.optional(file, value):
                    continue
                if error.errno != errno.EINVAL:
                    raise refusal(file, value, pointer, error) from None
                refused.append((write, error))
            else:
                if before is not None and old:
                    before.append((path, old))
            spans.within(began, file, pointer, "cgroup")
        if len(refused) == len(waiting):
            first, why = refused[0]
            raise refusal(*first, why) from None
        waiting = [write for write, _ in refused]


def _old(path: str) -> str:
    """The text that sets a file to what it is now, or "" for files of several lines or with a line for each device."""
    try:
        text = files.read(path).decode()
    except OSError:
        return ""
    return text if text.count("\n") == 1 and ":" not in text and "=" not in text else ""


def refusal(file: str, value: str, pointer: str, error: OSError) -> OciError:
    """The error for a value that the kernel did not take."""
    number = error.errno or 0
    if number == errno.ENOENT:
        message = f"cgroup: the kernel has no {file}, which {_property(pointer)} needs"
        hint = "the kernel was built or booted without it: omit the property"
        return OciError("cgroup-file-missing", message, pointer=pointer, errno=number, obj=file, hint=hint)
    message = f'cgroup: cannot set {file} to "{value}"'
    hint = _HINTS.get((file.partition(".")[0], number), "")
    return OciError("cgroup-limit", message, pointer=pointer, errno=number, obj=file, hint=hint)


def no_controller(name: str, pointer: str, *, joined: bool = True) -> OciError:
    """The error for a limit whose controller the container's cgroup does not have; with `joined` false
    because this user could not make a cgroup.
    """
    message = f"cgroup controller {name} is not available, {_property(pointer)} needs it"
    hint = f"enable or delegate the controller {name}, or omit the property"
    if not joined:
        message = f"cannot set {name} limit: container could not join or create cgroup"
        hint = f"have a cgroup delegated to this user, or omit {_property(pointer)}"
    return OciError("cgroup-controller-missing", message, pointer=pointer, obj=name, hint=hint)


def _property(pointer: str) -> str:
    return pointer[1:].replace("/", ".")
