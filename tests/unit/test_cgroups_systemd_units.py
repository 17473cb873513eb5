"""Whose unit it is: only what a create has started is stopped, whatever has its name. Without systemd."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from pyoci.base.errors import OciError
from pyoci.cgroups import base, paths, systemd
from pyoci.cgroups import tree as trees
from pyoci.cgroups.dbus import bus
from pyoci.lifecycle import record

NAME = "p-n.scope"
OURS, THEIRS = "0" * 31 + "1", "f" * 32


class Bus:
    """systemd, as far as units are started, looked at and stopped: unit -> its ActiveState and InvocationID."""

    units: ClassVar[dict[str, list[str]]] = {}
    calls: ClassVar[list[str]] = []
    properties: ClassVar[dict[str, object]] = {}  # of whatever unit
    result = "done"
    broken = False  # no job ends

    def __init__(self, *, user: bool) -> None:
        pass

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call(self, member: str, signature: str = "", *arguments: Any) -> list[object]:
        self.calls.append(member)
        name = arguments[0]
        if member == "StartTransientUnit":
            if name in self.units:
                raise bus.BusError(bus.UNIT_EXISTS, f"Unit {name} was already loaded.")
            self.units[name] = ["active" if self.result == "done" else "failed", OURS]
        elif name not in self.units:
            raise bus.BusError(bus.NO_UNIT, f"Unit {name} not loaded.")
        elif member == "StopUnit":
            del self.units[name]
        return ["/job/1"]

    def wait(self, job: str) -> str:
        if self.broken:
            raise TimeoutError(110, "no answer")
        return self.result

    def unit_property(self, unit: str, name: str, kind: str = "Unit") -> object:
        if unit not in self.units:
            raise bus.BusError(bus.NO_UNIT, f"Unit {unit} not loaded.")
        if name in self.properties:
            return self.properties[name]
        state, invocation = self.units[unit]
        return state if name == "ActiveState" else list(bytes.fromhex(invocation))


class Tree(base.Manager):
    """The cgroup of the unit: none, and what happens to it is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.failure: OciError | None = None

    def main_path(self) -> str:
        return "/nowhere"

    def record(self) -> Any:
        return {"manager": "v2", "path": "/sys/fs/cgroup/x", "rootless": False}

    def adopt(self, pid: int) -> None:
        self.done.append("adopt")
        self._proven = True
        if self.failure:
            raise self.failure

    def destroy(self) -> list[str]:
        self.done.append("destroy")
        return []


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(systemd, "Connection", Bus)
    monkeypatch.setattr(systemd, "_LINGER_TRIES", 3)
    monkeypatch.setattr(systemd.Systemd, "_find", lambda self, pid: None)
    monkeypatch.setattr(Bus, "units", {})
    monkeypatch.setattr(Bus, "calls", [])
    monkeypatch.setattr(Bus, "properties", {})
    yield


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(["sleep", "1000"])
    yield started
    started.kill()
    started.wait()


Make = Callable[..., tuple[systemd.Systemd, Tree]]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    def new(path: str = ":p:n") -> tuple[systemd.Systemd, Tree]:
        tree = Tree()
        monkeypatch.setattr(systemd, "_inner", lambda path, request: tree)
        return systemd.Systemd.plan(base.Request(path, "id")), tree

    return new


@pytest.mark.parametrize("state", ["active", "activating", "reloading"])
def test_a_unit_of_somebody_else_is_not_touched(
    make: Make, process: subprocess.Popen[bytes], state: str
) -> None:
    Bus.units[NAME] = [state, THEIRS]
    manager, tree = make()
    with pytest.raises(OciError, match="already loaded") as caught:
        manager.add(process.pid)
    assert caught.value.code == "systemd" and "another name" in caught.value.hint
    assert manager.destroy() == []
    assert Bus.units == {NAME: [state, THEIRS]} and Bus.calls == ["StartTransientUnit"] and tree.done == []
    assert process.poll() is None


def test_a_slice_that_is_there_is_not_taken_for_new(make: Make, process: subprocess.Popen[bytes]) -> None:
    """StartTransientUnit does not refuse it."""
    Bus.units["a-n.slice"] = ["active", THEIRS]
    manager, tree = make(":p:a-n.slice")
    with pytest.raises(OciError, match="exists already"):
        manager.add(process.pid)
    assert manager.destroy() == [] and Bus.calls == [] and tree.done == []


def test_a_unit_that_does_not_go_is_not_stopped(make: Make, process: subprocess.Popen[bytes]) -> None:
    Bus.units[NAME] = ["deactivating", THEIRS]
    manager, _ = make()
    with pytest.raises(OciError, match="already loaded"):
        manager.add(process.pid)
    manager.destroy()
    assert Bus.calls.count("StartTransientUnit") == 3 and "StopUnit" not in Bus.calls


def test_a_failure_stops_what_was_started(make: Make, process: subprocess.Popen[bytes]) -> None:
    manager, tree = make()
    tree.failure = OciError("cgroup-file-missing", "no such file")
    with pytest.raises(OciError, match="no such file"):
        manager.add(process.pid)
    assert Bus.units == {} and process.wait() == -signal.SIGKILL


def test_a_job_that_fails_leaves_no_unit(
    make: Make, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bus, "result", "failed")
    manager, _ = make()
    with pytest.raises(OciError, match="job ended as failed"):
        manager.add(process.pid)
    assert Bus.units == {}


def test_a_job_without_an_end_is_stopped(
    make: Make, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bus, "broken", True)
    manager, _ = make()
    with pytest.raises(OciError, match="timed out"):
        manager.add(process.pid)
    assert Bus.units == {}


def test_delete_stops_the_unit_of_the_record_alone(make: Make, process: subprocess.Popen[bytes]) -> None:
    manager, _ = make()
    manager.add(process.pid)
    kept = manager.record()
    assert kept.get("invocation") == OURS and record.is_cgroup_record(kept)
    Bus.units[NAME][1] = THEIRS
    systemd.Systemd.from_record(kept).destroy()
    assert Bus.units == {NAME: ["active", THEIRS]} and "StopUnit" not in Bus.calls
    Bus.units[NAME][1] = OURS
    systemd.Systemd.from_record(kept).destroy()
    assert Bus.units == {}


def test_a_record_that_was_written_before_the_start_stops_nothing(make: Make) -> None:
    manager, _ = make()
    kept = manager.record()
    assert "invocation" not in kept
    Bus.units[NAME] = ["active", THEIRS]
    systemd.Systemd.from_record(kept).destroy()
    assert Bus.units == {NAME: ["active", THEIRS]} and Bus.calls == []


def test_limits_are_not_set_for_another_unit(make: Make, process: subprocess.Popen[bytes]) -> None:
    manager, _ = make()
    manager.add(process.pid)
    Bus.units[NAME][1] = THEIRS
    again = systemd.Systemd.from_record(manager.record())
    again._inner = Tree()  # type: ignore[assignment]
    with pytest.raises(OciError, match="is not the one that was started") as caught:
        again.apply({"pids": {"limit": 5}}, update=True)
    assert caught.value.code == "cgroup-changed" and "SetUnitProperties" not in Bus.calls


@pytest.mark.parametrize("text", [1, "0" * 31, "0" * 33, "G" * 32, "../../etc", None])
def test_no_invocation_id(text: object) -> None:
    inner = {"manager": "v2", "path": "/sys/fs/cgroup/x", "rootless": False}
    given = {"manager": "systemd", "unit": NAME, "user": False, "inner": inner}
    assert record.is_cgroup_record({**given, "invocation": os.urandom(16).hex()})
    assert not record.is_cgroup_record({**given, "invocation": text})


@pytest.mark.parametrize(
    ("url", "description", "within", "stopped", "warned"),
    [
        ("file:/run/r%20/id", "OCI container id", [], True, False),
        ("file:/run/r%20/id", "OCI container id", ["a.slice"], False, True),
        ("file:/run/other/id", "OCI container id", [], False, True),
        ("", "OCI container id", [], False, True),
        ("", "somebody's", [], False, False),
    ],
)
def test_the_unit_of_a_create_that_was_killed(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    description: str,
    within: list[str],
    stopped: bool,
    warned: bool,
) -> None:
    """Its invocation was not noted: it is stopped if it says that it is this container's, and is empty."""
    name = "p-n.slice"
    Bus.units[name] = ["active", OURS]
    Bus.properties = {
        "Documentation": [url] if url else [],
        "Description": description,
        "ControlGroup": "/p.slice/p-n.slice",
    }
    monkeypatch.setattr(trees, "children", lambda path: within)
    monkeypatch.setattr(trees, "pids", lambda path: [])
    inner: Any = {"manager": "v2", "path": "/sys/fs/cgroup/p.slice/p-n.slice", "rootless": False}
    kept: Any = {"manager": "systemd", "unit": name, "user": False, "inner": inner}
    left = systemd.Systemd.from_record(kept, "/run/r /id").destroy()
    assert (name not in Bus.units) is stopped
    assert bool(left) is warned and all("`systemctl stop p-n.slice`" in words for words in left)


def test_a_unit_says_whose_it_is(
    make: Make, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    call = Bus.call

    def noted(self: Bus, member: str, signature: str = "", *arguments: Any) -> list[object]:
        given.extend(arguments[2] if member == "StartTransientUnit" else [])
        return call(self, member, signature, *arguments)

    monkeypatch.setattr(Bus, "call", noted)
    monkeypatch.setattr(systemd, "_inner", lambda path, request: Tree())
    manager = systemd.Systemd.plan(base.Request(":p:n", "id", entry="/run/r/\u00e9%"))
    manager.add(process.pid)
    assert ("Documentation", ("as", ["file:/run/r/%C3%A9%25"])) in given


def test_a_process_is_attached_to_the_units_cgroup_or_one_below(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel lets no user move a process from a login session; only to the container's own unit, and seen to be there."""
    place = "/sys/fs/cgroup/x/sub"
    inner: Any = {"manager": "v2", "path": "/sys/fs/cgroup/x", "rootless": True}
    kept: Any = {"manager": "systemd", "unit": NAME, "user": True, "invocation": OURS, "inner": inner}
    given: list[Any] = []
    call = Bus.call

    def noted(self: Bus, member: str, signature: str = "", *arguments: Any) -> list[object]:
        given.append((member, signature, *arguments))
        return call(self, member, signature, *arguments)

    monkeypatch.setattr(Bus, "call", noted)
    monkeypatch.setattr(paths, "own", lambda mount, path: mount + path)
    within = {"": "/x/sub"}
    monkeypatch.setattr(base, "cgroups_of", lambda pid: within)
    Bus.units[NAME] = ["active", OURS]
    manager = systemd.Systemd.from_record(kept)
    assert manager.attach(7, place) and not manager.may_stay_outside
    assert given == [("AttachProcessesToUnit", "ssau", NAME, "/sub", [7])]
    within[""] = "/session-1.scope"
    with pytest.raises(OciError, match="did not move process 7"):
        manager.attach(7, place)
    Bus.units[NAME] = ["active", THEIRS]
    given.clear()
    with pytest.raises(OciError) as caught:
        manager.attach(7, place)
    assert caught.value.code == "cgroup-changed" and given == []
    kept["user"] = False
    assert not systemd.Systemd.from_record(kept).attach(7, place) and given == []
