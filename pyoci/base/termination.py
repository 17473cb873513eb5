"""Signals that end the runtime while it makes a container: they become errors, so that what was made is taken back.

What a signal does belongs to the process. So only the command line calls catch(), in a process of its own; in a program that
makes containers from Python signals do what that program wants, and what it raises at one is an error like any other.
"""

from pyoci._shim import lib
from pyoci.base.errors import OciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal


_SIGNALS = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)


def catch() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP raise OciError "interrupted", unless our caller has them ignored."""
    ignored = lib.pyoci_ignored_signals()
    for number in _SIGNALS:
        if not ignored >> number - 1 & 1:
            _signal.signal(number, _interrupt)


def block() -> "set[int]":
    """Hold these signals back until unblock(): between making something and knowing of it. Returns what unblock() takes."""
    return _signal.pthread_sigmask(_signal.SIG_BLOCK, _SIGNALS)


def unblock(before: "set[int]") -> None:
    """End block(), whose caller may have had some blocked. Raises OciError "interrupted" for a signal that came meanwhile."""
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [number for number in _SIGNALS if number not in before])


def ignore() -> None:
    """From now on the signals of catch() do nothing: the work is done, or is being taken back."""
    for number in _SIGNALS:
        if _signal.getsignal(number) is _interrupt:
            _signal.signal(number, _signal.SIG_IGN)


def uncatch() -> None:
    """From now on they end the process as if catch() had not been called: there is nothing left to take back."""
    for number in _SIGNALS:
        if _signal.getsignal(number) is _interrupt:
            _signal.signal(number, _signal.SIG_DFL)


def _interrupt(number: int, frame: object) -> None:
    ignore()
    raise OciError("interrupted", f"ended by signal {number}", obj=str(number), status=128 + number)
