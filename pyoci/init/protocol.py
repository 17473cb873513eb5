"""What the init says, taken with care: a process of the container with CAP_SYS_PTRACE may have got hold of it and say anything.

Nothing here believes a length, an index or a descriptor; what can't be a reply ends the conversation.
"""

import posix
import stat

from pyoci._ops import STEPS
from pyoci._shim import ffi, lib
from pyoci.base import files
from pyoci.base.errors import OciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci._ops import Op
    from pyoci._shim import CData, PlanReply, Pointer

    Ops = list[Op]

_SIZE = ffi.sizeof("struct plan_reply")
_INTERRUPTED = -4  # EINTR, before a byte was read
_KINDS = (
    lib.REPLY_DONE,
    lib.REPLY_READY,
    lib.REPLY_TERMINAL,
    lib.REPLY_TIMES,
    lib.REPLY_ERROR,
    lib.REPLY_FORKED,
    lib.REPLY_LISTENER,
)
_LISTENER = "anon_inode:seccomp notify"


class Reply:
    """One reply, as struct plan_reply has it.

    step   the name of the step that failed, "" where there is none or an init of before there were any sent it
    fd     the descriptor that came along, or -1
    """

    __slots__ = ("kind", "step", "op", "error", "text", "fd")

    def __init__(self, kind: int, step: str, op: int, error: int, text: bytes, fd: int) -> None:
        self.kind = kind
        self.step = step
        self.op = op
        self.error = error
        self.text = text
        self.fd = fd

    def object(self) -> str:
        """What the step that failed was for."""
        return self.text.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")


def garbled(what: str) -> OciError:
    """The error for something that is no reply."""
    hint = "a process of the container may have interfered with the set-up"
    return OciError("init-died", f"the container's init broke the protocol: {what}", hint=hint)


def receive(socket: int) -> Reply | None:
    """Read one reply; None at the end of file. Only a REPLY_TERMINAL and a REPLY_LISTENER keep their descriptor.

    Raises OciError for what is no reply, OSError where the socket can't be read.
    """
    head = ffi.new("struct plan_reply *")
    fd = ffi.new("int *")
    text = b""
    try:
        if not _receive(socket, head, _SIZE, fd):
            return None
        _check(head)
        if head.length:
            body = ffi.new("char[]", head.length)
            if not _receive(socket, body, head.length, ffi.NULL):
                return None
            text = ffi.buffer(body, head.length)[:]
        reply = Reply(head.kind, STEPS[head.step], head.op, head.error, text, -1)
        if reply.kind == lib.REPLY_TERMINAL:
            reply.fd = _terminal(fd[0])
            fd[0] = -1
        elif reply.kind == lib.REPLY_LISTENER:
            reply.fd = _listener(fd[0])
            fd[0] = -1
        return reply
    finally:
        if fd[0] >= 0:
            files.close(fd[0])


def _receive(socket: int, buffer: "CData", size: int, fd: "Pointer[int]") -> bool:
    """Fill a buffer; False at the end of file. Raises OSError."""
    while True:  # between two tries a signal's handler may raise
        got = lib.pyoci_receive(socket, buffer, size, fd)
        if got != _INTERRUPTED:
            break
    if got < 0:
        raise OSError(-got, posix.strerror(-got))
    return got > 0


def parse(data: bytes) -> list[Reply]:
    """The replies that were read from a fifo. Raises OciError."""
    found = []
    head = ffi.new("struct plan_reply *")
    while data:
        if len(data) < _SIZE:
            raise garbled("an incomplete reply")
        ffi.memmove(head, data, _SIZE)
        _check(head)
        end = _SIZE + head.length
        if len(data) < end:
            raise garbled("an incomplete reply")
        found.append(Reply(head.kind, STEPS[head.step], head.op, head.error, data[_SIZE:end], -1))
        data = data[end:]
    return found


def times(reply: Reply, ops: "Ops") -> list[int]:
    """The numbers of a REPLY_TIMES: when ops[reply.op] began, then when it and those after it ended. Raises OciError."""
    size = len(reply.text)
    if size < 16 or size % 8 or reply.op + size // 8 - 1 > len(ops):
        raise garbled(f"{size} bytes of times from op {reply.op} on")
    return list(memoryview(reply.text).cast("Q"))


def failed_op(reply: Reply, ops: "Ops") -> "Op":
    """The op that a REPLY_ERROR is about. Raises OciError."""
    if reply.op >= len(ops):
        raise garbled(f"op {reply.op} of {len(ops)} has failed")
    return ops[reply.op]


def _check(head: "PlanReply") -> None:
    """Raise OciError unless this is the head of a reply."""
    if head.kind not in _KINDS or head.length > lib.PLAN_MAX_REPLY or head.step >= len(STEPS):
        raise garbled(f"a reply of kind {head.kind}, step {head.step}, with {head.length} bytes")


def _terminal(fd: int) -> int:
    """The same descriptor, when it is the master of a pseudo terminal. Raises OciError."""
    if fd < 0:
        raise garbled("a reply without the terminal")
    status = posix.fstat(fd)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != posix.makedev(5, 2):
        raise garbled("a descriptor that is not a terminal")
    return fd


def _listener(fd: int) -> int:
    """The same descriptor, when it is the listener of a seccomp filter. Raises OciError."""
    if fd < 0:
        raise garbled("a reply without the listener")
    if posix.readlink(f"/proc/self/fd/{fd}") != _LISTENER:
        raise garbled("a descriptor that is not a seccomp listener")
    return fd
