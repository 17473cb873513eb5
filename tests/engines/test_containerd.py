"""containerd on the runtime, through ctr: run, exec, pause, metrics, events, signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from harness.engines import Containerd, until

BOX = "localhost/box:latest"


@pytest.fixture
def start(containerd: Containerd) -> Iterator[Callable[..., str]]:
    """Start a container with these options that sleeps; return its name. It is removed after the test."""
    names: list[str] = []

    def run(*options: str) -> str:
        names.append(f"box{len(names)}")
        containerd("run", "-d", *binary(containerd), *options, BOX, names[-1])
        return names[-1]

    yield run
    for name in names:
        containerd.call("task", "kill", "-s", "KILL", name)
        until("the task is gone", lambda name=name: removed(containerd, name))
        containerd("container", "rm", name)


def binary(containerd: Containerd) -> tuple[str, ...]:
    """The options that name the runtime, and a parent cgroup of the module's own."""
    return (
        "--runc-binary",
        str(containerd.runtime),
        "--snapshotter",
        "native",
        "--cgroup",
        f"/{containerd.tag}/box",
    )


def removed(containerd: Containerd, name: str) -> bool:
    """Remove a task if there is one and it has ended; return whether there is none now."""
    containerd.call("task", "rm", name)
    return name not in containerd("task", "ls", "-q").split()


def test_the_output_and_the_exit_status_of_a_run(containerd: Containerd) -> None:
    command = ("sh", "-c", "echo out; exit 7")
    ended = containerd.call("run", "--rm", *binary(containerd), BOX, "once", *command)
    assert (ended.returncode, ended.stdout) == (7, "out\n")


def test_exec_and_its_exit_status(containerd: Containerd, start: Callable[..., str]) -> None:
    name = start()
    ended = containerd.call("task", "exec", "--exec-id", "e", name, "sh", "-c", "echo in; exit 9")
    assert (ended.returncode, ended.stdout) == (9, "in\n")


def test_pause_and_resume(containerd: Containerd, start: Callable[..., str]) -> None:
    name = start()

    def state() -> tuple[str, bool]:
        """What containerd says, and whether the kernel has frozen it."""
        _, pid, said = containerd("task", "ls").splitlines()[1].split()
        return said, containerd.frozen(pid)

    containerd("task", "pause", name)
    assert state() == ("PAUSED", True)
    containerd("task", "resume", name)
    assert state() == ("RUNNING", False)


def test_metrics_are_those_of_the_containers_cgroup(
    containerd: Containerd, start: Callable[..., str]
) -> None:
    name = start("--memory-limit", "67108864")
    told = dict(
        line.split()[:2]
        for line in containerd("task", "metrics", name).splitlines()
        if len(line.split()) >= 2
    )
    limits = [told[key] for key in ("memory.limit_in_bytes", "memory.usage_limit") if key in told]
    assert limits == ["67108864"], told
    assert int(next(value for key, value in told.items() if key.startswith("pids.current"))) == 1


def test_processes_and_signals(containerd: Containerd, start: Callable[..., str]) -> None:
    name = start()
    lines = containerd("task", "ps", name).splitlines()
    assert len(lines) == 2
    containerd("task", "kill", "-s", "KILL", name)
    until("the task has stopped", lambda: "STOPPED" in containerd("task", "ls"))


def test_the_namespaces_that_were_asked_for(containerd: Containerd) -> None:
    host = containerd.shell("readlink /proc/self/ns/net")
    options = ("run", "--rm", *binary(containerd))
    alone = containerd(*options, BOX, "once", "readlink", "/proc/self/ns/net")
    shared = containerd(*options, "--net-host", BOX, "once", "readlink", "/proc/self/ns/net")
    assert alone != host and shared == host


def test_a_program_that_is_not_there(containerd: Containerd) -> None:
    ended = containerd.call("run", "--rm", *binary(containerd), BOX, "once", "/no/such")
    assert ended.returncode != 0 and "no such file or directory" in ended.stdout
    assert containerd("container", "ls", "-q") == ""
