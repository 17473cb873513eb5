"""docs/conformance.md: each clause names tests, and each named test exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from harness import machine

DOCUMENT = machine.repository() / "docs/conformance.md"
TESTS = Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| *(?P<clause>[A-Z]+\d+[a-z]?) *\| *(?P<text>.+?) *\| *(?P<tests>.+?) *\|$")
NAME = re.compile(r"`([a-z_]+/[a-z_0-9]+\.py)::(test_[a-z_0-9]+)`")


def rows() -> list[re.Match[str]]:
    """The rows of the tables that are clauses."""
    return [found for line in DOCUMENT.read_text().splitlines() if (found := ROW.match(line))]


def functions(path: Path) -> set[str]:
    """The names of the test functions in a file."""
    tree = ast.parse(path.read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_clause_names_a_test() -> None:
    without = [
        row["clause"]
        for row in rows()
        if not NAME.search(row["tests"]) and "not applicable" not in row["tests"]
    ]
    assert without == []


def test_every_named_test_exists() -> None:
    missing = []
    for row in rows():
        for file, name in NAME.findall(row["tests"]):
            path = TESTS / file
            if not path.exists() or name not in functions(path):
                missing.append(f"{row['clause']}: {file}::{name}")
    assert missing == []


def test_the_names_in_the_document_are_all_understood() -> None:
    """A name in another spelling than the two tests above look for would not be checked."""
    text = DOCUMENT.read_text()
    assert len(re.findall(r"::test_", text)) == len(NAME.findall(text))


def test_clauses_are_numbered_once_and_enough() -> None:
    clauses = [row["clause"] for row in rows()]
    assert len(clauses) == len(set(clauses))
    assert len(clauses) >= 80
