"""pause, resume, ps and update: containers stopped and let go, looked at, and given other limits."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.runtime import PATIENCE

Boxes = Callable[..., Container]
V1 = machine.cgroup_version() == 1
MIB = 1 << 20
COUNT = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.01; done"


def value(made: Container, controller: str, v1: str, v2: str) -> str:
    """The content of an interface file of the container's cgroup."""
    machine.need_controller(controller)
    root = machine.CGROUPS / controller if V1 else machine.CGROUPS
    return (root / made.cgroup.strip("/") / (v1 if V1 else v2)).read_text().strip()


def memory(made: Container) -> int:
    """The memory limit in force."""
    return int(value(made, "memory", "memory.limit_in_bytes", "memory.max"))


def cpu_time(pid: int) -> list[str]:
    """User and system time of a process, in clock ticks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]


def eventually(test: Callable[[], object], what: str) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + PATIENCE
    while not test():
        assert time.monotonic() < deadline, f"{what} after {PATIENCE} s"
        time.sleep(0.01)


def call(made: Container, *words: str, check: bool = True, **more: Any) -> Any:
    """A verb on a container: its options first, the id last."""
    found = made.runtime.call(*words, made.id, **more)
    return found.ok() if check else found


@pytest.fixture
def running(box: Boxes) -> Container:
    """A running container."""
    return box("/bin/sleep", "1000").launch()


# -- pause and resume


def test_pause_stops_every_process_and_resume_lets_them_go_on(box: Boxes) -> None:
    made = box("/bin/sh", "-c", COUNT).launch()
    count = made.rootfs / "tmp/count"
    eventually(lambda: count.exists() and count.read_text(), "the container does not count")
    pid = made.pid
    call(made, "pause")
    assert made.status == "paused" and made.pid == pid
    before, used = count.read_text(), cpu_time(pid)
    time.sleep(0.2)
    assert (count.read_text(), cpu_time(pid)) == (before, used)
    call(made, "resume")
    assert made.status == "running"
    eventually(lambda: count.read_text() not in ("", before), "the container does not go on")


def test_list_shows_the_status(running: Container) -> None:
    call(running, "pause")
    states = running.runtime.call("list", "--format", "json").ok().json()
    assert [state["status"] for state in states if state["id"] == running.id] == ["paused"]
    call(running, "resume")


def test_pause_of_a_created_container(box: Boxes) -> None:
    made = box("/bin/true")
    made.create()
    call(made, "pause")
    assert made.status == "paused"
    made.start(check=False).failed("cannot start a container in the paused state")
    call(made, "resume")
    assert made.status == "created"
    made.start()
    assert made.wait() == 0


def test_what_pause_and_resume_refuse(running: Container) -> None:
    call(running, "resume", check=False).failed("container not paused")
    call(running, "pause")
    call(running, "pause", check=False).failed("container not running")
    call(running, "resume")
    running.kill("KILL")
    running.wait()
    call(running, "pause", check=False).failed("container not running")
    call(running, "resume", check=False).failed("container not paused")
    for verb in ("pause", "resume", "ps", "update"):
        found = running.runtime.call(verb, "no-such-container").failed("container does not exist")
        assert found.rc == 1 and found.out == ""


def test_exec_in_a_paused_container_is_refused(running: Container) -> None:
    call(running, "pause")
    found = running.exec("/bin/true", check=False)
    found.failed("cannot exec in a paused container (use --ignore-paused to override)")
    assert found.rc == 255
    call(running, "resume")
    running.exec("/bin/true")


def test_exec_that_ignores_the_pause_starts_on_resume(running: Container) -> None:
    call(running, "pause")
    waiting = running.runtime.spawn(
        "exec", "--ignore-paused", running.id, "/bin/echo", "late", stdout=subprocess.PIPE
    )
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
        assert running.status == "paused"
    finally:
        call(running, "resume")
    assert waiting.communicate(timeout=PATIENCE)[0] == b"late\n" and waiting.returncode == 0


@pytest.mark.parametrize("options", [(), ("--all",)], ids=["init", "all"])
def test_sigkill_ends_a_paused_container(running: Container, options: tuple[str, ...]) -> None:
    running.exec("/bin/sleep", "1000", options=("--detach",))
    call(running, "pause")
    running.kill(*options, "KILL")
    for pid in running.detached:  # as their parent; the pid namespace ends when they have been waited for
        assert running.wait_for(pid) == 128 + signal.SIGKILL
    running.detached.clear()
    assert running.wait() == 128 + signal.SIGKILL
    assert running.status == "stopped"
    running.delete()


def test_another_signal_waits_for_resume(box: Boxes) -> None:
    made = box("/bin/sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done")
    stream = made.stream()
    made.launch(stdout=stream)
    stream.until("up")
    call(made, "pause")
    made.kill("TERM")
    time.sleep(0.2)
    assert made.status == "paused"
    call(made, "resume")
    assert made.wait() == 7


def test_kill_all_signals_each_process_once(box: Boxes) -> None:
    made = box("/bin/sh", "-c", "trap 'echo got >&1' USR1; echo up; while :; do sleep 0.05; done")
    stream = made.stream()
    made.launch(stdout=stream)
    stream.until("up")
    made.kill("--all", "USR1")
    stream.until("got")
    time.sleep(0.3)
    made.kill("KILL")
    made.wait()
    assert stream.rest().count("got") == 1


def test_delete_of_a_paused_container(running: Container) -> None:
    call(running, "pause")
    running.delete(check=False).failed("cannot delete container", "paused")
    assert running.status == "paused"
    began = time.monotonic()
    running.delete("--force")
    assert time.monotonic() - began < PATIENCE / 3
    assert not running.runtime.exists(running.id)


# -- ps


def test_ps_table(running: Container) -> None:
    running.exec("/bin/sleep", "1234", options=("--detach",))
    lines = call(running, "ps").lines()
    assert lines[0].split()[:2] == ["UID", "PID"]
    found = {int(line.split()[1]): line for line in lines[1:]}
    assert sorted(found) == sorted([running.pid, *running.detached])
    assert "sleep 1234" in found[running.detached[0]]


def test_ps_json(running: Container) -> None:
    running.exec("/bin/sleep", "1000", options=("--detach",))
    found = call(running, "ps", "--format", "json")
    assert sorted(found.json()) == sorted([running.pid, *running.detached])
    assert found.out == json.dumps(found.json(), separators=(",", ":")) + "\n"


def test_ps_with_options_of_ps(running: Container) -> None:
    ps = running.runtime.call("ps", running.id, "-e", "-o", "comm,pid").ok().lines()
    assert [line.split() for line in ps] == [["COMMAND", "PID"], ["sleep", str(running.pid)]]
    running.runtime.call("ps", running.id, "-e", "-o", "comm").failed("couldn't find PID field in ps output")
    running.runtime.call("ps", running.id, "--no-such-option").failed("exit status 1")
    call(running, "ps", "--format", "xml", check=False).failed()


def test_ps_of_a_paused_container(running: Container) -> None:
    call(running, "pause")
    assert call(running, "ps", "-f", "json").json() == [running.pid]
    call(running, "resume")


@pytest.mark.only("pyoci")
def test_ps_finds_the_hosts_ps_without_path(running: Container) -> None:
    assert len(call(running, "ps", env={}).lines()) == 2


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("without", ["cgroup", "cgroup and pid namespace"])
def test_a_container_without_cgroup(box: Boxes, without: str) -> None:
    made = box("/bin/sleep", "1000")
    if "pid" in without:
        made.no_namespace("pid")
    made.runtime.global_options = ["--cgroup-manager", "disabled"]
    made.launch()
    if "pid" in without:
        call(made, "ps", "-f", "json", check=False).failed("neither a cgroup nor a pid namespace")
    else:
        assert call(made, "ps", "-f", "json").json() == [made.pid]
    call(made, "pause", check=False).failed("cannot pause a container without a cgroup")
    call(made, "update", "--memory", "64M", check=False).failed("cannot update a container without a cgroup")


def test_ps_of_a_stopped_container(box: Boxes) -> None:
    made = box("/bin/true").launch()
    made.wait()
    assert len(call(made, "ps").lines()) == 1
    assert call(made, "ps", "--format", "json").json() in ([], None)


# -- update


def test_update_by_options(running: Container) -> None:
    call(running, "update", "--memory", "64M", "--memory-reservation", "32m", "--pids-limit", "77")
    call(running, "update", "--cpu-share", "512", "--cpu-quota", "20000", "--cpu-period", "50000")
    assert memory(running) == 64 * MIB
    reserved = value(running, "memory", "memory.soft_limit_in_bytes", "memory.low")
    assert reserved == str(32 * MIB)
    assert value(running, "pids", "pids.max", "pids.max") == "77"
    if V1:
        assert value(running, "cpu", "cpu.shares", "") == "512"
        assert value(running, "cpu", "cpu.cfs_quota_us", "") == "20000"
        assert value(running, "cpu", "cpu.cfs_period_us", "") == "50000"
    else:
        assert value(running, "cpu", "", "cpu.max") == "20000 50000"
    call(running, "update", "--pids-limit", "-1")
    assert value(running, "pids", "pids.max", "pids.max") == "max"


def test_update_of_the_cpus(running: Container) -> None:
    call(running, "update", "--cpuset-cpus", "0", "--cpuset-mems", "0")
    assert value(running, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    allowed = Path(f"/proc/{running.pid}/status").read_text()
    assert "Cpus_allowed_list:\t0\n" in allowed


def test_quota_and_period_one_by_one(running: Container) -> None:
    def both() -> tuple[str, str]:
        if V1:
            quota = value(running, "cpu", "cpu.cfs_quota_us", "")
            return quota, value(running, "cpu", "cpu.cfs_period_us", "")
        quota, _, period = value(running, "cpu", "", "cpu.max").partition(" ")
        return quota, period

    call(running, "update", "--cpu-quota", "30000")
    assert both() == ("30000", "100000")
    call(running, "update", "--cpu-period", "60000")
    assert both() == ("30000", "60000")
    call(running, "update", "--cpu-quota", "15000")
    assert both() == ("15000", "60000")
    call(running, "update", "--cpu-quota=-1")
    assert both() == ("-1" if V1 else "max", "60000")


DOCKER = {
    "memory": {"limit": 64 * MIB, "reservation": 0, "swap": 128 * MIB, "kernel": 0},
    "cpu": {"shares": 0, "quota": 50000, "period": 100000},
    "pids": {"limit": 77},
    "blockIO": {"weight": 0},
}
ZEROS = {
    "memory": {"limit": 0, "reservation": 0, "swap": 0, "kernel": 0},
    "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
    "pids": {"limit": 0},
    "blockIO": {"weight": 0},
}


@pytest.mark.parametrize("way", ["-", "file", "=-"])
def test_update_by_a_document_where_zero_leaves_alone(running: Container, folder: Path, way: str) -> None:
    for document in (DOCKER, ZEROS):
        words = [f"--resources{way}"] if way == "=-" else ["-r", way]
        if way == "file":
            words[1] = str(folder / "resources.json")
            Path(words[1]).write_text(json.dumps(document))
        call(running, "update", *words, stdin=json.dumps(document).encode())
        assert memory(running) == 64 * MIB
        assert value(running, "pids", "pids.max", "pids.max") == "77"
        if V1:
            assert value(running, "cpu", "cpu.cfs_quota_us", "") == "50000"
            assert value(running, "cpu", "cpu.shares", "") == "1024"
        else:
            assert value(running, "cpu", "", "cpu.max") == "50000 100000"


def test_memory_and_swap_raised_and_lowered(running: Container) -> None:
    def both() -> tuple[int, int]:
        if V1:
            return memory(running), int(value(running, "memory", "memory.memsw.limit_in_bytes", ""))
        return memory(running), memory(running) + int(value(running, "memory", "", "memory.swap.max"))

    try:
        value(running, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
    except FileNotFoundError:
        pytest.skip("the kernel does not account swap")
    for limit, swap in ((64, 64), (256, 512), (32, 64), (128, 128), (64, 96)):
        call(running, "update", "--memory", f"{limit}M", "--memory-swap", f"{swap}M")
        assert both() == (limit * MIB, swap * MIB)
    call(running, "update", "--memory", "-1")
    if V1:
        assert min(both()) > 1 << 60
    else:
        assert value(running, "memory", "", "memory.max") == "max"
        assert value(running, "memory", "", "memory.swap.max") == "max"


@pytest.mark.only("pyoci")
def test_swap_alone(running: Container) -> None:
    call(running, "update", "--memory", "64M", "--memory-swap", "64M")
    call(running, "update", "--memory-swap", "96M")
    assert memory(running) == 64 * MIB
    if V1:
        assert value(running, "memory", "memory.memsw.limit_in_bytes", "") == str(96 * MIB)
    else:
        assert value(running, "memory", "", "memory.swap.max") == str(32 * MIB)


@pytest.mark.only("pyoci")
def test_an_update_that_fails_changes_nothing(running: Container) -> None:
    call(running, "update", "--memory", "64M", "--pids-limit", "50", "--cpu-share", "500")
    shares = value(running, "cpu", "cpu.shares", "cpu.weight")
    wanted = {
        "memory": {"limit": 32 * MIB},
        "cpu": {"shares": 700, "cpus": "4000"},
        "pids": {"limit": 20},
    }
    found = call(running, "update", "-r", "-", stdin=json.dumps(wanted).encode(), check=False)
    found.failed("cpuset.cpus", "4000")
    assert memory(running) == 64 * MIB
    assert value(running, "pids", "pids.max", "pids.max") == "50"
    assert value(running, "cpu", "cpu.shares", "cpu.weight") == shares


def test_a_limit_below_what_is_in_use_is_refused(running: Container) -> None:
    wanted = {"memory": {"limit": 4096, "checkBeforeUpdate": True}}
    old = value(running, "memory", "memory.limit_in_bytes", "memory.max")
    call(running, "update", "-r", "-", stdin=json.dumps(wanted).encode(), check=False).failed("4096")
    assert value(running, "memory", "memory.limit_in_bytes", "memory.max") == old
    assert running.status == "running"


def test_device_rules_stay(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.linux["resources"]["devices"] = [{"allow": False, "access": "rwm"}]
    made.launch()
    wanted = {"devices": [{"allow": True, "access": "rwm"}], "pids": {"limit": 60}}
    call(made, "update", "-r", "-", stdin=json.dumps(wanted).encode())
    assert value(made, "pids", "pids.max", "pids.max") == "60"
    made.exec("/bin/sh", "-c", ": > /dev/null")
    if V1:
        assert "a *:* rwm" not in value(made, "devices", "devices.list", "").splitlines()
    made.exec("/bin/sh", "-c", "mknod /tmp/mem c 1 1 && cat /tmp/mem", check=False).failed("not permitted")


def test_update_of_a_paused_and_of_a_created_container(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.create()
    call(made, "update", "--memory", "64M")
    made.start()
    call(made, "pause")
    call(made, "update", "--memory", "96M")
    assert memory(made) == 96 * MIB and made.status == "paused"
    call(made, "resume")


def test_update_of_a_stopped_container(box: Boxes) -> None:
    made = box("/bin/true").launch()
    made.wait()
    call(made, "update", "--memory", "64M", check=False).failed("container not running")


@pytest.mark.parametrize(
    "document", [b"", b"{", b"[]", b'{"memory":{"limit":"64M"}}', b'{"pids":{"limit":1.5}}', b"\xff"]
)
def test_documents_that_are_refused(running: Container, document: bytes) -> None:
    assert call(running, "update", "-r", "-", stdin=document, check=False).failed().rc == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--memory", "64x"),
        ("--memory", "-2"),
        ("--cpu-share", "many"),
        ("--pids-limit", "some"),
        ("--cpu-quota", "1.5"),
        ("--resources", "/no/such/file"),
        ("--no-such-option",),
    ],
)
def test_options_that_are_refused(running: Container, words: tuple[str, ...]) -> None:
    assert call(running, "update", *words, check=False).failed().rc == 1


def test_intel_rdt_where_there_is_none(running: Container) -> None:
    for option, words in (("l3-cache-schema", "L3"), ("mem-bw-schema", "MB")):
        if Path(f"/sys/fs/resctrl/info/{words}").exists():
            pytest.skip("this machine has Intel RDT")
        call(running, "update", f"--{option}", f"{words}:0=f", check=False).failed("is not enabled")
