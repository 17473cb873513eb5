"""An engine that does not start leaves nothing either: processes, namespaces with their mounts, cgroups, files."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from harness import machine
from harness.engines import Engine, need, opened

KINDS = ("mnt", "net", "pid")


def namespaces() -> set[str]:
    """Those that a process of this machine is in."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            found |= {os.readlink(process / "ns" / kind) for kind in KINDS}
    return found


def cgroups(name: str) -> list[Path]:
    """The parent cgroups of that name."""
    places = machine.CGROUPS.iterdir() if machine.cgroup_version() == 1 else [machine.CGROUPS]
    return [place / name for place in places if (place / name).exists()]


class Late(Engine):
    """Fails once it has mounts, a process in the background, and cgroups."""

    def start(self) -> None:
        super().start()
        used = self.shell(
            "mkdir m && mount -t tmpfs none m; setsid sleep 7000 >/dev/null 2>&1 & readlink /proc/self/ns/*"
        )
        assert {name for name in used.split() if name.startswith(KINDS)} <= namespaces()
        for place in machine.CGROUPS.iterdir() if machine.cgroup_version() == 1 else [machine.CGROUPS]:
            with suppress(OSError):  # one that is not a hierarchy
                (place / self.tag).mkdir()
        assert cgroups(self.tag)
        raise RuntimeError(used)


class Early(Engine):
    """Fails when the namespaces are there, and their first process is not known."""

    @staticmethod
    def _find_first(holder: int) -> int:
        first = Engine._find_first(holder)
        used = [os.readlink(f"/proc/{first}/ns/{kind}") for kind in KINDS]
        assert set(used) <= namespaces()
        raise RuntimeError(" ".join(used))


@pytest.mark.parametrize("kind", [Late, Early])
def test_an_engine_that_does_not_start_leaves_nothing(apart: None, kind: type[Engine]) -> None:
    need()
    made: list[Engine] = []

    def make(folder: Path, runtime: Path) -> Engine:
        made.append(kind(folder, runtime))
        return made[0]

    with pytest.raises(RuntimeError) as failed:
        next(opened(make))
    used = {name for name in str(failed.value).split() if name.startswith(KINDS)}
    assert len(used) >= len(KINDS) and not used & namespaces()
    assert not made[0].folder.exists() and not cgroups(made[0].tag)
