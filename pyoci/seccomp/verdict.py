"""What a seccomp filter says of single system calls: why a program under it did not start (seccomp(2), bpf(4))."""

import errno
import sys

from pyoci._shim import lib
from pyoci.seccomp import bpf
from pyoci.spec.seccomp_words import ACTIONS, DATA_BITS, PASSING

_ERRNO, _NOTIFY = ACTIONS["SCMP_ACT_ERRNO"], ACTIONS["SCMP_ACT_NOTIFY"]
_PASSING = {ACTIONS[name] for name in PASSING}
_KILLING = ("KILL_PROCESS", "KILL_THREAD", "TRAP")
_NAMES = {value: name.removeprefix("SCMP_ACT_") for name, value in ACTIONS.items()}
_POINTER = 0x7FFC00001000  # as good as any: a filter cannot know where something is
_PR_CAP_AMBIENT, _CLEAR_ALL = 47, 4
# What the init still has to call when the filter is in force, with such arguments, and where it waits then for its start.
_Calls = tuple[tuple[str, tuple[int, ...]], ...]
_AFTERWARDS: _Calls = (
    ("execve", (_POINTER, _POINTER, _POINTER)),
    ("capset", (_POINTER, _POINTER)),
    ("prctl", (_PR_CAP_AMBIENT, _CLEAR_ALL)),
)
_WAITING: _Calls = (("read", (3, _POINTER, 1)),)


def afterwards(no_new_privileges: bool) -> set[str]:
    """What the init has to call after the filter, where that comes last (docs/seccomp.md)."""
    return {name for name, _ in _afterwards(no_new_privileges)}


def _afterwards(no_new_privileges: bool) -> _Calls:
    return _AFTERWARDS[:1] if no_new_privileges else _AFTERWARDS


def denied(program: bytes, privileged: bool = True) -> list[tuple[str, str, int]]:
    """Which of the init's last system calls the filter does not let pass: (name, action, errno or 0).

    Nothing without libseccomp, which knows the numbers. privileged: without no_new_privs, so that it has capabilities to give up.
    """
    if lib.pyoci_seccomp_open() < 0:
        return []
    native = lib.pyoci_seccomp_native()
    found = []
    calls = _afterwards(not privileged)
    for name, arguments in _WAITING + calls if _notifies(program) else calls:
        value = run(program, lib.pyoci_seccomp_number(native, name.encode()), native, arguments)
        result, number = value & ~DATA_BITS, value & DATA_BITS
        if result not in (*_PASSING, _NOTIFY):  # what the kernel does not know kills the process
            found.append((name, _NAMES.get(result, "KILL_PROCESS"), number if result == _ERRNO else 0))
    return found


def _notifies(program: bytes) -> bool:
    return (bpf.RETURN, _NOTIFY) in [(code, value) for code, _, _, value in bpf.instructions(program)]


ANY = -1


def names(program: bytes, error: int = 0, privileged: bool = True) -> str:
    """The denied system calls with the actions, or "". `error`: only those answered with this errno (0: that kill; ANY)."""
    found = [
        f"{name} ({action})"
        for name, action, number in denied(program, privileged)
        if error == ANY or (number == error if error else action in _KILLING)
    ]
    return " and ".join(found)


def hint(denying: str) -> str:
    """What to do about what names() has named, or ""."""
    return f"the seccomp profile denies {denying}: allow what it takes to start a program" if denying else ""


def agent_hint(program: bytes, error: int) -> str:
    """What to do where the agent, or the kernel in its place, has answered a call of the init that failed with `error`, or ""."""
    if error not in (errno.ENOSYS, errno.ENODATA) or not _notifies(program):
        return ""
    if error == errno.ENOSYS:
        return "the seccomp agent, which the profile asks about system calls, has ended: see why"
    return "the seccomp agent must let the system calls of the container's init continue: it has answered one itself"


def run(program: bytes, number: int, arch: int, arguments: tuple[int, ...] = ()) -> int:
    """The filter's return value for a system call; SECCOMP_RET_KILL_THREAD for a program that is none.

    arguments  the first ones; the others are 0
    """
    return run_with(bpf.instructions(program), number, arch, arguments, 0, set())


def run_with(
    code: list[tuple[int, int, int, int]],
    number: int,
    arch: int,
    arguments: tuple[int, ...],
    instruction: int,
    compared: set[int],
) -> int:
    """The same for a program's instructions and a call from this address; `compared` gets the indexes of arguments that count."""
    data = [number & 0xFFFFFFFF, arch & 0xFFFFFFFF, *[0] * 14]  # struct seccomp_data in words
    for index, value in enumerate((instruction, *arguments)):
        halves = (value & 0xFFFFFFFF, value >> 32)
        data[2 + 2 * index : 4 + 2 * index] = halves if sys.byteorder == "little" else halves[::-1]
    accumulator = at = 0
    while at < len(code):
        operation, if_true, if_false, value = code[at]
        at += 1
        if operation == bpf.RETURN:
            return int(value)
        if operation == bpf.LOAD:
            accumulator = data[value >> 2] if value < 64 else 0
            if 16 <= value < 64:
                compared.add((value - 16) >> 3)
        elif operation == bpf.AND:
            accumulator &= value
        elif operation == bpf.JUMP:
            at += value
        elif operation & 0x07 == bpf.JUMP:
            at += if_true if _holds(operation, accumulator, value) else if_false
        else:
            break
    return 0


def _holds(operation: int, accumulator: int, value: int) -> bool:
    if operation == bpf.EQUAL:
        return accumulator == value
    if operation == bpf.ABOVE:
        return accumulator > value
    if operation == bpf.AT_LEAST:
        return accumulator >= value
    return bool(accumulator & value)
