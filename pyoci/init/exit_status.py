"""How an init ended that never became its program, found out from what the kernel still shows of it."""

import errno
import posix
import select

from pyoci.base import files, proc_stat, signal_numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci._ops import Op
    from pyoci.base.errors import OciError

    Memory = tuple[int, int, int]

# As csrc/init calls itself until its program runs (/proc/PID/comm). execve(2) names a process after the last component of a path,
# which has no slash.
NAME = b"pyoci/init\n"
DEATH_MILLISECONDS = 10000  # that a killed process may take to end


def is_init(pid: int) -> bool:
    """Whether a process still is the init; not when it is gone, for then another process has reaped it and knows better."""
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

    execve(2) closes the socket a moment before it renames the process, and no execve that has come so far returns to the init. A
    process that ends is marked as such before its files are closed; the end itself may take a while: the first one of a pid
    namespace waits for all others of it. An init that fails says so before, so one that ends without a word was killed: what
    exits by itself is a program, whatever it calls itself.
    """
    if not is_init(pid) or not _is_ending(pid):
        return False
    status = wait_status(pid)
    if not status:  # we may not know it yet
        within(pidfd, DEATH_MILLISECONDS)
        return is_init(pid) and _was_killed(pid, pidfd)
    return is_init(pid) and bool(status & 0x7F)


def _is_ending(pid: int) -> bool:
    try:
        return bool(int(proc_stat.fields(pid)[proc_stat.FLAGS]) & proc_stat.EXITING)
    except (OSError, ValueError):
        return True


def _was_killed(pid: int, pidfd: int) -> bool:
    """Whether a process that has ended was killed by a signal. The kernel tells its parent, and with privilege others."""
    try:
        found = posix.waitid(posix.P_PIDFD, pidfd, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
        return found is not None and found.si_code != posix.CLD_EXITED
    except ChildProcessError:
        status = wait_status(pid)
        return status is None or bool(status & 0x7F)


def wait_status(pid: int) -> int | None:
    """The wait status of a process that ends or has ended (proc_pid_stat(5), field 52), None when it can't be had."""
    try:
        return int(proc_stat.fields(pid)[proc_stat.EXIT_CODE])
    except (OSError, ValueError):
        return None


def explain(
    stage: str, status: int | None, memory: "Memory", program: bytes, privileged: bool = True
) -> "OciError":
    """The error for an init that ended at a stage.

    memory      what its cgroup knows of a lack of memory (Manager.oom)
    program     the seccomp filter that was in force, or b""
    privileged  of privileged_after()
    """
    from pyoci.plan import failure

    denied = ""
    if program and status is not None and status & 0x7F:
        from pyoci.seccomp import verdict

        if status & 0x7F == signal_numbers.SYS:
            denied = verdict.names(program, 0, privileged)
        # killed, perhaps, while it said what was denied
        denied = denied or verdict.names(program, verdict.ANY, privileged)
    return failure.init_ended(stage, status, memory, denied)


def filter_before(ops: "list[Op]", last: int) -> bytes:
    """The seccomp filter that is in force when an op is executed, or b""."""
    for op in ops[:last]:
        if op.name.startswith("seccomp"):
            program: bytes = op.filter
            return program
    return b""


def privileged_after(ops: list[str]) -> bool:
    """Whether the init gives capabilities up after its filter, by the names of the ops: without no_new_privs it does."""
    loaded = [index for index, name in enumerate(ops) if name.startswith("seccomp")]
    return "capset" in ops[loaded[-1] if loaded else 0 :]


def add_filter(error: "OciError", program: bytes, privileged: bool = True) -> None:
    """Say so when it was the filter that made a system call fail; the kernel has all of ours, so ENOSYS has no other reason."""
    if program and error.errno and (not error.hint or error.errno == errno.ENOSYS):
        from pyoci.seccomp import verdict

        found = verdict.hint(verdict.names(program, error.errno, privileged))
        error.hint = found or verdict.agent_hint(program, error.errno) or error.hint
