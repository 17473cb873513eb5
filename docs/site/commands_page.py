"""Write docs/commands.md from the table of commands, as help and the manual pages come from it.

python docs/site/commands_page.py > docs/commands.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pyoci.cli import manual
from pyoci.cli.parse import find
from pyoci.cli.table import GLOBALS, OPTIONS, SUMMARY
from pyoci.cli.usage import GROUPS, MORE, option_rows, usage

if TYPE_CHECKING:
    from pyoci.cli.table import Option

HEAD = """\
# Commands

A call of pyoci names the command after the global options and before its own, then the arguments.

`pyoci help COMMAND` shows the same in a terminal, as do the manual pages, pyoci(1), pyoci-create(1) and so on. This page
comes from the table that the program itself reads: `docs/site/commands_page.py` writes it.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## Global options\n\nThey go before the command.\n", _options(GLOBALS)]
    for title, names in GROUPS:
        parts.append(f"## {title}\n")
        parts += [_command(name) for name in names]
    parts += ["## Exit status\n", _table(("status", "when"), manual.STATUS)]
    parts.append("[errors](errors.md) has the status of each failure.\n")
    parts += ["## Environment\n", _table(("variable", "what it does"), manual.ENVIRONMENT)]
    return "\n".join(parts)


def _command(name: str) -> str:
    command = find(name)
    summary = command[SUMMARY]
    parts = [f"### {name}\n", f"{summary[:1].upper()}{summary[1:]}.\n", f"    {usage(command)}\n"]
    if name in MORE:
        parts.append(MORE[name] + "\n")
    if option_rows(command[OPTIONS]):
        parts.append(_options(command[OPTIONS]))
    return "\n".join(parts)


def _options(options: tuple[Option, ...]) -> str:
    return _table(("option", "what it does"), tuple(option_rows(options)))


def _table(head: tuple[str, str], rows: tuple[tuple[str, str], ...]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "| --- | --- |"]
    lines += [f"| `{_cell(left)}` | {_cell(right)} |" for left, right in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    sys.stdout.write(page())
