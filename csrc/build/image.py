"""Puts the data of a process in the place of the data that its program was linked with (launcher/image.c)."""

from __future__ import annotations

import struct
from pathlib import Path

from build_shim import BuildError

_PT_LOAD, _PF_W = 1, 2
# Places in a 64-bit ELF header and in a program header, elf(5)
_PROGRAM_HEADERS, _SIZE_AND_COUNT = 32, 54
_SECTION_HEADERS, _SECTION_COUNTS = 40, 58
_OFFSET, _ADDRESS, _FILE_SIZE, _MEMORY_SIZE, _ALIGNMENT = 8, 16, 32, 40, 48


def put(program: Path, data: Path, target: Path) -> None:
    """Write `program` with `data`, its writable segments one after the other, as their content. Raises BuildError."""
    found = bytearray(program.read_bytes())
    contents = data.read_bytes()
    segments = _writable(found)
    if sum(_number(found, place + _MEMORY_SIZE) for place in segments) != len(contents):
        raise BuildError(f"{data} is not the data of {program}")
    # After the data of the first come only the section headers, which are not needed to run it.
    start = end = _number(found, segments[0] + _OFFSET)
    parts = []
    at = 0
    for place in segments:
        size = _number(found, place + _MEMORY_SIZE)
        content = contents[at : at + size].rstrip(b"\0")
        # a page, or the largest that the architecture has: 64 KiB for aarch64
        padding = (_number(found, place + _ADDRESS) - end) % _number(found, place + _ALIGNMENT)
        struct.pack_into("<Q", found, place + _OFFSET, end + padding)
        struct.pack_into("<Q", found, place + _FILE_SIZE, len(content))
        parts += [b"\0" * padding, content]
        end += padding + len(content)
        at += size
    struct.pack_into("<Q", found, _SECTION_HEADERS, 0)
    struct.pack_into("<3H", found, _SECTION_COUNTS, 0, 0, 0)
    target.write_bytes(bytes(found[:start]) + b"".join(parts))
    target.chmod(0o755)


def _number(program: bytearray, place: int) -> int:
    return int(struct.unpack_from("<Q", program, place)[0])


def _writable(program: bytearray) -> list[int]:
    """The places of the program headers of the writable segments, which must be the last. Raises BuildError."""
    if program[:6] != b"\x7fELF\x02\x01":
        raise BuildError("the static launcher is no 64-bit ELF program")
    start = _number(program, _PROGRAM_HEADERS)
    size, count = struct.unpack_from("<2H", program, _SIZE_AND_COUNT)
    loaded = []
    for place in range(start, start + size * count, size):
        kind, flags = struct.unpack_from("<2I", program, place)
        if kind == _PT_LOAD:
            loaded.append((bool(flags & _PF_W), place))
    found = [place for writable, place in loaded if writable]
    if not found or loaded != sorted(loaded):
        raise BuildError("the static launcher is not laid out as expected")
    return found
