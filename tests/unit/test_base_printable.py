"""What reaches a terminal: nothing that it obeys, nothing that turns the order of letters round."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyoci.base import files, printable

TREE = Path(__file__).resolve().parents[2] / "pyoci"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \xe4\u4e2d", "plain \xe4\u4e2d"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb\u2066c\u200fd", "a\\u202eb\\u2066c\\u200fd"),
        ("\x9b31m\x7f\r\t", "\\x9b31m\\x7f\\x0d "),
        ("\udc80\ud800", "\\x80\\ud800"),
        ("\U000e0001", "\\U000e0001"),
        ("one\ntwo\x07", "one\\ntwo\\x07"),
    ],
)
def test_a_line(text: str, shown: str) -> None:
    assert printable.line(text) == shown
    assert printable.lines(text) == shown.replace("\\n", "\n")


@given(st.text(st.characters()))
def test_nothing_but_newlines_and_what_is_seen(text: str) -> None:
    assert printable.line(text).isprintable()
    found = printable.lines(text)
    assert found.replace("\n", "").isprintable() and found.count("\n") == text.count("\n")


@pytest.mark.parametrize("write", [files.out, files.err])
def test_output_goes_through_it(write: object, capfd: pytest.CaptureFixture[str]) -> None:
    assert callable(write)
    write("a\x1b]0;x\x07\u202e\ud800\n")
    assert "".join(capfd.readouterr()) == "a\\x1b]0;x\\x07\\u202e\\ud800\n"


def test_nothing_else_writes_to_the_standard_streams() -> None:
    found = []
    for path in sorted(TREE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            call = ast.unparse(node.func)
            first = ast.unparse(node.args[0]) if node.args else ""
            if call in ("print", "sys.stdout.write", "sys.stderr.write") or (
                call in ("posix.write", "os.write", "write_all", "files.write_all") and first in ("1", "2")
            ):
                found.append(f"{path.relative_to(TREE)}: {call}")
    # the second is a tool of the build, which prints what is in the repository
    assert set(found) == {"base/files.py: write_all", "validate/compare.py: print"}


@given(st.text())
def test_the_size_in_utf8(text: str) -> None:
    assert printable.utf8_size(text) == len(text.encode())


def test_the_size_of_half_a_character() -> None:
    assert printable.utf8_size("a\ud800") == 4
