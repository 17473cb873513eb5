"""Signals for all processes of a cgroup, as far as no kernel is needed."""

from __future__ import annotations

import posix
from typing import Any

import pytest

from pyoci.base.errors import OciError
from pyoci.cgroups import base


class Listed(base.Manager):
    """A cgroup with the processes that a test says."""

    found: tuple[int, ...] = ()

    def main_path(self) -> str:
        return "/proc"

    def frozen(self) -> bool:
        return True

    def require_own(self, *directories: str) -> None:
        pass

    def pids(self, recursive: bool = True) -> list[int]:
        return list(self.found)


class Freezing(Listed):
    """A cgroup whose freezer does as a test says; `now` is its state."""

    now = ""
    can_freeze = can_thaw = True

    def frozen(self) -> bool:
        return bool(self.now)

    def freeze(self) -> None:
        self.now = "FROZEN" if self.can_freeze else self.now
        if not self.can_freeze:
            raise OciError("cgroup-freeze", "cannot freeze")

    def thaw(self) -> None:
        if not self.can_thaw:
            raise OciError("cgroup-freeze", "cannot thaw")
        self.now = ""


@pytest.fixture
def freezing(monkeypatch: pytest.MonkeyPatch) -> Freezing:
    monkeypatch.setattr(posix, "kill", lambda *given: None)
    made = object.__new__(Freezing)
    made._proven, made._ids, made.found = True, {}, (7,)
    return made


@pytest.mark.parametrize("signal", [9, 15])
def test_a_thaw_that_fails_is_not_passed_over(freezing: Freezing, signal: int) -> None:
    freezing.can_thaw = False
    with pytest.raises(OciError) as caught:
        freezing.signal_all(signal)
    assert caught.value.message == f"cannot thaw: its processes got signal {signal} and stay stopped"
    assert "pyoci resume" in caught.value.hint


def test_what_was_paused_stays_paused_but_for_the_signal_that_ends_it(freezing: Freezing) -> None:
    freezing.now = "FROZEN"
    assert freezing.signal_all(15) and freezing.now == "FROZEN"
    assert freezing.signal_all(9) and freezing.now == ""


def test_a_freeze_that_comes_half_way_is_taken_back(
    freezing: Freezing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half() -> None:
        freezing.now = "FREEZING"
        raise OciError("cgroup-freeze", "cannot freeze")

    monkeypatch.setattr(freezing, "freeze", half)
    assert freezing.signal_all(15) and freezing.now == ""


def test_without_a_freezer_nothing_is_thawed(freezing: Freezing) -> None:
    freezing.can_freeze = freezing.can_thaw = False
    assert freezing.signal_all(15)


def test_a_process_out_of_sight_is_not_the_callers_own_group(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(posix, "kill", lambda *given: sent.append(given))
    listed = object.__new__(Listed)
    listed._proven, listed._ids = True, {}
    listed.found = (7, 0, 9)
    with pytest.raises(OciError, match="does not see some of them") as caught:
        listed.signal_all(15)
    assert caught.value.code == "kill" and sorted(sent) == [(7, 15), (9, 15)]
    sent.clear()
    listed.found = (7,)
    assert listed.signal_all(15) and sent == [(7, 15)]
