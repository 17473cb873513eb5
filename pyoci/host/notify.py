"""sd_notify(3): what the container's program tells its service manager is told ours, with the pid that counts there.

The program talks to a socket of the container's own: the service manager would not know its pid, and its messages may ask for
more than a container should have, such as the watchdog's time or descriptors to be kept.
"""

import errno
import posix
import select

from pyoci._shim import lib
from pyoci.base import files
from pyoci.base.errors import OciError
from pyoci.plan.mounts import NOTIFY_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context

DIRECTORY = "notify"  # in the directory of the container: what it has as /run/notify
_LARGEST = 1 << 16  # bytes of a message
_AT_ONCE = 64  # messages
_DEEPEST = 100  # directories in one another
_BARRIER_SECONDS = 30
_GRACE_MILLISECONDS = 200
# What is passed on. MAINPID is ours to say.
_PASSED = ("READY=", "STATUS=", "ERRNO=", "RELOADING=", "STOPPING=", "MONOTONIC_USEC=", "WATCHDOG=1")


def address() -> str:
    """NOTIFY_SOCKET of our caller, "" without."""
    return posix.environ.get(b"NOTIFY_SOCKET", b"").decode("utf-8", "surrogateescape")


def make_directory(entry: int) -> None:
    """Make the directory of the socket in that of the container, an open descriptor. Raises OSError."""
    posix.mkdir(DIRECTORY, 0o700, dir_fd=entry)
    posix.chmod(DIRECTORY, 0o755, dir_fd=entry)


def remove_directory(entry: int) -> None:
    """Remove it with what is in it. Raises OSError."""
    directory = _open_directory(entry)
    try:
        _empty(directory, 0)
    finally:
        files.close(directory)
    posix.rmdir(DIRECTORY, dir_fd=entry)


def _empty(directory: int, depth: int) -> None:
    """A container that may remount has made it writable, and has put there what it likes."""
    if depth > _DEEPEST:
        raise OSError(errno.ENAMETOOLONG, "")
    for name in posix.listdir(directory):
        try:
            posix.unlink(name, dir_fd=directory)
        except IsADirectoryError:
            below = posix.open(name, files.DIRECTORY | posix.O_NOFOLLOW, dir_fd=directory)
            try:
                _empty(below, depth + 1)
            finally:
                files.close(below)
            posix.rmdir(name, dir_fd=directory)


def _open_directory(entry: int) -> int:
    return posix.open(DIRECTORY, files.DIRECTORY | posix.O_NOFOLLOW, dir_fd=entry)


class NotifySocket:
    """The socket that the container's program finds in NOTIFY_SOCKET.

    fd  readable when a message is there
    """

    def __init__(self, context: "Context", entry: int) -> None:
        """Make it in the directory that make_directory() has made. Raises OciError."""
        self._context = context
        self._address = address()
        try:
            directory = _open_directory(entry)
            try:
                try:
                    posix.unlink(NOTIFY_SOCKET, dir_fd=directory)
                except FileNotFoundError:
                    pass
                self.fd = lib.pyoci_bind_datagram(f"/proc/self/fd/{directory}/{NOTIFY_SOCKET}".encode())
            finally:
                files.close(directory)
        except OSError as error:
            raise _unusable(error.errno or 0) from None
        if self.fd < 0:
            raise _unusable(-self.fd)

    def serve(self, main_pid: int = 0) -> bool:
        """Pass on the messages that have come; returns whether the program is ready.

        main_pid  the pid to be the service's main process from then on, 0 for ours
        """
        ready = False
        for _ in range(_AT_ONCE):  # a program that never stops sending does not keep us from all else
            try:
                # descriptors that come along are dropped: a barrier is passed by that
                message = posix.read(self.fd, _LARGEST)
            except OSError:
                break
            lines = [
                line
                for line in message.decode("utf-8", "surrogateescape").split("\n")
                if line.startswith(_PASSED)
            ]
            if any(line.startswith("READY=") for line in lines):
                ready = True
                if main_pid:
                    lines.append(f"MAINPID={main_pid}")
            if lines:
                self._send("\n".join(lines))
        return ready

    def wait(self, pid: int, pidfd: int) -> None:
        """Wait until the program is ready, or its process has ended; the service manager then knows it. Raises nothing."""
        poller = select.poll()
        poller.register(self.fd, select.POLLIN)
        poller.register(pidfd, select.POLLIN)
        while True:
            ended = any(fd == pidfd for fd, _ in poller.poll())
            ready = self.serve(pid)
            if ready:
                self._barrier()
                # sd_notify(3) often goes on with a barrier of its own, which fails when no one has the socket any more
                poller.poll(_GRACE_MILLISECONDS)
                self.serve()
            if ready or ended:
                return

    def _barrier(self) -> None:
        """Wait until our messages are read: the service manager looks their sender up, who must still be there."""
        reader, writer = posix.pipe2(posix.O_CLOEXEC)
        self._send("BARRIER=1", writer)
        files.close(writer)
        poller = select.poll()
        poller.register(reader, 0)  # which is hung up when no one has the other end
        poller.poll(_BARRIER_SECONDS * 1000)
        files.close(reader)

    def _send(self, text: str, fd: int = -1) -> None:
        data = text.encode("utf-8", "surrogateescape")
        result = lib.pyoci_send_datagram(
            self._address.encode("utf-8", "surrogateescape"), data, len(data), fd
        )
        if result < 0:
            error = OciError("notify", f"cannot notify {self._address}", errno=-result)
            self._context.log.warning(error.text(), code="notify")

    def close(self) -> None:
        """The program can notify no more."""
        files.close(self.fd)


def _unusable(number: int) -> OciError:
    hint = "without NOTIFY_SOCKET in its environment pyoci makes no socket"
    return OciError("notify", "cannot make the socket for sd_notify(3)", errno=number, hint=hint)
