"""System calls that a process and its children are refused, by a seccomp filter: what a kernel without the feature would say.

A filter sees numbers and arguments that are not pointers: flags in a structure (clone3) or a path (openat2) it can't tell apart.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Callable
from dataclasses import dataclass

from .bpf import ALLOW, ERRNO, X86_64

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
LOAD, JUMP_EQUAL, JUMP_ABOVE, JUMP_BITS, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
ENOSYS = 38


@dataclass(frozen=True)
class Refusal:
    """A system call by its number on x86-64, and the errno of each call of it.

    argument, bits   from 0 up: only calls that have one of these bits there
    argument, value  only calls that have this value there
    """

    number: int
    errno: int
    argument: int = 0
    bits: int = 0
    value: int | None = None


def program(refusals: list[Refusal], *, last_call: int | None = None) -> bytes:
    """The filter, as an array of struct sock_filter; system calls above `last_call` don't exist."""
    code = [(LOAD, 0, 0, 4), (JUMP_EQUAL, 1, 0, X86_64), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, 0)]
    if last_call is not None:
        code += [(JUMP_ABOVE, 0, 1, last_call), (RETURN, 0, 0, ERRNO | ENOSYS)]
    for each in refusals:
        argument = (LOAD, 0, 0, 16 + 8 * each.argument)
        if each.bits:
            test = [argument, (JUMP_BITS, 0, 1, each.bits)]
        elif each.value is not None:
            test = [argument, (JUMP_EQUAL, 0, 1, each.value)]
        else:
            test = []
        code += [(JUMP_EQUAL, 0, len(test) + 2, each.number), *test]
        code += [(RETURN, 0, 0, ERRNO | each.errno), (LOAD, 0, 0, 0)]
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def why_not() -> str | None:
    """Why a filter can't be loaded here, or None."""
    if platform.machine() != "x86_64":
        return "the filter knows the system call numbers of x86-64"
    return None if os.geteuid() == 0 else "a filter without no_new_privs takes root"


def load(text: bytes) -> None:
    """Load a filter into the calling process."""
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = ctypes.create_string_buffer(text, len(text))
    head = struct.pack("@HP", len(text) // 8, ctypes.addressof(instructions))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(head, len(head))):
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")


def loader(*refusals: Refusal) -> Callable[[], None]:
    """For `preexec_fn` of subprocess: what is executed is refused these."""
    text = program(list(refusals))
    return lambda: load(text)
