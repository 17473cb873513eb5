"""docs/security.md and the list of protections name each other, tests that exist, and text that is there to be taken out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mutations.protections import PROTECTIONS, UNNOTICED, Protection

TREE = Path(__file__).resolve().parents[2]
PAGE = (TREE / "docs/security.md").read_text()


def test_every_protection_keeps_a_promise() -> None:
    promises = PAGE.split("## Promises")[1].split("## Published")[0]
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", promises))
    assert named == {protection.name for protection in PROTECTIONS}


def test_every_test_exists() -> None:
    known = {
        name
        for path in (TREE / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert set(re.findall(r"`(test_\w+)`", PAGE)) - known == set()


@pytest.mark.parametrize("protection", PROTECTIONS, ids=lambda protection: protection.name)
def test_it_can_be_taken_out(protection: Protection) -> None:
    """A change of the source must not leave the lane behind."""
    assert (TREE / protection.file).read_text().count(protection.old) == 1
    assert protection.new != protection.old


def test_what_is_not_noticed_is_said() -> None:
    listed = PAGE.split("**Not noticed yet.**")[1].split("## Promises")[0]
    assert set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", listed)) == UNNOTICED
    assert UNNOTICED.issubset({protection.name for protection in PROTECTIONS})
