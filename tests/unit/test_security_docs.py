"""docs/security.md and the list of protections name each other, tests that exist, and text that is there to be taken out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mutations.protections import PROTECTIONS, Protection

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
    for file, old, new in ((protection.file, protection.old, protection.new), *protection.also):
        assert (TREE / file).read_text().count(old) == 1
        assert new != old


def test_every_promise_names_a_protection_and_a_test() -> None:
    table = PAGE.split("| promise | protection | test |\n| --- | --- | --- |\n")[1].split("\n\n")[0]
    rows = table.splitlines()
    assert len(rows) > 15
    for row in rows:
        promise, protections, tests = row.strip("| ").split(" | ")
        assert re.search(r"`[a-z]+(-[a-z]+)+`", protections), promise
        assert re.search(r"`test_\w+`", tests), promise


def test_every_published_hole_is_opened_by_a_protection() -> None:
    table = PAGE.split("## Published")[1]
    rows = [row for row in table.splitlines() if row[:2] == "| "][2:]
    listed = {id for row in rows for id in row.split(" | ")[0].strip("| ").split(", ")}
    assert listed == {hole for protection in PROTECTIONS for hole in protection.holes}


def test_what_is_taken_out_in_the_virtual_machine_needs_no_compiler() -> None:
    apart = [protection for protection in PROTECTIONS if protection.apart]
    assert apart
    for protection in apart:
        assert all(
            file.endswith(".py") for file in (protection.file, *(file for file, *_ in protection.also))
        )
