"""The init's process: whatever interrupts the runtime, it does not get lost."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from pyoci import launch
from pyoci._shim import lib
from pyoci.errors import OciError


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
    monkeypatch.setattr(launch, "lib", shim)
    init = launch.Init()
    with pytest.raises(OciError, match="signal 15"):
        init.spawn(0, [])
    init.kill()
    with pytest.raises(ChildProcessError):
        os.waitpid(shim.pid, os.WNOHANG)
    with shim.theirs:
        assert shim.theirs.recv(1) == b"", "our end of the socket is still open"
