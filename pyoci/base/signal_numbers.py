"""Signals by number and by name (signal(7))."""

from pyoci.base.errors import OciError
from pyoci.base.numbers import decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

ILL, TRAP, KILL, TERM, SYS = (
    int(number)
    for number in (_signal.SIGILL, _signal.SIGTRAP, _signal.SIGKILL, _signal.SIGTERM, _signal.SIGSYS)
)
# What users mean by these names: the numbers of glibc, whichever C library is ours.
RTMIN, RTMAX = 34, 64


def number(text: str) -> int:
    """The number of a signal given as number or name: 15, TERM, SIGTERM, sigterm, RTMIN+3.

    Raises OciError `unknown-signal`.
    """
    if text.isascii() and text.isdigit():
        found = decimal(text, RTMAX)
        if found >= 0:
            return found
    else:
        named = _named(text.upper())
        if named:
            return named
    raise OciError("unknown-signal", f'unknown signal "{text}"', obj=text, hint="`kill -l` lists the signals")


def _named(name: str) -> int:
    """The number of a signal's name in capitals, or 0."""
    if name[:3] == "SIG":
        name = name[3:]
    for sign in "+-":
        base, found, offset = name.partition(sign)
        distance = decimal(offset, RTMAX)
        if found and base in ("RTMIN", "RTMAX") and distance >= 0:
            number = (RTMIN if base == "RTMIN" else RTMAX) + (distance if sign == "+" else -distance)
            return number if RTMIN <= number <= RTMAX else 0
    if name in ("RTMIN", "RTMAX"):
        return RTMIN if name == "RTMIN" else RTMAX
    if not name.isalnum():  # SIG_DFL and the like are no signals
        return 0
    return int(getattr(_signal, "SIG" + name, 0))
