"""The container's init as a process of ours: it is sent plans, and its replies and its end become results and errors.

One conversation at a time: a plan is sent, the init answers DONE (the next plan, please) or READY (set-up is complete) or
ERROR, or it is gone. FORKED, in the middle of a plan, says that a child goes on in its place.
"""

import errno
import posix

from pyoci._shim import lib
from pyoci.base import files, signal_numbers, termination
from pyoci.base.errors import OciError
from pyoci.host.spawn import Child
from pyoci.init import exit_status, protocol
from pyoci.plan.ops import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci._ops import Op
    from pyoci.base.log import Log
    from pyoci.init.protocol import Reply
    from pyoci.seccomp.supervisor import Supervisor
    from pyoci.trace.recorder import Trace


def log_ops(log: "Log", ops: "list[Op]") -> None:
    """A line for each op that the init has done, for --debug."""
    for op in ops:
        log.debug(f"init: {op.name}: {op.about}" if op.about != op.name else f"init: {op.name}", op.pointer)


def _names(plan: Plan) -> list[str]:
    return [op.name for op in plan.ops]


class InitProcess(Child):
    """A container's init, from the clone until it has become the program.

    terminal  the master of its terminal, or -1 until it came
    trace     gets the time that each op takes, or None
    log       gets a line for each op that is done, for --debug, or None
    oom       says what the container's cgroup knows of a lack of memory (Manager.oom), or None
    agent     gets the listener of its seccomp filter as soon as it comes, or None where none is to come
    supervisor   answers for its seccomp filter in place of an agent, or None
    cwd_from  what gave it its working directory, in words for an error; "" for the configuration
    """

    def __init__(self, trace: "Trace | None" = None, log: "Log | None" = None) -> None:
        super().__init__()
        self.terminal = -1
        self.trace = trace
        self.log = log if log and log.is_debugging else None
        self._logged = 0  # ops of the plan that is being executed
        self.oom: Callable[[], tuple[int, int, int]] | None = None
        self.agent: Callable[[int], None] | None = None
        self.supervisor: Supervisor | None = None
        self.cwd_from = ""
        self._forks = False
        self._sent: list[tuple[str, Plan]] = []

    def _take(self) -> None:
        before = self.pid
        super()._take()
        if self.trace and self.pid != before:
            self.trace.init_started(self.pid)

    def send(self, name: str, plan: Plan, fds: list[int]) -> None:
        """Send a plan with its descriptors, which stay the caller's; it may be sent before the one before is done.

        Raises OciError; then the init is gone.
        """
        data = plan.encode(timed=self.trace is not None)
        self._sent.append((name, plan))
        result = lib.pyoci_send_plan(self.sync, data, len(data), fds, len(fds))
        if result < 0:
            raise self._gone(-result)

    def send_byte(self) -> None:
        """Let the init go on. Raises OciError that says why it has ended where it has."""
        result = lib.pyoci_send_byte(self.sync)
        if result < 0:
            raise self._gone(-result)

    def _gone(self, error: int) -> OciError:
        """The error for an init that can't be written to: it has ended, or the socket fails."""
        return self.explain_end() if error in (errno.EPIPE, errno.ECONNRESET) else self.broken(error)

    def explain_end(self) -> OciError:
        """The error for an init that is gone, perhaps after a word. Raises OciError that the word tells."""
        while self._receive():  # what it said before it went
            pass
        return self.explain_death()

    def expect(self, expected: int) -> None:
        """Listen until the init says `expected` (REPLY_DONE, REPLY_READY, REPLY_FORKED). Raises OciError for a failure."""
        while True:
            kind = self._receive()
            if kind == expected:
                return
            if kind == 0:
                raise self.explain_death()
            if kind in (lib.REPLY_DONE, lib.REPLY_READY):
                raise protocol.garbled("a reply to another request")

    def expect_fork(self) -> None:
        """After the fork of the plan just sent the init is another process, which waits for send_byte(). Raises OciError."""
        self._forks = True
        self.expect(lib.REPLY_FORKED)

    def wait_exec(self) -> None:
        """Wait until the program runs, which closes the socket. Raises OciError when it can't."""
        while kind := self._receive():
            if kind not in (lib.REPLY_TIMES, lib.REPLY_LISTENER):
                raise protocol.garbled("a reply without a request")
        if exit_status.early(self.pid, self.pidfd):
            raise self.explain_death()
        name, plan = self._sent[0]
        self._log_done(len(plan.ops))
        if self.trace:
            self.trace.program_started(name, plan.ops)

    def close(self) -> None:
        """Close what we hold of the init, its terminal included; it lives on."""
        super().close()
        if self.terminal >= 0:
            files.close(self.terminal)
            self.terminal = -1

    def _receive(self) -> int:
        """Read one reply and return its kind, 0 at the end of file. Raises OciError for REPLY_ERROR and for nonsense."""
        try:
            found = protocol.receive(self.sync)
        except OSError as error:
            raise self.broken(error.errno or 0) from None
        if found is None:
            return 0
        if found.kind == lib.REPLY_TERMINAL:
            if self.terminal >= 0:
                files.close(self.terminal)
            self.terminal = found.fd
        elif found.kind == lib.REPLY_LISTENER:
            self._hand_over_listener(found.fd)
        elif not self._sent:
            raise protocol.garbled("a reply without a request")
        elif found.kind == lib.REPLY_ERROR:
            raise self._failed(found)
        elif found.kind == lib.REPLY_FORKED:
            self._become(found.error)
        elif found.kind == lib.REPLY_TIMES:
            self._report_times(found)
        elif found.kind == lib.REPLY_DONE:
            self._log_done(len(self._sent[0][1].ops))
            self._logged = 0
            self._sent.pop(0)
        elif found.kind == lib.REPLY_READY:
            self._log_done(found.op + 1)
        return found.kind

    def _log_done(self, count: int) -> None:
        """The first ops of the plan are done: log those that were not logged yet."""
        if self.log:
            log_ops(self.log, self._sent[0][1].ops[self._logged : count])
            self._logged = count

    def _become(self, pid: int) -> None:
        """The init has a child that goes on in its place: ours, or another process holds the socket. Raises OciError."""
        if not self._forks:
            raise protocol.garbled("an unexpected fork")
        self._forks = False
        try:
            pidfd = posix.pidfd_open(pid)
        except (OSError, ValueError):
            raise protocol.garbled("the pid of a process that does not exist") from None
        try:
            posix.waitid(posix.P_PIDFD, pidfd, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
        except OSError:
            files.close(pidfd)
            raise protocol.garbled("the pid of a process that is not the runtime's child") from None
        before = termination.block()
        lib.pyoci_pidfd_signal(
            self.pidfd, signal_numbers.KILL
        )  # it has only to end: one that was stopped must not hold us up
        files.close(self.pidfd)
        self.reap()
        self.pid, self.pidfd = pid, pidfd
        termination.unblock(before)
        if self.trace:
            self.trace.init_forked(pid)

    def _hand_over_listener(self, listener: int) -> None:
        """Raises OciError. Only the agent keeps it: when that ends, what waits for its answers must not wait for us."""
        try:
            take = self.supervisor.start if self.supervisor else self.agent
            if take is None:
                raise protocol.garbled("a reply without a request")
            take(listener)
        finally:
            files.close(listener)

    def _report_times(self, found: "Reply") -> None:
        name, plan = self._sent[0]
        if self.trace is None:
            raise protocol.garbled("unexpected times")
        self.trace.ops_ended(name, plan.ops, found.op, protocol.times(found, plan.ops))

    def _failed(self, found: "Reply") -> OciError:
        from pyoci.plan import failure

        name, plan = self._sent[0]
        op = protocol.failed_op(found, plan.ops)
        self._log_done(found.op)
        if self.trace:
            self.trace.op_failed(name, op)
        cwd_from = self.cwd_from or failure.CONFIGURATION
        error = failure.explain(op, found.error, found.step, found.object(), cwd_from)
        in_force = found.op + (op.name == "seccomp_notify" and found.step == "read")
        exit_status.add_filter(error, self._filter(in_force), exit_status.privileged_after(_names(plan)))
        return error

    def _filter(self, op: int) -> bytes:
        """The seccomp filter of the plan that was in force when its `op` was executed, or b"": that of the profile."""
        program = exit_status.filter_before(self._sent[0][1].ops, op)
        return self.supervisor.profile_filter if program and self.supervisor else program

    def explain_death(self) -> OciError:
        """The init went without a word: killed for lack of memory, by a signal, by the filter."""
        # Its socket is closed a moment before a process has ended; one that only closed its socket must not hold us up.
        if not exit_status.within(self.pidfd, exit_status.DEATH_MILLISECONDS):
            return protocol.garbled("it closed the socket and keeps running")
        status = self.reap()
        if self.supervisor and self.supervisor.has_killed():
            status = signal_numbers.SYS
        self.pid = 0
        name, plan = self._sent[0] if self._sent else ("", Plan())
        memory = self.oom() if self.oom else (0, 0, 0)
        program = self._filter(len(plan.ops)) if self._sent else b""
        privileged = exit_status.privileged_after(_names(plan))
        return exit_status.explain(name, status, memory, program, privileged)
