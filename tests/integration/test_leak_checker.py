"""The checker around every test sees what it is there to see; a check that can't fail proves nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness import leaks, machine
from harness.leaks import LeakChecker

pytestmark = pytest.mark.skipif(not machine.is_root(), reason="needs root with CAP_SYS_ADMIN")


@pytest.fixture
def checker(folder: Path, scratch: Path) -> LeakChecker:
    """A checker that has seen the machine as it is now."""
    return LeakChecker(scratch.name, folder / "root")


def test_nothing_is_found_when_nothing_was_left(checker: LeakChecker) -> None:
    assert checker.found() == []


def test_an_orphan_is_found_and_removed(checker: LeakChecker) -> None:
    """The grandchild outlives its parent and comes to us."""
    subprocess.run(["sh", "-c", "sleep 1000 &"], stdout=subprocess.DEVNULL, check=True)
    (line,) = checker.found()
    assert line.startswith("process ")
    checker.clean()
    assert checker.found() == []


def test_a_process_that_ended_is_reaped_and_not_found(checker: LeakChecker) -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert leaks.is_zombie(pid)
    assert checker.found() == []
    assert not Path(f"/proc/{pid}").exists()


def test_a_mount_is_found_and_removed(checker: LeakChecker, folder: Path) -> None:
    (folder / "point").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder / "point")], check=True)
    assert checker.found() == [f"mount {folder}/point (tmpfs)"]
    checker.clean()
    assert checker.found() == []


def test_a_cgroup_is_found_and_removed(checker: LeakChecker) -> None:
    v1 = machine.cgroup_version() == 1
    path = machine.CGROUPS / ("pids" if v1 else "") / f"{checker.prefix}-left"
    path.mkdir()
    (path / "below").mkdir()
    assert sorted(checker.found()) == [f"cgroup {path}", f"cgroup {path}/below"]
    pid = os.posix_spawnp("sleep", ["sleep", "1000"], {})
    (path / "below/cgroup.procs").write_text(str(pid))
    checker.clean()
    assert checker.found() == []
    assert not Path(f"/proc/{pid}").exists()


def test_state_is_found(checker: LeakChecker) -> None:
    (checker.root / "container").mkdir(parents=True)
    assert checker.found() == ["state container"]


def test_the_mounts_of_the_session_do_not_reach_the_machine(checker: LeakChecker, folder: Path) -> None:
    """We are in a mount namespace of our own, as long as our parent is not."""
    (folder / "point").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder / "point")], check=True)
    try:
        parent = Path(f"/proc/{os.getppid()}/mountinfo").read_text()
        assert str(folder / "point") not in parent
    finally:
        subprocess.run(["umount", str(folder / "point")], check=True)
