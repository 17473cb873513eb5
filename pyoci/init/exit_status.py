"""How an init ended that never became its program, found out from what the kernel still shows of it."""

import select

from pyoci.base import files, proc_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci._ops import Op
    from pyoci.base.errors import OciError

    Memory = tuple[int, int, int]

NAME = b"pyoci-init\n"  # as csrc/init calls itself until its program runs (/proc/PID/comm)
_MILLISECONDS = 1000


def is_init(pid: int) -> bool:
    """Whether a process still is the init; not when it is gone, for then somebody has waited for it and knows better."""
    try:
        return files.read(f"/proc/{pid}/comm") == NAME
    except OSError:
        return False


def within(pidfd: int, milliseconds: int) -> bool:
    """Whether a process has ended, or ends in that time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(milliseconds))


def early(pid: int, pidfd: int) -> bool:
    """Whether an init that has closed its socket ended instead of becoming the program.

    execve(2) closes the socket a moment before it renames the process, and so does the death of one that is killed.
    """
    if not is_init(pid):
        return False
    for _ in range(_MILLISECONDS):
        if within(pidfd, 1):
            return is_init(pid)
        if not is_init(pid):
            return False
    return False


def wait_status(pid: int) -> int | None:
    """The wait status of a zombie (proc_pid_stat(5), field 52), None when it can't be had."""
    try:
        return int(proc_stat.fields(pid)[proc_stat.EXIT_CODE])
    except (OSError, ValueError):
        return None


def explain(stage: str, status: int | None, memory: "Memory", program: bytes) -> "OciError":
    """The error for an init that ended at a stage.

    memory   what its cgroup knows of a lack of memory (Manager.oom)
    program  the seccomp filter that was in force, or b""
    """
    from pyoci.plan import failure

    denied = ""
    if program and status is not None and status & 0x7F:
        from pyoci.seccomp import verdict

        denied = verdict.words(program)
    return failure.init_ended(stage, status, memory, denied)


def filter_before(ops: "list[Op]", last: int) -> bytes:
    """The seccomp filter that is in force when an op is executed, or b""."""
    for op in ops[:last]:
        if op.name == "seccomp":
            program: bytes = op.filter
            return program
    return b""


def add_filter(error: "OciError", program: bytes) -> None:
    """Say so when it was the filter that made a system call fail."""
    if program and error.errno and not error.hint:
        from pyoci.seccomp import verdict

        error.hint = verdict.words(program, error.errno)
