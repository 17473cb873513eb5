"""A short fuzz run over load, check, compile and encode; the corpus holds what once went wrong.

Longer: PYOCI_FUZZ=100000 python -m pytest tests/fuzz, or fuzz_load.py with atheris, see README.md.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fuzz.load_target import load_and_compile
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from property.mutations import DATA, SLIPS, load, mutate

from pyoci.validate import explain, report_formats

COUNT = int(os.environ.get("PYOCI_FUZZ", "200"))
CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
CONFIGS = [json.loads(path.read_text()) for path in sorted((DATA / "engine-configs").glob("*.json"))]
DOCUMENTS = load()
FUZZ = settings(max_examples=COUNT, deadline=None, suppress_health_check=list(HealthCheck), database=None)

TEXTS = st.one_of(st.text(max_size=20), st.sampled_from([slip for slip in SLIPS if isinstance(slip, str)]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_corpus(path: Path) -> None:
    load_and_compile(path.read_bytes())


@seed(1)
@FUZZ
@given(st.integers(0, len(CONFIGS) - 1), st.integers(0, 1 << 64))
def test_changed_configs(which: int, start: int) -> None:
    load_and_compile(json.dumps(mutate(CONFIGS[which], Random(start))).encode())


@seed(2)
@FUZZ
@given(st.integers(0, len(CONFIGS) - 1), st.data())
def test_configs_with_any_value_anywhere(which: int, data: st.DataObject) -> None:
    config: Any = json.loads(json.dumps(CONFIGS[which]))
    holder = config
    while True:
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        if not holder[key] or not isinstance(holder[key], (dict, list)) or data.draw(st.integers(0, 3)) == 0:
            break
        holder = holder[key]
    holder[key] = data.draw(VALUES)
    load_and_compile(json.dumps(config).encode("utf-8", "surrogatepass"))


@seed(3)
@FUZZ
@given(st.integers(0, len(CONFIGS) - 1), st.integers(0), st.integers(0, 8), st.binary(max_size=8))
def test_changed_bytes(which: int, at: int, gone: int, new: bytes) -> None:
    raw = json.dumps(CONFIGS[which]).encode()
    at %= len(raw)
    load_and_compile(raw[:at] + new + raw[at + gone :])


@seed(4)
@FUZZ
@given(st.integers(0, len(DOCUMENTS) - 1), st.integers(0, 1 << 64), st.integers(1, 3), st.booleans())
def test_reports_on_changed_documents_of_all_kinds(which: int, start: int, times: int, systemd: bool) -> None:
    """All that `validate` can be asked for, in every form."""
    kind, value = DOCUMENTS[which]
    random = Random(start)
    for _ in range(times):
        value = mutate(value, random) if value else value
    bundle = "/nowhere" if kind == "config" else None
    raw = json.dumps(value, indent=1).encode()
    report = explain.examine(raw, "x", kind=kind, strict=True, systemd=systemd, bundle=bundle)
    for form in report_formats.FORMATS.values():
        form(report).encode()


def test_both_ends_are_reached() -> None:
    """A fuzzer that only ever meets refusals finds nothing."""
    results = {load_and_compile(json.dumps(config).encode()) for config in CONFIGS}
    assert "compiled" in results
    assert load_and_compile(b"{}") == "refused"
