"""Helper programs on the host: started with nothing of ours but what they are given, watched, and always reaped."""

import fcntl
import posix
import select
import time

from pyoci._shim import ffi, lib
from pyoci.base import files, termination
from pyoci.base.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from pyoci._shim import Pointer
else:
    import _signal

TIMED_OUT = -1  # in place of a wait status

_TAIL = 8192  # bytes of output that are kept
_CHUNK = 1 << 16
_LONGEST_POLL = (1 << 31) - 1  # milliseconds


def run(
    path: str,
    args: list[str],
    env: list[str],
    *,
    stdin: bytes = b"",
    timeout: float | None = None,
    directory: int = -1,
    outputs: tuple[int, int] = (-1, -1),
) -> tuple[int, bytes, bytes]:
    """Run a program to its end; returns its wait status, and the ends of its standard output and standard error.

    path       absolute path
    args       its argv, the name included
    env        its whole environment, NAME=value each
    timeout    seconds until it is killed together with its process group: then the status is TIMED_OUT
    directory  a descriptor of the working directory it starts in, or -1 for ours
    outputs    descriptors that become its standard output and error, or -1 for each that is to be returned

    Raises OSError when it cannot be started, ValueError for a NUL in a string.
    """
    deadline = None if timeout is None else time.monotonic() + min(timeout, lib.PLAN_MAX_TIMEOUT)
    _make_waitable()
    blocked = termination.block()  # a signal between the start and the `try` would leave the program running
    try:
        readers, pid = _start(path, args, env, stdin, directory, outputs)
    except BaseException:
        termination.unblock(blocked)
        raise
    reaped = False
    try:
        termination.unblock(blocked)
        tails = (bytearray(), bytearray())
        status = _wait(pid, dict(zip(readers, tails, strict=True)), deadline)
        reaped = True
        return status, bytes(tails[0]), bytes(tails[1])
    finally:
        if not reaped:  # an interrupt came: leave nothing
            _kill(pid)
            _reap(pid)
        files.close_all(readers)


def one_line(output: bytes, limit: int = 1024) -> str:
    """The end of a program's output as one printable line."""
    lines = [line.strip() for line in output.decode("utf-8", "replace")[-limit:].splitlines()]
    line = " | ".join(line for line in lines if line)
    return "".join(sign if sign.isprintable() else "?" for sign in line)


def _make_waitable() -> None:
    """A parent that ignores SIGCHLD hands that on to us, and then the kernel throws exit statuses away."""
    if lib.pyoci_ignored_signals() >> _signal.SIGCHLD - 1 & 1:
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)


def _start(
    path: str, args: list[str], env: list[str], stdin: bytes, directory: int, outputs: tuple[int, int]
) -> tuple[list[int], int]:
    """Start the program; returns the read ends of its output and its error, and its pid."""
    readers: list[int] = []
    opened: list[int] = []
    started = False
    try:
        opened.append(_high(_input_file(stdin)))
        for given in outputs:
            reader, writer = posix.pipe2(posix.O_CLOEXEC)
            readers.append(_high(reader))
            opened.append(_high(writer))
            posix.set_blocking(readers[-1], False)
            if given >= 0:
                files.close(opened.pop())
                opened.append(fcntl.fcntl(given, fcntl.F_DUPFD_CLOEXEC, 3))
        program, argv, environment = _text(path), [*map(_text, args)], [*map(_text, env)]
        pid = lib.pyoci_start_program(program, [*argv, ffi.NULL], [*environment, ffi.NULL], opened, directory)
        if pid < 0:
            raise OSError(-pid, posix.strerror(-pid))
        started = True
        return readers, pid
    finally:
        files.close_all(opened)
        if not started:
            files.close_all(readers)


def _text(text: str) -> "Pointer[bytes]":
    """A string for C. Raises ValueError where it would end too soon."""
    data = text.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise ValueError("embedded null byte")
    return ffi.new("char[]", data)


def _input_file(content: bytes) -> int:
    """The input as an open file: unlike a pipe it cannot be full, and needs no reader."""
    if not content:
        return posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)
    fd = posix.memfd_create("input", posix.MFD_CLOEXEC)
    write_all(fd, content)
    posix.lseek(fd, 0, 0)
    return fd


def _high(fd: int) -> int:
    """The same file on a descriptor above the three that are about to be replaced."""
    if fd > 2:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        files.close(fd)


def _wait(pid: int, tails: dict[int, bytearray], deadline: float | None) -> int:
    """Wait for the end; returns the wait status or TIMED_OUT. `tails` get the end of what comes from each pipe.

    Only the program's own end counts: a daemon that it leaves may hold the pipes for ever.
    """
    pidfd = posix.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        for reader in tails:
            poller.register(reader, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poller.poll(_milliseconds_to(deadline))]
            for reader, tail in tails.items():
                if reader in ready and not _drain(reader, tail):
                    poller.unregister(reader)
            late = deadline is not None and time.monotonic() >= deadline and pidfd not in ready
            if late:
                _kill(pid)
            if late or pidfd in ready:
                status = _reap(pid)
                for reader, tail in tails.items():
                    _drain(reader, tail)
                return TIMED_OUT if late else status
    finally:
        files.close(pidfd)


def _milliseconds_to(deadline: float | None) -> int | None:
    """For poll(2), which takes an int: a longer wait goes on after it."""
    if deadline is None:
        return None
    return min(max(0, int((deadline - time.monotonic()) * 1000) + 1), _LONGEST_POLL)


def _drain(reader: int, tail: bytearray) -> bool:
    """Read what is there, keeping the last bytes; False at the end of the file."""
    for _ in range(16):  # a program that writes without pause must not keep us from the clock
        try:
            chunk = posix.read(reader, _CHUNK)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        tail += chunk
        del tail[:-_TAIL]
    return True


def _kill(pid: int) -> None:
    """SIGKILL to our unreaped child and its process group."""
    for kill in (posix.kill, posix.killpg):
        try:
            kill(pid, _signal.SIGKILL)
        except OSError:
            pass


def _reap(pid: int) -> int:
    return posix.waitpid(pid, 0)[1]
