"""Write pyoci/_ops.pyi: what the type checker knows of the ops, from the table that csrc/ops.def has become.

    python csrc/build/ops_stub.py

It needs the built module. The file is kept in git, so that the type checker needs no build.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from build_shim import CSRC, write_if_changed

OUT = CSRC.parent / "pyoci" / "_ops.pyi"
_TYPES = {
    "STR": "str",
    "LIST": "list[str]",
    "BYTES": "bytes",
    "FILTER": "bytes",
    "IDS": "list[int]",
    "FLAG": "bool",
}
_HEAD = '''\
# Made by csrc/build/ops_stub.py: change csrc/ops.def, not this file.
from typing import Any, Literal

Value = str | int | bytes | list[str] | list[int]

class Op:
    """An op, and what it is for. Its fields are attributes of it."""

    pointer: str
    about: str
    @property
    def name(self) -> OpName: ...
    @property
    def values(self) -> tuple[Value, ...]: ...
    def __init__(self, name: str, pointer: str, about: str) -> None: ...
    def __getattr__(self, field: str) -> Any: ...
    def fields(self) -> dict[str, Value]: ...

# name -> code of the error when it fails, (name, kind, whether it may be left out) of each field
OPS: dict[OpName, tuple[str, tuple[tuple[str, str, bool], ...]]]
# the names of the steps, by their numbers
STEPS: tuple[Step | Literal[""], ...]

def encode(ops: list[Op], flags: int, /) -> bytes: ...
'''


def stub() -> str:
    """The text of the stub."""
    return _HEAD + "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    from pyoci import _ops

    for name, (_, fields) in _ops.OPS.items():
        parts = [
            f"{field}: {_TYPES.get(kind, 'int')}{' = ...' if optional else ''}"
            for field, kind, optional in fields
        ]
        yield f"def {name}({', '.join(['*', *parts] if parts else [])}) -> Op: ..."
    yield ""
    yield from _literal("OpName", _ops.OPS)
    yield from _literal("Step", _ops.STEPS[1:])


def _literal(name: str, words: Iterable[str]) -> Iterator[str]:
    yield f"{name} = Literal["
    yield from (f'    "{word}",' for word in words)
    yield "]"


if __name__ == "__main__":
    sys.path.insert(0, str(CSRC.parent))
    write_if_changed(OUT, stub())
