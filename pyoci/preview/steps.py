"""An op in words: its fields as csrc/ops.def names them, each value as the kind of the field has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyoci._ops import OPS, Op
from pyoci._shim import lib
from pyoci.spec import capabilities, mount_options, namespaces

_LONGEST = 60
_REGISTERS = {
    getattr(lib, name): name[4:].lower()
    for name in dir(lib)
    if name.startswith("REG_") and name not in ("REG_NONE", "REG_PASSED", "REG_COUNT")
}
_ATTRIBUTES = {bit: word for word, (bit, _) in mount_options.ATTRIBUTES.items() if bit}
_PROPAGATION = {flags: word for word, flags in mount_options.PROPAGATION.items()}


def words(op: Op) -> str:
    """The fields that say more than what the op is about does."""
    found = []
    for name, kind, optional in OPS[op.name][1]:
        value = op.fields()[name]
        if optional and not value:
            continue
        text = name.replace("_", " ") if kind == "FLAG" else _text(name, worded(kind, value))
        if kind != "STR" or (value and str(value) not in op.about):
            found.append(text)
    return ", ".join(found)


def document(index: int, op: Op) -> dict[str, object]:
    """The op for `pyoci plan --format json`."""
    fields = op.fields()
    values = {name: worded(kind, fields[name]) for name, kind, _ in OPS[op.name][1]}
    return {"index": index, "op": op.name, "about": op.about, "pointer": op.pointer, "fields": values}


def worded(kind: str, value: object) -> Any:
    """A field's value as people and JSON have it."""
    return _TELLERS[kind](value) if kind in _TELLERS else value


def _text(name: str, value: object) -> str:
    text = (" ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
    return f"{name} {text if len(text) <= _LONGEST else text[:_LONGEST] + '...'}"


def _attributes(bits: int) -> list[str]:
    """MOUNT_ATTR_* flags; the ways to keep access times are one value, cleared as a whole."""
    whole = bits & mount_options.ATIME_MASK == mount_options.ATIME_MASK
    rest = bits & ~mount_options.ATIME_MASK if whole else bits
    return [word for bit, word in _ATTRIBUTES.items() if rest & bit] + (["atime"] if whole else [])


def _device(device: int) -> str:
    """Major and minor number."""
    return f"{(device >> 8 & 0xFFF) | (device >> 32 & ~0xFFF)}:{(device & 0xFF) | (device >> 12 & ~0xFF)}"


# kind of field -> how a value of it is written; others are written as they are
_TELLERS: dict[str, Callable[[Any], Any]] = {
    "BYTES": lambda value: f"{len(value)} bytes",
    "FILTER": lambda value: f"{len(value)} bytes",
    "FD": lambda value: _REGISTERS.get(value, f"passed {value - lib.REG_PASSED}") if value else None,
    "MODE": lambda value: f"{value:04o}",
    "DEVICE": _device,
    "NAMESPACES": lambda value: [name for name, flag in namespaces.FLAGS.items() if value & flag],
    "CAPS": lambda value: capabilities.names(value & capabilities.all_of_kernel()),
    "ATTRS": _attributes,
    "PROPAGATION": lambda value: _PROPAGATION.get(value, value),
}
