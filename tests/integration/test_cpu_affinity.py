"""Processors: the caller's affinity stays outside, the cpuset counts, and process.execCPUAffinity is for exec."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.runtime import Result

SHOW = ("/bin/grep", "Cpus_allowed_list", "/proc/self/status")


def all_processors() -> str:
    """What a process gets in our cpuset that asks for every processor."""
    script = "import os; os.sched_setaffinity(0, range(8192)); print(open('/proc/self/status').read())"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return shown(found.stdout)


def shown(text: str) -> str:
    """The list of processors in /proc/PID/status."""
    lines = [line.split()[1] for line in text.splitlines() if line.startswith("Cpus_allowed_list:")]
    assert len(lines) == 1, text
    return lines[0]


def on_first() -> None:
    """The caller of a runtime is confined to processor 0."""
    os.sched_setaffinity(0, {0})


def on_second() -> None:
    """The caller of a runtime is confined to processor 1."""
    os.sched_setaffinity(0, {1})


@pytest.fixture(autouse=True)
def two_processors() -> None:
    if not {0, 1} <= os.sched_getaffinity(0):
        pytest.skip("needs processors 0 and 1")


def launched(box: Boxes, affinity: dict[str, str] | None = None, **call: Any) -> Container:
    made = box("/bin/sleep", "1000")
    if affinity is not None:
        made.process["execCPUAffinity"] = affinity
    return made.launch(**call)


def confined(
    box: Boxes,
    cpus: str,
    affinity: dict[str, str] | None = None,
    *,
    pids: int = 0,
    pid_namespace: bool = True,
    **call: Any,
) -> Container:
    """A running container with a cpuset and, with `pids`, a limit of processes."""
    machine.need_controller("cpuset")
    made = box("/bin/sleep", "1000")
    made.linux["resources"] = {"cpu": {"cpus": cpus, "mems": "0"}}
    if pids:
        made.linux["resources"]["pids"] = {"limit": pids}
    if not pid_namespace:
        made.no_namespace("pid")
    if affinity is not None:
        made.process["execCPUAffinity"] = affinity
    return made.launch(**call)


def of_first(made: Container) -> str:
    return shown(Path(f"/proc/{made.pid}/status").read_text())


# -- the caller's


@pytest.mark.parametrize("user", [False, True], ids=["", "user namespace"])
def test_the_callers_affinity_does_not_get_into_the_container(box: Boxes, user: bool) -> None:
    made = box(*SHOW)
    if user:
        made.user_namespace()
    assert shown(made.out(preexec_fn=on_first)) == all_processors() != "0"
    made.args("/bin/sleep", "1000").launch(preexec_fn=on_first)
    assert of_first(made) == all_processors()
    assert shown(made.exec(*SHOW, preexec_fn=on_first).out) == all_processors()


def test_the_cpuset_takes_its_place(box: Boxes) -> None:
    made = confined(box, "0-1", preexec_fn=on_first)
    assert of_first(made) == shown(made.exec(*SHOW, preexec_fn=on_first).out) == "0-1"
    made = confined(box, "1", preexec_fn=on_first)
    assert of_first(made) == shown(made.exec(*SHOW, preexec_fn=on_first).out) == "1"


def test_a_cpuset_that_grows_gives_more_processors(box: Boxes) -> None:
    made = confined(box, "1", preexec_fn=on_first)
    made.runtime.call("update", "--cpuset-cpus", "0-1", made.id).ok()
    assert of_first(made) == "0-1"


def test_the_runtime_itself_stays_where_its_caller_put_it(box: Boxes) -> None:
    """A hook of the host's runs there."""
    made = box("/bin/true")
    out = made.directory / "hook"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat /proc/self/status >{out}"]}
    made.config["hooks"] = {"createRuntime": [hook]}
    made.run(preexec_fn=on_first)
    assert shown(out.read_text()) == "0"


# -- execCPUAffinity

# Before Linux 6.2 a process that joins a cpuset is on all processors of it, wherever it was.
LASTS = machine.kernel() >= (6, 2)


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        ({"initial": "0"}, "0"),
        ({"final": "1"}, "1"),
        ({"initial": "0", "final": "1"}, "1"),
        ({"initial": "0,1", "final": "0"}, "0"),
        ({"initial": "", "final": " ,1 ,"}, "1"),
        ({"final": "0-9"}, "all"),
        ({"initial": "1, 1-9"}, "1-"),
        ({"final": "1,1024-65536"}, "1"),
        ({"initial": "0,65536"}, "0"),
        ({"initial": "", "final": ""}, "all"),
        ({}, "all"),
    ],
    ids=str,
)
def test_the_table(box: Boxes, affinity: dict[str, str], expected: str) -> None:
    made = launched(box, affinity)
    everything = all_processors()
    assert of_first(made) == everything, "it is for exec alone"
    found = shown(made.exec(*SHOW, preexec_fn=on_second if expected == "0" else on_first).out)
    if not LASTS and not affinity.get("final"):
        expected = "all"
    if expected == "1-":
        assert found.startswith("1") and "0" not in found.split(",")[0].split("-")
    else:
        assert found == (everything if expected == "all" else expected)


def test_processors_that_are_not_there_fail_the_exec(box: Boxes) -> None:
    words = "error setting final CPU affinity: sched_setaffinity: invalid argument"
    made = launched(box, {"final": "60000"})
    found = made.exec("/bin/true", check=False).failed(words)
    assert found.rc == 255
    words = words.replace("final", "initial")
    other = launched(box, {"initial": "60000"})
    assert other.exec("/bin/true", check=False).failed(words).rc == 255
    assert other.status == made.status == "running"


@pytest.mark.parametrize("place", ["initial", "final"])
@pytest.mark.parametrize("text", ["x", "3-1", ",", " ", "1-", "65537", "0-65537"])
def test_what_is_no_list_fails_the_run(box: Boxes, place: str, text: str) -> None:
    made = box("/bin/true")
    made.process["execCPUAffinity"] = {place: text}
    made.run(check=False).failed(f'/process/execCPUAffinity/{place}: "{text}" ')


def test_initial_comes_before_the_cgroup_and_final_after_it(box: Boxes) -> None:
    """Processor 1 may be asked for while the runtime's cpuset counts, and no more when the container's does."""
    before = confined(box, "0", {"initial": "1"})
    assert shown(before.exec(*SHOW).out) == "0"
    after = confined(box, "0", {"final": "1"})
    after.exec("/bin/true", check=False).failed("error setting final CPU affinity")
    both = confined(box, "1", {"initial": "0", "final": "1"})
    assert shown(both.exec(*SHOW).out) == "1"


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("pid_namespace", [True, False])
def test_so_it_is_where_the_container_has_all_the_processes_it_may(box: Boxes, pid_namespace: bool) -> None:
    """The new process starts outside then, and is moved after its last fork: final is set after that."""
    machine.need_controller("pids")
    for affinity, cpus, expected in (
        ({"initial": "1"}, "0", "0"),
        ({"initial": "0", "final": "1"}, "1", "1"),
        ({"final": "1"}, "0", ""),
    ):
        made = confined(box, cpus, affinity, pids=1, pid_namespace=pid_namespace)
        found = made.exec(*SHOW, check=bool(expected))
        if expected:
            assert shown(found.out) == expected
        else:
            found.failed("error setting final CPU affinity: sched_setaffinity: invalid argument")
        made.kill("--all", "KILL")


def exec_file(made: Container, folder: Path, **more: Any) -> Result:
    """exec with a process file."""
    path = folder / "process.json"
    path.write_text(json.dumps({"args": list(SHOW), "cwd": "/", **more}))
    return made.exec(options=("--process", str(path)))


def test_a_process_file_has_its_own_or_takes_the_containers(box: Boxes, folder: Path) -> None:
    made = launched(box, {"final": "1"})
    assert shown(exec_file(made, folder).out) == "1"
    assert shown(exec_file(made, folder, execCPUAffinity={"initial": "", "final": ""}).out) == "1"
    assert shown(exec_file(made, folder, execCPUAffinity={"initial": "0"}).out) == (
        "0" if LASTS else all_processors()
    )


@pytest.mark.only("pyoci")
def test_the_callers_own_affinity_comes_back(box: Boxes) -> None:
    """In the foreground the runtime stays with the process: not on the processors of execCPUAffinity.initial."""
    made = launched(box, {"initial": "1"})
    said = made.stream()
    argv = ["exec", made.id, "/bin/sh", "-c", "echo ready; exec sleep 1000"]
    process = made.runtime.spawn(*argv, stdout=said.write_end, preexec_fn=on_first)
    try:
        said.close_write()
        said.until("ready")
        assert shown(Path(f"/proc/{process.pid}/status").read_text()) == "0"
    finally:
        process.terminate()
        process.wait()
