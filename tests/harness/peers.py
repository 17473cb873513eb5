"""What runc and crun do otherwise: tests/data/peers/NAME.txt lists the tests that each of them fails, below the reason.

A line in the first column is a reason. The indented lines below it are tests, as pytest names them; without [...] all the cases
of one. "?" before a test: it does not fail on every machine, or not every time, or only in what it leaves behind; "!": it is not
run, as the peer would do harm to the machine. Empty lines and those with "#" mean nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "data" / "peers"
KINDS = ("runc", "crun")


@dataclass(frozen=True)
class Difference:
    """Why a peer fails a test.

    always  it does so on every machine, every time     harmful  what it does is no harmless failure: the test must not run
    """

    reason: str
    always: bool = True
    harmful: bool = False


def differences(kind: str) -> dict[str, Difference]:
    """The tests that a peer fails, by their names; none for a runtime that has no list."""
    path = FOLDER / f"{kind}.txt"
    return parsed(path.read_text()) if path.exists() else {}


def parsed(text: str) -> dict[str, Difference]:
    """The entries of a list. Raises ValueError for a test that is listed twice or stands below no reason."""
    found: dict[str, Difference] = {}
    reason = ""
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            reason = line
            continue
        words = line.strip()
        test = words.removeprefix("? ").removeprefix("! ")
        if test in found or not reason:
            raise ValueError(f"{test}: {'listed twice' if reason else 'no reason above it'}")
        found[test] = Difference(reason, always=words[0] != "?", harmful=words[0] == "!")
    return found


def of(test: str, listed: dict[str, Difference]) -> Difference | None:
    """The entry for a test, by its own name or by that of all its cases."""
    return listed.get(test) or listed.get(test.partition("[")[0])


def stale(collected: Collection[str], listed: dict[str, Difference]) -> list[str]:
    """Entries that no test fits, of the files from which tests were collected."""
    files = {test.partition("::")[0] for test in collected}
    names = {*collected, *(test.partition("[")[0] for test in collected)}
    return sorted(test for test in listed if test.partition("::")[0] in files and test not in names)
