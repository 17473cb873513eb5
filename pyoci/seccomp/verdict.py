"""What a seccomp filter says of single system calls: why a program under it did not start (seccomp(2), bpf(4))."""

import _struct

from pyoci._shim import lib

_INSTRUCTION = _struct.Struct("=HBBI")
_ACTION = 0xFFFF0000
_ALLOW, _LOG, _ERRNO = 0x7FFF0000, 0x7FFC0000, 0x00050000
_NAMES = {
    0x80000000: "KILL_PROCESS",
    0x00000000: "KILL_THREAD",
    0x00030000: "TRAP",
    _ERRNO: "ERRNO",
    0x7FC00000: "NOTIFY",
    0x7FF00000: "TRACE",
}
# what the init still has to call when the filter is in force
AFTERWARDS = ("execve", "capset", "prctl")


def denied(program: bytes) -> list[tuple[str, str, int]]:
    """Which of the init's last system calls the filter does not let pass: (name, action, errno or 0).

    Conditions on arguments are taken as if every argument were 0. Nothing without libseccomp, which knows the numbers.
    """
    if lib.pyoci_seccomp_open() < 0:
        return []
    native = lib.pyoci_seccomp_native()
    found = []
    for name in AFTERWARDS:
        value = run(program, lib.pyoci_seccomp_number(native, name.encode()), native)
        if value & _ACTION not in (_ALLOW, _LOG):
            action = _NAMES.get(value & _ACTION, "KILL_PROCESS")
            found.append((name, action, value & 0xFFFF if value & _ACTION == _ERRNO else 0))
    return found


def words(program: bytes, error: int = 0) -> str:
    """A hint that names the denied system calls, or "". `error`: only those answered with this errno (0: that kill)."""
    names = [
        f"{name} ({action})"
        for name, action, number in denied(program)
        if (number == error if error else action in ("KILL_PROCESS", "KILL_THREAD", "TRAP"))
    ]
    if not names:
        return ""
    return f"the seccomp profile denies {' and '.join(names)}, which starting a program needs: allow it"


def run(program: bytes, number: int, arch: int) -> int:
    """The filter's return value for a system call with arguments 0; SECCOMP_RET_KILL_THREAD for a program that is none."""
    data = [number & 0xFFFFFFFF, arch & 0xFFFFFFFF, *[0] * 14]  # struct seccomp_data in words
    code = list(_INSTRUCTION.iter_unpack(program))
    accumulator = at = 0
    while at < len(code):
        operation, if_true, if_false, value = code[at]
        at += 1
        if operation == 0x06:
            return int(value)
        if operation == 0x20:
            accumulator = data[value >> 2] if value < 64 else 0
        elif operation == 0x54:
            accumulator &= value
        elif operation == 0x05:
            at += value
        elif operation & 0x07 == 0x05:
            at += if_true if _holds(operation, accumulator, value) else if_false
        else:
            break
    return 0


def _holds(operation: int, accumulator: int, value: int) -> bool:
    if operation == 0x15:
        return accumulator == value
    if operation == 0x25:
        return accumulator > value
    if operation == 0x35:
        return accumulator >= value
    return bool(accumulator & value)
