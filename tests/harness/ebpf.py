"""eBPF as a cgroup's device program uses it: an interpreter, to ask a program what it would say."""

from __future__ import annotations

import struct

BLOCK, CHAR = 1, 2
MKNOD, READ, WRITE = 1, 2, 4
_CONTEXT, _EXIT = 0x61, 0x95


class DeviceProgram:
    """A program of struct bpf_insn; calling it gives 1 to allow or 0 to deny."""

    def __init__(self, program: bytes) -> None:
        assert program and len(program) % 8 == 0
        self.code = list(struct.iter_unpack("=BBhi", program))
        self._check()

    def _check(self) -> None:
        """What the verifier refuses: jumps back or out of the program, unreachable code, no exit."""
        reached = {0}
        for at, (code, _, offset, _) in enumerate(self.code):
            assert at in reached, f"instruction {at} is never reached"
            if code == _EXIT:
                continue
            reached.add(at + 1)
            if code & 7 in (5, 6):
                assert offset >= 0
                reached.add(at + 1 + offset)
        assert max(reached) < len(self.code)

    def __call__(self, kind: int, access: int, major: int, minor: int) -> int:
        context = [access << 16 | kind, major, minor]
        registers = [0] * 11
        at = 0
        while True:
            code, names, offset, value = self.code[at]
            dst, src = names & 15, names >> 4
            value &= 0xFFFFFFFF
            at += 1
            if code == _EXIT:
                return registers[0]
            if code == _CONTEXT:
                assert src == 1
                registers[dst] = context[offset // 4]
            elif code == 0xB4:
                registers[dst] = value
            elif code == 0xBC:
                registers[dst] = registers[src]
            elif code == 0x74:
                registers[dst] >>= value
            elif code == 0x54:
                registers[dst] &= value
            elif code in (0x16, 0x56, 0x46):
                here = registers[dst]
                taken = {0x16: here == value, 0x56: here != value, 0x46: bool(here & value)}[code]
                at += offset if taken else 0
            else:
                raise AssertionError(f"instruction {code:#x} is not one that device programs use here")
