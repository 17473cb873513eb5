"""linux.seccomp with SCMP_ACT_NOTIFY: an agent gets the listener of the filter and answers system calls."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import leaks, machine
from harness.agent import Agent
from harness.box import Container
from harness.boxes import Boxes
from harness.programs import Programs
from harness.runtime import PATIENCE, Runtime

pytestmark = machine.SECCOMP_BY_NUMBER

READ, EXECVE, GETPGRP = 0, 59, 111
WAIT_KILLABLE = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
Start = Callable[..., Agent]


@pytest.fixture
def start(runtime: Runtime, programs: Programs, folder: Path) -> Iterator[Start]:
    """Start an agent: `start("111:errno=7")`."""
    runtime.skip_without_listener()
    agents: list[Agent] = []

    def one(*answers: str) -> Agent:
        agents.append(Agent(programs.path("agent"), folder / f"agent{len(agents)}", *answers))
        return agents[-1]

    yield one
    for agent in agents:
        agent.close()


def calling(box: Boxes, programs: Programs, number: int) -> Container:
    """A container that makes one system call."""
    made = box()
    return made.args(made.put(programs.path("probe")), "call", str(number))


def errno_in(text: str) -> int:
    """The errno the program reports."""
    return int(text.rsplit(maxsplit=1)[-1])


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_agent_gets_the_listener_with_the_state(
    box: Boxes, programs: Programs, start: Start, no_new_privileges: bool
) -> None:
    """By create; the agent answers the program and what exec adds, whose states differ as the specification says."""
    agent = start(f"{GETPGRP}:errno={errno.EXDEV}")
    made = calling(box, programs, GETPGRP)
    made.process["noNewPrivileges"] = no_new_privileges
    made.process["user"] = {"uid": 1000, "gid": 1000}
    made.capabilities()
    made.config["annotations"] = {"org.example": "a\u00fcb"}
    made.linux["seccomp"] = agent.profile("getpgrp", listenerMetadata='for "you"')
    out = made.stream()
    made.create(stdout=out)
    pid = made.pid
    (state,) = agent.states(1)
    version = made.state()["ociVersion"]
    assert state == {
        "ociVersion": version,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": 'for "you"',
        "state": {
            "ociVersion": version,
            "id": made.id,
            "status": "creating",
            "pid": pid,
            "bundle": str(made.directory),
            "annotations": {"org.example": "a\u00fcb"},
        },
    }
    exec = made.exec(made.process["args"][0], "call", str(GETPGRP))
    assert errno_in(exec.out) == errno.EXDEV
    _, second = agent.states(2)
    assert second["pid"] != pid and second["state"]["pid"] == pid
    assert second["state"]["status"] == "created"
    made.start()
    assert errno_in(out.rest()) == errno.EXDEV
    made.wait()
    assert {(number, of == pid) for number, of in agent.calls()} == {
        (GETPGRP, True),
        (GETPGRP, False),
    }


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_every_call_may_be_notified_but_write(
    box: Boxes, programs: Programs, start: Start, no_new_privileges: bool
) -> None:
    """The agent has the listener before the init makes a call that it has to answer, in whatever verb."""
    agent = start()
    made = calling(box, programs, GETPGRP)
    made.process["noNewPrivileges"] = no_new_privileges
    made.config["hooks"] = {"startContainer": [{"path": "/bin/true"}]}
    names = (
        "read recvmsg sendmsg close execve capset prctl prlimit64 exit exit_group futex nanosleep clock_nanosleep munmap mmap "
        "fork clone clone3 wait4 poll pipe2 dup2 umask rt_sigaction rt_sigprocmask fchdir memfd_create lseek close_range"
    ).split()
    made.linux["seccomp"] = agent.profile(*names)
    assert errno_in(made.out()) == 0
    probe = made.process["args"]
    out = made.stream()
    made.create(stdout=out)
    assert errno_in(made.exec(*probe).out) == 0
    made.start()
    assert errno_in(out.rest()) == 0
    made.wait()
    assert len(agent.states(3)) == 3
    assert {READ, EXECVE} <= {number for number, _ in agent.calls()}


def test_a_listener_that_dies_is_enosys(box: Boxes, programs: Programs, start: Start) -> None:
    """Nobody but the agent holds the listener, so its end is an answer to what waits and to what comes."""
    agent = start(f"{GETPGRP}:close")
    made = calling(box, programs, GETPGRP)
    made.linux["seccomp"] = agent.profile("getpgrp")
    out = made.stream()
    made.launch(stdout=out)
    assert errno_in(out.rest()) == errno.ENOSYS
    made.wait()


@pytest.mark.only("pyoci")
def test_an_agent_that_is_killed(box: Boxes, programs: Programs, start: Start) -> None:
    """While `run` waits for the program, and while the init waits for `start`."""
    agent = start(f"{GETPGRP}:hold")
    made = calling(box, programs, GETPGRP)
    made.linux["seccomp"] = agent.profile("getpgrp")
    out = made.stream()
    with made.spawn("run", stdout=out.write_end) as running:
        agent.said.until(f"call {GETPGRP}")
        agent.process.kill()
        assert errno_in(out.rest()) == errno.ENOSYS
        assert running.wait() == 0
    agent = start(f"{READ}:hold")
    made = box("/bin/true")
    made.linux["seccomp"] = agent.profile("read")
    made.create()
    agent.said.until(f"call {READ}")
    agent.process.kill()
    assert made.wait() == 1


@pytest.mark.only("pyoci")
def test_an_agent_that_ends_before_the_program_runs(
    box: Boxes, programs: Programs, start: Start, folder: Path
) -> None:
    """Then the kernel answers the init's own calls with ENOSYS: the error says whose they were, not that the kernel is old."""
    words = "function not implemented", "the seccomp agent"
    agent = start(f"{READ}:close", f"{EXECVE}:close")
    made = box("/bin/true")
    made.process["noNewPrivileges"] = False
    for call, what in (("read", "read"), ("execve", 'exec: "/bin/true"')):
        made.linux["seccomp"] = agent.profile(call)
        made.run(check=False).failed(what, *words)
    made.create()
    made.runtime.call("start", made.id).failed('exec: "/bin/true"', *words)
    made.wait()
    made.delete()
    # the call that waits for `start` waits for the agent as well
    agent = start(f"{READ}:hold")
    made.linux["seccomp"] = agent.profile("read")
    made.create()
    agent.said.until(f"call {READ}")
    starting = made.runtime.spawn("start", made.id, stderr=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE
    while not (holds(starting.pid, f"{made.id}/failure") and sleeps(starting.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    agent.process.kill()
    _, said = starting.communicate(timeout=PATIENCE)
    assert starting.returncode == 1 and all(word in said.decode() for word in ("read", *words)), said
    made.wait()


@pytest.mark.only("pyoci")
def test_an_agent_that_says_it_was_done(box: Boxes, programs: Programs, start: Start) -> None:
    """What the init waits for has not come, and the program does not run, whatever the agent says."""
    agent = start(f"{READ}:value=0", f"{EXECVE}:value=0")
    made = box("/bin/true")
    for call, what in (("read", "read"), ("execve", 'exec: "/bin/true"')):
        made.linux["seccomp"] = agent.profile(call)
        made.run(check=False).failed(what, "the seccomp agent must let the system calls")


def sleeps(pid: int) -> bool:
    """Whether a process waits for something."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "S"


def holds(pid: int, name: str) -> bool:
    """Whether a process has a file open whose path ends so."""
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(path).endswith(name):
                return True
        except FileNotFoundError:  # closed meanwhile
            continue
    return False


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("verb", ["create", "run"])
def test_nobody_listens(box: Boxes, folder: Path, start: Start, verb: str) -> None:
    """A socket that nobody listens on, and none at all: nothing is left of the container."""
    deaf = socket.socket(socket.AF_UNIX)
    deaf.bind(str(folder / "deaf"))
    deaf.close()
    for name, why in (("deaf", "connection refused"), ("missing", "no such file or directory")):
        made = box("/bin/true")
        rules = [{"names": ["getpgrp", "read", "execve"], "action": "SCMP_ACT_NOTIFY"}]
        made.linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": str(folder / name),
            "syscalls": rules,
        }
        found = getattr(made, verb)(check=False)
        found.failed("failed to connect with seccomp agent", why)


@pytest.mark.only("pyoci")
def test_exec_when_the_agent_is_gone(box: Boxes, programs: Programs, start: Start) -> None:
    """The container goes on; a relative path starts from the bundle, for exec, too."""
    agent = start()
    made = box("/bin/sleep", "1000")
    made.linux["seccomp"] = agent.profile("getpgrp")
    made.linux["seccomp"]["listenerPath"] = f"../{agent.socket.name}"
    made.launch()
    assert len(agent.states(1)) == 1
    assert made.exec("/bin/echo", "hi").out == "hi\n"
    agent.process.kill()
    agent.process.wait()
    made.exec("/bin/true", check=False).failed("failed to connect with seccomp agent", "connection refused")
    assert made.status == "running"


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("path", ["listenerPath", "annotation"])
def test_the_receiver_of_crun(box: Boxes, programs: Programs, start: Start, path: str) -> None:
    """The same message; linux.seccomp.listenerPath comes first where there are both."""
    agent, other = start(f"{GETPGRP}:errno=7"), start()
    made = calling(box, programs, GETPGRP)
    made.linux["seccomp"] = agent.profile("getpgrp", listenerMetadata="m")
    if path == "annotation":
        del made.linux["seccomp"]["listenerPath"]
    receiver = agent if path == "annotation" else other
    made.config["annotations"] = {"run.oci.seccomp.receiver": str(receiver.socket)}
    assert errno_in(made.out()) == 7
    assert [state["metadata"] for state in agent.states(1)] == ["m"] and not other.states(0)


@pytest.mark.only("pyoci")
def test_a_start_container_hook_and_limits(box: Boxes, programs: Programs, start: Start) -> None:
    """The hook inherits filter and listener; limits that are too low for the listener come after it."""
    agent = start(f"{GETPGRP}:errno=7")
    made = calling(box, programs, GETPGRP)
    probe = made.process["args"]
    out = made.file("/hook-out")
    out.chmod(0o666)
    script = f"{' '.join(probe)} >/hook-out; grep Seccomp: /proc/self/status >>/hook-out"
    made.config["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    made.linux["seccomp"] = agent.profile("getpgrp")
    assert errno_in(made.out()) == 7
    assert len(agent.states(1)) == 1
    words = out.read_text().split()
    assert (words[-3], words[-2], words[-1]) == ("7", "Seccomp:", "2")
    del made.config["hooks"]
    made.process["user"] = {"uid": 1000, "gid": 1000}
    made.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 3, "hard": 3},
        {"type": "RLIMIT_NPROC", "soft": 1, "hard": 1},
    ]
    assert errno_in(made.out()) == 7


@pytest.mark.only("pyoci")
def test_what_goes_wrong_afterwards(box: Boxes, programs: Programs, start: Start) -> None:
    """A filter that kills what the waiting init does, and an agent that refuses it: an error, and nothing left."""
    agent = start(f"{EXECVE}:errno={errno.EPERM}")
    made = box("/bin/true")
    made.linux["seccomp"] = agent.profile("execve")
    made.run(check=False).failed("operation not permitted")
    made.linux["seccomp"] = agent.profile("getpgrp")
    made.linux["seccomp"]["syscalls"].append({"names": ["execve"], "action": "SCMP_ACT_KILL_PROCESS"})
    made.run(check=False).failed("seccomp filter killed", "execve (KILL_PROCESS)")
    made.linux["seccomp"]["syscalls"][-1]["names"] = ["read"]
    made.run(check=False).failed("seccomp filter killed", "read (KILL_PROCESS)")
    # neither the call nor the end of the process is allowed
    made.linux["seccomp"]["defaultAction"] = "SCMP_ACT_ERRNO"
    del made.linux["seccomp"]["syscalls"][-1]
    made.run(check=False).failed("seccomp filter", "read (ERRNO)")


@pytest.mark.only("pyoci")
def test_a_waiting_container_can_be_killed(box: Boxes, start: Start) -> None:
    """By a signal that it would heed, under a filter that allows nothing it could do about it; and by a held answer."""
    agent = start()
    made = box("/bin/true")
    made.linux["seccomp"] = agent.profile("getpgrp", default="SCMP_ACT_ERRNO")
    made.linux["seccomp"]["syscalls"] = [
        {"names": ["getpgrp"], "action": "SCMP_ACT_NOTIFY"},
        {"names": ["read", "close"], "action": "SCMP_ACT_ALLOW"},
    ]
    made.create()
    made.kill("TERM")
    assert made.wait() >= 128
    made.delete()
    # SIGTERM interrupts a call that waits for the agent, unless the flag says that only SIGKILL does
    for flags, status in (([], 128 + signal.SIGTERM), ([WAIT_KILLABLE], 128 + signal.SIGKILL)):
        asking = start(f"{READ}:hold")
        held = box("/bin/true")
        held.linux["seccomp"] = asking.profile("read", flags=flags)
        held.create()
        asking.said.until(f"call {READ}")
        held.kill("TERM")
        if flags:
            assert held.status == "created"
            held.kill("KILL")
        assert held.wait() == status


@pytest.mark.only("pyoci")
def test_a_runtime_that_is_killed_before_it_reaches_the_agent(box: Boxes, folder: Path) -> None:
    """While it connects: the filter is in force, and nobody will ever have its listener."""
    busy = socket.socket(socket.AF_UNIX)
    busy.bind(str(folder / "busy"))
    busy.listen(0)
    callers = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    for caller in callers:
        caller.setblocking(False)
        caller.connect_ex(str(folder / "busy"))
    made = box("/bin/true")
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(folder / "busy"),
        "syscalls": [{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}],
    }
    with made.spawn("create") as runtime:
        while not (children := leaks.children(runtime.pid)) or not under_a_filter(children[0]):
            assert runtime.poll() is None
            time.sleep(0.005)
        runtime.kill()
    made.expected = True
    assert made.wait_for(children[0]) > 0
    assert made.status == "stopped"
    made.delete()
    for each in (busy, *callers):
        each.close()


def under_a_filter(pid: int) -> bool:
    """Whether a process has a seccomp filter; not when it is gone."""
    try:
        return "\nSeccomp:\t2\n" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("flags", [[], ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"], None])
def test_flags(box: Boxes, programs: Programs, start: Start, flags: list[str] | None) -> None:
    """With the listener come only flags that go with it."""
    agent = start(f"{GETPGRP}:errno=7")
    made = calling(box, programs, GETPGRP)
    made.linux["seccomp"] = agent.profile("getpgrp", flags=flags)
    assert errno_in(made.out()) == 7


def test_what_is_refused(box: Boxes, start: Start) -> None:
    """In runc's words; with the library's rules as in runc, whether the agent listens or not."""
    agent = start()
    made = box("/bin/true")
    made.linux["seccomp"] = agent.profile("getpgrp", "write")
    words = "SCMP_ACT_NOTIFY cannot be used for the write syscall"
    made.create(check=False).failed(*([words] if made.runtime.kind != "crun" else []))
    made.linux["seccomp"] = agent.profile("getpgrp", default="SCMP_ACT_NOTIFY")
    words = "SCMP_ACT_NOTIFY cannot be used as default action"
    made.create(check=False).failed(*([words] if made.runtime.kind != "crun" else []))
    if made.runtime.kind == "pyoci":
        made.linux["seccomp"] = agent.profile("getpgrp")
        del made.linux["seccomp"]["listenerPath"]
        made.create(check=False).failed("SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath")
        made.config["annotations"] = {"run.oci.seccomp.receiver": "agent"}
        made.create(check=False).failed('"agent" of the seccomp agent is not absolute')
    assert not agent.states(0)


@pytest.mark.only("pyoci")
def test_the_plan_and_the_trace(box: Boxes, programs: Programs, start: Start, folder: Path) -> None:
    """`plan` names the agent's socket and makes nothing of it; a trace has what the init says before the filter."""
    agent = start()
    made = calling(box, programs, GETPGRP)
    made.linux["seccomp"] = agent.profile("getpgrp")
    made.save()
    plan = made.runtime.call("plan", str(made.directory), "--steps", "--format", "json").ok().out
    steps = [(step["op"], step["about"]) for step in json.loads(plan)["steps"]]
    at = next(index for index, (op, _) in enumerate(steps) if op == "seccomp_notify")
    assert steps[at + 1] == ("send", str(agent.socket)) and not agent.states(0)
    trace = folder / "trace"
    assert errno_in(made.out("--trace", str(trace))) == 0
    events = json.loads(trace.read_text())["traceEvents"]
    timed = [event["args"]["op"] for event in events if "op" in event.get("args", {})]
    assert timed[-2:] == ["find_executable", "seccomp_notify, capset, execve"]
    assert "seccomp listener" in [event["name"] for event in events]
    made.create("--trace", str(trace))
    made.start()
    made.wait()
    assert "find_executable" in trace.read_text()


@pytest.mark.only("pyoci")
@pytest.mark.parametrize(("pid_namespace", "room"), [(True, 0), (True, 1), (False, 1)])
def test_a_container_at_its_pids_limit_can_be_looked_into(
    box: Boxes, start: Start, pid_namespace: bool, room: int
) -> None:
    """The thread that sends the listener is one more: the process joins the cgroup after it."""
    machine.need_controller("pids")
    agent = start()
    made = box.sh("for i in 1 2 3 4 5; do sleep 1000 & done; echo up; wait")
    made.linux["resources"] = {"pids": {"limit": 6 + room}}
    made.linux["seccomp"] = agent.profile("getpgrp")
    made.process["execCPUAffinity"] = {"final": "0"}
    if not pid_namespace:
        made.no_namespace("pid")
    said = made.stream()
    made.launch(stdout=said)
    said.until("up")
    assert made.exec("/bin/cat", "/proc/self/cgroup").out == Path(f"/proc/{made.pid}/cgroup").read_text()
    status = made.exec("/bin/grep", "-E", "Seccomp:|Cpus_allowed_list", "/proc/self/status").out.split()
    assert status == ["Seccomp:", "2", "Cpus_allowed_list:", "0"]
    states = agent.states(3)
    assert len({state["pid"] for state in states}) == 3
    if not pid_namespace:
        made.kill("--all", "KILL")


@pytest.mark.only("pyoci")
def test_a_deadline_needs_a_flag(box: Boxes, start: Start) -> None:
    """The kernel lets a process with a deadline start no thread that would have one, too."""
    agent = start()
    made = box("/bin/cut", "-d ", "-f41", "/proc/self/stat")
    made.linux["seccomp"] = agent.profile("getpgrp")
    scheduler = {"policy": "SCHED_DEADLINE", "runtime": 42000, "deadline": 1000000, "period": 1000000}
    made.process["scheduler"] = scheduler
    made.run(check=False).failed("the listener of SCMP_ACT_NOTIFY takes", "SCHED_FLAG_RESET_ON_FORK")
    made.process["scheduler"] = scheduler | {"flags": ["SCHED_FLAG_RESET_ON_FORK"]}
    assert made.out() == "6\n"
