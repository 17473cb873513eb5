"""What an init that is not itself any more may send, and what the runtime makes of it."""

from __future__ import annotations

import os
import pty
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.init import exit_status, protocol, start_answer
from pyoci.init.process import InitProcess
from pyoci.plan.ops import Plan

HEAD = struct.Struct("=HHIiI")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The runtime's end, and the init's."""
    ours, its = socket.socketpair()
    with ours, its:
        yield ours, its


@pytest.fixture
def init(ends: tuple[socket.socket, socket.socket]) -> Iterator[InitProcess]:
    """A runtime that has sent a plan of two ops to an init."""
    made = InitProcess()
    plan = Plan()
    plan.add(ops.setsid(), "/a", "one")
    plan.add(ops.sethostname(hostname="x"), "/hostname", "two")
    made.sync = os.dup(ends[0].fileno())
    made._sent.append(("test", plan))
    yield made
    made.close()


def head(kind: int, *, step: str = "", op: int = 0, error: int = 0, length: int = 0) -> bytes:
    return HEAD.pack(kind & 0xFFFF, ops.STEPS.index(step) if step else kind >> 16, op, error, length)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def garbled(init: InitProcess, expected: int = lib.REPLY_READY) -> OciError:
    with pytest.raises(OciError) as found:
        init.expect(expected)
    assert found.value.code == "init-died" and "protocol" in found.value.message
    return found.value


def test_an_error_names_the_op(ends: tuple[socket.socket, socket.socket], init: InitProcess) -> None:
    ends[1].sendall(head(lib.REPLY_ERROR, step="sethostname", op=1, error=1, length=1) + b"x")
    with pytest.raises(OciError) as found:
        init.expect(lib.REPLY_DONE)
    assert (found.value.pointer, found.value.errno) == ("/hostname", 1)
    assert found.value.text() == "two: sethostname x: operation not permitted"


def test_a_reply_in_pieces(ends: tuple[socket.socket, socket.socket], init: InitProcess) -> None:
    pid = os.fork()
    if pid == 0:
        for byte in head(lib.REPLY_DONE):
            ends[1].sendall(bytes([byte]))
        os._exit(0)
    init.expect(lib.REPLY_DONE)
    os.waitpid(pid, 0)


@pytest.mark.parametrize(
    "data",
    [
        head(lib.REPLY_ERROR, length=0xFFFFFFFF),
        head(lib.REPLY_ERROR, length=lib.PLAN_MAX_REPLY + 1),
        head(lib.REPLY_ERROR, op=2),
        head(lib.REPLY_ERROR, op=0xFFFFFFFF),
        head(0),
        head(6),
        head(lib.REPLY_ERROR | len(ops.STEPS) << 16),
        head(0xFFFFFFFF),
        head(lib.REPLY_DONE),
        head(lib.REPLY_TERMINAL),
        head(lib.REPLY_TIMES, length=16) + bytes(16),
    ],
    ids=[
        "4-gib",
        "too-long",
        "op",
        "last-op",
        "kind-0",
        "kind-6",
        "step",
        "last-kind",
        "unasked",
        "no-terminal",
        "times",
    ],
)
def test_nonsense(ends: tuple[socket.socket, socket.socket], init: InitProcess, data: bytes) -> None:
    ends[1].sendall(data)
    garbled(init)


def test_an_answer_to_nothing(ends: tuple[socket.socket, socket.socket], init: InitProcess) -> None:
    ends[1].sendall(head(lib.REPLY_DONE) * 2)
    init.expect(lib.REPLY_DONE)
    garbled(init, lib.REPLY_DONE)


def test_any_errno_has_a_text(ends: tuple[socket.socket, socket.socket], init: InitProcess) -> None:
    for error in (-(1 << 31), -1, (1 << 31) - 1):
        ends[1].sendall(head(lib.REPLY_ERROR, error=error))
        with pytest.raises(OciError) as found:
            init.expect(lib.REPLY_DONE)
        assert found.value.text() and found.value.fields()


@pytest.mark.parametrize("kind", [lib.REPLY_DONE, lib.REPLY_TERMINAL, lib.REPLY_ERROR])
def test_a_flood_of_descriptors(
    ends: tuple[socket.socket, socket.socket], init: InitProcess, kind: int
) -> None:
    """Neither those of one message nor those of many stay open."""
    files = [os.open("/dev/null", os.O_RDONLY)] * 200
    before = open_files()
    for byte in head(kind, length=5 if kind == lib.REPLY_ERROR else 0) + b"x" * 5:
        socket.send_fds(ends[1], [bytes([byte])], files)
    with pytest.raises(OciError):
        init.expect(lib.REPLY_READY)
    assert open_files() == before
    os.close(files[0])


def test_a_terminal_is_taken(ends: tuple[socket.socket, socket.socket], init: InitProcess) -> None:
    master, slave = pty.openpty()
    socket.send_fds(ends[1], [head(lib.REPLY_TERMINAL) + head(lib.REPLY_DONE)], [master, slave])
    before = open_files()
    init.expect(lib.REPLY_DONE)
    assert os.fstat(init.terminal).st_rdev == os.makedev(5, 2)
    assert open_files() == before + 1
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("expected", [True, False])
@pytest.mark.parametrize("count", [0, 1])
def test_something_else_is_no_listener(
    ends: tuple[socket.socket, socket.socket], init: InitProcess, expected: bool, count: int
) -> None:
    """The agent gets nothing that a process of the container made up."""
    given: list[int] = []
    init.agent = given.append if expected else None
    with open("/dev/null", "rb") as wrong:
        before = open_files() - 1
        socket.send_fds(ends[1], [head(lib.REPLY_LISTENER)], [wrong.fileno()] * count)
        ends[1].close()
        garbled(init)
        assert open_files() == before and given == []


@pytest.mark.parametrize("path", ["/dev/null", "/", "/dev/tty0-none"])
def test_something_else_is_no_terminal(
    ends: tuple[socket.socket, socket.socket], init: InitProcess, path: str
) -> None:
    master, slave = pty.openpty()
    wrong = os.open(path, os.O_RDONLY) if os.path.exists(path) else slave
    before = open_files()
    socket.send_fds(ends[1], [head(lib.REPLY_TERMINAL)], [wrong])
    garbled(init)
    assert open_files() == before and init.terminal == -1
    for fd in {master, slave, wrong}:
        os.close(fd)


def test_one_that_hangs_up_and_lives_on(
    ends: tuple[socket.socket, socket.socket], init: InitProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not hold the runtime up; kill() then ends it."""
    monkeypatch.setattr(exit_status, "DEATH_MILLISECONDS", 10)
    with subprocess.Popen(["sleep", "100"]) as sleeper:
        init.pid, init.pidfd = sleeper.pid, os.pidfd_open(sleeper.pid)
        ends[1].close()
        garbled(init)
        init.kill()
        sleeper.returncode = -9


LATE: list[list[int | str]] = [[3, "wait_start", "", "wait"], [4, "execve", "/process/args", "exec x"]]


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        head(lib.REPLY_ERROR)[:-1],
        head(lib.REPLY_ERROR, length=5) + b"four",
        head(lib.REPLY_ERROR, length=0xFFFFFFFF),
        head(9),
        head(lib.REPLY_ERROR, op=5),
    ],
    ids=["a-byte", "head", "text", "4-gib", "kind", "op"],
)
def test_nonsense_through_the_fifo(data: bytes) -> None:
    with pytest.raises(OciError) as found:
        start_answer.read(data, LATE, None)
    assert "protocol" in found.value.message


def test_a_record_that_knows_no_op() -> None:
    with pytest.raises(OciError, match="protocol"):
        start_answer.read(head(lib.REPLY_ERROR, op=0), [], None)


def test_a_failure_through_the_fifo() -> None:
    data = head(lib.REPLY_ERROR, step="execve", op=4, error=8, length=6) + b"/bin/x"
    error = start_answer.read(data, LATE, None)
    assert error is not None and error.pointer == "/process/args"
    assert error.text() == 'exec: "/bin/x": exec format error'
    assert start_answer.read(b"", LATE, None) is None


def test_the_record_and_the_init_of_a_former_version() -> None:
    """A container may have been created before the runtime was replaced: a number for the name, the step in the text."""
    late: list[list[int | str]] = [[3, 53, "", "wait for start"], [4, 54, "/process/args", "exec x"]]
    text = b"execve\0/bin/x\0"
    data = head(lib.REPLY_ERROR, op=4, error=8, length=len(text)) + text
    error = start_answer.read(data, late, None)
    assert error is not None
    assert (error.code, error.pointer) == ("program", "/process/args")
    assert error.text() == "exec x failed: execve /bin/x: exec format error"
    assert start_answer.read(b"", late, None) is None


def test_times_are_of_ops_that_are_there() -> None:
    made = Plan()
    made.add(ops.setsid())
    good = protocol.Reply(lib.REPLY_TIMES, "", 0, 0, struct.pack("=QQ", 1, 2), -1)
    assert protocol.times(good, made.ops) == [1, 2]
    for op, text in (
        (0, b""),
        (0, bytes(8)),
        (0, bytes(15)),
        (0, bytes(24)),
        (1, bytes(16)),
        (0xFFFFFFFF, bytes(16)),
    ):
        with pytest.raises(OciError):
            protocol.times(protocol.Reply(lib.REPLY_TIMES, "", op, 0, text, -1), made.ops)


def test_a_plan_that_no_init_takes_is_refused_here() -> None:
    plan = Plan()
    plan.add(ops.sethostname(hostname="x" * lib.PLAN_MAX_SIZE))
    with pytest.raises(OciError) as found:
        plan.encode()
    assert "too large" in found.value.message
