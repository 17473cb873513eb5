"""Failures of the init in words: which op, for which part of config.json, why, and what to do about it."""

import errno

from pyoci._shim import lib
from pyoci.base import signal_numbers, wait_status
from pyoci.base.errors import OciError, errno_text
from pyoci.plan import hints

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

_CODES: dict[str, str] = {
    "OP_UNSHARE": "namespace",
    "OP_JOIN": "namespace",
    "OP_FORK": "namespace",
    "OP_BECOME_ROOT": "namespace",
    "OP_TIME_OFFSETS": "namespace",
    "OP_CGROUP_JOIN": "cgroup-join",
    "OP_KEYRING": "keyring",
    "OP_ROOTFS": "rootfs",
    "OP_PIVOT_ROOT": "rootfs",
    "OP_CHROOT": "rootfs",
    "OP_ROOT_READONLY": "rootfs",
    "OP_HOST_PROPAGATION": "rootfs",
    "OP_ROOT_PROPAGATION": "rootfs",
    "OP_MOUNT_NEW": "mount",
    "OP_MOUNT_OLD": "mount",
    "OP_MOUNT_BIND": "mount",
    "OP_MOUNT_ATTR": "mount",
    "OP_TARGET": "mount",
    "OP_ATTACH": "mount",
    "OP_COPY_UP": "mount",
    "OP_MODE_LIKE": "mount",
    "OP_MKNOD": "device",
    "OP_SYMLINK": "device",
    "OP_MASK": "masked-path",
    "OP_READONLY": "readonly-path",
    "OP_CONSOLE": "terminal",
    "OP_HOSTNAME": "hostname",
    "OP_DOMAINNAME": "hostname",
    "OP_HOOK": "hook",
    "OP_SCHEDULER": "scheduler",
    "OP_IO_PRIORITY": "io-priority",
    "OP_PERSONALITY": "personality",
    "OP_NO_NEW_PRIVS": "capabilities",
    "OP_RLIMIT": "rlimit",
    "OP_CWD": "cwd",
    "OP_USER": "user",
    "OP_BOUNDING": "capabilities",
    "OP_CAPABILITIES": "capabilities",
    "OP_SECCOMP": "seccomp",
    "OP_FIND_EXECUTABLE": "program",
    "OP_EXEC": "program",
}


def op_name(code: int) -> str:
    """An op's name, such as "mount new"."""
    return symbol(code)[3:].lower().replace("_", " ")


def symbol(code: int) -> str:
    """An op's name in plan.h, such as "OP_MOUNT_NEW"."""
    for name in dir(lib):
        if name.startswith("OP_") and getattr(lib, name) == code:
            return name
    return f"OP_{code}"


def explain(code: int, pointer: str, about: str, error: int, text: bytes) -> OciError:
    """The error for a failed op. `text` is the step that failed, NUL, its object, as the init sent them."""
    step, _, rest = text.partition(b"\0")
    what = step.decode("utf-8", "replace")
    obj = rest.partition(b"\0")[0].decode("utf-8", "replace")
    name = symbol(code)
    kind = _CODES.get(name, "setup") if name != "OP_PROC_WRITE" else label_code(pointer)
    if name in ("OP_FIND_EXECUTABLE", "OP_EXEC"):
        return _program(what, obj, error, pointer, op_name(code))
    if name == "OP_HOOK":
        return _hook(about, obj, error, pointer)
    if name == "OP_CWD":
        message = f'chdir to cwd ("{about.partition(" ")[2]}") set in config.json failed'
        if error == errno.EXDEV:
            message += ": it is outside of the container"
            error = errno.EPERM
        hint = hints.hint(name, error, what, pointer)
        return OciError(kind, message, errno=error, pointer=pointer, obj=obj, op=op_name(code), hint=hint)
    if name == "OP_PROC_WRITE":
        obj = f"/proc/{obj}"
    detail = f"{about}: {what}" + (f" {obj}" if obj and obj not in about else "")
    return OciError(
        kind,
        detail,
        errno=error,
        pointer=pointer,
        obj=obj,
        op=op_name(code),
        hint=hints.hint(name, error, what, pointer),
    )


def label_code(pointer: str) -> str:
    """What a write into procfs is for."""
    for part, code in (("/linux/sysctl", "sysctl"), ("apparmor", "apparmor"), ("selinux", "selinux")):
        if part in pointer:
            return code
    return "setup"


def _program(step: str, obj: str, error: int, pointer: str, op: str) -> OciError:
    """Why the program can't be executed, in the words that engines look for."""
    hint = ""
    if step == "interpreter":
        path, _, interpreter = obj.partition(" needs the interpreter ")
        message = f'exec: "{path}": its interpreter {interpreter}'
        hint = f"{interpreter} is missing in the rootfs: add it, or use a statically linked program"
    elif step == "path" and error == errno.ENOENT:
        message, error = f'exec: "{obj}": executable file not found in $PATH', 0
    elif step == "executable" and error == errno.EISDIR:
        message, error = f'exec: "{obj}": is a directory: {errno_text(errno.EACCES)}', 0
    elif step == "executable" and error == errno.ELOOP:
        message, hint = f'exec: "{obj}"', "a magic link of /proc can't be the program"
    elif step == "executable" and error == errno.ENOENT:
        message = f'exec: "{obj}": stat {obj}'
    else:
        message = f'exec: "{obj}"'
    if error == errno.ENOEXEC:
        hint = "neither a program for this machine nor a script that starts with #!"
    return OciError("program", message, errno=error, pointer=pointer, obj=obj, op=op, hint=hint)


def _hook(about: str, words: str, error: int, pointer: str) -> OciError:
    message = f"{about} failed"
    if error == errno.ETIMEDOUT:
        message, error = f"{about} did not end within its timeout", 0
    words = " ".join(words.split())
    if words:
        message += f": {words}"
    return OciError("hook", message, errno=error, pointer=pointer, op="hook")


def died(
    stage: str, status: int | None, memory: tuple[int, int, int] = (0, 0, 0), denied: str = ""
) -> OciError:
    """The error for an init that ended without a word.

    stage   the plan that it was at      status  its wait status, None when somebody else took it
    memory  processes of the container killed for lack of memory, the limit (-1: none) and the peak in bytes
    denied  what the seccomp filter may have to do with it
    """
    when = _STAGES.get(stage, "at its start")
    if status is None:
        return OciError(
            "init-died", f"the container's init ended {when}", hint="the kernel's log may say why"
        )
    signal = status & 0x7F
    if signal == signal_numbers.KILL and memory[0] > 0:
        return _out_of_memory(when, *memory[1:])
    if signal in (signal_numbers.SYS, *_TRAPS):
        did = "killed" if signal == signal_numbers.SYS else "denied everything, even its end, to"
        return OciError(
            "seccomp",
            f"the seccomp filter {did} the container's init {when}",
            pointer="/linux/seccomp",
            op="exec",
            hint=denied or "the profile forbids a system call that starting a program needs, such as execve",
        )
    if signal == signal_numbers.KILL:
        hint = "somebody killed it, or the host ran out of memory: the kernel's log says so then"
        return OciError("init-died", f"the container's init was killed {when}", hint=hint)
    how = wait_status.in_words(status)
    return OciError(
        "init-died", f"the container's init ended {when}: {how}", hint="the kernel's log may say why"
    )


def _out_of_memory(when: str, limit: int, peak: int) -> OciError:
    facts = f"the limit is {size(limit)}" if limit >= 0 else "the container has no limit of its own"
    if peak:
        facts += f", the peak was {size(peak)}"
    hint = (
        "raise linux.resources.memory.limit"
        if limit >= 0
        else "a cgroup above the container's has a limit that is reached"
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


def not_born(error: int, names: list[str]) -> OciError:
    """The error for a clone that failed. `names` are the namespaces it was to be born in."""
    what = "cannot start the container's process"
    if names:
        what += f" in new {' and '.join(names)} namespaces"
    hint = ""
    if error == errno.ENOSPC:
        hint = "the limit of namespaces is reached: see /proc/sys/user/max_*_namespaces"
    elif error == errno.EPERM and "user" not in names:
        hint = "without root a container needs a user namespace of its own"
    elif error == errno.EAGAIN:
        hint = "the limit of processes is reached: see RLIMIT_NPROC and the pids cgroup"
    return OciError("namespace", what, errno=error, pointer="/linux/namespaces" if names else "", hint=hint)
