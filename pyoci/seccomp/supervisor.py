"""The supervisor of a seccomp filter: a process of ours that answers what the filter notifies (seccomp_unotify(2)).

It is a process and not a loop of the runtime's, for each call of the container waits for it, and the runtime has to wait for the
container now and then: for its program to begin, for poststart hooks. It ends with the last process under the filter, or with the
runtime; what is called from then on returns ENOSYS.
"""

import marshal
import posix
import select

from pyoci._shim import ffi, lib
from pyoci.base import files
from pyoci.base.errors import OciError, from_os_error
from pyoci.seccomp import bpf, compiler
from pyoci.spec.seccomp_words import ACTIONS, FLAG_NEW_LISTENER, FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from pyoci._shim import PyociNotification
    from pyoci.base.log import Log
    from pyoci.spec.spec_types import Spec

    # number, architecture, what the filter returns, name of the process, indexes and values of the arguments that count
    Call = tuple[int, int, int, bytes, tuple[int, ...], tuple[int, ...]]
else:
    import _signal

NOTIFY = ACTIONS["SCMP_ACT_NOTIFY"]
_TSYNC = FLAGS["SECCOMP_FILTER_FLAG_TSYNC"]
_MOST = 1000  # different calls that are kept
_WAIT_KILLABLE = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"


class Supervisor:
    """Answers for a container's first process and all that come after it; what answer there is, subclasses know.

    asked_by  the option or command that wants it
    profile_filter   the one that the configuration asks for: where a call fails, it is what to blame

    What it has found is there after finish():

    calls     how often each was made, and all arguments of the first
    more      how often others were made, where there were very many different ones
    killed    it had to end the container's first process by SIGKILL where the filter would have ended it by SIGSYS
    lost      it has come to an end without telling
    """

    asked_by = ""
    profile_filter = b""

    def __init__(self) -> None:
        self.calls: dict[Call, tuple[int, tuple[int, ...]]] = {}
        self.more = 0
        self.killed = False
        self.lost = False
        self._pidfd = self._control = self._result = -1
        self._first = 0  # process, once it has asked

    # -- for the runtime -----------------------------------------------------------------------------------------------

    def check(self, spec: "Spec") -> None:
        """Raise OciError for what can't be supervised, before anything is made."""
        if not lib.pyoci_seccomp_flags_known(FLAG_NEW_LISTENER):
            hint = "Linux 5.5 or newer has it"
            raise OciError("seccomp", "seccomp: this kernel has no user notification", hint=hint)
        # they run under a filter of their own, whose listener no one would take
        if (spec.get("hooks") or {}).get("startContainer"):
            message = f"{self.asked_by} cannot be used with startContainer hooks"
            hint = "try it with a configuration without them"
            raise OciError("seccomp", message, pointer="/hooks/startContainer", hint=hint)

    def filter(self, seccomp: tuple[bytes, int] | None) -> tuple[bytes, int] | None:
        """What to load for the compiled linux.seccomp and its flags."""
        raise NotImplementedError

    def start(self, listener: int) -> None:
        """Begin to answer, once; the descriptor stays the caller's. Raises OciError."""
        if self._pidfd >= 0:
            return
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
        try:
            theirs, self._control = posix.pipe2(posix.O_CLOEXEC)
            self._result, ours = posix.pipe2(posix.O_CLOEXEC)
            pid = posix.fork()
            if pid == 0:
                self._live(listener, theirs, ours)
            self._pidfd = posix.pidfd_open(pid)
            files.close_all([theirs, ours])
        except OSError as error:
            raise from_os_error("seccomp", "cannot start the supervisor of the filter", error) from None
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        posix.read(self._result, 1)  # it has given up what it had of ours, such as the container's lock

    def finish(self) -> None:
        """End it and take over what it has found. Raises nothing."""
        if self._pidfd < 0:
            return
        files.close(self._control)
        data = files.read_fd(self._result)
        files.close(self._result)
        try:
            posix.waitid(posix.P_PIDFD, self._pidfd, posix.WEXITED)
        except ChildProcessError:  # who waits for the container reaps all children
            pass
        files.close(self._pidfd)
        self._pidfd = -1
        try:
            self.calls, self.more, self.killed = marshal.loads(data)  # noqa: S302 - written by ourselves
        except (EOFError, ValueError, TypeError):
            self.lost = True

    def has_killed(self) -> bool:
        """Finish, and say whether the filter meant that the container's first process ended by SIGSYS."""
        self.finish()
        return self.killed

    def report(self, log: "Log") -> None:
        """Tell what was found. Raises OciError."""
        raise NotImplementedError

    # -- in the process that answers -----------------------------------------------------------------------------------

    def _answer(self, listener: int, call: "PyociNotification") -> None:
        """Answer one call."""
        raise NotImplementedError

    def _note(self, call: "Call", arguments: tuple[int, ...]) -> None:
        """Count a call that was answered."""
        known = self.calls.get(call)
        if known is None and len(self.calls) >= _MOST:
            self.more += 1
        else:
            self.calls[call] = (known[0] + 1, known[1]) if known else (1, arguments)

    def _live(self, listener: int, control: int, result: int) -> None:
        """The whole life of the process. Does not return. Its signals stay blocked: those of a terminal are not for it."""
        status = 1
        try:
            _keep_only([2, listener, control, result])
            posix.write(result, b"\n")
            self._serve(listener, control)
            posix.close(listener)
            files.write_all(result, marshal.dumps((self.calls, self.more, self.killed)))
            status = 0
        finally:
            posix._exit(status)

    def _serve(self, listener: int, control: int) -> None:
        """Answer until no process is left under the filter, or the runtime has closed its end of `control`."""
        call = ffi.new("struct pyoci_notification *")
        poller = select.poll()
        poller.register(listener, select.POLLIN)
        poller.register(control, 0)
        while True:
            for fd, events in poller.poll():
                if fd == control or not events & select.POLLIN:
                    return
                self._receive(listener, call)

    def _receive(self, listener: int, call: "PyociNotification") -> None:
        if lib.pyoci_notification_receive(listener, call) < 0:
            return  # its caller was killed, or a signal has interrupted it
        if call.number == lib.CALL_LISTENER_TAKEN and not self._first:
            self._first = call.thread
            lib.pyoci_notification_answer(listener, call.id, 0)
        else:
            self._answer(listener, call)


def listening(flags: int) -> int:
    """The flags of a filter with those that a listener takes.

    A call that has been received shall not be interrupted by signals that would not interrupt it otherwise.
    """
    killable = FLAGS[_WAIT_KILLABLE] if compiler.kernel_has(_WAIT_KILLABLE) else 0
    return flags & ~_TSYNC | FLAG_NEW_LISTENER | killable


def asking(program: bytes) -> bytes:
    """A filter before which the call that asks for the supervisor is notified."""
    code = [
        bpf.instruction(bpf.LOAD, bpf.NUMBER_AT),
        bpf.instruction(bpf.EQUAL, lib.CALL_LISTENER_TAKEN, 0, 1),
        bpf.instruction(bpf.RETURN, NOTIFY),
    ]
    return b"".join(code) + program


def _keep_only(fds: list[int]) -> None:
    """Close all other descriptors: locks and sockets of the runtime must not stay with us."""
    for name in posix.listdir("/proc/self/fd"):
        if int(name) not in fds:
            files.close(int(name))
