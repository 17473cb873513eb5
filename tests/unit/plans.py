"""For the tests of the compiler: specs and facts to start from, what a plan says in words, and a decoder of its bytes."""

from __future__ import annotations

import copy
import sys
from typing import Any

from pyoci import _ops as ops
from pyoci._shim import ffi, lib
from pyoci.plan import compiler
from pyoci.plan import namespaces as namespace_ops
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec import namespaces as spec_namespaces

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
ALL_CAPABILITIES = (1 << 64) - 1


def spec(**changes: Any) -> Any:
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


def early(made: Any, **given: int) -> Plan:
    """The first plan, of the namespaces alone."""
    return namespace_ops.early(made, spec_namespaces.sort(made), **given)


def prepare(made: Any, **given: Any) -> Plan:
    """The plan of what is set up before the runtime's hooks."""
    return compiler.compile_container(made, facts(**given)).prepare


def finish(made: Any, **given: Any) -> Plan:
    """The plan of what comes behind the runtime's hooks."""
    return compiler.compile_container(made, facts(**given)).finish


def names_of(found: list[ops.Op]) -> list[str]:
    """The names of ops."""
    return [op.name for op in found]


def names(plan: Plan) -> list[str]:
    """The names of all ops of a plan."""
    return names_of(plan.ops)


def find(plan: Plan, name: str) -> list[ops.Op]:
    """The ops of one kind."""
    assert name in ops.OPS, name
    return [op for op in plan.ops if op.name == name]


def one(plan: Plan, name: str) -> ops.Op:
    """The only op of its kind."""
    found = find(plan, name)
    assert len(found) == 1, f"{name} is there {len(found)} times in {names(plan)}"
    return found[0]


def at(plan: Plan, pointer: str) -> list[ops.Op]:
    """The ops that one property asked for."""
    return [op for op in plan.ops if op.pointer == pointer]


# -- what the init reads ---------------------------------------------------------------------------------------------------


# kind of field -> how many bytes each of its parts has (csrc/ops.h)
SIZES = {"STR": (8,), "LIST": (8, 8), "BYTES": (8, 8), "IDS": (8, 8), "FILTER": (8, 8), "FD": (2,), "ENUM": (2,), "FLAG": (1,),
         "U32": (4,), "I32": (4,), "MODE": (4,)}  # fmt: skip


class Reader:
    """The ops of a plan's bytes, read by nothing but what csrc/ops.h says of their layout."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = ffi.sizeof("struct plan_header")

    def number(self, size: int) -> int:
        """The next number, which lies on a boundary of its size."""
        self.at += -self.at % size
        value = int.from_bytes(self.data[self.at : self.at + size], sys.byteorder)
        self.at += size
        return value

    def op(self) -> tuple[str, list[tuple[str, tuple[int, ...]]]]:
        """The name of the next op, and its fields: kind and parts."""
        name = list(ops.OPS)[self.number(2) - 1]
        kinds = [kind for _, kind, _ in ops.OPS[name][1]]
        fields = [(kind, tuple(map(self.number, SIZES.get(kind, (8,))))) for kind in kinds]
        self.at += -self.at % 8
        return name, fields


def decode(data: bytes) -> tuple[int, list[tuple[str, list[Any]]]]:
    """The header's flags, and name and values of each op. Asserts what the init demands."""
    header = ffi.new("struct plan_header *")
    ffi.memmove(header, data, ffi.sizeof("struct plan_header"))
    assert header.magic == lib.PLAN_MAGIC
    assert header.size == len(data)
    reader = Reader(data)
    found = [reader.op() for _ in range(header.count)]
    text = data[reader.at :]
    assert text[:1] == text[-1:] == b"\0"
    return header.flags, [
        (name, [_value(kind, parts, text) for kind, parts in fields]) for name, fields in found
    ]


def _value(kind: str, parts: tuple[int, ...], text: bytes) -> Any:
    if kind in ("STR", "LIST"):
        at, found = parts[0], []
        for _ in range(parts[1] if kind == "LIST" else 1):
            end = text.index(b"\0", at)
            found.append(text[at:end].decode("utf-8", "surrogateescape"))
            at = end + 1
        return found if kind == "LIST" else found[0]
    if kind in ("BYTES", "IDS", "FILTER"):
        at, count = parts
        size = count * {"BYTES": 1, "IDS": 4, "FILTER": 8}[kind]
        assert at % 8 == 0 and at + size < len(text)
        blob = text[at : at + size]
        return list(memoryview(blob).cast("I")) if kind == "IDS" else blob
    if kind == "I32":
        return parts[0] - (parts[0] >> 31 << 32)
    return bool(parts[0]) if kind == "FLAG" else parts[0]


def in_words(plan: Plan) -> list[str]:
    """A plan as text, one op on a line: the form of the golden plans. Fields that may be left out and are empty are."""
    rows = []
    for op in plan.ops:
        row: str = op.name
        for field, kind, optional in ops.OPS[op.name][1]:
            value = op.fields()[field]
            if value or not optional:
                row += f" {field}={_text(kind, value)}"
        rows.append(f"{row}    {op.about}    {op.pointer}".rstrip())
    rows += [f"passed {what!r}" for what in plan.passed]
    return rows


def _text(kind: str, value: Any) -> str:
    if kind == "FD":
        return _register(value)
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if kind == "MODE":
        return f"{value:#o}"
    return f"{value:#x}" if kind in ("NAMESPACES", "CAPS", "ATTRS", "PROPAGATION") else repr(value)


def _register(number: int) -> str:
    if number >= lib.REG_PASSED:
        return f"passed{number - lib.REG_PASSED}"
    return next(
        word[4:].lower() for word in dir(lib) if word.startswith("REG_") and getattr(lib, word) == number
    )
