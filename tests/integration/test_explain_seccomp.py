"""run --explain-seccomp: a container sees what it sees without, and what was denied is listed."""

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
from harness.programs import Programs
from harness.runtime import Result, Runtime

from pyoci._shim import lib

PERSONALITY, GETPGRP, MKDIR, NEWER = 135, 111, 83, 2000
LISTENER_TAKEN = lib.CALL_LISTENER_TAKEN
ENXIO, ENOSYS = 6, 38
EXPLAIN = "--explain-seccomp"
ROW = re.compile(r"^  +(\d+)  (\w+) +(\S+)  (.*)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def _here(runtime: Runtime) -> None:
    runtime.skip_without_listener()


pytestmark = [pytest.mark.only("pyoci"), machine.SECCOMP_BY_NUMBER]


def denying(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules), **more}


def rule(name: str, action: str = "SCMP_ACT_ERRNO", **more: Any) -> dict[str, Any]:
    return {"names": [name], "action": action, **more}


def rows(found: Result) -> list[tuple[str, ...]]:
    """(how often, what came of it, process, call) of each row."""
    return ROW.findall(found.err)


def alike(made: Container) -> tuple[Result, Result]:
    """A run without the option and one with it, which end alike and print the same."""
    plain = made.run(check=False)
    explained = made.run(EXPLAIN, check=False)
    assert (explained.rc, explained.out) == (plain.rc, plain.out)
    assert plain.err in explained.err and "denied" not in plain.err
    return plain, explained


@pytest.mark.parametrize("user_namespace", [True, False])
def test_the_list(box: Boxes, programs: Programs, user_namespace: bool) -> None:
    """Rules with and without conditions, with errnos of their own; of children, too; what is allowed is not in it."""
    made = box()
    probe = made.put(programs.path("probe"))
    if user_namespace:
        made.user_namespace()
    made.sh(
        f"mkdir /tmp/a; mkdir /tmp/b; ls /tmp; {probe} call {PERSONALITY} 0x20000; {probe} call {PERSONALITY} 0xffffffff;"
        f"{probe} call {GETPGRP}; ({probe} call {PERSONALITY} 8 1; exit 3)"
    )
    argument = {"index": 0, "value": 0xFFFFFFFF, "op": "SCMP_CMP_NE"}
    made.process["noNewPrivileges"] = user_namespace
    made.linux["seccomp"] = denying(
        rule("mkdir"), rule("personality", args=[argument]), rule("getpgrp", errnoRet=ENXIO)
    )
    plain, explained = alike(made)
    assert plain.rc == 3 and [line.split()[-1] for line in plain.out.splitlines()] == ["1", "0", "6", "1"]
    assert "pyoci: run: seccomp denied 5 system calls:\n" in explained.err
    mkdir, first, getpgrp, second = rows(explained)
    assert mkdir[:3] == ("2", "EPERM", "mkdir") and re.match(r"mkdir\(0x\w+, 0x1ff, ", mkdir[3])
    assert first == ("1", "EPERM", "probe", "personality(*0x20000, 0x0, 0x0, 0x0, 0x0, 0x0)")
    assert getpgrp[:3] == ("1", "ENXIO", "probe") and getpgrp[3].startswith("getpgrp(0x0")
    assert second == ("1", "EPERM", "probe", "personality(*0x8, 0x1, 0x0, 0x0, 0x0, 0x0)")


def test_an_allow_list(box: Boxes, programs: Programs) -> None:
    """What is newer than the profile gives ENOSYS, and the list says so; the other calls that it leaves out EPERM."""
    config = json.loads((machine.repository() / "bundles/hardened/config.json").read_text())
    made = box()
    probe = made.put(programs.path("probe"))
    made.sh(f"{probe} call {NEWER} 7; {probe} call {PERSONALITY} 1; {probe} call-i386 20")
    made.linux["seccomp"] = {
        **config["linux"]["seccomp"],
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    }
    made.linux["seccomp"]["syscalls"][0]["names"].remove("getpid")
    made.process["noNewPrivileges"] = True
    _, explained = alike(made)
    assert [line.split()[-1] for line in explained.out.splitlines()] == ["38", "1", "1"]
    newer, personality, old = [row for row in rows(explained) if row[2] == "probe"]
    assert newer[1] == "ENOSYS" and newer[3].startswith(f"system call {NEWER}(0x7, ")
    assert newer[3].endswith("): newer than what the profile names")
    assert personality[1] == "EPERM" and personality[3].startswith("personality(0x1, ")
    assert old[1] == "EPERM" and old[3].startswith("X86 getpid(")


@pytest.mark.parametrize("action", ["KILL", "TRAP"])
def test_what_the_filter_kills(box: Boxes, programs: Programs, action: str) -> None:
    """The first process and another one, which ends by the same signal; nothing of the call is done."""
    made = box()
    probe = made.put(programs.path("probe"))
    made.linux["seccomp"] = denying(
        rule("mkdir", f"SCMP_ACT_{action}"), rule("getpgrp", f"SCMP_ACT_{action}")
    )
    made.sh(f"mkdir /tmp/a; echo $?; ls /tmp; {probe} call {GETPGRP}; echo $?")
    plain, explained = alike(made)
    status = 128 + signal.SIGSYS
    assert (plain.rc, plain.out) == (0, f"{status}\n{status}\n")
    assert [row[:3] for row in rows(explained)] == [("1", "killed", "mkdir"), ("1", "killed", "probe")]
    made.args("/bin/mkdir", "/tmp/a")
    plain, explained = alike(made)
    assert plain.rc == status and [row[:3] for row in rows(explained)] == [("1", "killed", "mkdir")]
    made.no_namespace("pid")
    plain, explained = alike(made)
    assert plain.rc == status


def test_who_ignores_the_signal_is_killed(box: Boxes) -> None:
    made = box.sh("trap '' SYS; mkdir /tmp/a; echo $?; ls /tmp")
    made.linux["seccomp"] = denying(rule("mkdir", "SCMP_ACT_KILL_PROCESS"))
    explained = made.run(EXPLAIN)
    assert explained.out == f"{128 + signal.SIGKILL}\n" and rows(explained)[0][:3] == ("1", "killed", "mkdir")


def test_a_start_that_is_denied(box: Boxes) -> None:
    """The error is that of a run without the option, and the list has the init's call."""
    made = box("/bin/true")
    for action, answer in (("SCMP_ACT_ERRNO", "EPERM"), ("SCMP_ACT_KILL_PROCESS", "killed")):
        made.linux["seccomp"] = denying(rule("execve", action))
        plain, explained = alike(made)
        assert plain.rc == 1 and "seccomp" in plain.err
        assert [row[:3] for row in rows(explained)] == [("1", answer, "pyoci/init")]


def test_nothing_to_tell(box: Boxes) -> None:
    made = box("/bin/true")
    assert "config.json has no linux.seccomp" in made.run(EXPLAIN).err
    made.linux["seccomp"] = denying(rule("mkdir"))
    assert made.run(EXPLAIN).err == "pyoci: run: seccomp denied no system call\n"


def test_the_call_that_no_kernel_has(box: Boxes, programs: Programs) -> None:
    """What asks for the supervisor fails in the program as it does without the option."""
    made = box()
    made.args(made.put(programs.path("probe")), "call", str(LISTENER_TAKEN))
    made.linux["seccomp"] = denying(rule("mkdir", "SCMP_ACT_KILL_PROCESS"))
    plain, explained = alike(made)
    assert plain.out.split()[-1] == str(ENOSYS)
    assert "seccomp denied no system call\n" in explained.err


def test_the_log_and_a_signal(box: Boxes, folder: Path) -> None:
    """SIGTERM is the container's, as always; each row is a warning in the file, and the list on standard error."""
    made = box.sh("mkdir /tmp/a; echo ready; exec sleep 100")
    made.no_namespace("pid")
    made.linux["seccomp"] = denying(rule("mkdir"))
    made.save()
    out, err, log = made.stream(), made.stream(), folder / "log"
    command = ["--log", str(log), "--log-format", "json", "run", EXPLAIN, "--bundle", str(made.directory)]
    with made.runtime.spawn(*command, made.id, stdout=out.write_end, stderr=err.write_end) as running:
        out.until("ready")
        running.send_signal(signal.SIGTERM)
        assert running.wait() == 128 + signal.SIGTERM
    assert "seccomp denied 1 system call:\n" in err.rest()
    (line,) = [json.loads(text) for text in log.read_text().splitlines()]
    assert (line["level"], line["pointer"]) == ("warning", "/linux/seccomp")
    assert re.match(r"seccomp denied mkdir\(0x.*\): EPERM, 1 times, to mkdir", line["msg"])


def test_a_runtime_that_is_killed(box: Boxes) -> None:
    """What is denied stays denied: with ENOSYS; `delete` works."""
    made = box.sh("mkdir /tmp/a; echo ready; read go; mkdir /tmp/b 2>&1; ls /tmp; echo done; exec sleep 100")
    made.linux["seccomp"] = denying(rule("mkdir"))
    out = made.stream()
    with made.spawn("run", EXPLAIN, stdin=-1, stdout=out.write_end, stderr=out.write_end) as running:
        assert running.stdin
        out.until("ready")
        made.expected = True
        first = made.pid
        running.kill()
        running.wait()
        running.stdin.write(b"go\n")
        running.stdin.flush()
        text = out.until("done")
    assert "can't create directory '/tmp/b': Function not implemented\ndone\n" in text
    made.kill("KILL")
    made.wait_for(first)
    made.delete()


def test_the_cache_keeps_the_filter_of_the_profile(box: Boxes) -> None:
    """A run without the option after one with it has no listener, whose end would be ENOSYS; and the other way round."""
    made = box.sh("mkdir /tmp/a 2>&1")
    made.linux["seccomp"] = denying(rule("mkdir"), rule("rmdir"), rule("getpgrp"))
    for option in ([EXPLAIN], [], [EXPLAIN], []):
        found = made.run(*option, check=False)
        assert "Operation not permitted" in found.out and bool(rows(found)) == bool(option)


def test_what_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.linux["seccomp"] = denying(
        rule("mkdir"), rule("getpgrp", "SCMP_ACT_NOTIFY"), listenerPath="/nowhere"
    )
    found = made.run(EXPLAIN, check=False)
    found.failed("--explain-seccomp cannot be used with SCMP_ACT_NOTIFY")
    made.linux["seccomp"] = denying(rule("mkdir"))
    made.run(EXPLAIN, "--detach", check=False).failed("--explain-seccomp cannot be used with --detach")
    made.config["hooks"] = {"startContainer": [{"path": "/bin/true"}]}
    found = made.run(EXPLAIN, check=False)
    found.failed("--explain-seccomp cannot be used with startContainer hooks")
    assert "config.json has no linux.seccomp" not in found.err  # no list of a container that never was
