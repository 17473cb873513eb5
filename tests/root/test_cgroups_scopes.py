"""Scopes of a real systemd, its system manager for root and the user's own for others."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyoci import cgroups
from pyoci.base.errors import OciError
from pyoci.cgroups import paths
from pyoci.cgroups.base import Manager
from pyoci.cgroups.dbus import bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Resources


ROOTLESS = os.geteuid() != 0
SOCKETS = [name for name, _ in bus._sockets(ROOTLESS) if os.path.exists(name)]
pytestmark = [
    pytest.mark.skipif(not os.path.isdir("/run/systemd/system"), reason="systemd does not run here"),
    pytest.mark.skipif(not SOCKETS, reason="no systemd to talk to"),
    pytest.mark.skipif(not paths.is_v2(), reason="needs cgroup v2"),
]
NUMBERS = itertools.count()
RESOURCES: dict[str, Any] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 40}, "cpu": {"shares": 512}}
Make = Callable[..., Manager]


def name() -> str:
    return f"t{os.getpid()}x{next(NUMBERS)}"


def show(unit: str, *properties: str) -> dict[str, str]:
    command = [
        "systemctl",
        *(["--user"] if ROOTLESS else []),
        "show",
        unit,
        *(f"-p{name}" for name in properties),
    ]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in text.splitlines())


def unit_of(manager: Manager) -> str:
    record = manager.record()
    assert record["manager"] == "systemd"
    return record["unit"]


@pytest.fixture
def sleeper() -> Iterator[Callable[[], int]]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        started.append(subprocess.Popen(["sleep", "1000"]))
        return started[-1].pid

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def make(sleeper: Callable[[], int]) -> Iterator[Make]:
    """Makes a manager and starts its scope with a process; stops it at the end."""
    made: list[Manager] = []

    def create(path: str | None = None, resources: Any = RESOURCES, annotations: Any = None) -> Manager:
        linux = {"resources": resources, "cgroupsPath": f":pyoci-test:{name()}" if path is None else path}
        spec: Any = {"linux": linux, "annotations": annotations or {}}
        manager = cgroups.manager(spec, name(), systemd=True, rootless=ROOTLESS)
        made.append(manager)
        assert manager.late
        manager.create()
        manager.apply(resources)
        assert manager.spawn_fds() == ([], -1)
        manager.add(sleeper())
        return manager

    yield create
    for manager in reversed(made):  # a later one may have the name of an earlier one that has ended
        manager.signal_all(signal.SIGKILL)
        manager.destroy()
        assert not manager.exists()
        assert show(unit_of(manager), "LoadState", "ActiveState")["ActiveState"] == "inactive"


def test_scope_with_its_limits(make: Make) -> None:
    manager = make()
    unit = unit_of(manager)
    found = show(
        unit, "MemoryMax", "TasksMax", "CPUWeight", "Delegate", "Slice", "ControlGroup", "ActiveState"
    )
    assert found.pop("ControlGroup") == manager.main_path()[len(paths.MOUNT) :]
    assert found == {
        "MemoryMax": "67108864",
        "TasksMax": "40",
        "CPUWeight": "59",
        "Delegate": "yes",
        "Slice": "user.slice" if ROOTLESS else "system.slice",
        "ActiveState": "active",
    }
    assert Path(manager.main_path(), "memory.max").read_text() == "67108864\n"
    assert len(manager.pids()) == 1


def test_record_is_known_before(make: Make) -> None:
    spec: Any = {"linux": {"cgroupsPath": f":pyoci-test:{name()}"}}
    manager = cgroups.manager(spec, "id", systemd=True, rootless=ROOTLESS)
    before = manager.record()
    manager.destroy()  # nothing was made, nothing is missing
    started = make(spec["linux"]["cgroupsPath"])
    after = started.record()
    assert after["manager"] == before["manager"] == "systemd"
    assert after.pop("invocation") == show(after["unit"], "InvocationID")["InvocationID"]
    assert list(after["inner"].pop("ids")) == [started.main_path()]
    assert after == before


def test_update_is_told_to_systemd(make: Make) -> None:
    manager = cgroups.from_record(make().record())
    manager.apply({"memory": {"limit": 80 << 20}, "pids": {"limit": -1}}, update=True)
    found = show(unit_of(manager), "MemoryMax", "TasksMax")
    assert found == {"MemoryMax": str(80 << 20), "TasksMax": "infinity"}
    assert Path(manager.main_path(), "memory.max").read_text() == f"{80 << 20}\n"


def test_another_process_joins(make: Make, sleeper: Callable[[], int]) -> None:
    manager = cgroups.from_record(make().record())
    manager.add(sleeper())
    assert len(manager.pids()) == 2


def test_annotations_become_properties(make: Make) -> None:
    manager = make(
        annotations={
            "org.systemd.property.TimeoutStopSec": "7",
            "org.systemd.property.CollectMode": "'inactive'",
        }
    )
    found = show(unit_of(manager), "TimeoutStopUSec", "CollectMode")
    assert found == {"TimeoutStopUSec": "7s", "CollectMode": "inactive"}


def test_a_refused_property_leaves_no_unit(make: Make, sleeper: Callable[[], int]) -> None:
    spec: Any = {
        "linux": {"cgroupsPath": f":pyoci-test:{name()}"},
        "annotations": {"org.systemd.property.Nonsense": "1"},
    }
    manager = cgroups.manager(spec, "id", systemd=True, rootless=ROOTLESS)
    with pytest.raises(OciError) as caught:
        manager.add(sleeper())
    assert caught.value.code == "systemd" and "Nonsense" in caught.value.message
    assert show(unit_of(manager), "ActiveState")["ActiveState"] == "inactive"


def test_a_failing_limit_leaves_no_unit(make: Make, sleeper: Callable[[], int]) -> None:
    resources: Resources = {"unified": {"memory.nonsense": "1"}}
    spec: Any = {"linux": {"cgroupsPath": f":pyoci-test:{name()}", "resources": resources}}
    manager = cgroups.manager(spec, "id", systemd=True, rootless=ROOTLESS)
    manager.apply(resources)
    with pytest.raises(OciError) as caught:
        manager.add(sleeper())
    assert caught.value.code == "cgroup-file-missing"
    assert show(unit_of(manager), "ActiveState")["ActiveState"] == "inactive"
    assert not manager.exists()


def test_the_same_name_again_at_once(make: Make) -> None:
    path = f":pyoci-test:{name()}"
    for _ in range(3):
        manager = make(path)
        manager.signal_all(signal.SIGKILL)
        manager.destroy()


def test_a_failed_unit_of_the_same_name_is_no_obstacle(make: Make) -> None:
    path = f":pyoci-test:{name()}"
    manager = make(
        path,
        annotations={
            "org.systemd.property.CollectMode": "'inactive'",
            "org.systemd.property.RuntimeMaxSec": "1",
        },
    )
    unit = unit_of(manager)
    deadline = time.monotonic() + 60
    while show(unit, "ActiveState")["ActiveState"] != "failed" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert show(unit, "ActiveState")["ActiveState"] == "failed"
    make(path)


def test_a_name_in_use_is_refused(make: Make) -> None:
    path = f":pyoci-test:{name()}"
    make(path)
    with pytest.raises(OciError) as caught:
        cgroups.manager(
            {"ociVersion": "1.0.0", "linux": {"cgroupsPath": path}}, "other", systemd=True, rootless=ROOTLESS
        ).create()
    assert caught.value.code == "cgroup-not-empty"


@pytest.mark.skipif(ROOTLESS, reason="the slice is root's")
def test_a_slice_as_unit(make: Make) -> None:
    leaf = name()
    manager = make(f"pyoci.slice:x:pyoci-{leaf}.slice")
    assert manager.main_path() == f"{paths.MOUNT}/pyoci.slice/pyoci-{leaf}.slice"
    assert len(manager.pids()) == 1


@pytest.mark.parametrize("socket", SOCKETS)
def test_every_way_to_systemd(make: Make, monkeypatch: pytest.MonkeyPatch, socket: str) -> None:
    """The manager's own socket, and the bus."""
    chosen = [(name, is_bus) for name, is_bus in bus._sockets(ROOTLESS) if name == socket]
    monkeypatch.setattr(bus, "_sockets", lambda user: chosen)
    manager = make()
    assert show(unit_of(manager), "ActiveState")["ActiveState"] == "active"
    with bus.Connection(user=ROOTLESS) as connection:
        assert connection.manager_property("Version")


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, sleeper: Callable[[], int]) -> None:
    monkeypatch.setattr(bus, "_sockets", lambda user: [("/nowhere", True), ("\0nothing", False)])
    with pytest.raises(OciError) as caught:
        cgroups.manager({"ociVersion": "1.0.0"}, name(), systemd=True, rootless=ROOTLESS).add(sleeper())
    assert caught.value.code == "systemd-unreachable" and "/nowhere" in caught.value.message


@pytest.mark.skipif(ROOTLESS, reason="a device program needs root")
def test_device_rules_outlive_a_reload(make: Make, tmp_path: Path) -> None:
    """systemd knows nothing of them, so it does not rewrite them."""
    manager = make(resources={"devices": [{"allow": False, "access": "rwm"}]})
    probe = "import os, sys\nsys.stdin.readline()\n"
    probe += "try: os.open('/dev/kmsg', os.O_RDONLY); print('open')\nexcept OSError as e: print(e.errno)"
    for _ in range(2):
        child = subprocess.Popen(
            ["/usr/bin/python3", "-c", probe], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        manager.add(child.pid)
        assert child.communicate("\n")[0].strip() == "1"
        subprocess.run(["systemctl", "daemon-reload"], check=True)
