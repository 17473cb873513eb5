"""--pidfd-socket: a pidfd of the container's first process, or of an exec'ed one, comes over a socket."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.boxes import Boxes
from harness.runtime import PATIENCE
from harness.terminal import ConsoleSocket

pytestmark = pytest.mark.only("pyoci")


@pytest.fixture
def receiver(folder: Path) -> Iterator[ConsoleSocket]:
    """A listening socket that takes one descriptor from each connection."""
    made = ConsoleSocket(folder / "pidfd.sock")
    yield made
    made.close()


def pid_of(descriptor: int) -> int:
    """The process a pidfd is for."""
    for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise AssertionError("not a pidfd")


def test_create_sends_a_pidfd(box: Boxes, receiver: ConsoleSocket) -> None:
    made = box("/bin/sleep", "1000")
    made.create("--pidfd-socket", str(receiver.path))
    received = receiver.receive()
    assert pid_of(received.fd) == made.pid
    made.start()
    signal.pidfd_send_signal(received.fd, signal.SIGKILL)
    ready, _, _ = select.select([received.fd], [], [], PATIENCE)
    assert ready
    received.close()
    assert made.wait() == 128 + signal.SIGKILL


def test_an_annotation_names_the_socket(box: Boxes, receiver: ConsoleSocket) -> None:
    """crun's way."""
    made = box("/bin/true")
    made.config["annotations"] = {"run.oci.pidfd_receiver": str(receiver.path)}
    made.create()
    received = receiver.receive()
    assert pid_of(received.fd) == made.pid
    received.close()


def test_run_detached_sends_a_pidfd(box: Boxes, receiver: ConsoleSocket) -> None:
    made = box("/bin/sleep", "1000")
    made.run("--detach", "--pidfd-socket", str(receiver.path))
    received = receiver.receive()
    assert pid_of(received.fd) == made.pid
    received.close()


def test_exec_sends_a_pidfd(box: Boxes, receiver: ConsoleSocket, folder: Path) -> None:
    made = box("/bin/sleep", "1000").launch()
    pid_file = folder / "pid"
    options = ("--detach", "--pid-file", str(pid_file), "--pidfd-socket", str(receiver.path))
    made.exec("/bin/sleep", "1001", options=options)
    received = receiver.receive()
    assert pid_of(received.fd) == int(pid_file.read_text())
    assert os.path.exists(f"/proc/{pid_of(received.fd)}")
    received.close()


@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_socket_nobody_listens_on_is_refused(box: Boxes, folder: Path, verb: str) -> None:
    made = box("/bin/sleep", "1000")
    call = made.create if verb == "create" else made.run
    call("--pidfd-socket", str(folder / "nobody.sock"), check=False).failed("nobody.sock")
    assert not made.runtime.exists(made.id)
