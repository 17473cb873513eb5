"""The types of the values that a command line gives are those of the table."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from pyoci.cli import parse
from pyoci.cli.table import (
    AUTO,
    CHOICE,
    COMMANDS,
    FLAG,
    GLOBALS,
    HELP_OPTION,
    KEY,
    KIND,
    LIST,
    NUMBER,
    NUMBERS,
    OPTIONS,
    TEXT,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.table import Option

TYPES = {
    FLAG: "bool",
    TEXT: "str",
    CHOICE: "str",
    AUTO: "bool | None",
    NUMBER: "int",
    LIST: "list[str]",
    NUMBERS: "list[int]",
}
STUB = ast.parse(Path(parse.__file__).with_name("values.pyi").read_text())


def members(name: str) -> dict[str, str]:
    """The annotated members of a class of the stub."""
    (found,) = (node for node in STUB.body if isinstance(node, ast.ClassDef) and node.name == name)
    return {
        ast.unparse(node.target): ast.unparse(node.annotation)
        for node in found.body
        if isinstance(node, ast.AnnAssign)
    }


def by_key(options: Iterable[Option]) -> dict[str, str]:
    """The types by the keys, which have the same type wherever they come."""
    found: dict[str, str] = {}
    for option in options:
        if option[KEY]:
            assert found.setdefault(option[KEY], TYPES[option[KIND]]) == TYPES[option[KIND]], option[KEY]
    return found


def test_global_options() -> None:
    assert members("Settings") == by_key(GLOBALS)


def test_options_of_commands() -> None:
    every = [option for command in COMMANDS for option in command[OPTIONS]]
    assert members("Values") == by_key([*every, HELP_OPTION])
