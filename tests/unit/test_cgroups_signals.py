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
