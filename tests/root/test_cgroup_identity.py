"""A cgroup is the container's only as long as it is the directory that was made for it, whatever its name."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.box import Container
from harness.boxes import Boxes
from harness.runtime import Runtime

pytestmark = pytest.mark.only("pyoci")


def record_of(made: Container) -> Any:
    assert made.runtime.root
    return json.loads((made.runtime.root / made.id / "state.json").read_text())


def save(made: Container, record: Any) -> None:
    assert made.runtime.root
    (made.runtime.root / made.id / "state.json").write_text(json.dumps(record))


def places(made: Container) -> list[Path]:
    cgroup = record_of(made)["cgroup"]
    paths = cgroup["paths"].values() if cgroup["manager"] == "v1" else [cgroup["path"]]
    return [Path(path) for path in dict.fromkeys(paths)]


def handle_id(path: Path) -> int:
    """The 64-bit id in the file handle of a directory (name_to_handle_at(2))."""
    handle = ctypes.create_string_buffer(8 + 128)
    ctypes.memmove(handle, (128).to_bytes(4, "little"), 4)
    mount = ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.name_to_handle_at(-100, os.fsencode(path), handle, ctypes.byref(mount), 0) < 0:
        raise OSError(ctypes.get_errno(), str(path))
    assert int.from_bytes(handle.raw[:4], "little") == 8
    return int.from_bytes(handle.raw[8:16], "little")


@pytest.fixture
def stopped(box: Boxes) -> Iterator[tuple[Container, list[Path], subprocess.Popen[bytes]]]:
    """A container that has ended, and its cgroups made again for a process of somebody else."""
    made = box("/bin/sleep", "1000").launch()
    found = places(made)
    made.kill("KILL")
    made.wait()
    for path in found:
        path.rmdir()
        path.mkdir()
    for path in found:
        if path.parts[4] == "cpuset":
            for name in ("cpuset.cpus", "cpuset.mems"):
                (path / name).write_text((path.parent / name).read_text())
    guest = subprocess.Popen(["sleep", "1000"])
    for path in found:
        (path / "cgroup.procs").write_text(str(guest.pid))
    yield made, found, guest
    guest.kill()
    guest.wait()
    for path in found:
        if path.is_dir():
            path.rmdir()


def test_the_record_has_device_and_inode_of_each_directory(box: Boxes) -> None:
    made = box("/bin/sleep", "1000").launch()
    ids = record_of(made)["cgroup"]["ids"]
    found = places(made)
    assert ids == {str(path): [path.stat().st_dev, path.stat().st_ino] for path in found}
    two = [
        path for path in found if path.parts[4] == "unified" or "v2" in record_of(made)["cgroup"]["manager"]
    ]
    assert [handle_id(path) for path in two] == [ids[str(path)][1] for path in two]


def test_delete_leaves_the_cgroup_of_another_alone(
    stopped: tuple[Container, list[Path], subprocess.Popen[bytes]],
) -> None:
    made, found, guest = stopped
    ended = made.delete("--force")
    assert guest.poll() is None
    assert all(path.is_dir() for path in found)
    for path in found:
        assert f"cgroup {path} is not the one that was made for the container" in ended.err
    assert not made.runtime.exists(made.id)


def test_kill_all_leaves_the_processes_of_another_alone(
    stopped: tuple[Container, list[Path], subprocess.Popen[bytes]],
) -> None:
    made, _, guest = stopped
    made.runtime.call("kill", "--all", made.id, "KILL").failed(
        "is not the one that was made for the container"
    )
    assert guest.poll() is None


@pytest.mark.parametrize("verb", [("pause",), ("update", "--pids-limit", "7"), ("exec",)])
def test_a_verb_on_a_cgroup_that_changed_is_refused(
    box: Boxes, runtime: Runtime, verb: tuple[str, ...]
) -> None:
    made = box("/bin/sleep", "1000").launch()
    record = record_of(made)
    right = json.dumps(record)
    for path in record["cgroup"]["ids"]:
        record["cgroup"]["ids"][path][1] += 1
    save(made, record)
    command = ("/bin/true",) if verb == ("exec",) else ()
    runtime.call(*verb, made.id, *command).failed("is not the one that was made for the container")
    assert made.status == "running"
    save(made, json.loads(right))


def test_a_cgroup_without_an_identity_of_its_own_is_not_the_containers(box: Boxes, runtime: Runtime) -> None:
    """A record that has those of the container's cgroups, but names the cgroups of another one."""
    other = box("/bin/sleep", "1000").launch()
    made = box("/bin/sleep", "1000").launch()
    right = record_of(made)
    forged = record_of(made)
    name = "paths" if forged["cgroup"]["manager"] == "v1" else "path"
    forged["cgroup"][name] = record_of(other)["cgroup"][name]
    save(made, forged)
    for verb in (("pause",), ("update", "--pids-limit", "7"), ("kill", "--all")):
        runtime.call(*verb, made.id).failed("is not the one that was made for the container")
    runtime.call("exec", made.id, "/bin/true").failed("is not the one that was made for the container")
    runtime.call("pause", other.id).ok()
    assert made.status == "running"
    runtime.call("resume", other.id).ok()
    ended = made.delete("--force")
    assert "is not the one that was made for the container" in ended.err
    assert other.status == "running"
    cgroup = right["cgroup"]
    for path in dict.fromkeys(cgroup["paths"].values() if name == "paths" else [cgroup["path"]]):
        Path(path).rmdir()


def test_what_a_killed_create_never_wrote_down_is_not_killed(
    box: Boxes, runtime: Runtime, folder: Path
) -> None:
    """The record of a create that was killed before it knew its cgroups, and another container that has them since."""
    other = box("/bin/sleep", "1000").launch()
    killed = record_of(other)
    killed["cgroup"].pop("ids")
    entry = folder / "root" / "killed"
    entry.mkdir(0o711)
    killed.update(id="killed", status="creating", pid=0, start=0, creator=[1, 0])
    (entry / "state.json").write_text(json.dumps(killed))
    runtime.call("delete", "--force", "killed").failed("device or resource busy")
    assert other.status == "running"
    for path in places(other):
        (path / "cgroup.procs").read_text()
    other.delete("--force")
    runtime.call("delete", "--force", "killed").ok()
    assert not runtime.exists("killed")


def test_the_freezer_of_another_says_nothing(box: Boxes, runtime: Runtime) -> None:
    """A cgroup of the same name that is frozen."""
    made = box("/bin/sleep", "1000").launch()
    right = record_of(made)
    runtime.call("pause", made.id).ok()
    assert made.status == "paused"
    forged = record_of(made)
    for path in forged["cgroup"]["ids"]:
        forged["cgroup"]["ids"][path][1] += 1
    save(made, forged)
    assert made.status == "running"
    save(made, right)
    runtime.call("resume", made.id).ok()


@pytest.mark.parametrize("config", [True, False])
def test_without_a_record_the_cgroups_are_known(box: Boxes, runtime: Runtime, config: bool) -> None:
    """They stand in a file of their own, so that nothing leaks when state.json, or config.json too, is damaged."""
    made = box("/bin/sh", "-c", "sleep 1000 & echo two; exec sleep 1000")
    output = made.stream()
    made.launch(stdout=output.write_end)
    output.until("two")
    found = places(made)
    entry = Path(str(runtime.root)) / made.id
    (entry / "state.json").write_text("{")
    if not config:
        (entry / "config.json").write_text("{")
    pids = [int(pid) for pid in (found[0] / "cgroup.procs").read_text().split()]
    runtime.call("delete", made.id).failed("can't be read")
    made.delete("--force")
    assert not any(path.is_dir() for path in found)
    assert len(pids) == 2 and made.wait_for(pids[0]) == 137
