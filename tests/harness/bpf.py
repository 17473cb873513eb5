"""Classic BPF as seccomp runs it: an interpreter, to ask a filter what it would say."""

from __future__ import annotations

import struct
from collections.abc import Sequence

X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
X32_BIT = 0x40000000
ERRNO, ALLOW, KILL_PROCESS, KILL_THREAD = 0x00050000, 0x7FFF0000, 0x80000000, 0
TRAP, TRACE, LOG = 0x00030000, 0x7FF00000, 0x7FFC0000


class Filter:
    """A program of struct sock_filter; calling it gives the kernel's return value for a system call."""

    def __init__(self, program: bytes) -> None:
        assert program and len(program) % 8 == 0
        self.code = list(struct.iter_unpack("=HBBI", program))
        self._check()

    def _check(self) -> None:
        """What the kernel refuses: jumps out of the program, and an end that is no return."""
        for at, (code, if_true, if_false, value) in enumerate(self.code):
            furthest = value if code == 0x05 else max(if_true, if_false)
            assert at + 1 + furthest < len(self.code) or code == 0x06, f"instruction {at} jumps out"
        assert len(self.code) <= 4096

    def __call__(self, number: int, args: Sequence[int] = (), arch: int = X86_64) -> int:
        words = [number & 0xFFFFFFFF, arch, 0, 0]
        for arg in [*args, *[0] * (6 - len(args))]:
            words += [arg & 0xFFFFFFFF, arg >> 32 & 0xFFFFFFFF]
        at = accumulator = 0
        while True:
            code, if_true, if_false, value = self.code[at]
            at += 1
            if code == 0x20:  # load a word of struct seccomp_data
                accumulator = words[value // 4]
            elif code == 0x06:
                return int(value)
            elif code == 0x05:
                at += value
            elif code == 0x54:
                accumulator &= value
            elif code == 0x15:
                at += if_true if accumulator == value else if_false
            elif code == 0x25:
                at += if_true if accumulator > value else if_false
            elif code == 0x35:
                at += if_true if accumulator >= value else if_false
            elif code == 0x45:
                at += if_true if accumulator & value else if_false
            else:
                raise AssertionError(f"instruction {code:#x} is not one that filters use here")
