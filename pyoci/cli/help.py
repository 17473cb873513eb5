"""`pyoci help` and `--help`, from the table."""

from pyoci.base import files
from pyoci.cli import manual
from pyoci.cli.parse import find, group
from pyoci.cli.table import COMMANDS, GLOBALS, HELP_OPTION, NAME, OPTIONS, SUMMARY
from pyoci.cli.usage import GROUPS, MORE, option_rows, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options
    from pyoci.cli.table import Command

_MOST_INDENT = 34


def run(context: "Context", options: "Options") -> int:
    """Print help for pyoci or for one command, or its manual page."""
    if options.command is None or options.settings.get("help"):
        files.out(overview())
    elif options.command[NAME] != "help" or options.values.get("help"):
        files.out(command_help(options.command))
    elif not options.args:
        files.out(manual.page() if options.values.get("man") else overview())
    else:
        files.out(_of(" ".join(options.args), bool(options.values.get("man"))))
    return 0


def _of(name: str, man: bool) -> str:
    """Help for a command, or for all of a group; or the manual page."""
    members = group(name)
    if man:
        return manual.group_page(name) if members else manual.command_page(find(name))
    return "\n".join(command_help(command) for command in members or [find(name)])


def overview() -> str:
    """What pyoci is, its commands and its global options."""
    text = "pyoci runs containers from OCI bundles\n\n"
    text += "Usage: pyoci [global options] COMMAND [options] [arguments]\n"
    for title, names in GROUPS:
        rows = [
            (command[NAME], command[SUMMARY])
            for name in names
            for command in COMMANDS
            if command[NAME] == name
        ]
        if rows:
            text += f"\n{title}:\n{_columns(rows, 14)}"
    text += f"\nGlobal options, before the command:\n{_columns(option_rows(GLOBALS))}"
    return text + "\npyoci COMMAND --help shows the options of a command.\n"


def command_help(command: "Command") -> str:
    """What one command does and its options."""
    text = f"pyoci {command[NAME]}: {command[SUMMARY]}\n\nUsage: {usage(command)}\n"
    if command[NAME] in MORE:
        text += f"\n{MORE[command[NAME]]}\n"
    return text + f"\nOptions:\n{_columns(option_rows((*command[OPTIONS], HELP_OPTION)))}"


def _columns(rows: list[tuple[str, str]], least: int = 0) -> str:
    width = max(least, min(_MOST_INDENT, max(len(left) for left, _ in rows)))
    text = ""
    for left, right in rows:
        text += (
            f"  {left:<{width}}  {right}\n" if len(left) <= width else f"  {left}\n  {'':<{width}}  {right}\n"
        )
    return text
