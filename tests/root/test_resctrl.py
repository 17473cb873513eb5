"""linux.intelRdt from create to delete, with plain directories in place of resctrl."""

from __future__ import annotations

import copy
import os
import signal
import sys
from pathlib import Path

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes

pytestmark = [
    pytest.mark.only("pyoci"),
    pytest.mark.skipif(not machine.is_root(), reason="needs root with CAP_SYS_ADMIN"),
]
# pyoci with another place for resctrl, whose groups get their files when they are made and go with them
RUNNER = """
import os, shutil, signal, sys
from pyoci.cgroups import resctrl

def make(path):
    os.mkdir(path)
    for name in ("schemata", "tasks"):
        open(f"{path}/{name}", "w").close()
    os.mkdir(f"{path}/mon_groups")
    if os.environ.get("KILLED_AT") == os.path.basename(path):
        os.kill(os.getpid(), signal.SIGKILL)

resctrl.make_directory, resctrl.remove_directory = make, shutil.rmtree
resctrl.ROOT = PLACE
from pyoci.cli import program, refusal
program.run(*refusal.received(sys.argv[1:]))
"""


class Machine:
    """A container on a machine with resctrl.

    root  of the file system        made  the container
    """

    def __init__(self, root: Path, made: Container) -> None:
        self.root = root
        self.made = made
        self.before = self.groups()

    def groups(self) -> list[Path]:
        return sorted(path.relative_to(self.root) for path in self.root.rglob("*"))

    def tasks(self, group: str) -> int:
        return int((self.root / group / "tasks").read_text())


@pytest.fixture
def rdt(box: Boxes, folder: Path) -> Machine:
    root = folder / "resctrl"
    for name in ("L3", "MB", "L3_MON"):
        (root / "info" / name).mkdir(parents=True)
    (root / "schemata").touch()
    (root / "tasks").touch()
    (root / "mon_groups").mkdir()
    runner = folder / "runner"
    runner.write_text(f"#!{sys.executable} -I\n" + RUNNER.replace("PLACE", repr(str(root))))
    runner.chmod(0o755)
    made = box("/bin/sleep", "1000")
    made.runtime = copy.copy(made.runtime)
    made.runtime.path = runner
    made.linux["intelRdt"] = {
        "closID": "gold",
        "schemata": ["L3:0=f"],
        "memBwSchema": "MB:0=20",
        "enableMonitoring": True,
    }
    return Machine(root, made)


@pytest.mark.parametrize("pid_namespace", [True, False])
def test_create_exec_and_delete(rdt: Machine, pid_namespace: bool) -> None:
    made = rdt.made
    if not pid_namespace:
        made.no_namespace("pid")
    rdt.made.create()
    monitor = f"gold/mon_groups/{made.id}"
    assert rdt.tasks("gold") == rdt.tasks(monitor) == made.pid
    assert (rdt.root / "gold/schemata").read_text() == "L3:0=f\nMB:0=20\n"
    made.start()
    pid_file = rdt.root.parent / "pid"
    made.exec("/bin/sleep", "1000", options=("--detach", "--pid-file", str(pid_file)))
    joined = int(pid_file.read_text())
    assert rdt.tasks("gold") == rdt.tasks(monitor) == joined != made.pid
    made.runtime.call("update", "--mem-bw-schema", "MB:0=50", made.id).ok()
    assert "MB:0=50" in (rdt.root / "gold/schemata").read_text()
    os.kill(joined, signal.SIGKILL)
    made.wait_for(joined)  # the pid namespace ends only after its parent, which we are, has
    made.delete("--force")
    assert rdt.groups() == rdt.before


def test_exec_goes_on_when_the_group_is_gone(rdt: Machine) -> None:
    rdt.made.linux["intelRdt"] = {}
    rdt.made.create()
    rdt.made.start()
    (rdt.root / rdt.made.id).rename(rdt.root / "elsewhere")
    found = rdt.made.exec("/bin/echo", "hi")
    assert found.out == "hi\n" and "Intel RDT" in found.err
    rdt.made.delete("--force")


def test_a_create_that_fails_leaves_nothing(rdt: Machine) -> None:
    rdt.made.args("/no/such/program")
    rdt.made.create(check=False).failed("no such file")
    assert rdt.groups() == rdt.before
    (rdt.root / "info/MB").rmdir()
    rdt.made.create(check=False).failed("Intel RDT/MBA is not enabled")
    assert rdt.groups() == sorted({*rdt.before} - {Path("info/MB")})
    assert not rdt.made.runtime.exists(rdt.made.id)


@pytest.mark.parametrize("place", ["gold", ""])
def test_delete_cleans_up_after_a_create_that_was_killed(rdt: Machine, place: str) -> None:
    """Between mkdir and the note that it was done."""
    environment = {**os.environ, "KILLED_AT": place or rdt.made.id}
    assert rdt.made.create(check=False, env=environment).rc == -signal.SIGKILL
    assert rdt.groups() != rdt.before
    rdt.made.delete("--force")
    assert rdt.groups() == rdt.before


def test_a_group_of_somebody_else_stays(rdt: Machine) -> None:
    (rdt.root / "gold/mon_groups").mkdir(parents=True)
    (rdt.root / "gold/tasks").touch()
    (rdt.root / "gold/schemata").write_text("L3:0=0f\nMB:0=  20\n")
    before = rdt.groups()
    rdt.made.create()
    rdt.made.delete("--force")
    assert rdt.groups() == before
    (rdt.root / "gold/schemata").write_text("L3:0=ff\nMB:0=20\n")
    rdt.made.create(check=False).failed("exists and says ff for L3:0, not f")
    assert rdt.groups() == before


def test_delete_leaves_a_group_that_took_the_name(rdt: Machine) -> None:
    rdt.made.create()
    (rdt.root / "gold").rename(rdt.root / "moved")
    (rdt.root / "gold").mkdir()
    (rdt.root / "gold/tasks").touch()
    found = rdt.made.delete("--force")
    assert "is not the one that was made for the container" in found.err
    assert (rdt.root / "gold").is_dir()
