"""--trace with real containers: who did what when, from the runtime's start to the container's end."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from harness.box import Container
from harness.boxes import Boxes
from harness.programs import Programs
from harness.runtime import Runtime

pytestmark = [pytest.mark.only("pyoci")]
SLOW_HOOK = 0.05


class Traced:
    """The events of a trace file."""

    def __init__(self, path: Path) -> None:
        self.document = json.loads(path.read_text())
        self.titles = {
            event["args"]["name"]: event["pid"]
            for event in self.document["traceEvents"]
            if event["ph"] == "M"
        }
        self.events = [event for event in self.document["traceEvents"] if event["ph"] == "X"]

    def of(self, title: str) -> list[dict[str, Any]]:
        """The events of one process."""
        return [event for event in self.events if event["pid"] == self.titles[title]]

    def names(self, title: str) -> list[str]:
        """Their names."""
        return [event["name"] for event in self.of(title)]

    def one(self, name: str) -> dict[str, Any]:
        """The only event of this name."""
        found: list[dict[str, Any]] = [event for event in self.events if event["name"] == name]
        assert len(found) == 1, (name, [event["name"] for event in self.events])
        return found[0]

    def check_order(self, title: str) -> None:
        """Each event of the main sequence begins where the one before it ended; parts lie within."""
        whole = [
            event
            for event in self.of(title)
            if event["cat"] in ("runtime", "idle") and event["name"] != "seccomp filter"
        ]
        for one, next_one in itertools.pairwise(whole):
            assert next_one["ts"] == pytest.approx(one["ts"] + one["dur"], abs=0.01)

    def check_cpu_time(self, title: str) -> None:
        """Each step tells the CPU time it took, one behind the other; parts of steps tell none."""
        used = 0.0
        for event in self.of(title):
            if event["cat"] not in ("runtime", "idle") or event["name"] == "seccomp filter":
                assert not event.keys() & {"tts", "tdur"}
                continue
            assert isinstance(event["tdur"], int | float) and event["tdur"] >= 0
            assert event["tts"] == pytest.approx(used, abs=0.01)
            used = event["tts"] + event["tdur"]
        assert used > 0


def hooked(made: Container, *kinds: str) -> None:
    made.config["hooks"] = {
        kind: [{"path": "/bin/sleep", "args": ["sleep", str(SLOW_HOOK)]}] for kind in kinds
    }


def test_run(box: Boxes, folder: Path, runtime: Runtime) -> None:
    made = box("/bin/true")
    made.mount("/slow", "tmpfs", "tmpfs", "size=1m")
    made.linux["resources"] = {"pids": {"limit": 100}}
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}],
    }
    hooked(made, "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    made.run("--trace", str(folder / "t"))
    found = Traced(folder / "t")
    steps = found.names("pyoci run")
    order = [
        "start of the runtime",
        "trace file",
        "load",
        "prepare namespaces",
        "check",
        "intent record",
        "cgroup create",
        "cgroup limits",
        "spawn",
        "facts",
    ]
    order += [
        "compile",
        "send prepare",
        "wait for prepare",
        "hooks",
        "send finish",
        "wait for ready",
        "record",
    ]
    order += [
        "wait for the program's start",
        "hooks",
        "the program runs",
        "cgroup removal",
        "hooks",
        "removal",
    ]
    left = iter(steps)
    assert all(name in left for name in order), (order, steps)
    found.check_order("pyoci run")
    found.check_cpu_time("pyoci run")
    assert found.one("prepare namespaces")["args"]["pointer"] == "/linux/namespaces"
    assert not any(event.keys() & {"tts", "tdur"} for event in found.of(f"init of {made.id}"))
    limit = found.one("pids.max")
    assert (limit["cat"], limit["args"]["pointer"]) == ("cgroup", "/linux/resources/pids/limit")
    for kind in ("createRuntime", "createContainer", "startContainer", "poststart", "poststop"):
        hook = found.one(f"{kind} hook /bin/sleep")
        assert (hook["cat"], hook["args"]["pointer"]) == ("hook", f"/hooks/{kind}/0")
        assert hook["dur"] >= SLOW_HOOK * 1e6
    index = len(made.mounts) - 1
    mount = [event for event in found.events if event["args"].get("pointer") == f"/mounts/{index}"]
    assert [event["args"]["op"] for event in mount] == ["mountpoint", "fsmount", "move_mount"]
    assert {event["name"] for event in mount} == {"tmpfs on /slow"}
    last = found.of(f"init of {made.id}")[-1]
    assert last["args"]["op"].startswith("seccomp") and last["args"]["op"].endswith("execve")
    assert last["ts"] + last["dur"] <= found.one("the program runs")["ts"] + 0.01


def test_times_of_the_init_lie_within_those_of_the_runtime(box: Boxes, folder: Path) -> None:
    made = box("/bin/true")
    made.namespace("time")
    made.linux["timeOffsets"] = {"monotonic": {"secs": 5000}, "boottime": {"secs": 70000}}
    made.run("--trace", str(folder / "t"))
    found = Traced(folder / "t")
    spawn, program = found.one("spawn"), found.one("the program runs")
    inside = found.of(f"init of {made.id}")
    assert "time namespace" in [event["name"] for event in inside]
    ends = spawn["ts"]
    for event in inside:
        assert event["ts"] >= ends - 0.01
        ends = event["ts"] + event["dur"]
        assert event["dur"] < 1e6
    assert ends <= program["ts"] + 0.01


def test_create_and_start_make_one_picture(box: Boxes, folder: Path) -> None:
    made = box("/bin/sleep", "100")
    hooked(made, "startContainer", "poststart")
    made.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}]
    made.create("--trace", str(folder / "t"))
    created = Traced(folder / "t")
    assert set(created.titles) == {"pyoci create", f"init of {made.id}"}
    assert created.of(f"init of {made.id}")[-1]["args"]["op"] == "find_executable"
    assert created.names("pyoci create")[-1] in ("record", "pid file")
    made.start()
    found = Traced(folder / "t")
    assert found.events[: len(created.events)] == created.events
    inside = found.names(f"init of {made.id}")[len(created.of(f"init of {made.id}")) :]
    assert inside[:3] == ["ready", "wait for start", "startContainer hook /bin/sleep"]
    assert inside[-1] == "exec /bin/sleep"
    assert "RLIMIT_NOFILE 100:100" in inside
    steps = found.names("pyoci start")
    assert steps == [
        "start of the runtime",
        "wait for the program's start",
        "poststart hook /bin/sleep",
        "hooks",
    ]
    found.check_cpu_time("pyoci create")
    found.check_cpu_time("pyoci start")
    wait, start = found.one("wait for start"), found.of("pyoci start")[0]
    assert wait["cat"] == "idle"
    assert wait["ts"] + wait["dur"] >= start["ts"] + start["dur"] - 0.01
    made.stop()


def test_start_of_an_untraced_container_writes_nothing(box: Boxes, folder: Path) -> None:
    made = box("/bin/true")
    made.create()
    before = set(folder.iterdir())
    made.start()
    made.wait()
    assert {path.name for path in set(folder.iterdir()) - before} <= {"calls"}
    made.delete()


def test_failing_start_is_traced_too(box: Boxes, folder: Path) -> None:
    made = box("/bin/true")
    made.config["hooks"] = {"startContainer": [{"path": "/bin/false"}]}
    made.create("--trace", str(folder / "t"))
    made.start(check=False).failed("error running startContainer hook #0: exit status 1, stdout: , stderr: ")
    made.expected = made.runtime.exists(made.id)
    found = Traced(folder / "t")
    assert found.events[-1]["name"] == "startContainer hook /bin/false" or "undo" in found.names(
        "pyoci start"
    )
    assert found.one("startContainer hook /bin/false")["args"]["pointer"] == "/hooks/startContainer/0"


def test_failing_create_is_traced_too(box: Boxes, folder: Path) -> None:
    made = box("/bin/true")
    made.mount("/bad", "tmpfs", "tmpfs", "nonsense=1")
    index = len(made.mounts) - 1
    made.create("--trace", str(folder / "t"), check=False).failed("nonsense")
    found = Traced(folder / "t")
    last = found.of(f"init of {made.id}")[-1]
    assert (last["args"]["pointer"], last["args"]["op"]) == (f"/mounts/{index}", "fsmount")
    assert "tmpfs on /dev" in found.names(f"init of {made.id}")
    assert found.names("pyoci create")[-1] == "undo"


def test_a_taken_id_is_traced_up_to_the_check(box: Boxes, folder: Path, runtime: Runtime) -> None:
    """What the benchmark of the check relies on: accepted, then refused for its id, and all steps until then told."""
    made = box("/bin/sleep", "100").launch()
    words = ("create", "--trace", str(folder / "t"), "--bundle", str(made.directory), made.id)
    runtime.call(*words).failed("container with given ID already exists")
    found = Traced(folder / "t")
    steps = found.names("pyoci create")
    assert steps == [
        "start of the runtime",
        "trace file",
        "inherited descriptors",
        "load",
        "prepare namespaces",
        "check",
        "bundle",
        "undo",
    ]
    found.check_cpu_time("pyoci create")
    assert all(found.one(name)["tdur"] > 0 for name in ("load", "check"))
    made.stop()


def test_exec(box: Boxes, folder: Path) -> None:
    made = box("/bin/sleep", "100").launch()
    made.exec("/bin/true", options=("--trace", str(folder / "t")))
    found = Traced(folder / "t")
    assert set(found.titles) == {"pyoci exec", f"init of {made.id}"}
    steps = found.names("pyoci exec")
    left = iter(steps)
    order = [
        "start of the runtime",
        "load",
        "cgroup",
        "facts",
        "compile",
        "spawn",
        "send exec",
        "wait for ready",
    ]
    assert all(name in left for name in [*order, "wait for the program's start"]), steps
    inside = found.names(f"init of {made.id}")
    assert inside[0] == "start of the init" and inside[-1] == "exec /bin/true"
    found.check_order("pyoci exec")
    found.check_cpu_time("pyoci exec")
    made.stop()


def test_many_ops_come_in_pieces(box: Boxes, folder: Path) -> None:
    """More late ops than one message through the fifo has room for."""
    made = box("/bin/sleep", "100")
    made.config["hooks"] = {"startContainer": [{"path": "/bin/true"}] * 140}
    made.create("--trace", str(folder / "t"))
    made.start()
    found = Traced(folder / "t")
    hooks = [event for event in found.events if event["cat"] == "hook"]
    assert [event["args"]["pointer"] for event in hooks] == [
        f"/hooks/startContainer/{index}" for index in range(140)
    ]
    made.stop()


def test_filter_that_forbids_what_tracing_needs(box: Boxes, folder: Path, programs: Programs) -> None:
    """Behind the filter the init measures and tells nothing: a traced container runs as an untraced one does."""
    made = box("/bin/true")
    made.process["noNewPrivileges"] = True
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {
                "names": ["sendmsg", "sendto", "write", "writev", "clock_gettime"],
                "action": "SCMP_ACT_KILL_PROCESS",
            }
        ],
    }
    made.run("--trace", str(folder / "t"))
    assert Traced(folder / "t").of(f"init of {made.id}")[-1]["args"]["op"] == "seccomp, execve"


def test_trace_file_that_can_not_be_written_stops_it_all(box: Boxes, runtime: Runtime) -> None:
    made = box("/bin/true")
    made.create("--trace", "/missing/t", check=False).failed("trace file /missing/t", "no such file")
    assert not runtime.exists(made.id)


def test_picture_of_a_real_trace(box: Boxes, folder: Path, runtime: Runtime) -> None:
    made = box("/bin/true")
    hooked(made, "createRuntime")
    made.run("--trace", str(folder / "t"))
    runtime.call("trace", str(folder / "t"), "--svg", str(folder / "t.svg")).ok()
    root = ElementTree.fromstring((folder / "t.svg").read_text())
    titles = [title.text or "" for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any(title.startswith("createRuntime hook /bin/sleep: ") for title in titles)
    assert any(title.endswith("\n/mounts/0") for title in titles)
    assert runtime.call("trace", str(folder / "t")).ok().out == (folder / "t.svg").read_text()
    runtime.call("trace", str(made.directory / "config.json")).failed("is not a trace file of pyoci")
