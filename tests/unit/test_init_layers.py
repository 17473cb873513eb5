"""The files of the container's init form layers: each calls only what is below it (CONTRIBUTING.md)."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
INIT = TOP / "csrc" / "init"
LAYERS = ("sys", "channel", "state", "plan", "resolve")
_COMMENT = re.compile(r"/\*.*?\*/|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_FUNCTION = re.compile(r"^[a-z_][\w* ]*?\**(\w+)\([^;{}]*\) \{$", re.MULTILINE)
_VARIABLE = re.compile(r"^(?:struct \w+|char \*)\s*(\w+)(?:\[[^;]*\])?;$", re.MULTILINE)


def code(name: str) -> str:
    return _COMMENT.sub(" ", (INIT / f"{name}.c").read_text())


def defined(name: str) -> set[str]:
    """The functions and variables of a file that others may use."""
    text = code(name)
    return {
        match[1]
        for pattern in (_FUNCTION, _VARIABLE)
        for match in pattern.finditer(text)
        if not match[0].startswith("static") and "_Noreturn static" not in match[0]
    }


def rank(name: str) -> int:
    return LAYERS.index(name) if name in LAYERS else len(LAYERS) + (name == "main")


def test_a_file_calls_only_what_is_below_it() -> None:
    names = sorted(path.stem for path in INIT.glob("*.c"))
    assert {*LAYERS, "main", "mounts"} <= set(names)
    wrong = [
        f"{user}.c uses {word} of {owner}.c"
        for owner in names
        for word in sorted(defined(owner) - {"main"})
        for user in names
        if user != owner and rank(user) <= rank(owner) and re.search(rf"\b{word}\b", code(user))
    ]
    assert wrong == []


def test_the_functions_are_seen() -> None:
    assert defined("state") == {"state", "clear_state", "get", "take", "put", "set_mask", "close_registers"}
    assert {"check", "fail", "say"} <= defined("channel") and "now" not in defined("channel")
    assert "op_mount" in defined("mounts")


def test_the_page_has_the_same_order() -> None:
    text = (TOP / "CONTRIBUTING.md").read_text()
    places = [text.index(f"`{name}.c` (") for name in LAYERS]
    assert places == sorted(places)
    header = (INIT / "init.h").read_text()
    places = [header.index(f"/* {name}.c: ") for name in LAYERS]
    assert places == sorted(places)


def test_the_example_of_an_op_is_in_the_files() -> None:
    """CONTRIBUTING.md, "How to add": a real op, in no more than four places."""
    block = (
        (TOP / "CONTRIBUTING.md")
        .read_text()
        .partition("**An op.**")[2]
        .partition("\n\n")[2]
        .partition("\n\n")[0]
    )
    rows = [line.strip().partition(" ") for line in block.splitlines()]
    assert 2 <= len(rows) <= 4
    for file, _, line in rows:
        assert line.strip() in (TOP / file).read_text(), line
