"""Each error code, brought about once through the command line: its line, its hint, its JSON line, its exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from error_catalogue import Case, Stage, load
from harness import machine
from harness.boxes import Boxes
from harness.runtime import Result, Runtime

pytestmark = [pytest.mark.only("pyoci"), pytest.mark.skipif(not machine.is_root(), reason="needs root")]
LONGEST = 400  # characters of a line that a person can take in


@pytest.fixture
def stage(runtime: Runtime, box: Boxes, folder: Path) -> Stage:
    return Stage(runtime, box, folder)


@pytest.mark.parametrize("case", load(), ids=lambda case: f"{case.code}-{case.trigger.__name__}")
def test_error(case: Case, stage: Stage) -> None:
    result = case.trigger(stage)
    stage.runtime.global_options = []
    assert result.rc == case.status, result
    line, hint = told(result, case)
    for words in case.words:
        assert words in line, result
    assert case.hint in hint, result
    assert bool(hint) == bool(case.hint), result
    if case.logged:
        check_log(last_line(stage.log), case, line, hint)


def told(result: Result, case: Case) -> tuple[str, str]:
    """The line and the hint on standard error; nothing else may be there."""
    lines = result.err.splitlines()
    assert lines and lines[0].startswith(f"pyoci: {case.verb}: "), result
    line = lines[0].removeprefix(f"pyoci: {case.verb}: ")
    assert len(line) <= LONGEST and line.isprintable(), result
    assert not re.search(r"\[Errno|Traceback|Error\b|<.*object|\bb'", line), result
    assert (
        not line.removesuffix(", stdout: , stderr: ").removesuffix(", stderr: ").endswith((".", ":", " "))
    ), result  # as runc has it
    hints = [text.removeprefix("  hint: ") for text in lines[1:] if text.startswith("  hint: ")]
    assert len(lines) == 1 + len(hints) and len(hints) <= 1, result
    return line, hints[0] if hints else ""


def last_line(log: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(log.read_text().splitlines()[-1])
    return found


# By these docker, containerd, podman and CRI-O know what kind of failure it was, wherever in the message they stand
ENGINE_WORDS = (
    "executable file not found",
    "no such file or directory",
    "not a directory",
    "is a directory",
    "permission denied",
    "operation not permitted",
    "does not exist",
    "not running",
    "already exists",
    "process already finished",
    "device or resource busy",
)


def check_log(entry: dict[str, Any], case: Case, line: str, hint: str) -> None:
    assert entry["level"] == "error" and entry["operation"] == case.verb
    assert entry["msg"] == (f"{line}; hint: {hint}" if hint else line)
    assert not [words for words in ENGINE_WORDS if words in hint], "an engine would take it for another error"
    assert entry["code"] == case.code, entry
    assert entry.get("errno", "") == case.errno, entry
    assert entry.get("hint", "") == hint
    assert entry.get("pointer", "").startswith(case.pointer) and bool(entry.get("pointer")) >= bool(
        case.pointer
    ), entry
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", entry["time"])
