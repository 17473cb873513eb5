"""docs/config.md: a row for each property of the schemas, no empty cell, tests that exist, errors that exist."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from unit.config_page import DOCUMENT, names, rows
from unit.documents import TOP, document, table
from unit.plans import finish, in_words, prepare, spec

sys.path.append(str(TOP / "schemas"))
import generate

TESTS = TOP / "tests"
TEST = re.compile(r"`([a-z_]+/[a-z_0-9]+\.py)::(test_[a-z_0-9]+)`")
OTHER_PLATFORMS = {"freebsd", "solaris", "vm", "windows", "zos"}


def properties_of_the_document() -> list[str]:
    """The properties in the first cells of all tables but the one of values."""
    values = table(DOCUMENT, "value")
    return [name for row in rows() if row not in values for name in names(row)]


@cache
def properties_of_the_schemas() -> set[str]:
    """The path of every property for Linux, with [] for the entries of a list and * for names that are free."""
    schemas = generate.Schemas()
    found: set[str] = set()

    def walk(node: dict[str, Any], file: str, path: str) -> None:
        if "$ref" in node:
            address, target = schemas.find(node["$ref"], file)
            walk(target, address.partition("#")[0], path)
        for name, below in node.get("properties", {}).items():
            if not path and name in OTHER_PLATFORMS:
                continue
            here = f"{path}.{name}" if path else name
            found.add(here)
            walk(below, file, here)
        for word in ("allOf", "anyOf", "oneOf"):
            for each in node.get(word, []):
                walk(each, file, path)
        if isinstance(node.get("items"), dict):
            walk(node["items"], file, f"{path}[]")
        free = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
        for below in free:
            if isinstance(below, dict):
                walk(below, file, f"{path}.*")

    walk(schemas.files["config-schema.json"], "config-schema.json", "")
    return found


@cache
def functions(path: Path) -> set[str]:
    """The names of the test functions in a file."""
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_property_has_a_row_and_nothing_else_has() -> None:
    named = properties_of_the_document()
    assert sorted(properties_of_the_schemas() - set(named)) == []
    assert sorted(set(named) - properties_of_the_schemas()) == []


def test_a_property_has_one_row() -> None:
    named = properties_of_the_document()
    assert sorted(name for name in set(named) if named.count(name) > 1) == []


def test_no_cell_is_empty() -> None:
    assert [row for row in rows() if len(row) != 4 or not all(row)] == []


def test_each_row_names_tests_that_exist() -> None:
    without = [row[0] for row in rows() if not TEST.search(row[3])]
    assert without == []
    missing = [
        f"{file}::{name}"
        for row in rows()
        for file, name in TEST.findall(row[3])
        if not (TESTS / file).exists() or name not in functions(TESTS / file)
    ]
    assert missing == []
    assert len(re.findall(r"::test_", DOCUMENT.text)) == len(TEST.findall(DOCUMENT.text))


def test_each_error_code_is_one() -> None:
    codes = set(re.findall(r"^\| `([a-z-]+)` \| \d", document("docs/errors.md").text, re.MULTILINE))
    named = [code for row in rows() for code in re.findall(r"`([a-z-]+)`", row[2])]
    assert named
    assert sorted(set(named) - codes) == []


def test_what_is_for_other_platforms_is_ignored() -> None:
    plain, with_both = (
        spec(),
        spec(process__commandLine="cmd /c dir", process__user__username="ContainerUser"),
    )
    assert in_words(prepare(plain)) == in_words(prepare(with_both))
    assert in_words(finish(plain)) == in_words(finish(with_both))
