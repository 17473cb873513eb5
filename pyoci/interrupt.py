"""Signals that end the runtime while it makes a container: they become errors, so that what was made is taken back."""

from pyoci._shim import lib
from pyoci.errors import OciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal


def heed() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP raise OciError "interrupted", unless our caller has them ignored."""
    ignored = lib.pyoci_ignored_signals()
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        if not ignored >> number - 1 & 1:
            _signal.signal(number, _interrupt)


def _interrupt(number: int, frame: object) -> None:
    _signal.signal(number, _signal.SIG_IGN)  # taking back must not be interrupted in its turn
    raise OciError("interrupted", f"ended by signal {number}", obj=str(number), status=128 + number)
