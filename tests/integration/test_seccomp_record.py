"""seccomp record: the profile lets the same container run, and no less does."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.bundle import default_config
from harness.programs import Programs
from harness.runtime import Result, Runtime
from harness.terminal import Seat

pytestmark = [pytest.mark.only("pyoci"), machine.SECCOMP_BY_NUMBER]
GETPGRP, PERSONALITY, SYNC, NOBODY_S = 111, 135, 162, 2000
GETPID_I386 = 20


@pytest.fixture(autouse=True)
def _here(runtime: Runtime) -> None:
    runtime.skip_without_listener()


def words(made: Container, *options: str, command: tuple[str, ...] = ()) -> list[str]:
    """A command line that records a container, whose bundle is written."""
    made.save()
    target = str(made.directory / "profile.json")
    call = ["seccomp", "record", str(made.directory), "--id", made.id, "-o", target, *options]
    return [*call, "--", *command] if command else call


def record(made: Container, *options: str, command: tuple[str, ...] = (), **call: Any) -> Result:
    return made.runtime.call(*words(made, *options, command=command), **call)


def profile(made: Container) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made.directory / "profile.json").read_text())
    return found


def names(made: Container) -> list[str]:
    (rule,) = profile(made)["syscalls"]
    assert rule["action"] == "SCMP_ACT_ALLOW" and set(rule) == {"names", "action"}
    found: list[str] = rule["names"]
    return found


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_a_run_with_what_was_recorded(box: Boxes, programs: Programs, no_new_privileges: bool) -> None:
    """Children and threads are in it; a user who is not root; a name less, and it is no longer what it was."""
    made = box()
    probe = made.put(programs.path("probe"))
    made.sh(
        f"mkdir /tmp/a; (ls / | sort | head -n 3); {probe} call-thread {GETPGRP};"
        f"{probe} call {SYNC}; {probe} call {PERSONALITY} 0xffffffff; cat; exit 3"
    )
    made.mount("/tmp", "tmpfs", "tmpfs", "mode=1777")
    made.process["noNewPrivileges"] = no_new_privileges
    made.process["user"] = {"uid": 1000, "gid": 1000}
    made.capabilities("CAP_KILL")
    found = record(made, stdin=b"input\n")
    assert found.rc == 3 and "input" in found.out and "thread errno 0" in found.out
    allowed = names(made)
    assert f"profile.json allows {len(allowed)} system calls\n" in found.err
    assert allowed == sorted(set(allowed)) and {"execve", "mkdir", "getpgrp", "personality", "sync"} <= set(
        allowed
    )
    assert {"capset", "prctl"} <= set(allowed) or no_new_privileges
    assert not {"mount", "seccomp", "rmdir", "clone3", "sched_yield"} & set(allowed)
    assert {**profile(made), "syscalls": []} == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [],
    }
    made.linux["seccomp"] = profile(made)
    again = made.run(check=False, stdin=b"input\n")
    assert (again.rc, again.out, again.err) == (3, found.out, "")
    rule = made.linux["seccomp"]["syscalls"][0]
    for name, trace in (("mkdir", "can't create directory"), ("getpgrp", ""), ("personality", "errno 1")):
        rule["names"] = [other for other in allowed if other != name]
        less = made.run("--explain-seccomp", check=False, stdin=b"input\n")
        assert trace in less.out + less.err and f"  {name}(" in less.err, name
    rule["names"] = [other for other in allowed if other != "execve"]
    made.run(check=False).failed("seccomp")


def test_another_command_and_an_older_profile(box: Boxes, folder: Path) -> None:
    made = box("/bin/false")
    assert record(made, command=("mkdir", "/tmp/--")).rc == 0
    first = names(made)
    assert "mkdir" in first and "unlink" not in first
    older = folder / "older.json"
    (made.directory / "profile.json").rename(older)
    assert record(made, "--merge", str(older), command=("/bin/rm", "/etc/passwd")).rc == 0
    assert set(names(made)) > set(first) and "unlink" in names(made)
    made.linux["seccomp"] = profile(made)
    made.args("/bin/sh", "-c", "exec mkdir /tmp/b").run()
    # the same name for both
    assert record(made, "--merge", str(made.directory / "profile.json"), command=("sync",)).rc == 0
    assert {"mkdir", "unlink", "sync"} <= set(names(made))


def test_what_cannot_be_joined(box: Boxes, folder: Path) -> None:
    """Is told before the container runs."""
    file = folder / "older.json"
    made = box.sh("echo here")
    missing = record(made, "--merge", str(file))
    missing.failed(str(file), "no such file or directory")
    file.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW"}))
    found = record(made, "--merge", str(file))
    found.failed(str(file), "its default action is not SCMP_ACT_ERRNO with EPERM")
    file.write_text(json.dumps({"ociVersion": "1.0.2"}))
    again = record(made, "--merge", str(file))
    again.failed(str(file), "it has no profile, and so allows everything")
    assert not found.out + again.out and not (made.directory / "profile.json").exists()


def test_a_configuration_that_is_wrong_is_refused_with_another_command_too(box: Boxes) -> None:
    made = box("/bin/true")
    for name, text in (
        ("twice.json", json.dumps(made.config)[:-1] + ', "hostname": "a", "hostname": "b"}'),
        ("deep.json", '{"a":' * 50_000),
    ):
        (made.directory / name).write_text(text)
        found = record(made, "--config", name, command=("/bin/true",))
        found.failed("twice in its object" if name == "twice.json" else "nested")


def test_calls_of_another_architecture_and_of_none(box: Boxes, programs: Programs) -> None:
    made = box()
    probe = made.put(programs.path("probe"))
    made.sh(f"{probe} call-i386 {GETPID_I386}; {probe} call {NOBODY_S}")
    found = record(made)
    if "errno 38" in found.out.splitlines()[0]:
        pytest.skip("the kernel has no calls of i386")
    assert profile(made)["architectures"] == ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"]
    assert f"libseccomp has no name for system call {NOBODY_S} of X86_64" in found.err
    made.linux["seccomp"] = profile(made)
    assert re.sub(r"result \d+", "", made.out()) == re.sub(r"result \d+", "", found.out)


def test_signals_are_the_container_s(box: Boxes) -> None:
    """And there is a profile after its death by one."""
    made = box.sh("trap 'sync; exit 7' TERM; echo ready; while :; do sleep 1000 & wait; done")
    for number, status in ((signal.SIGTERM, 7), (signal.SIGKILL, 137)):
        out = made.stream()
        with made.runtime.spawn(*words(made), stdout=out.write_end, stderr=-3) as running:
            out.until("ready")
            if number == signal.SIGTERM:
                running.send_signal(number)
            else:
                made.kill("KILL")
            assert running.wait() == status
        assert ("sync" in names(made)) == (number == signal.SIGTERM)
        (made.directory / "profile.json").unlink()


def test_nothing_was_recorded(box: Boxes, folder: Path) -> None:
    """Of a container that does not begin; the older profile stays. And what can't be written is told before."""
    made = box("/bin/missing")
    (made.directory / "profile.json").write_text("older")
    record(made).failed("/bin/missing", "no such file or directory")
    assert (made.directory / "profile.json").read_text() == "older"
    made.args("/bin/true")
    record(made, "-o", str(folder / "none/p")).failed("its directory is missing")
    record(made, "-o", str(folder)).failed("it is a directory")
    made.config["hooks"] = {"startContainer": [{"path": "/bin/true"}]}
    record(made).failed("seccomp record cannot be used with startContainer hooks")
    made.runtime.call("seccomp", "record", str(made.directory)).failed("seccomp record needs --output")


def test_a_runtime_that_is_killed(box: Boxes) -> None:
    """Every call then fails with ENOSYS, and `delete` works."""
    made = box.sh("echo ready; sleep 1000; echo never")
    out = made.stream()
    with made.runtime.spawn(*words(made), stdout=out.write_end) as running:
        out.until("ready")
        made.expected = True
        first = made.pid
        running.kill()
        running.wait()
    made.kill("KILL")
    made.wait_for(first)
    assert "never" not in out.rest()
    made.delete()
    assert not (made.directory / "profile.json").exists()


def test_many_processes_and_a_terminal(box: Boxes) -> None:
    """Which end while others wait for an answer: no signal of theirs interrupts what it would not interrupt otherwise."""
    work = "work() { for i in $(seq 50); do (true &) || echo failed; done; }"
    made = box.sh(f"tty; {work}; for j in 1 2 3 4; do work & done; wait; stty size")
    made.process["terminal"] = True
    seat = Seat(33, 99)
    process = seat.run(made.runtime.argv(*words(made)))
    text = seat.master.until("33 99")
    assert process.wait() == 0 and "failed" not in text and "can't" not in text
    seat.close()
    assert {"ioctl", "clone", "wait4"} <= set(names(made))


def test_the_commands_of_the_page(box: Boxes, folder: Path) -> None:
    """docs/seccomp.md: what it types, in a place with such a bundle."""
    page = (machine.repository() / "docs/seccomp.md").read_text().partition("\n## A profile from what")[2]
    lines = [
        line.split() for line in page.partition("\n## ")[0].splitlines() if line.startswith("    pyoci ")
    ]
    assert len(lines) == 3
    made = box("/bin/true")
    made.config = {**default_config(made.cgroup), **made.config}
    made.save()
    for line in lines:
        given = [{"BUNDLE": str(made.directory), "ID": made.id}.get(word, word) for word in line[1:]]
        found = made.runtime.call(*given, cwd=folder)
        assert found.rc == 0, found
        if line[2] == "record":
            made.linux["seccomp"] = json.loads((folder / "profile.json").read_text())
            made.save()
