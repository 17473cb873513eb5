"""docs/seccomp.md, "What a profile must allow": each row with a profile that allows nothing else and kills for the rest."""

from __future__ import annotations

import platform
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.agent import Agent
from harness.box import Container
from harness.boxes import Boxes
from harness.programs import Programs
from harness.runtime import Runtime

pytestmark = [
    pytest.mark.only("pyoci"),
    pytest.mark.skipif(
        platform.machine() != "x86_64" or not machine.seccomp_works(),
        reason="the C library's own calls are those of x86_64, and the kernel needs seccomp",
    ),
]

PAGE = Path(__file__).resolve().parents[2] / "docs/seccomp.md"
ROWS = {
    when: set(re.findall(r"`(\w+)`", names))
    for when, names in re.findall(r"^\| (always|with.*?) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
}
ALWAYS, PRIVILEGED, NOTIFY, CREATE, LIMITS, HOOKS = ROWS
OF_THE_PROGRAM = {"arch_prctl", "set_tid_address", "exit_group"}
STATUS = 7


@pytest.fixture
def agent(runtime: Runtime, programs: Programs, folder: Path) -> Iterator[Agent]:
    """An agent, which is asked nothing here."""
    runtime.skip_without_listener()
    made = Agent(programs.path("agent"), folder / "agent")
    yield made
    made.close()


def calls(*when: str) -> set[str]:
    """The system calls of some rows."""
    return set().union(*(ROWS[row] for row in when))


def profile(names: set[str], agent: Agent | None) -> dict[str, Any]:
    """An allow list that kills for the rest; with an agent, of a call that nobody makes."""
    found: dict[str, Any] = {
        "defaultAction": "SCMP_ACT_KILL_PROCESS",
        "syscalls": [{"names": sorted(names | OF_THE_PROGRAM), "action": "SCMP_ACT_ALLOW"}],
    }
    if agent:
        found["listenerPath"] = str(agent.socket)
        found["syscalls"].append({"names": ["personality"], "action": "SCMP_ACT_NOTIFY"})
    return found


def container(box: Boxes, programs: Programs, no_new_privileges: bool) -> Container:
    """With all that the init could have to do under the filter, but limits and hooks."""
    made = box()
    made.args(made.put(programs.path("nothing")))
    made.process["noNewPrivileges"] = no_new_privileges
    made.process["user"] = {"uid": 1000, "gid": 1000, "umask": 0o27}
    kinds = ("bounding", "effective", "permitted", "inheritable", "ambient")
    made.process["capabilities"] = {kind: ["CAP_KILL"] for kind in kinds}
    made.process["rlimits"] = []
    return made


def needs_exactly(made: Container, names: set[str], agent: Agent | None) -> None:
    """A `run` takes all of these system calls and no other."""
    made.linux["seccomp"] = profile(names, agent)
    assert made.run(check=False).rc == STATUS, sorted(names)
    for name in sorted(names):
        made.linux["seccomp"] = profile(names - {name}, agent)
        found = made.run(check=False)
        assert (found.rc, "seccomp" in found.err) == (1, True), f"without {name}: {found!r}"


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_a_filter_that_comes_last(box: Boxes, programs: Programs, no_new_privileges: bool) -> None:
    """A startContainer hook, too, and what exec adds."""
    made = container(box, programs, no_new_privileges)
    names = calls(ALWAYS) if no_new_privileges else calls(ALWAYS, PRIVILEGED)
    needs_exactly(made, names, None)
    made.linux["seccomp"] = profile(names, None)
    made.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    made.create()
    assert made.exec(*made.process["args"], check=False).rc == STATUS
    made.start()
    assert made.wait() == STATUS


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_a_filter_that_notifies(
    box: Boxes, programs: Programs, agent: Agent, no_new_privileges: bool
) -> None:
    made = container(box, programs, no_new_privileges)
    names = calls(ALWAYS, NOTIFY) if no_new_privileges else calls(ALWAYS, PRIVILEGED, NOTIFY)
    needs_exactly(made, names, agent)
    made.linux["seccomp"] = profile(names | calls(CREATE), agent)
    made.create()
    assert made.exec(*made.process["args"], check=False).rc == STATUS
    made.start()
    assert made.wait() == STATUS


def test_prctl_may_be_denied_with_an_errno(box: Boxes, programs: Programs) -> None:
    """Where no ambient capability is asked for; there is none to clear then."""
    made = container(box, programs, False)
    made.linux["seccomp"] = profile(calls(ALWAYS, PRIVILEGED) - {"prctl"}, None)
    made.linux["seccomp"]["syscalls"].append({"names": ["prctl"], "action": "SCMP_ACT_ERRNO"})
    made.run(check=False).failed("the seccomp filter killed", "it denies prctl (ERRNO)")
    made.linux["seccomp"]["syscalls"][0]["names"].append("sendmsg")
    made.run(check=False).failed("PR_CAP_AMBIENT_RAISE", "the seccomp profile denies prctl (ERRNO)")
    del made.process["capabilities"]["ambient"]
    assert made.run(check=False).rc == STATUS


def test_limits_under_a_filter_that_notifies(box: Boxes, programs: Programs, agent: Agent) -> None:
    made = container(box, programs, True)
    made.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    needs_exactly(made, calls(ALWAYS, NOTIFY, LIMITS), agent)


def test_create_under_a_filter_that_notifies(box: Boxes, programs: Programs, agent: Agent) -> None:
    """Without the row of create the init is killed when create has ended."""
    made = container(box, programs, True)
    made.linux["seccomp"] = profile(calls(ALWAYS, NOTIFY), agent)
    made.create()
    assert made.wait() == 128 + signal.SIGSYS


def test_hooks_under_a_filter_that_notifies(box: Boxes, programs: Programs, agent: Agent) -> None:
    made = container(box, programs, True)
    program = made.process["args"][0]
    made.config["hooks"] = {"startContainer": [{"path": program, "args": [program, "succeeds"]}]}
    needs_exactly(made, calls(ALWAYS, NOTIFY, HOOKS), agent)
