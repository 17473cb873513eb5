"""sd_notify: what the container's program says reaches the service manager of pyoci's caller."""

from __future__ import annotations

import os
import select
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.box import Container
from harness.boxes import Boxes
from harness.programs import Programs
from harness.runtime import PATIENCE


class Manager:
    """A service manager: reads messages as systemd does, a barrier by closing what came with it.

    address  for NOTIFY_SOCKET
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(PATIENCE)

    def next(self) -> list[str]:
        """The lines of the next message."""
        text, fds, _, _ = socket.recv_fds(self.socket, 4096, 1)
        for fd in fds:
            os.close(fd)
        return text.decode().split("\n")

    def is_silent(self) -> bool:
        """Whether no other message has come."""
        return not select.select([self.socket], [], [], 0)[0]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "NOTIFY_SOCKET": self.address}


@pytest.fixture(params=["path", "abstract"])
def manager(folder: Path, request: pytest.FixtureRequest) -> Iterator[Manager]:
    made = Manager(f"@{folder}" if request.param == "abstract" else str(folder / "manager.sock"))
    yield made
    made.socket.close()


@pytest.fixture
def made(box: Boxes, programs: Programs) -> Container:
    """A container with the program notify in /bin."""
    made = box()
    made.put(programs.path("notify"))
    made.config["root"]["readonly"] = True
    return made


READY = "/bin/notify 'STATUS=starting' 'WATCHDOG_USEC=1\nMAINPID=1\nFDSTORE=1\nREADY=1' BARRIER=1"


def test_start_waits_until_the_program_is_ready(made: Container, manager: Manager) -> None:
    made.sh(f"{READY} > /dev/null; exec sleep 1000").create(env=manager.environment())
    assert manager.is_silent()
    starting = made.runtime.spawn("start", made.id, env=manager.environment())
    assert manager.next() == ["STATUS=starting"]
    assert manager.next() == ["READY=1", f"MAINPID={made.pid}"]
    assert manager.next() == ["BARRIER=1"]  # start ends when this is read: systemd looks its pid up before
    assert starting.wait(PATIENCE) == 0
    assert made.status == "running"
    made.kill("KILL")
    made.wait()
    made.delete()
    assert manager.is_silent() and not made.runtime.exists(made.id)


def test_run_detached(made: Container, manager: Manager) -> None:
    made.process["user"] = {"uid": 1000, "gid": 1000}  # who must reach the socket, too
    made.user_namespace()
    made.sh(f"{READY} > /dev/null; exec sleep 1000")
    made.save()
    made.expected = True
    running = made.spawn("run", "--detach", env=manager.environment())
    assert manager.next() == ["STATUS=starting"]
    ready = manager.next()
    assert manager.next() == ["BARRIER=1"]
    assert running.wait(PATIENCE) == 0
    assert ready == ["READY=1", f"MAINPID={made.pid}"]


def test_run_in_the_foreground_passes_on_all_the_time(made: Container, manager: Manager) -> None:
    """Our caller started us, so the main process is ours; a barrier of the program's is passed as soon as it is read."""
    made.sh(f"{READY} && {READY}; grep /run/notify /proc/mounts; touch /run/notify/x; env")
    found = made.run(env=manager.environment())
    said = [manager.next() for _ in range(4)]
    assert said == [["STATUS=starting"], ["READY=1"]] * 2
    lines = found.out.splitlines()
    assert lines[:2] == ["notified"] * 2 and "NOTIFY_SOCKET=/run/notify/notify.sock" in lines
    (mounted,) = [line.split() for line in lines if " /run/notify " in line]
    assert {"ro", "nosuid", "nodev", "noexec"} <= {*mounted[3].split(",")}
    assert "Read-only file system" in found.err


def test_a_program_that_ends_without_being_ready(made: Container, manager: Manager) -> None:
    made.sh("/bin/notify STATUS=failed; exit 3").create(env=manager.environment())
    made.runtime.call("start", made.id, env=manager.environment()).ok()
    assert manager.next() == ["STATUS=failed"] and manager.is_silent()
    assert made.wait() == 3
    (entry,) = [made.runtime.root / made.id] if made.runtime.root else []
    assert stat.S_IMODE((entry / "notify").stat().st_mode) == 0o755
    made.delete()


def test_what_a_container_put_into_the_directory_goes_with_it(made: Container, manager: Manager) -> None:
    made.capabilities("CAP_SYS_ADMIN")
    script = "cd /run/notify; mkdir a 2>/dev/null && echo not read-only; mount -o remount,bind,rw /run/notify"
    made.sh(f"{script} && mkdir -p a/b && touch a/f && echo made")
    assert made.run(env=manager.environment()).out == "made\n"
    assert not made.runtime.exists(made.id)


def test_without_the_variable_there_is_no_socket(made: Container) -> None:
    made.sh("/bin/notify READY=1; test -e /run/notify || echo none")
    assert made.run(check=False).out == "no socket\nnone\n"


def test_a_manager_that_is_gone_is_a_warning(made: Container, folder: Path) -> None:
    made.sh(f"{READY} > /dev/null; exec sleep 1000").save()
    environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "gone")}
    found = made.run("--detach", env=environment)
    assert "cannot notify" in found.err and made.status == "running"
