"""run --explain-seccomp: a container under its own filter, and a list of what the filter denied.

Where the filter denies a call, it asks us instead. We compute what it would have returned from what the kernel has seen - number,
architecture, the values of the arguments - and answer with that. No call goes on that the filter denies; what it lets pass we
never see.
"""

import errno
import posix
import select

from pyoci._shim import lib
from pyoci.base import files, printable, signal_numbers
from pyoci.base.errors import OciError
from pyoci.seccomp import bpf, compiler, names, verdict
from pyoci.seccomp.supervisor import NOTIFY, Supervisor, asking, listening
from pyoci.spec.seccomp_words import ACTIONS, ARGUMENTS, DATA_BITS, LARGEST_DATA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci._shim import PyociNotification
    from pyoci.base.log import Log
    from pyoci.seccomp.supervisor import Call
    from pyoci.spec.spec_types import Seccomp, Spec

_ERRNO = ACTIONS["SCMP_ACT_ERRNO"]
_DENYING = {ACTIONS["SCMP_ACT_" + name] for name in ("KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO")}
_DEATH_MILLISECONDS = 1000


class Explanation(Supervisor):
    """What a filter denied."""

    asked_by = "--explain-seccomp"

    def __init__(self) -> None:
        super().__init__()
        self._code: list[tuple[int, int, int, int]] = []
        self._profile: Seccomp | None = None
        self._reached = False  # the configuration was read and found right

    def check(self, spec: "Spec") -> None:
        """Raise OciError for what can't be explained: what an agent answers, too."""
        super().check(spec)
        self._profile = spec.get("linux", {}).get("seccomp")
        for index, rule in enumerate(self._profile.get("syscalls") or () if self._profile else ()):
            if rule["action"] == "SCMP_ACT_NOTIFY":
                message = "--explain-seccomp cannot be used with SCMP_ACT_NOTIFY: a filter has one listener, which is the agent's"
                raise OciError("seccomp", message, pointer=f"/linux/seccomp/syscalls/{index}/action")

    def filter(self, seccomp: tuple[bytes, int] | None) -> tuple[bytes, int] | None:
        """The filter of the profile, which asks where it would deny; without one there is nothing to explain."""
        self._reached = True
        if seccomp is None:
            return None
        self.profile_filter, flags = seccomp
        self._code = bpf.instructions(self.profile_filter)
        return asking(notifying(self.profile_filter)), listening(flags)

    # -- in the process that answers -----------------------------------------------------------------------------------

    def _answer(self, listener: int, call: "PyociNotification") -> None:
        compared: set[int] = set()
        arguments = tuple([call.arguments[index] for index in range(ARGUMENTS)])
        value = verdict.run_with(self._code, call.number, call.arch, arguments, call.instruction, compared)
        name = _read(call.thread, "comm").rstrip(b"\n")
        if value & ~DATA_BITS not in _DENYING:  # it is the number that asking() notifies always, and no call
            lib.pyoci_notification_answer(listener, call.id, errno.ENOSYS)
            return
        if value & ~DATA_BITS == _ERRNO:
            error = min(value & DATA_BITS, LARGEST_DATA["SCMP_ACT_ERRNO"] + 1)
            done = lib.pyoci_notification_answer(listener, call.id, error) == 0
        else:
            done = self._kill(listener, call)
        if done:
            indexes = tuple(sorted(compared))
            values = tuple([arguments[index] for index in indexes])
            self._note((call.number, call.arch, value, name, indexes, values), arguments)

    def _kill(self, listener: int, call: "PyociNotification") -> bool:
        """End a process as the filter would, by SIGSYS, where a signal that is sent can do that; else by SIGKILL.

        The kernel's own signal cannot be caught, ignored or blocked, and ends the first process of a pid namespace. The one that
        we send comes before the answer, so the thread dies of it before it gets on.
        """
        status = _status(call.thread)
        process = int(status.get("Tgid", "0"))
        try:
            pidfd = posix.pidfd_open(process)
        except (OSError, ValueError):  # it is gone, or hidden from us (hidepid in proc(5))
            return lib.pyoci_notification_answer(listener, call.id, errno.EPERM) == 0
        try:
            if lib.pyoci_notification_is_valid(listener, call.id) < 0:
                return False  # what we have read and opened may be another process
            if (
                _dies_of_sigsys(status)
                and lib.pyoci_signal_thread(process, call.thread, signal_numbers.SYS) == 0
            ):
                lib.pyoci_notification_answer(listener, call.id, errno.EPERM)
                poller = select.poll()
                poller.register(pidfd, select.POLLIN)
                if poller.poll(_DEATH_MILLISECONDS):
                    return True
            if lib.pyoci_pidfd_signal(pidfd, signal_numbers.KILL) == 0:
                self.killed = self.killed or process == self._first
            else:
                lib.pyoci_notification_answer(listener, call.id, errno.EPERM)
            return True
        finally:
            files.close(pidfd)

    # -- for the runtime -----------------------------------------------------------------------------------------------

    def report(self, log: "Log") -> None:
        """One list on standard error, and a warning for each row where the log is a file."""
        if not self._reached:
            return
        if self._profile is None:
            files.err("pyoci: run: config.json has no linux.seccomp, which could deny a system call\n")
            return
        if self.lost:
            files.err("pyoci: run: the list of what seccomp denied is lost: its process was killed\n")
            return
        total = sum(count for count, _ in self.calls.values()) + self.more
        if not total:
            files.err("pyoci: run: seccomp denied no system call\n")
            return
        rows = [self._row(key, *found) for key, found in self.calls.items()]
        if log.has_file:
            for count, answer, name, call in rows:
                message = f"seccomp denied {call}: {answer}, {count} times, to {name}"
                log.warning(message, pointer="/linux/seccomp")
        if self.more:
            rows.append((str(self.more), "", "", "more, with other arguments or by other processes"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        text = f"pyoci: run: seccomp denied {total} system call{'s' if total > 1 else ''}:\n"
        for count, answer, name, call in rows:
            text += f"  {count:>{widths[0]}}  {answer:<{widths[1]}}  {name:<{widths[2]}}  {call}\n"
        files.err(text)

    def _row(self, key: "Call", count: int, arguments: tuple[int, ...]) -> tuple[str, str, str, str]:
        """How often, what came of it, who called, and the call."""
        number, arch, value, name, compared, _ = key
        marked = [("*" if index in compared else "") + hex(value) for index, value in enumerate(arguments)]
        call = f"{_name(arch, number)}({', '.join(marked)})"
        answer = "killed"
        if value & ~DATA_BITS == _ERRNO:
            error = value & DATA_BITS
            answer = errno.errorcode.get(error, f"errno {error}")
            if error == errno.ENOSYS and self._is_newer(arch, number):
                call += ": newer than what the profile names"
        return str(count), answer, printable.line(name.decode("utf-8", "replace")), call

    def _is_newer(self, arch: int, number: int) -> bool:
        if self._profile is None or lib.pyoci_seccomp_open() < 0:
            return False
        return 0 <= compiler.last_named(self._profile, names.token(arch, number)) < number


def notifying(program: bytes) -> bytes:
    """A filter that asks wherever this one denies."""
    code = [
        (
            operation,
            NOTIFY if operation == bpf.RETURN and value & ~DATA_BITS in _DENYING else value,
            if_true,
            if_false,
        )
        for operation, if_true, if_false, value in bpf.instructions(program)
    ]
    return b"".join(bpf.instruction(*row) for row in code)


def _name(arch: int, number: int) -> str:
    """The name of a system call, one of another architecture than the machine's with that in front."""
    name = f"system call {number}"
    if lib.pyoci_seccomp_open() < 0:
        return name
    token = names.token(arch, number)
    name = names.call(token, number) or name
    return name if token == lib.pyoci_seccomp_native() else f"{names.architecture(token)} {name}"


def _read(thread: int, name: str) -> bytes:
    try:
        return files.read(f"/proc/{thread}/{name}")
    except OSError:
        return b""


def _status(thread: int) -> dict[str, str]:
    """/proc/PID/status by its names (proc_pid_status(5))."""
    found = {}
    for line in _read(thread, "status").decode("utf-8", "replace").split("\n"):
        name, _, value = line.partition(":")
        found[name] = value.strip()
    return found


def _dies_of_sigsys(status: dict[str, str]) -> bool:
    """Whether a SIGSYS that is sent ends the process: not the first one of a pid namespace, nor one that minds the signal."""
    if status.get("NSpid", "1").split()[-1] == "1":
        return False
    bit = 1 << signal_numbers.SYS - 1
    return not any(int(status.get(name, "0"), 16) & bit for name in ("SigBlk", "SigIgn", "SigCgt"))
