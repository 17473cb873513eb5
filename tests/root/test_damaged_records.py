"""delete of a container whose record can't be read: what is certainly its own goes, and the rest is named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.box import Container
from harness.boxes import Boxes
from harness.runtime import Runtime

pytestmark = pytest.mark.only("pyoci")

Damage = Callable[[Path], None]


def cut_off(state: Path) -> None:
    state.write_text(state.read_text()[:-3])


def change_a_type(state: Path) -> None:
    state.write_text(json.dumps({**json.loads(state.read_text()), "late": 7}))


def no_json(state: Path) -> None:
    state.write_text("{")


def another_s(state: Path) -> None:
    state.write_text(json.dumps({**json.loads(state.read_text()), "id": "other"}))


def fifo(state: Path) -> None:
    state.unlink()
    os.mkfifo(state)


PROCESS_IN_IT: list[Damage] = [cut_off, change_a_type]
NOTHING_IN_IT: list[Damage] = [no_json, another_s, fifo, Path.unlink]


def entry_of(made: Container) -> Path:
    assert made.runtime.root
    return made.runtime.root / made.id


def cgroups_of(made: Container) -> list[Path]:
    cgroup = json.loads((entry_of(made) / "state.json").read_text())["cgroup"]
    if cgroup is None:
        return []
    paths = cgroup["paths"].values() if cgroup["manager"] == "v1" else [cgroup["path"]]
    return [Path(path) for path in dict.fromkeys(paths)]


def damaged(made: Container, damage: Damage, cgroup_json: str = "") -> list[Path]:
    """Damage the record, and cgroup.json: to this content, or for "" it goes. The cgroups as they are."""
    found = cgroups_of(made)
    entry = entry_of(made)
    damage(entry / "state.json")
    if cgroup_json:
        (entry / "cgroup.json").write_text(cgroup_json)
    else:
        (entry / "cgroup.json").unlink(missing_ok=True)
    return found


def is_killed(made: Container) -> bool:
    return made.wait_for(made.first) == 137


@pytest.mark.parametrize("manager", ["cgroupfs", "disabled"])
def test_what_the_rest_of_it_tells(box: Boxes, runtime: Runtime, manager: str) -> None:
    """Pid and start time make the process certain, and the process makes the cgroup certain that it is in."""
    runtime.global_options = [f"--cgroup-manager={manager}"]
    for damage in PROCESS_IN_IT:
        made = box("/bin/sh", "-c", "sleep 1000 & exec sleep 1000").launch()
        found = damaged(made, damage)
        assert bool(found) == (manager == "cgroupfs")
        runtime.call("delete", made.id).failed("can't be read", "delete --force")
        assert made.delete("--force").err == ""
        assert is_killed(made)
        assert not entry_of(made).exists() and not any(path.exists() for path in found)


@pytest.mark.parametrize("manager", ["cgroupfs", "disabled"])
def test_an_init_that_waits_for_start_has_the_fifos(box: Boxes, runtime: Runtime, manager: str) -> None:
    runtime.global_options = [f"--cgroup-manager={manager}"]
    other = box("/bin/sleep", "1000")
    other.create()
    for damage in NOTHING_IN_IT:
        made = box("/bin/sleep", "1000")
        made.create()
        found = damaged(made, damage)
        runtime.call("delete", made.id).failed("can't be read", "delete --force")
        assert made.delete("--force").err == ""
        assert is_killed(made)
        assert not entry_of(made).exists() and not any(path.exists() for path in found)
    assert other.status == "created"


def test_a_running_process_that_nothing_tells(box: Boxes, runtime: Runtime) -> None:
    """It may be anybody's: it is left alone, and the error says what is to be done about it."""
    runtime.global_options = ["--cgroup-manager=disabled"]
    for damage in NOTHING_IN_IT:
        made = box("/bin/sleep", "1000").launch()
        damaged(made, damage)
        failed = made.delete("--force", check=False).failed("nothing told which process is the container's")
        assert "`/bin/sleep 1000`" in failed.err and "kill it by hand" in failed.err
        assert not entry_of(made).exists()
        made.expected = False
        os.kill(made.first, 9)
        assert is_killed(made)
        made.delete("--force")  # an engine tries again


@pytest.mark.parametrize("cgroup_json", ["", "{", '{"manager": "v1"}'])
def test_processes_in_a_cgroup_that_may_be_another_s(box: Boxes, runtime: Runtime, cgroup_json: str) -> None:
    """The configuration tells the name of the cgroup alone. Once those in it have ended, all of it is removed."""
    damage = NOTHING_IN_IT[len(cgroup_json) % len(NOTHING_IN_IT)]
    made = box("/bin/sleep", "1000").launch()
    found = damaged(made, damage, cgroup_json)
    failed = made.delete("--force", check=False).failed("busy", "1 process(es) are still in it")
    assert "nothing tells whether they are the container's" in failed.err and "cgroup.procs" in failed.err
    assert entry_of(made).exists() and all(path.exists() for path in found)
    os.kill(made.first, 9)
    assert is_killed(made)
    assert made.delete("--force").err == ""
    assert not entry_of(made).exists() and not any(path.exists() for path in found)


def test_without_a_record_there_is_a_container_all_the_same(box: Boxes, runtime: Runtime) -> None:
    """`delete` alone ends no container that runs, whatever is left of its record."""
    made = box("/bin/sleep", "1000").launch()
    found = cgroups_of(made)
    (entry_of(made) / "state.json").unlink()
    runtime.call("state", made.id).failed("can't be read")
    runtime.call("delete", made.id).failed("can't be read", "delete --force")
    os.kill(made.first, 0)
    assert made.delete("--force").err == ""
    assert is_killed(made) and not any(path.exists() for path in found)


def test_a_cgroup_that_was_there_before(box: Boxes) -> None:
    """It stays, and the processes in it that cgroup.json proves to be the container's end."""
    made = box("/bin/sh", "-c", "sleep 1000 & echo two; exec sleep 1000")
    first = box("/bin/sleep", "1000").launch()
    places = [path.parent / made.id for path in cgroups_of(first)]
    first.stop()
    for path in places:
        path.mkdir()
    output = made.stream()
    made.launch(stdout=output.write_end)
    output.until("two")
    (entry_of(made) / "state.json").write_text("{")
    assert made.delete("--force").err == ""
    assert is_killed(made)
    for path in places:
        path.rmdir()


def test_a_create_that_was_killed_with_nothing_but_the_record(box: Boxes, runtime: Runtime) -> None:
    """Its poststop hooks can't be read, and have nothing to do."""
    made = box("/bin/true")
    made.config["hooks"] = {"poststop": [{"path": "/bin/true"}]}
    made.create()
    entry = entry_of(made)
    record = json.loads((entry / "state.json").read_text())
    made.delete("--force")
    entry.mkdir(0o711)
    record.update(status="creating", pid=0, start=0, creator=[1, 0])
    (entry / "state.json").write_text(json.dumps(record))
    assert runtime.call("delete", made.id).ok().err == ""
    assert not entry.exists()
