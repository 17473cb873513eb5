"""The plan: a list of ops, each with the JSON pointer of its cause, and its encoding for the init (csrc/plan.h)."""

import _struct

from pyoci._shim import lib
from pyoci.base.errors import OciError

_OP = _struct.Struct("=HHHHIIIIQQQQ")
_HEADER = _struct.Struct("=IIII")
_MASK = (1 << 64) - 1


class Op:
    """One kernel step.

    code, flags, fd, fd2, numbers   as struct plan_op has them
    texts    str (NUL-terminated), bytes (a blob) or list[str] (strings behind each other)
    pointer  JSON pointer of the config.json property that asked for it, "" where no single one did
    about    what an error message calls it: "tmpfs on /dev/shm"
    """

    __slots__ = ("code", "flags", "fd", "fd2", "texts", "numbers", "pointer", "about")

    def __init__(
        self,
        code: int,
        pointer: str,
        about: str,
        flags: int,
        fd: int,
        fd2: int,
        texts: "tuple[str | bytes | list[str], ...]",
        numbers: tuple[int, ...],
    ) -> None:
        self.code = code
        self.pointer = pointer
        self.about = about
        self.flags = flags
        self.fd = fd
        self.fd2 = fd2
        self.texts = texts
        self.numbers = numbers


class Plan:
    """Ops in the order of their execution, and what has to travel with them as descriptors.

    passed   a description of each descriptor that goes along, in the order of the registers from REG_PASSED up:
             (kind, what it is of ...): a "tree" (host path, recursive, pointer, about), an "idmapped-tree", a
             "deep-idmapped-tree", a "namespace" (type, path, pointer), a "cgroup" file, a "fifo", a "pidfd"
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.passed: list[tuple[str | int | bool, ...]] = []

    def add(
        self,
        code: int,
        pointer: str = "",
        about: str = "",
        *,
        flags: int = 0,
        fd: int = 0,
        fd2: int = 0,
        texts: "tuple[str | bytes | list[str], ...]" = (),
        numbers: tuple[int, ...] = (),
    ) -> None:
        """Append an op."""
        self.ops.append(Op(code, pointer, about, flags, fd, fd2, texts, numbers))

    def carry(self, *what: str | int | bool) -> int:
        """Ask for a descriptor to travel with the plan; returns its register."""
        self.passed.append(what)
        register: int = lib.REG_PASSED + len(self.passed) - 1
        return register

    def room(self) -> int:
        """How many more descriptors may travel with this plan."""
        room: int = lib.PLAN_MAX_FDS - len(self.passed)
        return room

    def encode(self, *, timed: bool = False) -> bytes:
        """The bytes that the init reads. Raises OciError for a NUL in a string, and for more than the init takes."""
        text = _Text()
        ops = []
        for op in self.ops:
            offsets = [text.place(item, op) for item in op.texts]
            offsets += [0] * (3 - len(offsets))
            numbers = [number & _MASK for number in op.numbers]
            numbers += [0] * (4 - len(numbers))
            ops.append(_OP.pack(op.code, op.flags, op.fd, op.fd2, *offsets, 0, *numbers))
        tail = text.end()
        size = _HEADER.size + _OP.size * len(ops) + len(tail)
        if size > lib.PLAN_MAX_SIZE or len(ops) > lib.PLAN_MAX_OPS:
            raise OciError("config", f"the configuration becomes {len(ops)} steps of {size} bytes: too many")
        header = _HEADER.pack(lib.PLAN_MAGIC, size, len(ops), lib.PLAN_TIMED if timed else 0)
        return b"".join([header, *ops, tail])


def _terminated(text: str, op: Op) -> bytes:
    if "\0" in text:
        raise OciError("config", f"{op.about or 'text'}: there is a NUL byte in {text!r}", pointer=op.pointer)
    return text.encode("utf-8", "surrogateescape") + b"\0"


class _Text:
    """The text area: equal strings share a place."""

    def __init__(self) -> None:
        self._parts = [b"\0\0\0\0"]
        self._size = 4
        self._known: dict[str, int] = {"": 0}

    def place(self, item: str | bytes | list[str], op: Op) -> int:
        """The offset at which a text starts. Raises OciError where a string has a NUL in it."""
        if isinstance(item, str):
            known = self._known.get(item)
            if known is None:
                known = self._known[item] = self._append(_terminated(item, op))
            return known
        if isinstance(item, bytes):
            self._append(b"\0" * (-self._size % 8))
            return self._append(item)
        if not item:
            return 0
        return self._append(b"".join([_terminated(part, op) for part in item]))

    def _append(self, data: bytes) -> int:
        start = self._size
        self._parts.append(data)
        self._size += len(data)
        return start

    def end(self) -> bytes:
        """All of it, closed by a NUL."""
        return b"".join([*self._parts, b"\0"])
