"""`pyoci kill`, and the names of signals."""

from pyoci.base.errors import OciError
from pyoci.base.numbers import decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.parse import Options

_TERM = 15
_HIGHEST = 64
# What users mean by these names: the numbers of glibc, whichever C library is ours.
_RTMIN, _RTMAX = 34, 64


def run(options: "Options") -> int:
    """Send a signal to a container's process, or with --all to all its processes."""
    from pyoci.cli.root import choose
    from pyoci.lifecycle import container

    root = choose(options.settings)
    number = signal_number(options.args[1]) if len(options.args) > 1 else _TERM
    everyone = options.values.get("all", False)
    if options.values.get("regex"):
        from pyoci.cli.matching import each

        return each(options, root, lambda name: container.kill(root, name, number, everyone))
    container.kill(root, options.args[0], number, everyone)
    return 0


def signal_number(text: str) -> int:
    """The number of a signal given as number or name: 15, TERM, SIGTERM, sigterm, RTMIN+3 (signal(7)).

    Raises OciError `unknown-signal`.
    """
    if text.isascii() and text.isdigit():
        number = decimal(text, _HIGHEST)
        if number >= 0:
            return number
    else:
        named = _named(text.upper())
        if named:
            return named
    raise OciError(
        "unknown-signal", f'unknown signal "{text}"', obj=text, hint="kill -l lists the names of signals"
    )


def _named(name: str) -> int:
    """The number of a signal's name in capitals, or 0."""
    import _signal

    if name[:3] == "SIG":
        name = name[3:]
    for sign in "+-":
        base, found, offset = name.partition(sign)
        distance = decimal(offset, _HIGHEST)
        if found and base in ("RTMIN", "RTMAX") and distance >= 0:
            number = (_RTMIN if base == "RTMIN" else _RTMAX) + (distance if sign == "+" else -distance)
            return number if _RTMIN <= number <= _RTMAX else 0
    if name in ("RTMIN", "RTMAX"):
        return _RTMIN if name == "RTMIN" else _RTMAX
    if not name.isalnum():  # SIG_DFL and the like are no signals
        return 0
    found_number: int = getattr(_signal, "SIG" + name, 0)
    return found_number
