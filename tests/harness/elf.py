"""What a 64-bit little-endian ELF program says of itself: elf(5)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

LOAD, DYNAMIC, INTERPRETER, GNU_STACK, GNU_RELRO = 1, 2, 3, 0x6474E551, 0x6474E552
EXECUTE, WRITE, READ = 1, 2, 4
FIXED_ADDRESS, ANY_ADDRESS = 2, 3  # ET_EXEC, ET_DYN


class Segment(NamedTuple):
    """A program header."""

    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    file_size: int
    size: int
    align: int


class Elf:
    """A program or library: `kind` is FIXED_ADDRESS or ANY_ADDRESS."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        assert data[:6] == b"\x7fELF\x02\x01", path
        self.kind, self.machine = struct.unpack_from("<2H", data, 16)
        (start,) = struct.unpack_from("<Q", data, 32)
        size, count = struct.unpack_from("<2H", data, 54)
        self.segments = [
            Segment(*struct.unpack_from("<2I6Q", data, start + size * number)) for number in range(count)
        ]

    def of(self, kind: int) -> list[Segment]:
        """The segments of a kind."""
        return [segment for segment in self.segments if segment.kind == kind]
