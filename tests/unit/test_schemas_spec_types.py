"""The generator of the specification's types, and the file that it made."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "schemas"))
import generate  # noqa: E402
import spec_types  # noqa: E402


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **files: dict[str, Any]) -> str:
    """The stub for the schema in the file `main`, without its head."""
    for name, schema in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(schema))
    monkeypatch.setattr(spec_types, "DOCUMENTS", {"main.json#": "Main"})
    monkeypatch.setattr(spec_types, "SECTIONS", dict.fromkeys(["Main", "Part", "Base"], "the section"))
    text = str(spec_types.Types(generate.Schemas(tmp_path)).text())
    return text.removeprefix(spec_types.HEAD)


def definitions(text: str) -> dict[str, str]:
    """The name and the body of each type."""
    tree = ast.parse(text)
    found = {
        node.name: ast.unparse(ast.Module(node.body[1:], []))
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    found |= {
        ast.unparse(node.target): str(ast.unparse(node))
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
    }
    return found


@pytest.mark.parametrize(
    ("schema", "python"),
    [
        ({"type": "string", "pattern": "^a$"}, "str"),
        ({"type": "integer", "minimum": 1}, "int"),
        ({"type": "boolean"}, "bool"),
        ({"type": "string", "enum": ["a", "b"]}, "Literal['a', 'b']"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}, "list[list[int]]"),
        ({"type": "object", "patternProperties": {".{1,}": {"type": "string"}}}, "dict[str, str]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "dict[str, int]"),
        ({"$ref": "#/definitions/word"}, "str"),
        ({"$ref": "#/definitions/Choice"}, "Choice"),
        ({"anyOf": [{"$ref": "#/definitions/word"}]}, "str"),
        ({"type": "object", "properties": {}}, "Part"),
    ],
)
def test_members(
    schema: dict[str, Any], python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = {
        "type": "object",
        "properties": {"part": schema},
        "definitions": {"word": {"type": "string"}, "Choice": {"type": "string", "enum": ["x"]}},
    }
    found = definitions(made(tmp_path, monkeypatch, main=main))
    assert found["Main"] == f"part: {python}"
    assert ("Choice" in found) == (python == "Choice")


def test_what_must_be_there_and_what_a_type_is_built_upon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    more = {"properties": {"b": {"type": "integer"}, "c": {"type": "integer"}}, "required": ["c"]}
    main = {
        "type": "object",
        "properties": {"part": {"allOf": [{"$ref": "#/definitions/Base"}, more]}},
        "required": ["part"],
        "definitions": {"Base": base},
    }
    text = made(tmp_path, monkeypatch, main=main)
    assert definitions(text) == {
        "Main": "part: Required[Part]",
        "Part": "b: int\nc: Required[int]",
        "Base": "a: Required[int]",
    }
    assert "class Part(Base, total=False):" in text


def test_names_of_members_to_loop_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec_types, "MEMBERS", {"Main": ("MainName", "str")})
    main = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in "ba"} | {"c": {"type": "integer"}},
    }
    found = definitions(made(tmp_path, monkeypatch, main=main))
    assert found["MainName"] == "MainName: TypeAlias = Literal['b', 'a']"


def test_a_member_named_like_a_word_of_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = {"type": "object", "properties": {"class": {"type": "string"}}, "required": ["class"]}
    text = made(tmp_path, monkeypatch, main=main)
    assert "".join(text.split()).endswith('Main=TypedDict("Main",{"class":Required[str],},total=False,)')


@pytest.mark.parametrize(
    "members",
    [
        {"unheard": {"type": "object", "properties": {}}},  # it has no section
        {"a": {"type": "array", "items": {"$ref": "#/definitions/part"}}, "part": {"type": "object"}},
        {"part": {"type": "number"}},
        {"part": {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}},
    ],
    ids=str,
)
def test_what_it_cannot_name_stops_it(
    members: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = {"type": "object", "properties": members, "definitions": {"part": {"type": "object"}}}
    with pytest.raises(generate.Unsupported):
        made(tmp_path, monkeypatch, main=main)


def test_the_types_are_what_the_schemas_say() -> None:
    assert spec_types.OUT.read_text() == spec_types.Types(generate.Schemas()).text(), (
        "run schemas/spec_types.py"
    )


def test_every_section_is_that_of_a_type() -> None:
    types = spec_types.Types(generate.Schemas())
    types.text()
    found = {name for name, text in types.texts.items() if "TypeAlias" not in text}
    assert found == set(spec_types.SECTIONS)
    assert {*spec_types.NAMES.values(), *spec_types.MEMBERS} <= found


def test_command_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "schemas" / "spec_types.py")]
    subprocess.run([*command, str(tmp_path / "made.pyi")], check=True)
    assert (tmp_path / "made.pyi").read_text() == spec_types.OUT.read_text()
    misuse = subprocess.run([*command, "a"], capture_output=True, text=True, check=False)
    assert misuse.returncode == 2 and "usage" in misuse.stderr
