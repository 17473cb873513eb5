"""How an init ended: lack of memory, the filter, a signal; and what a filter says of system calls."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.init import exit_status
from pyoci.plan import failure, hints
from pyoci.plan.ops import Plan
from pyoci.seccomp import verdict

ALLOW, ERRNO, KILL, NOTIFY = 0x7FFF0000, 0x00050001, 0x80000000, 0x7FC00000
NOTHING = (0, 0, 0)


def program(**answers: int) -> bytes:
    """A filter with an answer for each system call named; all others are allowed."""
    import struct

    lib.pyoci_seccomp_open()
    native = lib.pyoci_seccomp_native()
    code = [(0x20, 0, 0, 4), (0x15, 1, 0, native), (0x06, 0, 0, KILL), (0x20, 0, 0, 0)]
    for name, answer in answers.items():
        code += [(0x15, 0, 1, lib.pyoci_seccomp_number(native, name.encode())), (0x06, 0, 0, answer)]
    code.append((0x06, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *part) for part in code)


def with_condition(name: str, argument: int, value: int) -> bytes:
    """A filter that denies a system call unless one of its arguments has a value, by the lower half of it."""
    import struct
    import sys

    half = 16 + 8 * argument + (0 if sys.byteorder == "little" else 4)
    code = [
        *((0x20, 0, 0, 0), (0x15, 0, 2, lib.pyoci_seccomp_number(lib.pyoci_seccomp_native(), name.encode()))),
        *((0x20, 0, 0, half), (0x15, 0, 1, value), (0x06, 0, 0, ALLOW), (0x06, 0, 0, ERRNO)),
    ]
    return b"".join(struct.pack("=HBBI", *part) for part in code)


@pytest.mark.parametrize(
    ("status", "memory", "code", "words"),
    [
        (9, (1, 1 << 20, 1 << 20), "out-of-memory", "the limit is 1 MiB, the peak was 1 MiB"),
        (9, (1, -1, 0), "out-of-memory", "no limit of its own"),
        (9, (1, 0, 0), "out-of-memory", "the limit is below one page of memory"),
        (9, NOTHING, "init-died", "was killed before its program ran"),
        (15, (1, 4096, 4096), "init-died", "killed by signal 15"),
        (31, NOTHING, "seccomp", "the seccomp filter killed"),
        (31 | 0x80, NOTHING, "seccomp", "the seccomp filter killed"),
        (1 << 8, NOTHING, "init-died", "exit status 1"),
        (None, NOTHING, "init-died", "ended before its program ran"),
    ],
)
def test_what_a_wait_status_means(
    status: int | None, memory: tuple[int, int, int], code: str, words: str
) -> None:
    error = exit_status.explain("finish", status, memory, b"")
    assert error.code == code and words in error.text() and error.hint


def test_each_plan_is_a_stage() -> None:
    texts = {
        exit_status.explain(name, 9, NOTHING, b"").message for name in ("early", "prepare", "finish", "", "x")
    }
    assert len(texts) == 4


def test_a_filter_that_kills_is_named() -> None:
    error = exit_status.explain("finish", 31, NOTHING, program(execve=KILL))
    assert "killed" in error.message and "denies execve (KILL_PROCESS)" in error.message
    error = exit_status.explain("finish", 31, NOTHING, program(sendmsg=KILL, prctl=ERRNO))
    assert "denies prctl (ERRNO)" in error.message, "killed when it told"
    assert "such as execve" in exit_status.explain("finish", 31, NOTHING, program(ptrace=KILL)).hint


def test_a_filter_that_lets_the_init_say_nothing_is_named() -> None:
    """It ends by an instruction that is none (csrc/init/channel.c)."""
    error = exit_status.explain("finish", 4, NOTHING, program(execve=ERRNO, capset=KILL))
    assert error.code == "seccomp" and "denies execve (ERRNO) and capset (KILL_PROCESS)" in error.message


def test_without_privileges_to_give_up_less_is_needed() -> None:
    """With no_new_privs nothing comes between the filter and execve."""
    filtering = program(execve=ERRNO, capset=ERRNO, prctl=ERRNO)
    for ops_, needed in (
        (["capset", "seccomp", "execve"], False),
        (["capset", "seccomp", "capset", "execve"], True),
        (["wait_start", "execve"], False),
        (["wait_start", "capset", "execve"], True),
    ):
        privileged = exit_status.privileged_after(ops_)
        error = exit_status.explain("finish", 4, NOTHING, filtering, privileged)
        assert ("capset" in error.message, "prctl" in error.message) == (needed, needed), ops_
        failed = OciError("program", "exec", errno=1)
        exit_status.add_filter(failed, filtering, privileged)
        assert "execve" in failed.hint and ("capset" in failed.hint) is needed


def test_what_a_filter_says() -> None:
    assert verdict.denied(program()) == []
    assert verdict.denied(program(execve=ERRNO, capset=KILL)) == [
        ("execve", "ERRNO", 1),
        ("capset", "KILL_PROCESS", 0),
    ]
    assert verdict.denied(with_condition("execve", 0, 0)) == [("execve", "ERRNO", 1)], "a pointer is not 0"
    assert verdict.denied(with_condition("execve", 3, 0)) == []
    assert verdict.denied(with_condition("prctl", 0, 47)) == []
    assert verdict.denied(with_condition("prctl", 0, 15)) == [("prctl", "ERRNO", 1)]
    assert verdict.run(program(), 59, 0x40000003) == KILL, "another architecture"
    assert verdict.run(b"", 59, 0) == 0
    assert verdict.run(b"\xff" * 8, 59, 0) == 0


def test_the_filter_is_blamed_only_for_its_own_errno() -> None:
    denying = program(execve=ERRNO)
    for number, blamed in ((1, True), (13, False)):
        error = OciError("program", "exec", errno=number)
        exit_status.add_filter(error, denying)
        assert ("denies execve (ERRNO)" in error.hint) is blamed
    error = OciError("program", "exec", errno=1, hint="known better")
    exit_status.add_filter(error, denying)
    assert error.hint == "known better"
    for answer, words in ((NOTIFY, "the seccomp agent"), (ERRNO, "an old kernel")):
        error = OciError("setup", "read", errno=errno.ENOSYS, hint="an old kernel")
        exit_status.add_filter(error, program(read=answer))
        assert words in error.hint


def test_the_filter_in_force() -> None:
    plan = Plan()
    plan.add(ops.setsid())
    plan.add(ops.seccomp(filter=b"12345678"))
    plan.add(ops.execve(args=[], env=[]))
    notifying = Plan()
    notifying.add(ops.seccomp_notify(filter=b"12345678", flags=8))
    assert exit_status.filter_before(notifying.ops, 1) == b"12345678"
    assert [exit_status.filter_before(plan.ops, last) for last in range(4)] == [
        b"",
        b"",
        b"12345678",
        b"12345678",
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1 MiB"),
        (3 << 30, "3 GiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert failure.size(count) == text


def named(name: str) -> subprocess.Popen[bytes]:
    """A process with a name of its own, which has taken it already."""
    script = f"printf {name} >/proc/$$/comm; echo; read line"
    process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.read(1)
    return process


def test_an_init_that_becomes_its_program_has_not_ended() -> None:
    process = named("other")
    pidfd = os.pidfd_open(process.pid)
    assert not exit_status.is_init(process.pid) and not exit_status.early(process.pid, pidfd)
    os.close(pidfd)
    process.communicate()


def test_an_init_that_dies_as_such_has_ended(tmp_path: Path) -> None:
    process = named("pyoci/init")
    pidfd = os.pidfd_open(process.pid)
    assert exit_status.is_init(process.pid)
    process.send_signal(signal.SIGKILL)
    assert (
        process.stdout and process.stdout.read() == b""
    )  # as the socket of an init: it ends a moment before
    assert exit_status.early(process.pid, pidfd)
    assert exit_status.wait_status(process.pid) == signal.SIGKILL
    os.close(pidfd)
    process.communicate()
    assert exit_status.wait_status(process.pid) is None and not exit_status.is_init(process.pid)


def test_an_init_that_is_about_to_be_renamed_has_not_ended() -> None:
    """Its socket is closed by execve(2), which goes on."""
    process = named("pyoci/init")
    pidfd = os.pidfd_open(process.pid)
    assert exit_status.is_init(process.pid) and not exit_status.early(process.pid, pidfd)
    os.close(pidfd)
    process.communicate()


_HELD = """
import ctypes, os, signal, sys
child = os.fork()
if not child:
    signal.pause()
ctypes.CDLL(None).prctl(15, b"pyoci/init", 0, 0, 0)
print(os.getpid(), flush=True)
signal.pause()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a pid namespace, and traces a process of it")
def test_an_init_whose_end_takes_long_has_ended() -> None:
    """It is the first process of its pid namespace, where a process that is traced, by us, does not go: no time is enough."""
    outer = subprocess.Popen(
        ["unshare", "--pid", "--fork", "python3", "-c", _HELD],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert outer.stdout and outer.stdout.readline() == b"1\n"
    (init,) = children(outer.pid)
    (held,) = children(init)
    assert ctypes.CDLL(None).ptrace(0x4206, held, 0, 0) == 0  # PTRACE_SEIZE
    pidfd = os.pidfd_open(init)
    try:
        os.kill(init, signal.SIGKILL)
        while os.listdir(f"/proc/{init}/fd"):
            pass
        assert not exit_status.within(pidfd, 0)
        assert exit_status.early(init, pidfd)
        assert not exit_status.within(pidfd, 0)
    finally:
        os.waitpid(held, 0x40000000)  # __WALL: it goes
        outer.wait()
        outer.stdout.close()
        os.close(pidfd)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_hints_by_step() -> None:
    write = hints.hint("write_procfs", "write", 22, "/linux/sysctl/x", "")
    assert "rejects this value" in write
    assert hints.hint("write_procfs", "open", 2, "/linux/sysctl/x", "") != write
    assert hints.hint("write_procfs", "open", 2, "", "") == ""
    assert "has no fsopen" in hints.hint("fsmount", "fsopen", 38, "/mounts/0", "tmpfs")
    assert "memory" in hints.hint("fsmount", "fsmount", 12, "/mounts/0", "tmpfs")
    assert hints.hint("execve", "execve", 5, "", "") == ""
