"""The init's process: whatever interrupts the runtime, it does not get lost."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.host import spawn
from pyoci.init.process import InitProcess
from pyoci.plan import namespaces
from pyoci.plan.ops import Plan


class Interrupted:
    """The shim, in whose spawn a signal comes that Python sees once the call is over."""

    def __init__(self) -> None:
        self.pid = 0
        self.ours, self.theirs = socket.socketpair()

    def __getattr__(self, name: str) -> Any:
        return getattr(lib, name)

    def pyoci_spawn(self, wanted: Any) -> int:
        self.pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
        wanted.pid, wanted.pidfd, wanted.sync = self.pid, os.pidfd_open(self.pid), self.ours.detach()
        raise OciError("interrupted", "ended by signal 15")


def test_a_process_that_was_just_made_is_killed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    shim = Interrupted()
    monkeypatch.setattr(spawn, "lib", shim)
    init = InitProcess()
    with pytest.raises(OciError, match="signal 15"):
        init.spawn(0)
    init.kill()
    with pytest.raises(ChildProcessError):
        os.waitpid(shim.pid, os.WNOHANG)
    with shim.theirs:
        assert shim.theirs.recv(1) == b"", "our end of the socket is still open"


def sleeper() -> int:
    return os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})


@pytest.fixture
def joining() -> Iterator[tuple[InitProcess, socket.socket]]:
    """An init that was sent a plan with a fork in it, and the end of its socket that it would answer through."""
    init = InitProcess()
    ours, theirs = socket.socketpair()
    init.pid = sleeper()
    init.pidfd, init.sync = os.pidfd_open(init.pid), ours.detach()
    plan = Plan()
    namespaces.add_fork(plan, 0, "")
    init.send("exec", plan, [])
    yield init, theirs
    init.kill()
    theirs.close()


def born(pid: int) -> bytes:
    return struct.pack("=IIiI", lib.REPLY_FORKED, 0, pid, 0)


def test_the_init_is_the_child_that_it_tells_of(joining: tuple[InitProcess, socket.socket]) -> None:
    init, theirs = joining
    parent, child = init.pid, sleeper()
    os.kill(parent, signal.SIGKILL)  # as it ends by itself behind its word
    theirs.send(born(child))
    init.expect_fork()
    assert init.pid == child
    with pytest.raises(ChildProcessError):
        os.waitpid(parent, os.WNOHANG)
    theirs.send(born(child))
    with pytest.raises(OciError, match="an unexpected fork"):
        init.expect(lib.REPLY_DONE)


def test_a_child_that_died_in_the_init_s_place_leaves_nothing_to_kill() -> None:
    """What the spawn gave is not the process any more: that one is reaped, its descriptor closed."""
    init = InitProcess()
    init.spawn(0)
    plan = Plan()
    namespaces.add_fork(plan, 0, "")
    init.send("exec", plan, [])
    init.expect_fork()
    os.kill(init.pid, signal.SIGKILL)
    with pytest.raises(OciError, match="was killed before its program ran"):
        init.expect(lib.REPLY_READY)
    init.kill()
    assert (init.pidfd, init.sync) == (-1, -1)


@pytest.mark.parametrize(
    ("pid", "words"),
    [
        (1, "not the runtime's child"),
        (1 << 30, "does not exist"),
        (-1, "does not exist"),
        (0, "does not exist"),
    ],
)
def test_no_other_process_is_taken_for_the_init(
    joining: tuple[InitProcess, socket.socket], pid: int, words: str
) -> None:
    """A process of the container may have got hold of the socket: what it names would be killed, for one."""
    init, theirs = joining
    before = init.pid
    theirs.send(born(pid))
    with pytest.raises(OciError, match=words):
        init.expect_fork()
    assert init.pid == before


def test_an_init_that_ended_before_it_was_let_go_is_explained() -> None:
    init = InitProcess()
    init.pid = sleeper()  # before there is a socket of which it would hold an end until it is dead
    ours, theirs = socket.socketpair()
    init.pidfd, init.sync = os.pidfd_open(init.pid), ours.detach()
    init.oom = lambda: (1, 4096, 0)
    os.kill(init.pid, signal.SIGKILL)
    theirs.close()
    with pytest.raises(OciError, match="killed for lack of memory") as caught:
        init.send_byte()
    assert caught.value.code == "out-of-memory"
    init.kill()
