"""cgroup v2 below a cgroup that has processes of its own: what can't be had is refused, and the place is left as it was."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes

pytestmark = [
    pytest.mark.only("pyoci"),
    pytest.mark.skipif(machine.cgroup_version() != 2, reason="needs cgroup v2"),
    pytest.mark.skipif(not machine.is_root(), reason="makes cgroups"),
]
MEMORY = {"memory": {"limit": 64 << 20}}


def look(place: Path) -> tuple[str, str]:
    return (place / "cgroup.type").read_text(), (place / "cgroup.subtree_control").read_text()


@pytest.fixture
def occupied(box: Boxes) -> Iterator[tuple[Container, Path, subprocess.Popen[bytes]]]:
    """A container for a place below a cgroup that has a process."""
    made = box("/bin/true")
    place = machine.CGROUPS / f"{made.id}-occupied"
    place.mkdir()
    guest = subprocess.Popen(["sleep", "1000"])
    (place / "cgroup.procs").write_text(str(guest.pid))
    yield made, place, guest
    guest.kill()
    guest.wait()
    for path in (place / "leaf", place / "deeper", place):
        if path.is_dir():
            path.rmdir()


Occupied = tuple[Container, Path, "subprocess.Popen[bytes]"]


@pytest.mark.parametrize("below", ["box", "deeper/box"])
@pytest.mark.parametrize(
    "limits", [MEMORY, {"pids": {"limit": 7}}, {"memory": {"limit": 1 << 26}, "cpu": {"shares": 9}}]
)
def test_a_limit_is_refused_and_nothing_has_changed(
    occupied: Occupied, below: str, limits: dict[str, object]
) -> None:
    made, place, guest = occupied
    above = (machine.CGROUPS / "cgroup.subtree_control").read_text()
    before = look(place)
    assert before == ("domain\n", "")
    made.linux["cgroupsPath"] = f"/{place.name}/{below}"
    made.linux["resources"].update(limits)
    made.run(check=False).failed(
        f"{place} has processes of its own", f"move the processes of {place} into a sub-cgroup"
    )
    assert look(place) == before and not (place / "box").exists() and not (place / "deeper").exists()
    assert (machine.CGROUPS / "cgroup.subtree_control").read_text() == above
    # what the hint says works, and then the container does
    (place / "leaf").mkdir()
    (place / "leaf/cgroup.procs").write_text(str(guest.pid))
    made.run()


def test_without_limits_it_runs_and_nothing_has_changed(occupied: Occupied) -> None:
    made, place, _ = occupied
    before = look(place)
    made.linux["cgroupsPath"] = f"/{place.name}/box"
    made.linux["resources"].pop("memory", None)
    made.run()
    assert look(place) == before


def test_beside_the_runtime_itself_a_threaded_cgroup_serves(occupied: Occupied) -> None:
    """There the kernel lets the container's process in; a create that fails leaves no trace of it."""
    made, place, _ = occupied
    before = look(place)
    made.linux["cgroupsPath"] = f"/{place.name}/box"
    made.linux["resources"].update({"pids": {"limit": 7}})
    made.save()
    own = Path("/proc/self/cgroup").read_text().partition("::")[2].strip()

    def run() -> int:
        argv = made.runtime.argv("run", "--bundle", str(made.directory), made.id)
        joined = f'echo $$ > {place}/cgroup.procs && exec "$@"'
        with open(os.devnull, "r+b") as null:
            return subprocess.run(
                ["sh", "-c", joined, "sh", *argv], stdin=null, stdout=null, timeout=120, check=False
            ).returncode

    assert own != f"/{place.name}"
    made.args("/bin/missing")
    made.save()
    assert run() != 0
    assert look(place) == before
    made.args("/bin/true")
    made.save()
    assert run() == 0
