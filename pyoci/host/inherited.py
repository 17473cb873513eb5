"""Descriptors that come from our caller: those the container keeps, and those it must never see."""

import errno
import fcntl
import posix

from pyoci.base.errors import OciError
from pyoci.base.numbers import decimal


class Inherited:
    """What the container inherits after its standard files.

    listen_fds, listen_names   LISTEN_FDS and LISTEN_FDNAMES, when they are meant for us (sd_listen_fds(3))
    count                      how many descriptors from 3 up the container keeps, those of LISTEN_FDS first
    """

    __slots__ = ("count", "listen_fds", "listen_names")

    def __init__(self, preserve: int) -> None:
        environment = posix.environ
        self.listen_fds = 0
        self.listen_names = ""
        if environment.get(b"LISTEN_PID") == str(posix.getpid()).encode():
            given = environment.get(b"LISTEN_FDS", b"").decode("utf-8", "surrogateescape")
            self.listen_fds = max(decimal(given, (1 << 31) - 1), 0)
            self.listen_names = environment.get(b"LISTEN_FDNAMES", b"").decode("utf-8", "surrogateescape")
        self.count = self.listen_fds + preserve


def take(preserve: int) -> Inherited:
    """See what there is to keep. Call it before anything else is opened. Raises OciError for one that is not open.

    Between those of --preserve-fds some may be closed, as podman has them for --preserve-fd=9,40. But the last one must be open:
    else its caller counts wrongly.
    """
    found = Inherited(preserve)
    last = 2 + found.count
    for fd in (*range(3, 3 + found.listen_fds), *range(last, last + min(preserve, 1))):
        if not _is_open(fd):
            hint = "the caller must leave it open, without close-on-exec"
            message = f"preserved descriptor {fd} (of {found.count}) is not open"
            raise OciError("preserve-fds", message, errno=errno.EBADF, obj=str(fd), hint=hint)
    for fd in range(max(last, 3)):
        if fd < 3 or not _is_open(fd):
            _ensure_open(fd, for_container=fd < 3)
    return found


def _is_open(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        return False
    return True


def _ensure_open(fd: int, *, for_container: bool) -> None:
    """A closed one would let some file of ours take its number, and so get into the container: /dev/null takes it.

    for_container  it goes there; else it closes when the init starts, which keeps the number free in its turn
    """
    if _is_open(fd):
        return
    opened = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    if opened != fd:
        posix.dup2(opened, fd, for_container)
        posix.close(opened)
    elif for_container:
        posix.set_inheritable(fd, True)
