"""What runc and crun do otherwise: the lists of data/peers name tests that exist, and docs/peers.md has each of their reasons."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from harness import peers
from unit.documents import document

TESTS = Path(__file__).parent.parent
PAGE = document("docs/peers.md")


@cache
def functions(file: str) -> set[str]:
    """The names of the test functions in a file."""
    tree = ast.parse((TESTS / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("kind", peers.KINDS)
def test_the_tests_exist(kind: str) -> None:
    listed = peers.differences(kind)
    assert listed
    for test in listed:
        file, _, name = test.partition("::")
        assert name.partition("[")[0] in functions(file), test


@pytest.mark.parametrize("kind", peers.KINDS)
def test_the_page_has_each_difference_with_its_reason(kind: str) -> None:
    section = re.split(r"^## ", PAGE.text, flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(kind))
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line[:2] == "| "
    ]
    described = [row[0] for row in rows[2:]]
    assert all(len(row) == 2 and all(row) for row in rows)
    reasons = {each.reason for each in peers.differences(kind).values()}
    assert sorted(described, key=str.lower) == sorted(reasons, key=str.lower)


def test_a_list() -> None:
    listed = peers.parsed("# head\n\nwhy\n  a/t.py::one\n  ? a/t.py::two[x]\nother\n  ! b/t.py::three[y]\n")
    assert peers.of("a/t.py::one[any]", listed) == peers.Difference("why")
    assert peers.of("a/t.py::two[x]", listed) == peers.Difference("why", always=False)
    assert peers.of("a/t.py::two[z]", listed) is None
    assert peers.of("b/t.py::three[y]", listed) == peers.Difference("other", harmful=True)
    assert peers.stale(["a/t.py::one[p]", "a/t.py::two[z]"], listed) == ["a/t.py::two[x]"]


@pytest.mark.parametrize("text", ["why\n  a/t.py::one\nother\n  ? a/t.py::one\n", "  a/t.py::one\n"])
def test_a_list_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="one: "):
        peers.parsed(text)
