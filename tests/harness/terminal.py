"""Terminals: the console socket as engines serve it, and a pseudo terminal that a foreground call sits on."""

from __future__ import annotations

import array
import fcntl
import os
import pty
import select
import socket
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any

from .runtime import PATIENCE


def window_size(fd: int) -> tuple[int, int]:
    """Rows and columns of a terminal."""
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))
    return rows, columns


def set_window_size(fd: int, rows: int, columns: int) -> None:
    """Set rows and columns of a terminal; its foreground processes get SIGWINCH."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Master:
    """The master of a pseudo terminal: reads what programs write, types what they read."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.data = b""

    def type(self, text: str) -> None:
        """Type."""
        os.write(self.fd, text.encode())

    def read_some(self) -> bool:
        """Take in what comes next; False at the end. Fails the test when nothing comes."""
        ready, _, _ = select.select([self.fd], [], [], PATIENCE)
        assert ready, f"nothing more came within {PATIENCE} s; so far: {self.data[-1000:]!r}"
        try:
            chunk = os.read(self.fd, 1 << 16)
        except OSError:  # EIO: the last one who had the terminal open is gone
            return False
        self.data += chunk
        return bool(chunk)

    def until(self, text: str) -> str:
        """Everything up to now, once `text` has come."""
        while text not in self.text():
            assert self.read_some(), f"the terminal was closed before {text!r}; so far: {self.data[-1000:]!r}"
        return self.text()

    def rest(self) -> str:
        """Everything, once the other end is closed."""
        while self.read_some():
            pass
        return self.text()

    def text(self) -> str:
        """What was read, with the terminal's line ends made plain."""
        return self.data.decode("utf-8", "replace").replace("\r\n", "\n")

    def close(self) -> None:
        """Hang up."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class ConsoleSocket:
    """A listening AF_UNIX socket that receives the master of a container's terminal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(path))
        self.socket.listen(5)
        self.socket.settimeout(PATIENCE)
        self.name = ""

    def receive(self) -> Master:
        """Accept one connection and take the one descriptor of its one message."""
        connection, _ = self.socket.accept()
        with connection:
            connection.settimeout(PATIENCE)
            numbers = array.array("i")
            message, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4 * 8))
            for level, kind, data in control:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            self.name = message.decode()
        assert len(numbers) == 1, f"{len(numbers)} descriptors came"
        return Master(numbers[0])

    def nothing_came(self) -> bool:
        """True when nobody has connected."""
        ready, _, _ = select.select([self.socket], [], [], 0)
        return not ready

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()


class Seat:
    """A pseudo terminal on which a foreground call of the runtime runs as session leader, as under a shell."""

    def __init__(self, rows: int = 24, columns: int = 80) -> None:
        master, self.slave = pty.openpty()
        self.master = Master(master)
        set_window_size(self.slave, rows, columns)
        self.before = termios.tcgetattr(self.slave)

    def run(self, argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a program whose controlling terminal and standard streams this is."""

        def take() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        streams = {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave, **options}
        return subprocess.Popen(argv, preexec_fn=take, **streams)

    def attributes(self) -> list[Any]:
        """The settings of the terminal now."""
        return termios.tcgetattr(self.slave)

    def is_raw(self) -> bool:
        """True when neither echo nor line editing nor signal characters are on."""
        return not self.attributes()[3] & (termios.ECHO | termios.ICANON | termios.ISIG)

    def close(self) -> None:
        """Close both ends."""
        os.close(self.slave)
        self.master.close()
