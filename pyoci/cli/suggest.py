"""What a mistyped option was probably meant to be."""

from pyoci.base.suggest import closest
from pyoci.cli.table import GLOBALS, HELP, NAME, NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.table import Command, Option


def option_hint(name: str, known: "tuple[Option, ...]", command: "Command | None") -> str:
    """A hint for an unknown option, or "" for none better than the usage."""
    if command is not None and any(name in option[NAMES] for option in GLOBALS):
        return f"--{name} is a global option: it goes before the command"
    near = closest(name, [option[NAMES][0] for option in known if option[HELP]])
    if near:
        return f"did you mean --{near}?"
    return f"pyoci {command[NAME]} --help lists the options" if command else ""
