"""The comparison with an upstream checkout."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from pyoci._generated_schemas import DEVIATIONS, SCHEMAS
from pyoci.validate import compare


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """What upstream has: our schemas with the deviations taken back, and with prose."""
    files: dict[str, Any] = copy.deepcopy(SCHEMAS)
    for entry in DEVIATIONS:
        holder = files[entry["file"]]
        *path, last = entry["pointer"].split("/")[1:]
        for part in path:
            holder = holder[part]
        holder[last] = entry["upstream"]
    files["config-schema.json"]["description"] = "Prose."
    files["config-schema.json"]["properties"]["root"]["description"] = "More prose."
    for name, schema in files.items():
        (tmp_path / name).write_text(json.dumps(schema))
    return tmp_path


def change(upstream: Path, name: str, *path: str, to: Any) -> None:
    schema = json.loads((upstream / name).read_text())
    holder = schema
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = to
    (upstream / name).write_text(json.dumps(schema))


def test_only_the_listed_ones(upstream: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.compare(upstream)[0] == compare.compare(upstream)[2] == []
    assert compare.main(["compare", str(upstream)]) == 0
    out = capsys.readouterr().out
    assert out.count("listed: ") == len(DEVIATIONS) and "differs" not in out
    assert all(entry["reason"] in out for entry in DEVIATIONS)


@pytest.mark.parametrize(
    ("name", "path", "value", "pointer"),
    [
        ("defs.json", ("definitions", "int8", "maximum"), 128, "/definitions/int8/maximum"),
        ("defs.json", ("definitions", "new"), {"type": "string"}, "/definitions/new"),
        ("config-schema.json", ("properties", "description"), {"type": "string"}, "/properties/description"),
        ("config-schema.json", ("required",), ["ociVersion", "root"], "/required"),
        ("config-zos.json", ("zos", "properties", "namespaces", "items", "anyOf"), [{}], "/anyOf/0/$ref"),
        (
            "config-linux.json",
            ("linux", "properties", "sysctl"),
            {"type": "object"},
            "/linux/properties/sysctl/type",
        ),
    ],
)
def test_differences(upstream: Path, name: str, path: tuple[str, ...], value: Any, pointer: str) -> None:
    change(upstream, name, *path, to=value)
    unlisted, _, _ = compare.compare(upstream)
    assert any(item.file == name and item.pointer.endswith(pointer) for item in unlisted)
    assert compare.main(["compare", str(upstream)]) == 1


def test_a_whole_checkout(upstream: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "specifications" / "runtime-spec"
    (checkout / "schema").mkdir(parents=True)
    for path in upstream.glob("*.json"):
        path.rename(checkout / "schema" / path.name)
    assert compare.compare(checkout)[0] == []
    assert compare.compare(checkout.parent)[0] == []


def test_a_file_more_or_less(upstream: Path) -> None:
    (upstream / "config-plan9.json").write_text("{}")
    (upstream / "config-vm.json").unlink()
    assert {item.file for item in compare.compare(upstream)[0]} == {"config-plan9.json", "config-vm.json"}


def test_a_deviation_that_is_none_any_more(upstream: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(upstream, "defs.json", "definitions", "FileMode", "maximum", to=4294967295)
    assert compare.main(["compare", str(upstream)]) == 1
    assert "listed, but not so: defs.json#/definitions/FileMode/maximum" in capsys.readouterr().out


def test_misuse(tmp_path: Path) -> None:
    assert compare.main(["compare"]) == 2
    assert compare.main(["compare", str(tmp_path)]) == 2
    (tmp_path / "x.json").write_text("{")
    assert compare.main(["compare", str(tmp_path)]) == 2


def test_our_schemas_have_no_prose() -> None:
    assert '"description"' not in json.dumps(SCHEMAS)
    assert all(entry["reason"] for entry in DEVIATIONS)
