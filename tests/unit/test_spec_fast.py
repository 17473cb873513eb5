"""The quick check: nulls, halves of surrogate pairs, and what it imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from unit.check_cases import BASE, spoil

from pyoci.spec import fast

ROOT = Path(__file__).resolve().parents[2]
HOT = {
    "posix",
    "time",
    "errno",
    "fcntl",
    "select",
    "stat",
    "_signal",
    "_posixsubprocess",
    "resource",
    "pwd",
    "grp",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"/linux/resources": None},
        {"/process/terminal": None, "/mounts/0/options": None},
        {"/hooks": {"prestart": None}},
        {"/annotations": {"a": None, "b": "c"}},
    ],
    ids=str,
)
def test_null_counts_as_absent(changes: dict[str, Any]) -> None:
    spec = spoil(changes)
    assert fast.accepts(spec)
    assert "null" not in json.dumps(spec), "later readers must not meet it"


@pytest.mark.parametrize(
    "changes", [{"/ociVersion": None}, {"/process/cwd": None}, {"/process/args": ["a", None]}], ids=str
)
def test_null_is_no_value(changes: dict[str, Any]) -> None:
    assert not fast.accepts(spoil(changes))


def test_unknown_members_pass() -> None:
    changes: dict[str, Any] = {
        "/x": None,
        "/process/y": [1, {}],
        "/linux/resources/z": 5,
        "/mounts/0/w": "w",
        "/linux/seccomp/v": {},
    }
    spec = spoil(changes)
    assert fast.accepts(spec) and spec["x"] is None, "an unknown null is nobody's business"


def test_process_alone() -> None:
    assert fast.accepts_process({**BASE["process"], "terminal": None})
    assert not fast.accepts_process({"args": ["sh"]})
    assert not fast.accepts_process([])


@pytest.mark.parametrize("value", [None, 5, "x", [], [{}], True])
def test_no_object(value: Any) -> None:
    assert not fast.accepts(value)


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ('{"a": "x"}', True),
        ('{"a": ["\\ud83d\\ude00"]}', True),
        ('{"a": ["\\ud83d"]}', False),
        ('{"\\uDE00": 1}', False),
        ('{"a": {"b": "\\udc80"}}', False),
        ('{"a": "\\\\ud83d"}', True),
    ],
)
def test_halves_of_pairs(text: str, sound: bool) -> None:
    assert fast.is_text(text.encode(), json.loads(text)) == sound


def test_imports() -> None:
    """The hot verbs pay for every module: here are none but our own."""
    program = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1])\n"
        "from pyoci.spec import check, fast\n"
        "spec = eval(sys.argv[2])\n"
        "assert fast.accepts(spec) and not check.problems(spec, first=True)\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(ROOT), repr(BASE)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert {name for name in found if not name.startswith("pyoci")} <= HOT
    assert "pyoci.validate.explain" not in found and "pyoci.validate.warnings" not in found
    assert "pyoci._generated_other" not in found


@pytest.mark.parametrize(
    ("raw", "accepted"),
    [
        (json.dumps(BASE).encode(), True),
        (b"", False),
        (b"[]", False),
        (b"\xef\xbb\xbf" + json.dumps(BASE).encode(), False),
        (json.dumps(BASE).encode("utf-16"), False),
        (b'{"ociVersion": "1.3.0", "ociVersion": "1.3.0"}', False),
        (b'{"ociVersion": "1.3.0", "x": {"y": 1, "y": 1}}', False),
        (b'{"ociVersion": "1.3.0", "x": "\\ud800"}', False),
        (b'{"ociVersion": "1.3.0", "x": "\\ud83d\\ude00"}', True),
        (b'{"ociVersion": "1.3.0", "x": NaN}', False),
        (b'{"ociVersion": "1.3.0"} x', False),
        (b'{"ociVersion": "1.3.0", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", False),
        (b'{"ociVersion": "1.3.0", "x": ' + b"1" * 5000 + b"}", False),
    ],
    ids=range(13),
)
def test_load(raw: bytes, accepted: bool) -> None:
    assert (fast.load(raw) is not None) == accepted


def test_load_process() -> None:
    assert fast.load_process(json.dumps(BASE["process"]).encode()) == BASE["process"]
    assert fast.load_process(b'{"cwd": "/", "cwd": "/"}') is None


def test_resources_alone() -> None:
    assert fast.load_resources(b'{"pids": {"limit": 5}, "cpu": null}') == {"pids": {"limit": 5}}
    assert fast.load_resources(b'{"pids": {"limit": null}}') == {"pids": {}}
    assert fast.load_resources(b'{"pids": {"limit": "5"}}') is None
    assert fast.load_resources(b"[]") is None
