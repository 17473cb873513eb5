"""Signals that are for the container, and the wait for them beside that for descriptors."""

import posix
import select

from pyoci._shim import lib
from pyoci.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object] | int | None
else:
    import _signal

# They cannot be caught, stop background jobs, or mean nothing to others.
_NOT_CAUGHT = ("KILL", "STOP", "TTIN", "TTOU", "PIPE", "URG")
# csrc/shim/signals.c catches those that may also tell of our own faults, and the C library's: two of glibc's, three of musl's.
_NOTED = ("ILL", "BUS", "FPE", "SEGV", "SYS")
_LIBRARY = range(32, 35)


class Signals:
    """Catches the signals that are for the container, from its making on; ignored ones stay ignored.

    A child that is started meanwhile must reset its signals, as every exec does.
    """

    def __init__(self) -> None:
        self.fd, self._writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        self._before: list[tuple[int, Handler]] = []
        ignored = lib.pyoci_ignored_signals()
        self._before.append((_signal.SIGPIPE, _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)))
        self._wakeup = _signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        left_out = {getattr(_signal, "SIG" + name) for name in _NOT_CAUGHT + _NOTED}.union(_LIBRARY)
        for number in range(1, _signal.NSIG):
            if number in left_out:
                continue
            if number != _signal.SIGCHLD and ignored >> number - 1 & 1:
                continue
            self._before.append((number, _signal.signal(number, _noted)))
        lib.pyoci_note_signals(self._writer)  # which looks at the handler of SIGCHLD

    def pending(self) -> bytes:
        """The numbers of the signals that came since the last call; `fd` is readable when there are some."""
        try:
            return posix.read(self.fd, 4096)
        except BlockingIOError:
            return b""

    def restore(self) -> None:
        """Signals do again what they did before."""
        lib.pyoci_restore_signals()
        for number, handler in self._before:
            _signal.signal(number, _signal.SIG_DFL if handler is None else handler)
        _signal.set_wakeup_fd(self._wakeup)
        files.close(self.fd)
        files.close(self._writer)


def _noted(number: int, frame: object) -> None:
    """The handler in name: the number goes through the wakeup descriptor."""


def poll(interests: dict[int, int], timeout: int | None = None) -> dict[int, int]:
    """Wait, at most `timeout` ms, until descriptors have one of their events; returns those that have."""
    poller = select.poll()
    for fd, events in interests.items():
        poller.register(fd, events)
    return dict(poller.poll(timeout))
