"""The generator of the yes/no checker, on schemas of its own and against `re`."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load(ROOT / "schemas" / "generate.py", "schemas_generate")


def checker(tmp_path: Path, **files: dict[str, Any]) -> Callable[[Any], bool]:
    """The checker for the schema in the file `main`."""
    for name, schema in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(schema))
    module = generate.Module(generate.Schemas(tmp_path), {})
    (tmp_path / "made.py").write_text(module.text({"main": "main.json#"}))
    found: Callable[[Any], bool] = load(tmp_path / "made.py", "made").main
    return found


VALUES: list[Any] = [
    None,
    True,
    0,
    5,
    -1,
    1.5,
    "",
    "a",
    "b",
    [],
    [1],
    ["a"],
    [[]],
    {},
    {"a": 1},
    {"a": "x"},
    {"b": {}},
    {"a": None},
]
SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "array"}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {}}, "required": ["a", "b"]},
    {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
    {"type": "object", "patternProperties": {".{1,}": {"type": "string"}}},
    {"properties": {"a": {"type": "string"}}},
    {"items": {"type": "integer"}},
    {"type": "array", "items": {"type": "string"}},
    {"type": "array", "items": {"type": "string"}, "minItems": 1},
    {"type": "array", "items": {"type": "array"}},
    {"type": "integer"},
    {"type": "integer", "minimum": 1},
    {"type": "integer", "maximum": 0},
    {"type": "integer", "minimum": 0, "maximum": 4},
    {"type": "boolean"},
    {"enum": ["a", "b"]},
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    {
        "anyOf": [
            {"type": "array", "items": {"type": "string"}},
            {"type": "array", "items": {"type": "integer"}},
        ]
    },
    {"anyOf": [{"enum": ["a"]}, {"type": "object", "properties": {"a": {"type": "string"}}}]},
    {"allOf": [{"type": "object"}, {"type": "object", "properties": {"a": {"type": "integer"}}}]},
    {"type": "object", "allOf": [{"required": ["a"]}], "properties": {"a": {"type": "integer"}}},
    {"type": "string", "$ref": "#/definitions/number", "definitions": {"number": {"type": "integer"}}},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_as_jsonschema(schema: dict[str, Any], tmp_path: Path) -> None:
    accepts = checker(tmp_path, main=schema)
    validator = jsonschema.Draft4Validator(schema)
    for value in VALUES:
        assert accepts(value) == validator.is_valid(value), value


def test_definitions_of_the_same_name(tmp_path: Path) -> None:
    """Two files may define a Device, each its own."""
    main = {
        "type": "object",
        "properties": {name: {"$ref": f"{name}.json#/definitions/Device"} for name in "xy"},
    }
    x = {"definitions": {"Device": {"type": "object", "required": ["x"]}}}
    y = {"definitions": {"Device": {"type": "object", "required": ["y"]}}}
    accepts = checker(tmp_path, main=main, x=x, y=y)
    assert accepts({"x": {"x": 1}, "y": {"y": 1}})
    assert not accepts({"x": {"y": 1}, "y": {"y": 1}})
    assert not accepts({"x": {"x": 1}, "y": {"x": 1}})


PATTERNS = [
    "^RL_[A-Z]+$",
    "^[0-9, -]*$",
    "^CAP_[A-Z_]+$",
    "^[1-9][0-9]*[KM]B$",
    "^M:[^\\n]*$",
    "^[cb]$",
    "^ab$",
    ".{1,}",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_as_re(pattern: str) -> None:
    fails = generate.pattern_fails(pattern, "text").format()
    exact = re.compile(pattern.replace("$", r"\Z"))
    heads = ("", "RL_", "CAP_", "M:", "RL", "1", "a")
    for head, tail in product(
        heads, ("".join(chars) for size in range(4) for chars in product("AB1c, \n_K", repeat=size))
    ):
        text = head + tail
        assert bool(eval(fails, {"text": text})) == (not exact.search(text)), text


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": []},
        {"type": "string", "format": "uri"},
        {"type": "object", "additionalProperties": False},
        {"type": "array", "items": [{"type": "string"}]},
        {"enum": [1, 2]},
        {"minimum": 5},
        *(
            {"type": "string", "pattern": pattern}
            for pattern in ("a|b", "^(a)$", "^a*b*$", "abc", "^\\d$", "^[\\d]$")
        ),
    ],
    ids=str,
)
def test_what_it_cannot_translate_stops_it(schema: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(generate.Unsupported):
        checker(tmp_path, main=schema)


def test_command_line(tmp_path: Path) -> None:
    """It writes three modules, the same every time, and leaves files alone that are right already."""
    out = tmp_path / "made.py"
    command = [sys.executable, str(ROOT / "schemas" / "generate.py")]
    subprocess.run([*command, str(out)], check=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["made.py", "made_other.py", "made_schemas.py"]
    before = {path: (path.read_text(), path.stat().st_ino) for path in tmp_path.iterdir()}
    subprocess.run([*command, str(out)], check=True)
    assert before == {path: (path.read_text(), path.stat().st_ino) for path in tmp_path.iterdir()}
    misuse = subprocess.run([*command, "a", "b"], capture_output=True, text=True, check=False)
    assert misuse.returncode == 2 and "usage" in misuse.stderr


def test_the_built_module_is_up_to_date(tmp_path: Path) -> None:
    """What this tree runs with is what its schemas say."""
    texts = generate.generate(generate.Schemas())
    for suffix, text in texts.items():
        assert (ROOT / "pyoci" / f"_generated{suffix}.py").read_text() == text
