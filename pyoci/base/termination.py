"""Signals that end the runtime while it makes a container: they become errors, so that what was made is taken back."""

from pyoci._shim import lib
from pyoci.base.errors import OciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal


_HEEDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)


def heed() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP raise OciError "interrupted", unless our caller has them ignored."""
    ignored = lib.pyoci_ignored_signals()
    for number in _HEEDED:
        if not ignored >> number - 1 & 1:
            _signal.signal(number, _interrupt)


def hold() -> "set[int]":
    """Let these signals wait until release(): between making something and knowing of it. Returns what release() wants."""
    return _signal.pthread_sigmask(_signal.SIG_BLOCK, _HEEDED)


def release(before: "set[int]") -> None:
    """The end of hold(), whose caller may have some blocked. Raises OciError "interrupted" for a signal that came meanwhile."""
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [number for number in _HEEDED if number not in before])


def ignore() -> None:
    """From now on these signals do nothing: what was to be done is done, or is being taken back."""
    for number in _HEEDED:
        _signal.signal(number, _signal.SIG_IGN)


def _interrupt(number: int, frame: object) -> None:
    ignore()
    raise OciError("interrupted", f"ended by signal {number}", obj=str(number), status=128 + number)
