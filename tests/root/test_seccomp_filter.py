"""Compiled filters in the kernel: what a filtered process sees, and that runc's filters mean the same."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import bpf, machine

from pyoci._shim import lib
from pyoci.seccomp import compiler

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="expects the numbers of x86_64"),
    pytest.mark.skipif(not machine.is_root(), reason="needs root with CAP_SYS_ADMIN"),
]

DATA = Path(__file__).parents[1] / "data/engine-configs"
PR_SET_NO_NEW_PRIVS, SECCOMP_SET_MODE_FILTER = 38, 1
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_GET_FILTER = 17, 0x4206, 0x4207, 0x420C
WALL = 0x40000000
GETPID, GETPPID, UNAME, SECCOMP, PERSONALITY, NEWER = 39, 110, 63, 317, 135, 900

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
libc.syscall.restype = ctypes.c_long


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def call(number: int, *args: int) -> int:
    """A bare system call: its result, or -errno."""
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, args))
    return -ctypes.get_errno() if result == -1 else int(result)


def load(program: bytes, flags: int) -> None:
    """Load a filter into this process, for good."""
    descriptor = Program(len(program) // 8, program)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    result = libc.syscall(ctypes.c_long(SECCOMP), SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(descriptor))
    assert result == 0, os.strerror(ctypes.get_errno())


def filtered(profile: Any, job: Callable[[], Any]) -> Any:
    """The result of a job in a child under a profile; for a child that was killed, its wait status."""
    program, flags, _ = compiler.compile_profile(profile, "")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            load(program, flags)
            os.write(writer, json.dumps(job()).encode())
        except BaseException as error:
            os.write(writer, json.dumps(repr(error)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        text = answer.read()
    status = os.waitpid(pid, 0)[1]
    return json.loads(text) if status == 0 else status


def deny(*names: str, action: str = "SCMP_ACT_ERRNO", **more: Any) -> Any:
    rule = {"names": list(names), "action": action, **more}
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}


def allow_all_but(*names: str, **more: Any) -> Any:
    """A profile whose default denies, which allows docker's list and more, but not `names`."""
    content = json.loads((DATA / "docker28-run.json").read_text())["linux"]["seccomp"]
    for rule in content["syscalls"]:
        rule["names"] = [name for name in rule["names"] if name not in names]
    return {**content, **more}


def test_denied_calls_get_their_errno() -> None:
    profile = deny("getppid", errnoRet=errno.EXDEV)
    assert filtered(profile, lambda: [call(GETPPID) == -errno.EXDEV, call(GETPID) > 0]) == [True, True]


def test_default_action_denies_and_newer_calls_do_not_exist() -> None:
    def job() -> list[int]:
        return [call(GETPPID), call(NEWER)]

    assert filtered(allow_all_but("getppid"), job) == [-errno.EPERM, -errno.ENOSYS]


def test_arguments_are_compared() -> None:
    def job() -> list[bool]:
        return [call(PERSONALITY, value) >= 0 for value in (0xFFFFFFFF, 0x0008, 0x0010)]

    assert filtered(allow_all_but(), job) == [True, True, False]


@pytest.mark.parametrize("action", ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL", "SCMP_ACT_TRAP"])
def test_killing_actions(action: str) -> None:
    status = filtered(deny("getppid", action=action), lambda: call(GETPPID))
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS


def test_trace_without_a_tracer_and_log() -> None:
    assert filtered(deny("getppid", action="SCMP_ACT_TRACE"), lambda: call(GETPPID)) == -errno.ENOSYS
    parent = os.getpid()
    assert filtered(deny("getppid", action="SCMP_ACT_LOG"), lambda: call(GETPPID)) == parent


@pytest.mark.parametrize("names", [[], ["TSYNC"], ["LOG", "SPEC_ALLOW"], ["WAIT_KILLABLE_RECV"]])
def test_flags_are_taken_by_the_kernel(names: list[str]) -> None:
    profile = deny("getppid")
    profile["flags"] = [f"SECCOMP_FILTER_FLAG_{name}" for name in names]
    assert filtered(profile, lambda: call(GETPPID)) == -errno.EPERM


def engine_profiles() -> list[Any]:
    """The different profiles of the engines' configurations."""
    found: dict[str, Any] = {}
    for path in sorted(DATA.glob("*.json")):
        content = json.loads(path.read_text())["linux"].get("seccomp")
        if content:
            found.setdefault(json.dumps(content, sort_keys=True), pytest.param(content, id=path.stem))
    return list(found.values())


ARGS_PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 99,
    "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
    "syscalls": [
        *allow_all_but("socket", "ioctl", "kill")["syscalls"],
        {
            "names": ["socket"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": value} for value in (1, 2)],
        },
        {
            "names": ["ioctl"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 7,
            "args": [
                {"index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": 0xFF00, "valueTwo": 0x5400},
                {"index": 2, "op": "SCMP_CMP_GT", "value": 1 << 32},
            ],
        },
        {"names": ["kill", "no_such_call"], "action": "SCMP_ACT_KILL_PROCESS"},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99},
    ],
}


@pytest.mark.skipif(shutil.which("runc") is None, reason="runc is not installed")
@pytest.mark.parametrize("profile", [*engine_profiles(), pytest.param(ARGS_PROFILE, id="args")])
def test_runc_loads_a_filter_of_the_same_meaning(profile: Any, runc: Runc) -> None:
    ours = bpf.Filter(compiler.compile_profile(profile, "")[0])
    theirs = bpf.Filter(runc.filter_of(profile))
    sensitive = arguments_of(profile)
    numbers = [base + number for base in (0, bpf.X32_BIT) for number in range(600)]
    for arch in (bpf.X86_64, bpf.I386, bpf.AARCH64):
        for number in [*numbers, 0x3FFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF]:
            for args in sensitive.get((arch, number), [[]]):
                case = f"{arch:#x}: {number:#x}({args})"
                assert ours(number, args, arch) == theirs(number, args, arch), case


def arguments_of(profile: Any) -> dict[tuple[int, int], list[list[int]]]:
    """Arguments worth trying, per architecture and number: all about the values that rules mention."""
    values: dict[str, set[tuple[int, int]]] = {}
    for rule in profile["syscalls"]:
        for arg in rule.get("args") or []:
            for value in (arg["value"], arg.get("valueTwo") or 0):
                near = {value - 1, value, value + 1, value ^ 1 << 40, value | 0x5400}
                samples = {(arg["index"], sample) for sample in near if 0 <= sample < 1 << 64}
                for name in rule["names"]:
                    values.setdefault(name, set()).update(samples)
    found: dict[tuple[int, int], list[list[int]]] = {}
    for name, samples in values.items():
        tries: list[list[int]] = [[]]
        for index, sample in sorted(samples):
            for fill in (0, (1 << 64) - 1):
                tries.append([sample if at == index else fill for at in range(6)])
        for arch, token in ((bpf.X86_64, bpf.X86_64), (bpf.I386, bpf.I386), (bpf.X86_64, 0x4000003E)):
            found[arch, lib.pyoci_seccomp_number(token, name.encode())] = tries
    return found


class Runc:
    """Runs a container by runc and reads the filter of its process out of the kernel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = f"filter-{folder.parent.name}-{folder.name}"

    def call(self, *args: str) -> None:
        command = ["runc", "--root", str(self.folder / "state"), *args]
        with open(self.folder / "output", "wb") as output:
            done = subprocess.run(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
        assert done.returncode == 0, (self.folder / "output").read_text()

    def filter_of(self, profile: Any) -> bytes:
        """The program that runc loads for a profile."""
        source = shutil.which("busybox")
        if source is None:
            pytest.skip("busybox-static is not installed: the container has no program")
        (self.folder / "rootfs").mkdir()
        shutil.copy(source, self.folder / "rootfs/busybox")
        self.call("spec")
        config = json.loads((self.folder / "config.json").read_text())
        config["process"].update(terminal=False, args=["/busybox", "sleep", "60"])
        config["linux"].update(seccomp=profile)
        (self.folder / "config.json").write_text(json.dumps(config))
        self.call("run", "--detach", "--pid-file", "pid", self.id)
        return filter_of_process(int((self.folder / "pid").read_text()))


@pytest.fixture
def runc(tmp_path: Path) -> Iterator[Runc]:
    driver = Runc(tmp_path)
    yield driver
    driver.call("delete", "--force", driver.id)


def filter_of_process(pid: int) -> bytes:
    """The newest filter of another process (ptrace(2), PTRACE_SECCOMP_GET_FILTER)."""
    assert libc.ptrace(PTRACE_SEIZE, pid, None, None) == 0, os.strerror(ctypes.get_errno())
    try:
        libc.ptrace(PTRACE_INTERRUPT, pid, None, None)
        os.waitpid(pid, WALL)
        length = libc.ptrace(PTRACE_GET_FILTER, pid, None, None)
        assert length > 0, os.strerror(ctypes.get_errno())
        content = ctypes.create_string_buffer(length * 8)
        libc.ptrace(PTRACE_GET_FILTER, pid, None, content)
        return content.raw
    finally:
        libc.ptrace(PTRACE_DETACH, pid, None, None)
