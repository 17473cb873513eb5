"""For the tests of the compiler: specs and facts to start from, what a plan says in words, and a decoder of its bytes."""

from __future__ import annotations

import copy
from typing import Any

from pyoci._shim import ffi, lib
from pyoci.plan import compiler
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Op, Plan

SPEC: dict[str, Any] = {
    "ociVersion": "1.3.0",
    "process": {
        "user": {"uid": 0, "gid": 0},
        "args": ["/bin/sh"],
        "env": ["PATH=/usr/bin:/bin", "HOME=/root"],
        "cwd": "/",
    },
    "root": {"path": "rootfs"},
    "mounts": [],
    "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]},
}
NAMES: dict[int, str] = {getattr(lib, name): name for name in dir(lib) if name.startswith("OP_")}
ALL_CAPABILITIES = (1 << 64) - 1


def spec(**changes: Any) -> dict[str, Any]:
    """The plain spec with members replaced; a name like linux__sysctl replaces /linux/sysctl."""
    made = copy.deepcopy(SPEC)
    for name, value in changes.items():
        *path, last = name.split("__")
        holder = made
        for part in path:
            holder = holder.setdefault(part, {})
        holder[last] = copy.deepcopy(value)
    return made


def namespaces(*kinds: str, **joined: str) -> list[dict[str, str]]:
    """linux.namespaces: new ones, and others joined at a path."""
    return [{"type": kind} for kind in kinds] + [
        {"type": kind, "path": path} for kind, path in joined.items()
    ]


def facts(**changes: Any) -> Facts:
    """A host that has all and asks nothing special; members replaced by name."""
    made = Facts("/bundle/rootfs", "box")
    for name, value in changes.items():
        assert hasattr(made, name), name
        setattr(made, name, value)
    return made


def prepare(made: dict[str, Any], **given: Any) -> Plan:
    """The plan of what is set up before the runtime's hooks."""
    return compiler.compile_container(made, facts(**given)).prepare


def finish(made: dict[str, Any], **given: Any) -> Plan:
    """The plan of what comes behind the runtime's hooks."""
    return compiler.compile_container(made, facts(**given)).finish


def name(op: Op) -> str:
    """An op's name as csrc/plan.h has it."""
    return NAMES[op.code]


def names_of(ops: list[Op]) -> list[str]:
    """The names of ops."""
    return [name(op) for op in ops]


def names(plan: Plan) -> list[str]:
    """The names of all ops of a plan."""
    return names_of(plan.ops)


def find(plan: Plan, code: str) -> list[Op]:
    """The ops of one kind."""
    return [op for op in plan.ops if name(op) == code]


def one(plan: Plan, code: str) -> Op:
    """The only op of its kind."""
    found = find(plan, code)
    assert len(found) == 1, f"{code} is there {len(found)} times in {names(plan)}"
    return found[0]


def at(plan: Plan, pointer: str) -> list[Op]:
    """The ops that one property asked for."""
    return [op for op in plan.ops if op.pointer == pointer]


# -- what the init reads ---------------------------------------------------------------------------------------------------


class Decoded:
    """An op as it comes out of the bytes.

    text(i)           the string at an offset
    strings(i, n)     n strings behind each other
    blob(i, size)     bytes
    """

    def __init__(self, op: Any, text: bytes) -> None:
        self.code, self.flags, self.fd, self.fd2 = op.code, op.flags, op.fd, op.fd2
        self.numbers = tuple(op.numbers)
        self.reserved = op.reserved
        self.offsets = tuple(op.texts)
        self._text = text

    def text(self, index: int) -> str:
        """The string of texts[index]."""
        return self.strings(index, 1)[0]

    def strings(self, index: int, count: int) -> list[str]:
        """As many strings from texts[index] on."""
        at, found = self.offsets[index], []
        for _ in range(count):
            end = self._text.index(b"\0", at)
            found.append(self._text[at:end].decode("utf-8", "surrogateescape"))
            at = end + 1
        return found

    def blob(self, index: int, size: int) -> bytes:
        """The bytes at texts[index]."""
        at = self.offsets[index]
        assert at + size < len(self._text)
        return self._text[at : at + size]


def decode(data: bytes) -> tuple[int, list[Decoded]]:
    """The header's flags and the ops, by the layout of the structures in csrc/plan.h. Asserts what the init demands."""
    header = ffi.new("struct plan_header *")
    ffi.memmove(header, data, ffi.sizeof("struct plan_header"))
    assert header.magic == lib.PLAN_MAGIC
    assert header.size == len(data)
    start, size = ffi.sizeof("struct plan_header"), ffi.sizeof("struct plan_op")
    text = data[start + size * header.count :]
    assert text[:1] == text[-1:] == b"\0"
    ops = []
    for index in range(header.count):
        op = ffi.new("struct plan_op *")
        ffi.memmove(op, data[start + size * index :], size)
        assert lib.OP_NONE < op.code < lib.OP_COUNT
        assert op.fd < lib.REG_COUNT and op.fd2 < lib.REG_COUNT
        assert all(op.texts[place] < len(text) for place in range(len(op.texts)))
        ops.append(Decoded(op, text))
    return header.flags, ops


def in_words(plan: Plan) -> list[str]:
    """A plan as text, one op on a line: the form of the golden plans."""
    rows = []
    for op in plan.ops:
        row = name(op)[3:]
        for flag in [word for word in dir(lib) if word.startswith("OPF_")]:
            if op.flags & getattr(lib, flag):
                row += f" {flag[4:].lower()}"
        row += f" fd={_register(op.fd)}" if op.fd else ""
        row += f" fd2={_register(op.fd2)}" if op.fd2 else ""
        row += "".join(f" {_text(item)}" for item in op.texts)
        row += f" [{' '.join(f'{number:#x}' for number in op.numbers)}]" if op.numbers else ""
        rows.append(f"{row}    {op.about}    {op.pointer}".rstrip())
    rows += [f"passed {what!r}" for what in plan.passed]
    return rows


def _register(number: int) -> str:
    if number >= lib.REG_PASSED:
        return f"passed{number - lib.REG_PASSED}"
    return next(
        word[4:].lower() for word in dir(lib) if word.startswith("REG_") and getattr(lib, word) == number
    )


def _text(item: str | bytes | list[str]) -> str:
    return f"<{len(item)} bytes>" if isinstance(item, bytes) else repr(item)
