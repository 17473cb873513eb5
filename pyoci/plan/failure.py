"""Failures of the init in words: which op, for which part of config.json, why, and what to do about it."""

import errno
import posix

from pyoci._ops import OPS
from pyoci.base import signal_numbers, wait_status
from pyoci.base.errors import OciError, errno_text
from pyoci.plan import hints
from pyoci.spec.annotations import LANDLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci._ops import Op

CONFIGURATION = "set in config.json"  # in runc's words
_MEMORY = "/linux/resources/memory/limit"
# what the init was at when a plan was being executed
_STAGES = {
    "early": "while its namespaces were made",
    "prepare": "while the root file system was set up",
    "finish": "before its program ran",
    "exec": "before its program ran",
}

# how the init ends where the filter denies exit_group(2) too
_TRAPS = (signal_numbers.ILL, signal_numbers.TRAP)

# part of the pointer: error code of a write into procfs
_LABELS: dict[str, str] = {"/linux/sysctl": "sysctl", "apparmor": "apparmor", "selinux": "selinux"}
_FORMER: dict[str, str] = {
    **_LABELS,
    "/hooks/": "hook",
    "/process/rlimits": "rlimit",
    "/linux/seccomp": "seccomp",
    "/process/capabilities": "capabilities",
    "/process/args": "program",
}
# e_machine of elf(5), as uname(1) calls them
ELF_MACHINES = {
    3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64",
    258: "loongarch64",
}  # fmt: skip
CARRIAGE_RETURN = "its first line ends with a carriage return: save it with the line ends of Unix"
_INTERPRETER = {
    errno.ENOENT: "is missing in the rootfs",
    errno.EISDIR: "is a directory",
    errno.ENOEXEC: "is on a file system that is mounted with noexec",
}
# steps of the look-up of a path in the rootfs, which may have to make what is missing (csrc/init/resolve.c)
_IN_ROOTFS = ("openat2", "mkdir", "create", "readlink")


def explain(op: "Op", error: int, step: str, obj: str, cwd_from: str = CONFIGURATION) -> OciError:
    """The error for a failed op: `step` of it failed with an errno, at an object. A version before 0.2 tells neither.

    cwd_from  what gave the process its working directory, as the words for it
    """
    if not step or op.name not in OPS:
        return _without_step(op, error, obj)
    if step == "landlock":
        return _landlock(op, error, obj)
    if op.name in ("find_executable", "execve"):
        return _program(step, obj, error, op.pointer, op.name)
    if step == "hook":
        return _hook(op, obj)
    code = label_code(op.pointer) if op.name == "write_procfs" else OPS[op.name][0]
    if op.name == "chdir":
        return _directory(op, error, step, obj, cwd_from)
    if op.name == "write_procfs":
        obj = f"/proc/{obj}"
    about, hint = op.about, hints.hint(op.name, step, error, op.pointer, obj)
    # in runc's words, which its tests look for
    if op.name == "sched_setaffinity":
        about = "error setting final CPU affinity"
    elif op.name == "sched_setattr" and error == errno.EPERM and " on CPUs " in about:
        about, hint = f"process scheduler can't be used together with AllowedCPUs: {about}", hints.DEADLINE
    message = f"{about}: {_what(step, obj, op.about)}"
    return OciError(code, message, errno=error, pointer=op.pointer, obj=obj, op=op.name, hint=hint)


def _without_step(op: "Op", error: int, words: str) -> OciError:
    """The error for an op after `start`, reported by an init of a version before 0.2: its pointer has to say what it was."""
    code = next((code for part, code in _FORMER.items() if part in op.pointer), "setup")
    message = f"{op.about} failed" + (f": {words}" if words else "")
    return OciError(code, message, errno=error, pointer=op.pointer, op=op.name)


def _what(step: str, obj: str, about: str) -> str:
    """What was tried: the system call, and what it was for unless that is known already."""
    if step in _IN_ROOTFS and obj:
        return f"{step} {obj} in the rootfs"
    return f"{step} {obj}" if obj and obj not in about else step


def _directory(op: "Op", error: int, step: str, obj: str, cwd_from: str) -> OciError:
    message = f'chdir to cwd ("{op.about.partition(" ")[2]}") {cwd_from} failed'
    hint = hints.hint(op.name, step, error, op.pointer, obj)
    if error == errno.EXDEV:
        message, error = f"{message}: it is outside the container", errno.EPERM
    elif step in _IN_ROOTFS:
        message = f"{message}: {_what(step, obj, '')}"
    return OciError("cwd", message, errno=error, pointer=op.pointer, obj=obj, op=op.name, hint=hint)


def label_code(pointer: str) -> str:
    """The error code of a write into procfs."""
    return next((code for part, code in _LABELS.items() if part in pointer), "setup")


def _program(step: str, obj: str, error: int, pointer: str, op: str) -> OciError:
    """Why the program can't be executed, in the words that engines look for."""
    hint = ""
    if step == "interpreter":
        # on one line, with runc's words at its end, which engines and its tests look for
        path, _, interpreter = obj.partition(" needs the interpreter ")
        why = _INTERPRETER.get(error, "can't be executed")
        message = f"the interpreter {interpreter} {why}: exec {path}"
        hint = CARRIAGE_RETURN if interpreter.endswith("\r") else ""
        error = errno.EACCES if error in (errno.EISDIR, errno.ENOEXEC) else error
    elif step == "machine":
        path, _, number = obj.partition(" is for ELF machine ")
        message = f'exec: "{path}"'
        machine = ELF_MACHINES.get(int(number) if number.isdigit() else 0, f"another machine ({number})")
        hint = f"the program is for {machine}, and this machine is {posix.uname().machine}: use an image for this machine"
    elif step == "noexec":
        message = f'exec: "{obj}"'
        hint = (
            "its file system is mounted with noexec: mount the rootfs, or what the program is on, without it"
        )
    elif step == "path" and error == errno.ENOENT:
        message, error = f'exec: "{obj}": executable file not found in $PATH', 0
    elif step == "executable" and error == errno.EISDIR:
        message, error = f'exec: "{obj}": is a directory: {errno_text(errno.EACCES)}', 0
    elif step == "executable" and error == errno.ELOOP:
        message, hint = (
            f'exec: "{obj}"',
            "its links lead round in a circle, or through a magic link of /proc: name the file itself",
        )
    elif step == "executable" and error == errno.ENOENT:
        message = f'exec: "{obj}": stat {obj}'
    else:
        message = f'exec: "{obj}"'
    if error == errno.E2BIG:
        hint = "arguments and environment together may take a quarter of RLIMIT_STACK, and 6 MiB: shorten them, or raise it"
    elif error == errno.ENOEXEC and not hint:
        hint = "the file is neither a program for this machine nor a script that starts with #! and the path of its interpreter"
    return OciError("program", message, errno=error, pointer=pointer, obj=obj, op=op, hint=hint)


def _landlock(op: "Op", error: int, path: str) -> OciError:
    """The rules leave out what is to be executed, which only `create` tells for sure (csrc/init/landlock.c)."""
    hint = (
        f"the rules of {LANDLOCK} must allow read_file and execute on the program, and on its interpreter or dynamic loader:"
        ' add a path with "allow": ["read", "execute"]'
    )
    message = f'exec: "{path}"'
    return OciError(
        "landlock",
        message,
        errno=error,
        pointer=f"/annotations/{LANDLOCK}",
        obj=path,
        op=op.name,
        hint=hint,
    )


def _hook(op: "Op", words: str) -> OciError:
    """As host/hooks.py says it of a hook of the host; the words are from the init (csrc/init/hook.c)."""
    name, _, path = op.about.partition(" hook ")
    index = op.pointer.rpartition("/")[2]
    message = f"error running {name} hook #{index}: {' | '.join(words.splitlines())}"
    return OciError("hook", message, pointer=op.pointer, obj=path, op="hook", hint=f"the hook is {path}")


def init_ended(
    stage: str, status: int | None, memory: tuple[int, int, int] = (0, 0, 0), denied: str = ""
) -> OciError:
    """The error for an init that ended without a word.

    stage   the plan that it was at      status  its wait status, None when another process has reaped it
    memory  processes of the container killed for lack of memory, the limit (-1: none) and the peak in bytes
    denied  the system calls that the seccomp filter denies it, in words
    """
    when = _STAGES.get(stage, "at its start")
    if status is None:
        return OciError(
            "init-died",
            f"the container's init ended {when}",
            hint="check the kernel's log (dmesg) for the reason",
        )
    signal = status & 0x7F
    if signal == signal_numbers.KILL and memory[0] > 0:
        return _out_of_memory(when, *memory[1:])
    if signal in (signal_numbers.SYS, *_TRAPS):
        killed = signal == signal_numbers.SYS
        message = f"the seccomp filter {'killed' if killed else 'stopped'} the container's init {when}"
        if denied:
            message += f": it denies {denied}"
        hint = "the profile denies a system call that is needed to start a program, such as execve: allow it"
        return OciError("seccomp", message, pointer="/linux/seccomp", op="execve", hint=hint)
    if signal == signal_numbers.KILL:
        hint = "a person or a program killed it, or the host ran out of memory: check the kernel's log"
        return OciError("init-died", f"the container's init was killed {when}", hint=hint)
    how = wait_status.in_words(status)
    return OciError(
        "init-died",
        f"the container's init ended {when}: {how}",
        hint="check the kernel's log (dmesg) for the reason",
    )


def _out_of_memory(when: str, limit: int, peak: int) -> OciError:
    if limit > 0:
        facts = f"the limit is {size(limit)}"
    elif limit == 0:  # the kernel counts whole pages, and rounds down
        facts = "the limit is below one page of memory"
    else:
        facts = "the container has no limit of its own"
    if peak:
        facts += f", the peak was {size(peak)}"
    hint = (
        "raise linux.resources.memory.limit"
        if limit >= 0
        else "a cgroup above the container's has reached its limit: raise that one"
    )
    return OciError(
        "out-of-memory",
        f"the container's init was killed for lack of memory {when}: {facts}",
        pointer=_MEMORY if limit >= 0 else "/linux/cgroupsPath",
        hint=hint,
    )


def size(count: int) -> str:
    """A number of bytes for people."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << shift:
            return (
                f"{count >> shift} {unit}"
                if count % (1 << shift) == 0
                else f"{count / (1 << shift):.1f} {unit}"
            )
    return f"{count} bytes"
