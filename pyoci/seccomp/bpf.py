"""Classic BPF, the language of seccomp filters: codes and struct sock_filter (linux/filter.h, linux/bpf_common.h)."""

import _struct

LOAD = 0x20  # a word of struct seccomp_data, at the constant
AND = 0x54
RETURN = 0x06
JUMP = 0x05  # by the constant; the others are conditional
EQUAL, ABOVE, AT_LEAST, ANY_BIT = 0x15, 0x25, 0x35, 0x45
NUMBER_AT, ARCH_AT = 0, 4  # offsets in struct seccomp_data
LONGEST = 4096  # instructions of one program
SIZE = 8  # bytes of an instruction

_INSTRUCTION = _struct.Struct("=HBBI")


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; the jumps count from the one that follows."""
    return _INSTRUCTION.pack(code, if_true, if_false, value)


def instructions(program: bytes) -> list[tuple[int, int, int, int]]:
    """The instructions of a program: code, jumps if true and if false, constant."""
    return list(_INSTRUCTION.iter_unpack(program))
