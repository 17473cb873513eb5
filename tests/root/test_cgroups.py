"""The cgroup managers on this machine's kernel, v1 or v2: limits, joining, freezing, devices, removal."""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyoci import cgroups
from pyoci.base.errors import OciError
from pyoci.cgroups import base, paths
from pyoci.cgroups.base import Manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import DeviceCgroup


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NUMBERS = itertools.count()
V2 = paths.is_v2()
DENY_ALL: DeviceCgroup = {"allow": False, "access": "rwm"}
Make = Callable[..., Manager]


def name() -> str:
    return f"pyoci-test-{os.getpid()}-{next(NUMBERS)}"


def spec(path: str | None = None, **resources: Any) -> Any:
    return {"linux": {"resources": resources} | ({} if path is None else {"cgroupsPath": path})}


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes a manager with its cgroups and limits; kills and removes at the end."""
    made: list[Manager] = []

    def create(path: str | None = None, **resources: Any) -> Manager:
        config = spec(f"/{name()}" if path is None else path, **resources)
        manager = cgroups.manager(config, "id")
        made.append(manager)
        manager.create()
        manager.apply(config["linux"]["resources"])
        return manager

    yield create
    for manager in reversed(made):
        manager.signal_all(signal.SIGKILL)
        manager.destroy()
        assert not any(os.path.exists(path) for path in manager.paths())


@pytest.fixture
def inside() -> Iterator[Callable[[Manager, str], subprocess.Popen[str]]]:
    """Runs Python code in a manager's cgroups, as its only process."""
    started: list[subprocess.Popen[str]] = []

    def run(manager: Manager, code: str) -> subprocess.Popen[str]:
        script = f"import os, sys, time\nsys.stdin.readline()\n{code}\n"
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        manager.add(process.pid)
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def read(manager: Manager, controller: str, file: str) -> str:
    record = manager.record()
    assert record["manager"] != "systemd"
    directory = record["path"] if record["manager"] == "v2" else record["paths"][controller]
    return Path(directory, file).read_text().strip()


def test_limits_reach_the_kernel(make: Make) -> None:
    manager = make(
        memory={"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20},
        cpu={"shares": 512, "quota": 40000, "period": 80000, "cpus": "0", "mems": "0"},
        pids={"limit": 33},
    )
    if V2:
        values = {
            "memory.max": "67108864",
            "memory.swap.max": "33554432",
            "memory.low": "33554432",
            "pids.max": "33",
        }
        values |= {"cpu.weight": "59", "cpu.max": "40000 80000", "cpuset.cpus": "0", "cpuset.mems": "0"}
        assert {file: read(manager, "", file) for file in values} == values
        return
    assert read(manager, "memory", "memory.limit_in_bytes") == "67108864"
    assert read(manager, "memory", "memory.memsw.limit_in_bytes") == str(96 << 20)
    assert read(manager, "memory", "memory.soft_limit_in_bytes") == "33554432"
    assert read(manager, "cpu", "cpu.shares") == "512"
    assert read(manager, "cpu", "cpu.cfs_quota_us") == "40000"
    assert read(manager, "cpuset", "cpuset.cpus") == "0"
    assert read(manager, "pids", "pids.max") == "33"


def test_limits_go_up_and_down_in_any_order(make: Make) -> None:
    manager = make(
        memory={"limit": 64 << 20, "swap": 64 << 20}, cpu={"quota": 50000, "period": 100000, "burst": 50000}
    )
    for size, quota in ((256 << 20, 90000), (16 << 20, 10000), (128 << 20, 30000)):
        again = cgroups.from_record(manager.record())
        burst = quota
        again.apply(
            {
                "memory": {"limit": size, "swap": size},
                "cpu": {"quota": quota, "period": 100000, "burst": burst},
            },
            update=True,
        )
        assert manager.oom()[1] == size
    manager.apply({"memory": {"limit": -1}, "pids": {"limit": -1}}, update=True)
    assert manager.oom()[1] == -1


def test_a_refused_limit_is_named(make: Make) -> None:
    with pytest.raises(OciError) as caught:
        make(cpu={"cpus": "4000"})
    error = caught.value
    assert (
        error.pointer == "/linux/resources/cpu/cpus"
        and error.obj == "cpuset.cpus"
        and '"4000"' in error.message
    )
    assert error.errno in (errno.EINVAL, errno.ERANGE, errno.EACCES)


def test_a_limit_without_its_controller_is_named(make: Make) -> None:
    if V2:
        with pytest.raises(OciError) as caught:
            make(unified={"nonsense.max": "1"})
        assert caught.value.code == "cgroup-controller-missing"
        with pytest.raises(OciError) as caught:
            make(unified={"memory.nonsense": "1"})
        assert caught.value.code == "cgroup-file-missing"
        return
    if any("hugetlb" in tree.controllers for tree in paths.hierarchies()):
        pytest.skip("this machine has the controller hugetlb")
    with pytest.raises(OciError) as caught:
        make(hugepageLimits=[{"pageSize": "2MB", "limit": 1 << 21}])
    assert caught.value.code == "cgroup-controller-missing"
    assert caught.value.pointer == "/linux/resources/hugepageLimits/0" and "hugetlb" in caught.value.message


@pytest.mark.skipif(not V2, reason="needs cgroup v2")
def test_unified(make: Make) -> None:
    manager = make(
        memory={"limit": 1 << 30},
        unified={"memory.max": "33554432", "memory.high": "16777216", "io.weight": "default 77"},
    )
    assert read(manager, "", "memory.max") == "33554432" and read(manager, "", "memory.high") == "16777216"
    assert read(manager, "", "io.weight") == "default 77"


def test_processes_of_the_cgroup(make: Make, inside: Any) -> None:
    manager = make()
    assert manager.exists() and manager.pids() == []
    first, second = (inside(manager, "time.sleep(100)") for _ in range(2))
    assert sorted(manager.pids()) == sorted([first.pid, second.pid])
    own = paths.of_process(first.pid)
    for path in manager.paths():
        assert any(path.endswith(place) for place in own.values())
    assert manager.signal_all(signal.SIGTERM)
    assert first.wait(10) == second.wait(10) == -signal.SIGTERM


def test_a_child_joins_by_itself(make: Make) -> None:
    manager = make()
    fds, into = manager.spawn_fds()
    pid = os.fork()
    if pid == 0:
        try:
            for fd in fds:
                os.write(fd, b"0")
            if V2:
                os.write(os.open("cgroup.procs", os.O_WRONLY, dir_fd=into), b"0")
            time.sleep(100)
        finally:
            os._exit(1)
    for fd in (*fds, into):
        if fd >= 0:
            assert not os.get_inheritable(fd)
            os.close(fd)
    deadline = time.monotonic() + 10
    while manager.pids() != [pid] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert manager.pids() == [pid]
    assert manager.signal_all(signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_freeze_and_thaw(make: Make, inside: Any) -> None:
    manager = make()
    process = inside(manager, "while True: print('x', flush=True); time.sleep(0.01)")
    process.stdout.readline()
    manager.freeze()
    assert manager.frozen() and cgroups.from_record(manager.record()).frozen()
    before = Path(f"/proc/{process.pid}/stat").read_text().split()[13:15]
    time.sleep(0.1)
    assert Path(f"/proc/{process.pid}/stat").read_text().split()[13:15] == before
    manager.thaw()
    assert not manager.frozen()
    manager.freeze()
    assert manager.signal_all(signal.SIGTERM) and manager.frozen()  # stays paused; the signal waits
    assert manager.signal_all(signal.SIGKILL)
    assert process.wait(10) in (-signal.SIGKILL, -signal.SIGTERM)


def test_signals_reach_new_processes_too(make: Make, inside: Any) -> None:
    manager = make(pids={"limit": 200})
    process = inside(
        manager, "while True:\n    if os.fork() == 0: time.sleep(0.2); os._exit(0)\n    time.sleep(0.002)"
    )
    time.sleep(0.3)
    assert manager.signal_all(signal.SIGKILL)
    process.wait(10)
    deadline = time.monotonic() + 10
    while manager.pids() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert manager.pids() == []


OPEN = """
def attempt(path, flags):
    try: os.close(os.open(path, flags)); return "yes"
    except OSError as error: return str(error.errno)
reads, writes = attempt("/dev/kmsg", os.O_RDONLY), attempt("/dev/kmsg", os.O_WRONLY)
print(attempt("/dev/null", os.O_RDWR), reads, writes, flush=True)
"""


@pytest.mark.parametrize(
    ("rules", "answers"),
    [
        ([DENY_ALL], "yes 1 1"),
        ([], "yes 1 1"),
        ([DENY_ALL, {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}], "yes yes 1"),
        ([{"allow": True, "access": "rwm"}], "yes yes yes"),
    ],
)
def test_devices(make: Make, inside: Any, rules: list[Any], answers: str) -> None:
    process = inside(make(devices=rules), OPEN)
    assert process.stdout.readline().strip() == answers


@pytest.mark.skipif(not V2, reason="needs cgroup v2")
def test_device_program_is_replaced(make: Make, inside: Any) -> None:
    from pyoci.cgroups import devices

    manager = make(devices=[DENY_ALL])
    rules = devices.rules(
        {"devices": [DENY_ALL, {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rwm"}]}
    )
    for _ in range(3):  # never more than one of ours, so that the last one alone decides
        cgroups.from_record(manager.record()).apply({}, update=True, device_rules=rules)
    assert inside(manager, OPEN).stdout.readline().strip() == "yes yes yes"
    again = devices.rules({"devices": [DENY_ALL]})
    cgroups.from_record(manager.record()).apply({}, update=True, device_rules=again)
    assert inside(manager, OPEN).stdout.readline().strip() == "yes 1 1"


def test_out_of_memory_is_seen(make: Make, inside: Any) -> None:
    manager = make(memory={"limit": 32 << 20, "swap": 32 << 20})
    process = inside(manager, "x = b'x' * (256 << 20)\ntime.sleep(100)")
    assert process.wait(30) == -signal.SIGKILL
    kills, limit, peak = manager.oom()
    assert kills >= 1 and limit == 32 << 20
    assert peak > 16 << 20 or (V2 and peak == 0)


def test_destroy_removes_what_the_container_made(make: Make) -> None:
    manager = make()
    for path in manager.paths():
        os.makedirs(f"{path}/a/b/c")
        os.makedirs(f"{path}/a/d")
    manager.destroy()
    assert not manager.exists()
    manager.destroy()


def test_destroy_says_when_processes_are_left(
    make: Make, inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "REMOVE_SECONDS", 0.1)
    manager = make()
    process = inside(manager, "time.sleep(100)")
    with pytest.raises(OciError) as caught:
        manager.destroy()
    assert caught.value.code == "cgroup-remove" and "1 process" in caught.value.hint
    process.kill()
    process.wait()
    monkeypatch.undo()
    manager.destroy()


def test_an_occupied_cgroup_is_refused(make: Make, inside: Any) -> None:
    path = f"/{name()}"
    inside(make(path), "time.sleep(100)")
    with pytest.raises(OciError) as caught:
        cgroups.manager(spec(path), "other").create()
    assert (
        caught.value.code == "cgroup-not-empty" and "container's cgroup is not empty" in caught.value.message
    )


def test_a_frozen_cgroup_above_is_refused(make: Make) -> None:
    path = f"/{name()}"
    parent = make(path)
    parent.freeze()
    below = cgroups.manager(spec(f"{path}/below"), "id")
    with pytest.raises(OciError) as caught:
        below.create()
    assert caught.value.code == "cgroup-frozen"
    assert not below.exists()
    parent.thaw()


def test_a_failed_create_leaves_nothing() -> None:
    top = f"/{name()}"
    manager = cgroups.manager(spec(f"{top}/cgroup.procs"), "id")
    with pytest.raises(OciError) as caught:
        manager.create()
    assert caught.value.code == "cgroup-create" and caught.value.errno == errno.ENOTDIR
    assert not any(os.path.exists(os.path.dirname(path)) for path in manager.paths())


def test_default_place(make: Make) -> None:
    """As runc: below the own cgroup on v1, beside it on v2."""
    manager = cgroups.manager(spec(), name())
    own = paths.of_process()
    if V2:
        assert manager.main_path().startswith(paths.MOUNT + own[""].rpartition("/")[0])
    else:
        record = manager.record()
        assert record["manager"] == "v1"
        for controller, path in record["paths"].items():
            if controller != "unified":
                assert path.rpartition("/")[0].endswith(own[controller].rstrip("/"))


@pytest.mark.skipif(V2, reason="needs cgroup v1")
def test_v1_cpuset_is_inherited_over_levels(make: Make, inside: Any) -> None:
    manager = make(f"/{name()}/a/b")
    root = Path(paths.MOUNT, "cpuset", "cpuset.cpus").read_text().strip()
    assert read(manager, "cpuset", "cpuset.cpus") == root
    assert inside(manager, "print('here', flush=True)").stdout.readline().strip() == "here"


def test_exec_goes_where_it_is_told(make: Make) -> None:
    manager = make()
    for path in manager.paths():
        os.makedirs(f"{path}/sub/below")
    for sub in ({"": "sub/below"}, {"": "/sub/./x/../below"}):
        fds, into = manager.exec_fds(sub, os.getpid())
        for fd in (*fds, into):
            if fd >= 0:
                assert "/sub/below" in os.readlink(f"/proc/self/fd/{fd}")
                os.close(fd)
    for sub, words in (
        ({"": "missing"}, "error adding pid"),
        ({"": "sub/../.."}, "bad sub cgroup path: sub/../.."),
    ):
        with pytest.raises(OciError, match=words) as caught:
            manager.exec_fds(sub, os.getpid())
        assert caught.value.code == "cgroup-sub"


@pytest.mark.skipif(not V2, reason="needs cgroup v2")
def test_v2_exec_follows_an_init_that_moved(make: Make, inside: Any) -> None:
    manager = make()
    process = inside(manager, "time.sleep(100)")
    moved = f"{manager.main_path()}/init"
    os.mkdir(moved)
    Path(moved, "cgroup.procs").write_text(str(process.pid))
    Path(manager.main_path(), "cgroup.subtree_control").write_text("+pids")
    _, into = manager.exec_fds(None, process.pid)
    assert os.readlink(f"/proc/self/fd/{into}") == moved
    os.close(into)


@pytest.mark.skipif(not V2, reason="needs cgroup v2")
def test_v2_delegation(make: Make) -> None:
    config = spec(f"/{name()}")
    config["linux"]["namespaces"] = [{"type": "user"}, {"type": "cgroup"}]
    config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    config["mounts"] = [{"destination": "/sys/fs/cgroup", "type": "cgroup"}]
    manager = cgroups.manager(config, "id")
    manager.create()
    try:
        path = manager.main_path()
        owners = {
            file: os.stat(f"{path}/{file}").st_uid
            for file in ("", "cgroup.procs", "cgroup.subtree_control", "memory.max")
        }
        assert owners == {
            "": 100000,
            "cgroup.procs": 100000,
            "cgroup.subtree_control": 100000,
            "memory.max": 0,
        }
    finally:
        manager.destroy()


@pytest.mark.skipif(not V2, reason="needs cgroup v2")
def test_v2_update_that_would_kill(make: Make, inside: Any) -> None:
    manager = make()
    process = inside(manager, "x = b'x' * (64 << 20)\nprint('full', flush=True)\ntime.sleep(100)")
    process.stdout.readline()
    with pytest.raises(OciError) as caught:
        manager.apply({"memory": {"limit": 1 << 20, "checkBeforeUpdate": True}}, update=True)
    assert "rejecting memory limit" in caught.value.message
    assert caught.value.pointer == "/linux/resources/memory/limit"
    assert process.poll() is None


def as_nobody(job: Callable[[], Any]) -> Any:
    """The JSON-able result of a job in a child without privileges, or the fields of its OciError."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            try:
                result = job()
            except OciError as error:
                result = error.fields() | {"text": error.text()}
            os.write(writer, json.dumps(result).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def rootless_create(path: str | None, resources: Any) -> Any:
    manager = cgroups.manager(spec(path, **resources), name(), rootless=True)
    manager.create()
    manager.apply(resources)
    facts = manager.mount_facts()
    again = cgroups.from_record(manager.record())
    assert again.exec_fds(None, 1) == manager.spawn_fds() == ([], -1)
    assert not again.exists() and again.pids() == [] and not again.signal_all(9) and not again.frozen()
    again.destroy()
    return [facts["path"] or [entry["host"] for entry in facts["controllers"]]]


@pytest.mark.parametrize("resources", [{}, {"devices": [DENY_ALL]}])
def test_rootless_without_limits_needs_no_cgroup(resources: Any) -> None:
    [places] = as_nobody(lambda: rootless_create(None, resources))
    for place in places if isinstance(places, list) else [places]:
        assert os.path.isdir(place)  # the caller's own, for mounts of type cgroup


def test_rootless_limits_need_permission() -> None:
    error = as_nobody(lambda: rootless_create(None, {"pids": {"limit": 5}}))
    assert error["pointer"].startswith("/linux/resources") and error["hint"]
    words = [
        "rootless needs no limits + no cgrouppath",
        "cannot set pids limit: container could not join or create cgroup",
    ]
    assert any(word in error["text"] for word in words)


def test_rootless_with_a_path_needs_permission() -> None:
    error = as_nobody(lambda: rootless_create(f"/{name()}", {}))
    assert error["code"] == "cgroup-create" and "permission denied" in error["text"]
    assert error["pointer"] == "/linux/cgroupsPath"
