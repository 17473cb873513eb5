"""--systemd-cgroup: a unit that somebody else has is not touched, whatever name a container asks for. With a real systemd."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.runtime import Runtime

pytestmark = [
    pytest.mark.only("pyoci"),
    pytest.mark.skipif(not machine.systemd_runs(), reason="systemd does not run here"),
    pytest.mark.skipif(not machine.is_root(), reason="the system's units are root's"),
]


def systemctl(*words: str, check: bool = True) -> str:
    return subprocess.run(["systemctl", *words], check=check, capture_output=True, text=True).stdout.strip()


def show(unit: str) -> dict[str, str]:
    """What of a unit must not change."""
    lines = systemctl("show", unit, "-pActiveState", "-pInvocationID", "-pControlGroup").splitlines()
    return dict(line.split("=", 1) for line in lines)


def name(made: Container) -> str:
    return made.id.replace("_", "x")


@pytest.fixture
def systemd(runtime: Runtime) -> Iterator[Runtime]:
    runtime.global_options = ["--systemd-cgroup"]
    yield runtime


@pytest.fixture
def guests() -> Iterator[list[str]]:
    """Units that a test starts beside its containers."""
    started: list[str] = []
    yield started
    for unit in started:
        systemctl("stop", unit, check=False)
        systemctl("reset-failed", unit, check=False)


def elsewhere(made: Container, folder: Path) -> Container:
    """The same container below another ROOT."""
    made.runtime = copy.copy(made.runtime)
    made.runtime.root = folder / "other"
    made.runtime.scratch = folder / "scratch"
    made.runtime.scratch.mkdir()
    return made


@pytest.mark.parametrize("slice_", ["system.slice", "pyocitest.slice"])
@pytest.mark.parametrize("started", [True, False])
def test_a_name_of_another_root(
    systemd: Runtime, box: Boxes, folder: Path, slice_: str, started: bool
) -> None:
    one = box("/bin/sleep", "1000")
    one.linux["cgroupsPath"] = f"system.slice:pyocit:{name(one)}"
    one.create()
    if started:
        one.start()
    unit = f"pyocit-{name(one)}.scope"
    before = show(unit)
    assert before["ActiveState"] == "active"
    two = elsewhere(box("/bin/true"), folder)
    two.linux["cgroupsPath"] = f"{slice_}:pyocit:{name(one)}"
    two.run(check=False).failed("not empty" if slice_ == "system.slice" else "choose another name")
    assert not two.runtime.exists(two.id)
    assert show(unit) == before
    assert one.status == ("running" if started else "created")
    assert str(one.pid) in Path(f"/sys/fs/cgroup{before['ControlGroup']}/cgroup.procs").read_text().split()
    one.stop()
    assert show(unit)["ActiveState"] == "inactive"


def test_a_slice_with_services(systemd: Runtime, box: Boxes, guests: list[str]) -> None:
    made = box("/bin/true")
    slice_ = f"pyocit{name(made).replace('-', '')}.slice"
    service = f"{name(made)}.service"
    guests += [service, slice_]
    subprocess.run(["systemd-run", "--slice", slice_, "--unit", service, "sleep", "1000"], check=True)
    before = show(slice_), show(service)
    made.linux["cgroupsPath"] = f"system.slice:x:{slice_}"
    made.run(check=False).failed()
    assert (show(slice_), show(service)) == before and before[1]["ActiveState"] == "active"


def test_an_empty_slice(systemd: Runtime, box: Boxes, guests: list[str]) -> None:
    made = box("/bin/true")
    slice_ = f"pyocit{name(made).replace('-', '')}.slice"
    guests.append(slice_)
    systemctl("start", slice_)
    before = show(slice_)
    made.linux["cgroupsPath"] = f"system.slice:x:{slice_}"
    made.run(check=False).failed("choose another name")
    assert show(slice_) == before and before["ActiveState"] == "active"


def test_delete_leaves_a_scope_that_took_the_name(systemd: Runtime, box: Boxes, guests: list[str]) -> None:
    made = box("/bin/sleep", "1000")
    made.linux["cgroupsPath"] = f"system.slice:pyocit:{name(made)}"
    made.launch()
    unit = f"pyocit-{name(made)}.scope"
    made.kill("KILL")
    made.wait()
    systemctl("stop", unit, check=False)
    guests.append(unit)
    guest = subprocess.Popen(["systemd-run", "--scope", "--unit", unit, "sleep", "1000"])
    try:
        while show(unit)["ActiveState"] != "active":
            assert guest.poll() is None
        before = show(unit)
        made.runtime.call("kill", "--all", made.id, "KILL").failed("not the one that was made")
        ended = made.delete()
        assert "is left alone" in ended.err
        assert show(unit) == before and guest.poll() is None
    finally:
        guest.kill()
        guest.wait()


def test_update_leaves_a_unit_that_took_the_name(systemd: Runtime, box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.linux["cgroupsPath"] = f"system.slice:pyocit:{name(made)}"
    made.launch()
    assert systemd.root
    record = systemd.root / made.id / "state.json"
    right = record.read_text()
    invocation = show(f"pyocit-{name(made)}.scope")["InvocationID"]
    assert invocation in right
    record.write_text(right.replace(invocation, "0" * 32))
    made.runtime.call("update", "--pids-limit", "7", made.id).failed("is not the one that was started")
    record.write_text(right)
    made.runtime.call("update", "--pids-limit", "7", made.id).ok()
    made.stop()


@pytest.mark.parametrize("where", ["scope", "slice"])
def test_a_frozen_place_is_refused_at_once(systemd: Runtime, box: Boxes, where: str) -> None:
    made = box("/bin/true")
    slice_ = f"pyocit{name(made).replace('-', '')}.slice"
    above = machine.CGROUPS / slice_
    scope = above / f"pyocit-{name(made)}.scope"
    made.linux["cgroupsPath"] = f"{slice_}:pyocit:{name(made)}"
    above.mkdir()
    if where == "scope":
        scope.mkdir()
    frozen = scope if where == "scope" else above
    (frozen / "cgroup.freeze").write_text("1")
    try:
        made.run(check=False).failed("unexpectedly frozen", str(frozen))
        assert show(scope.name)["ActiveState"] == "inactive"
        (frozen / "cgroup.freeze").write_text("0")
        made.run()
    finally:
        systemctl("stop", slice_, check=False)
        for path in (scope, above):
            if path.is_dir():
                path.rmdir()


def killed_early(made: Container) -> None:
    """The record as it is when a create was killed between the start of the unit and its end."""
    assert made.runtime.root
    entry = made.runtime.root / made.id
    record = json.loads((entry / "state.json").read_text())
    record.update(status="creating", pid=0, start=0, creator=[1, 0])
    del record["cgroup"]["invocation"], record["cgroup"]["inner"]["ids"]
    (entry / "state.json").write_text(json.dumps(record))
    (entry / "cgroup.json").unlink()


def in_a_slice(made: Container) -> str:
    slice_ = f"pyocit{name(made).replace('-', '')}.slice"
    made.linux["cgroupsPath"] = f"system.slice:x:{slice_}"
    made.create()
    assert show(slice_)["ActiveState"] == "active"
    os.kill(made.first, signal.SIGKILL)
    made.wait()
    return slice_


def test_the_slice_of_a_create_that_was_killed(
    systemd: Runtime, box: Boxes, guests: list[str], folder: Path
) -> None:
    """It is stopped if it is this container's and empty; else the error says how."""
    made = box("/bin/true")
    slice_ = in_a_slice(made)
    killed_early(made)
    assert made.delete("--force").err == ""
    assert show(slice_)["ActiveState"] == "inactive"

    made = box("/bin/true")
    slice_ = in_a_slice(made)
    killed_early(made)
    service = f"{name(made)}.service"
    guests += [service, slice_]
    subprocess.run(["systemd-run", "--slice", slice_, "--unit", service, "sleep", "1000"], check=True)
    made.delete("--force", check=False).failed("busy")
    assert show(service)["ActiveState"] == "active"
    systemctl("stop", service)
    assert made.delete("--force").err == ""
    assert show(slice_)["ActiveState"] == "inactive"


def test_a_slice_that_says_it_is_another_s(
    systemd: Runtime, box: Boxes, guests: list[str], folder: Path
) -> None:
    """That of a container of the same id below another ROOT. One of pyoci 0.1 says nothing."""
    made = box("/bin/true")
    slice_ = in_a_slice(made)
    guests.append(slice_)
    killed_early(made)
    assert made.runtime.root
    other = folder / "other"
    other.mkdir(0o700)
    (made.runtime.root / made.id).rename(other / made.id)
    made.expected = False
    elsewhere_ = copy.copy(made.runtime)
    elsewhere_.root = other
    assert f"`systemctl stop {slice_}`" in elsewhere_.call("delete", "--force", made.id).ok().err
    assert show(slice_)["ActiveState"] == "active"


def test_the_scope_of_a_create_that_was_killed(systemd: Runtime, box: Boxes) -> None:
    """systemd ends it with its process."""
    made = box("/bin/true")
    made.linux["cgroupsPath"] = f"system.slice:pyocit:{name(made)}"
    made.create()
    killed_early(made)
    os.kill(made.first, signal.SIGKILL)
    made.wait()
    assert made.delete("--force").err == ""
    assert show(f"pyocit-{name(made)}.scope")["ActiveState"] == "inactive"


def test_a_damaged_record_on_the_bus_of_root(systemd: Runtime, box: Boxes, folder: Path) -> None:
    """The configuration names the unit, which is looked for where root's are, and the unit says whose it is."""
    assert systemd.root
    for moved in (False, True):
        made = box("/bin/sleep", "1000")
        made.linux["cgroupsPath"] = f"system.slice:pyocit:{name(made)}"
        made.launch()
        for file in ("state.json", "cgroup.json"):
            (systemd.root / made.id / file).write_text("{")
        if moved:  # as a container of this id below another ROOT would find it
            elsewhere(made, folder)
            assert made.runtime.root
            made.runtime.root.mkdir(0o700)
            (systemd.root / made.id).rename(made.runtime.root / made.id)
            failed = made.delete("--force", check=False).failed("busy")
            assert "nothing tells whether they are the container's" in failed.err
            os.kill(made.first, signal.SIGKILL)
            made.wait_for(made.first)
            while show(f"pyocit-{name(made)}.scope")["ActiveState"] == "active":
                continue
            made.delete("--force", check=False).failed("nothing told which process")
            made.expected = False
        else:
            assert made.delete("--force").err == ""
            assert made.wait_for(made.first) == 137
            assert show(f"pyocit-{name(made)}.scope")["ActiveState"] == "inactive"
