"""A short, guided run over the JSON reader and writer in C. Long ones: README.md; without clang: unit/test_base_jsontext.py."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from fuzz import fuzz_json, json_target

from pyoci.base import jsontext

COUNT = int(os.environ.get("PYOCI_FUZZ", "5000"))


@pytest.mark.parametrize(
    ("loads", "text"),
    [
        (lambda text, unique=False: 1, "true"),
        (lambda text, unique=False: 1, "[1"),
        (lambda text, unique=False: {"a": 2}, '{"a": 1, "a": 2}'),
    ],
    ids=["value", "refusal", "twice"],
)
def test_a_difference_is_found(loads: object, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json_target.same(text) == (text != "[1")
    monkeypatch.setattr(jsontext, "loads", loads)
    with pytest.raises(AssertionError):
        json_target.same(text)


def test_guided_changes(tmp_path: Path) -> None:
    if fuzz_json.missing():
        pytest.skip(fuzz_json.missing())
    words = fuzz_json.command(tmp_path, "-seed=1", f"-runs={COUNT * 2}")
    found = subprocess.run(
        words,
        capture_output=True,
        text=True,
        errors="replace",
        cwd=tmp_path,
        env=fuzz_json.environment(),
        check=False,
    )
    assert found.returncode == 0, found.stderr[-8000:]
    assert f"Done {COUNT * 2} runs" in found.stderr
