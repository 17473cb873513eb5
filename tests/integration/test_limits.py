"""The container's cgroup: where it is, what limits it has, that they hold, and that it goes away."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.leaks import empty_cgroup

V1 = machine.cgroup_version() == 1


def cgroup(made: Container, controller: str) -> Path:
    """The container's cgroup directory of a controller."""
    machine.need_controller(controller)
    return (
        machine.CGROUPS / controller / made.cgroup.strip("/")
        if V1
        else machine.CGROUPS / made.cgroup.strip("/")
    )


def value(made: Container, controller: str, v1: str, v2: str) -> str:
    """The content of an interface file of the container's cgroup."""
    return (cgroup(made, controller) / (v1 if V1 else v2)).read_text().strip()


def limited(box: Boxes, **resources: Any) -> Container:
    """A created container with limits."""
    made = box("/bin/sleep", "1000")
    made.linux["resources"].update(resources)
    made.create()
    return made


def test_the_container_is_in_its_cgroup(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/cgroup")
    made.no_namespace("cgroup")
    lines = [line.split(":", 2) for line in made.out().splitlines()]
    paths = {name: path for _, name, path in lines}
    if V1:
        for name in machine.controllers():
            assert paths[name] == made.cgroup, name
    else:
        assert paths[""] == made.cgroup


def test_create_makes_the_cgroup_and_delete_removes_it(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.create()
    directory = cgroup(made, "memory")
    assert str(made.pid) in (directory / "cgroup.procs").read_text().split()
    made.delete("--force")
    assert not directory.exists()


def test_run_removes_the_cgroup(box: Boxes) -> None:
    made = box("/bin/true")
    directory = cgroup(made, "memory")
    made.run()
    assert not directory.exists()


def test_without_a_path_the_cgroup_is_named_after_the_container(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/cgroup")
    del made.linux["cgroupsPath"]
    made.no_namespace("cgroup")
    assert made.id in made.out()


def test_a_nested_cgroup_path(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.cgroup = f"/{box.prefix}-top/a/{made.id}"
    made.linux["cgroupsPath"] = made.cgroup
    made.create()
    directory = cgroup(made, "pids")
    assert str(made.pid) in (directory / "cgroup.procs").read_text().split()
    made.delete("--force")
    assert not directory.exists()
    for path in sorted(machine.CGROUPS.rglob(f"{box.prefix}-top"), key=str):
        for below in sorted(path.rglob("*"), reverse=True):
            if below.is_dir():
                below.rmdir()
        path.rmdir()


@pytest.mark.parametrize("path", ["../escape", "/../../escape", "a/../../../escape"])
def test_a_cgroup_path_does_not_leave_the_hierarchy(box: Boxes, path: str) -> None:
    made = box("/bin/cat", "/proc/self/cgroup")
    made.no_namespace("cgroup")
    made.linux["cgroupsPath"] = path.replace("escape", f"{box.prefix}-escape")
    found = made.run(check=False)
    if found.rc == 0:
        assert ".." not in found.out
    for place in ("/", "/sys", "/sys/fs"):
        assert not os.path.exists(f"{place}/{box.prefix}-escape")


@pytest.fixture
def made_before(box: Boxes) -> Iterator[str]:
    """A cgroup that exists before the container."""
    name = f"{box.prefix}-before"
    tops = [machine.CGROUPS / c for c in sorted(machine.controllers())] if V1 else [machine.CGROUPS]
    for top in tops:
        (top / name).mkdir()
        if (top / name / "cpuset.cpus").exists():
            for file in ("cpuset.cpus", "cpuset.mems"):
                if V1:
                    (top / name / file).write_text((top / file).read_text())
    yield name
    for top in tops:
        empty_cgroup(top / name)


def test_a_cgroup_that_was_there_before_stays(box: Boxes, made_before: str) -> None:
    """runtime.md, delete: resources associated with the container, but not created by it, must not be deleted."""
    made = box("/bin/sleep", "1000")
    made.linux["cgroupsPath"] = made.cgroup = f"/{made_before}"
    made.create()
    directory = cgroup(made, "pids")
    assert str(made.pid) in (directory / "cgroup.procs").read_text().split()
    made.delete("--force")
    assert directory.is_dir()


def test_a_cgroup_with_processes_is_refused_or_shared(box: Boxes) -> None:
    """config-linux.md allows both; in neither case may the second container take the first one with it."""
    first = box("/bin/sleep", "1000").launch()
    second = box("/bin/sleep", "1000")
    second.linux["cgroupsPath"] = first.cgroup
    if second.create(check=False).rc == 0:
        assert first.status == "running"
        second.delete("--force")
    else:
        assert not second.runtime.exists(second.id)
        second.delete("--force")
        assert first.status == "running"


# -- the limits as the kernel holds them


def test_memory_limit(box: Boxes) -> None:
    made = limited(box, memory={"limit": 64 << 20, "reservation": 32 << 20})
    assert value(made, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert value(made, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 << 20)


def test_memory_swap(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    directory = cgroup(made, "memory")
    made.linux["resources"]["memory"] = {"limit": 64 << 20, "swap": 96 << 20}
    if V1 and not (machine.CGROUPS / "memory/memory.memsw.limit_in_bytes").exists():
        pytest.skip("the kernel does not account for swap")
    made.create()
    if V1:
        assert int((directory / "memory.memsw.limit_in_bytes").read_text()) == 96 << 20
    else:
        assert int((directory / "memory.swap.max").read_text()) == 32 << 20


def test_pids_limit(box: Boxes) -> None:
    made = limited(box, pids={"limit": 20})
    assert value(made, "pids", "pids.max", "pids.max") == "20"


@pytest.mark.parametrize("unlimited", [-1])
def test_pids_without_limit(box: Boxes, unlimited: int) -> None:
    made = limited(box, pids={"limit": unlimited})
    assert value(made, "pids", "pids.max", "pids.max") == "max"


def test_cpu_shares(box: Boxes) -> None:
    made = limited(box, cpu={"shares": 512})
    found = int(value(made, "cpu", "cpu.shares", "cpu.weight"))
    if V1:
        assert found == 512
    else:
        # 59 by the formula that replaced the linear one (20) in 2025
        assert found == (59 if made.runtime.kind == "pyoci" else 20)


def test_cpu_quota_and_period(box: Boxes) -> None:
    made = limited(box, cpu={"quota": 50000, "period": 200000})
    if V1:
        assert value(made, "cpu", "cpu.cfs_quota_us", "") == "50000"
        assert value(made, "cpu", "cpu.cfs_period_us", "") == "200000"
    else:
        assert value(made, "cpu", "", "cpu.max") == "50000 200000"


def test_cpus(box: Boxes) -> None:
    machine.need_controller("cpuset")
    made = limited(box, cpu={"cpus": "0", "mems": "0"})
    assert value(made, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    assert value(made, "cpuset", "cpuset.mems", "cpuset.mems") == "0"


@pytest.mark.skipif(V1, reason="cgroup v1 has no unified files")
def test_unified_files(box: Boxes) -> None:
    made = limited(box, unified={"memory.high": "100000000", "pids.max": "33"})
    assert value(made, "memory", "", "memory.high") in ("99999744", "100000000")
    assert value(made, "pids", "", "pids.max") == "33"


@pytest.mark.skipif(not V1, reason="cgroup v2 has unified files")
def test_unified_files_are_refused_on_v1(box: Boxes) -> None:
    made = box("/bin/true")
    made.linux["resources"]["unified"] = {"memory.high": "100000000"}
    made.run(check=False).failed()


def test_the_zeros_docker_sends_mean_no_limit(box: Boxes) -> None:
    made = limited(box, memory={"disableOOMKiller": False}, cpu={"shares": 0}, blockIO={"weight": 0})
    if V1:
        assert value(made, "cpu", "cpu.shares", "") == "1024"
    else:
        assert value(made, "cpu", "", "cpu.weight") == "100"


# -- the limits at work


def test_a_fork_beyond_the_pids_limit_fails(box: Boxes) -> None:
    machine.need_controller("pids")
    made = box.sh("for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done; echo survived")
    made.linux["resources"]["pids"] = {"limit": 6}
    found = made.run(check=False)
    assert "fork" in found.err


def test_memory_beyond_the_limit_ends_the_program(box: Boxes) -> None:
    machine.need_controller("memory")
    made = box.sh("x=$(head -c 100000000 /dev/zero | tr '\\0' a); echo survived")
    made.linux["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
    made.linux["resources"].setdefault("pids", {"limit": 100})
    found = made.run(check=False)
    if V1 and "memsw" in found.err:
        del made.linux["resources"]["memory"]["swap"]
        found = made.run(check=False)
    assert found.rc == 128 + signal.SIGKILL, found
    assert found.out == ""


def test_a_limit_is_there_before_the_program_runs(box: Boxes) -> None:
    machine.need_controller("memory")
    name = "memory/memory.limit_in_bytes" if V1 else "memory.max"
    made = box("/bin/cat", f"/sys/fs/cgroup/{name}")
    made.namespace("cgroup")
    made.linux["resources"]["memory"] = {"limit": 64 << 20}
    made.mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "nodev", "noexec")
    assert made.out() == f"{64 << 20}\n"


@pytest.mark.only("pyoci")
def test_a_container_within_one_mebibyte_of_memory(box: Boxes) -> None:
    """Only the small init is charged to the container while it is set up (runc needs several MiB)."""
    machine.need_controller("memory")
    made = box("/bin/echo", "hi")
    made.linux["resources"]["memory"] = {"limit": 1 << 20}
    assert made.out() == "hi\n"


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("limit", [1, 4096, 16384])
def test_too_little_memory_to_start_kills_the_init_alone(box: Boxes, limit: int) -> None:
    """The runtime, whose memory the init shares until its execve(2), lives to tell."""
    machine.need_controller("memory")
    made = box("/bin/true")
    made.linux["resources"]["memory"] = {"limit": limit}
    found = made.create(check=False)
    assert found.rc == 1 and "killed for lack of memory" in found.err, found
    assert not made.runtime.exists(made.id)


@pytest.mark.only("pyoci")
@pytest.mark.parametrize(
    ("resources", "pointer", "file"),
    [
        ({"memory": {"limit": 64 << 20, "swap": 32 << 20}}, "/linux/resources/memory/swap", ""),
        ({"cpu": {"cpus": "4095"}}, "/linux/resources/cpu/cpus", "cpuset.cpus"),
        ({"cpu": {"quota": 1, "period": 100000}}, "/linux/resources/cpu/quota", "quota"),
    ],
)
def test_a_limit_the_kernel_refuses_is_named(
    box: Boxes, folder: Path, resources: dict[str, Any], pointer: str, file: str
) -> None:
    log = folder / "log"
    made = box("/bin/true")
    made.runtime.global_options = ["--log", str(log), "--log-format", "json"]
    made.linux["resources"].update(resources)
    made.create(check=False).failed(file)
    entry = json.loads(log.read_text())
    assert entry["pointer"].startswith(pointer.rsplit("/", 1)[0])
    assert pointer.rsplit("/", 1)[1] in entry["pointer"] + entry["msg"]


@pytest.mark.parametrize(
    "options", [{"cpu": {"cpus": "4095"}}, {"memory": {"limit": 64 << 20, "swap": 32 << 20}}]
)
def test_a_limit_the_kernel_refuses_fails_the_create(box: Boxes, options: dict[str, Any]) -> None:
    made = box("/bin/true")
    made.linux["resources"].update(options)
    made.create(check=False).failed()
    assert not made.runtime.exists(made.id)


# -- with systemd


needs_systemd = pytest.mark.skipif(not machine.systemd_runs(), reason="systemd does not run here")


@needs_systemd
def test_systemd_makes_a_scope(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.runtime.global_options = ["--systemd-cgroup"]
    name = made.id.replace("_", "x")
    made.linux["cgroupsPath"] = f"system.slice:pyocit:{name}"
    made.linux["resources"].update(memory={"limit": 64 << 20}, pids={"limit": 33})
    made.launch()
    directory = machine.CGROUPS / f"system.slice/pyocit-{name}.scope"
    assert str(made.pid) in (directory / "cgroup.procs").read_text().split()
    assert (directory / "memory.max").read_text().strip() == str(64 << 20)
    assert (directory / "pids.max").read_text().strip() == "33"
    made.stop()
    assert not directory.exists()


@needs_systemd
def test_systemd_run_leaves_no_scope(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/cgroup")
    made.no_namespace("cgroup")
    made.runtime.global_options = ["--systemd-cgroup"]
    name = made.id.replace("_", "x")
    made.linux["cgroupsPath"] = f"system.slice:pyocit:{name}"
    assert f"system.slice/pyocit-{name}.scope" in made.out()
    assert not (machine.CGROUPS / f"system.slice/pyocit-{name}.scope").exists()
