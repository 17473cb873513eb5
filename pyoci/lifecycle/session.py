"""One process that enters a container: what create, run and exec have in common, and how a failed attempt is taken back.

    with NewContainer(...) as process:        or JoiningProcess
        process.spawn ...                     in new or joined namespaces, in its cgroup
        process.send_plan ...                 compiled from the configuration and the facts of the host
        process.expect_ready()                set-up is complete; the init waits
        process.hand_over()                   terminal, pidfd, pid file
        process.run_program()                 the init becomes the program

Whatever raises inside the `with`, undo() leaves the machine as if nothing had been tried.
"""

from pyoci._shim import lib
from pyoci.base import files, termination
from pyoci.base.errors import OciError, from_os_error
from pyoci.host import inherited, rlimits
from pyoci.init import descriptors
from pyoci.init.process import InitProcess
from pyoci.lifecycle import pid_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.host.notify import NotifySocket
    from pyoci.host.signals import Signals
    from pyoci.lifecycle.record import Record
    from pyoci.lifecycle.requests import ProcessRequest
    from pyoci.plan.compiler import Compiled
    from pyoci.plan.facts import Facts
    from pyoci.plan.ops import Plan
    from pyoci.spec.spec_types import Process, Spec


class ContainerProcess:
    """A process on its way into a container, from nothing until its program runs.

    context, request   of the command
    inherited          the descriptors of our caller that it keeps
    init               the process
    detached           we do not wait for its end, so a terminal needs a console socket
    rootless           the runtime is not root, or its caller says so
    """

    def __init__(self, context: "Context", request: "ProcessRequest", *, detached: bool) -> None:
        self.context = context
        self.request = request
        self.detached = detached
        self.rootless = False
        self.inherited = inherited.take(request.preserve_fds)
        self.init = InitProcess(request.trace, context.log)
        self._cgroup_fds: list[int] = []  # v1 `tasks` files that the init writes itself into
        self._pid_file = ""  # of --pid-file, as soon as it may be there
        context.spans.lap("inherited descriptors")

    def __enter__(self) -> "ContainerProcess":
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is not None:
            termination.ignore()
            self.undo()
        if self.request.trace:
            self.request.trace.save()

    # -- set-up --------------------------------------------------------------------------------------------------------

    def check_terminal(self, process: "Process") -> None:
        """A terminal needs a process at its other end: the console socket when we go away, else ourselves. Raises OciError."""
        terminal, socket = bool(process.get("terminal")), self.request.console_socket
        pointer = "/process/terminal"
        if terminal and self.detached and not socket:
            hint = "use --console-socket, or set process.terminal to false"
            message = "cannot allocate tty: a detached container needs --console-socket"
            raise OciError("console-socket", message, pointer=pointer, hint=hint)
        if socket and not (terminal and self.detached):
            message = "--console-socket needs process.terminal, and a container in the background"
            raise OciError("console-socket", message, pointer=pointer, obj=socket)

    def raise_limits(self, process: "Process", *, user_namespace: bool) -> None:
        """Raise the hard limits of a process in a user namespace, which only the host's root may do."""
        if user_namespace:
            rlimits.raise_hard(self.init.pid, process)

    def _set_oom_score(self, value: int) -> None:
        """process.oomScoreAdj; without privilege it can only be raised, and runc lets that pass. Raises OciError.

        Not before the init has replied: until its execve(2) it shares our memory, and the kernel gives the score to every
        process that does, so it would be ours and that of the hooks too.
        """
        try:
            files.write(f"/proc/{self.init.pid}/oom_score_adj", str(value).encode())
        except OSError as error:
            if not self.rootless:
                hint = "a value below the runtime's own needs CAP_SYS_RESOURCE"
                raise from_os_error(
                    "oom-score", f"oom_score_adj {value}", error, pointer="/process/oomScoreAdj", hint=hint
                ) from None

    def warn(self, compiled: "Compiled") -> None:
        """Log what the compiler left out."""
        for warning, pointer in compiled.warnings.items():
            self.context.log.warning(warning, pointer=pointer)

    def send_plan(
        self, name: str, plan: "Plan", ready: "dict[str, list[int]]", *, directory: int = -1, rootfs: str = ""
    ) -> None:
        """Send a plan with the descriptors that travel with it; those in `ready` are closed here too. Raises OciError."""
        fds = descriptors.open_passed(plan, ready, directory=directory, pidfd=self.init.pidfd, rootfs=rootfs)
        try:
            self.init.send(name, plan, fds)
        finally:
            files.close_all(fds)
        self.context.spans.lap(f"send {name}")

    def tell_agent(self, facts: "Facts", spec: "Spec", record: "Record", status: str) -> None:
        """Where the seccomp filter notifies an agent: its listener goes there as soon as it comes.

        status  of the container, which has a process already where this one joins it
        """
        if not facts.notifies:
            return
        from pyoci.lifecycle.state_document import values
        from pyoci.seccomp.agent import Agent

        agent = Agent(spec, record.bundle)

        def send(listener: int) -> None:
            agent.send(listener, self.init.pid, values(record, status, record.pid or self.init.pid))
            self.context.spans.lap("seccomp listener", agent.pointer)

        self.init.agent = send

    def expect_ready(self, process: "Process") -> None:
        """Wait until the set-up is complete, and set the OOM score. Raises OciError."""
        self.init.expect(lib.REPLY_READY)
        self.context.spans.lap("wait for ready")
        score = process.get("oomScoreAdj")
        if score is not None:
            self._set_oom_score(score)
            self.context.spans.lap("oom score", "/process/oomScoreAdj")

    # -- hand-over -----------------------------------------------------------------------------------------------------

    def hand_over(self) -> None:
        """Give the terminal, the pidfd and the pid to whoever asked for them. Raises OciError."""
        request = self.request
        if self.init.terminal >= 0 and request.console_socket:
            _send_descriptor("console-socket", request.console_socket, self.init.terminal, "/dev/ptmx")
        if request.pidfd_socket:
            _send_descriptor("pidfd-socket", request.pidfd_socket, self.init.pidfd, "pidfd")
        if request.pid_file:
            self._pid_file = request.pid_file
            pid_file.write(request.pid_file, self.init.pid)
            self.context.spans.lap("pid file")

    def take_signals(self) -> "Signals | None":
        """From now on our signals are the container's, unless we go away; a terminal that we stay with is made ready for it."""
        if self.request.detach:
            return None
        from pyoci.host.signals import Signals
        from pyoci.terminal import console

        if self.init.terminal >= 0 and not self.request.console_socket:
            console.prepare(self.init.terminal)
        return Signals()

    def run_program(self) -> None:
        """Let the init go on and wait until it has become the program. Raises OciError when it can't."""
        self.init.send_byte()
        self.init.wait_exec()
        self.context.spans.lap("wait for the program's start")

    def wait(self, signals: "Signals | None", notify: "NotifySocket | None" = None) -> int:
        """Stay with the program until it ends: its terminal, its signals. Returns its exit status, 128 + n after signal n."""
        from pyoci.terminal import console

        master = None if self.request.console_socket or self.init.terminal < 0 else self.init.terminal
        try:
            return console.foreground(self.init.pid, self.init.pidfd, master, signals=signals, notify=notify)
        finally:
            self.init.close()

    # -- the end -------------------------------------------------------------------------------------------------------

    def undo(self) -> None:
        """Kill the process and take back what was made for it. Raises nothing."""
        self.kill()
        self.close()

    def kill(self) -> None:
        """Kill the process; a pid file that names it goes first, for the number may soon be another process's."""
        if self._pid_file:
            pid_file.remove(self._pid_file, self.init.pid)
        self.init.kill()

    def close(self) -> None:
        """Close what we hold of the process; it lives on."""
        files.close_all(self._cgroup_fds)
        self.init.close()


def _send_descriptor(code: str, path: str, fd: int, name: str) -> None:
    """Send a descriptor, with a name as the message, to whoever listens on a socket. Raises OciError with this code."""
    text = name.encode()
    result = lib.pyoci_send_fd(path.encode("utf-8", "surrogateescape"), fd, text, len(text))
    if result < 0:
        hint = "start the program that listens on the socket before pyoci is called"
        raise OciError(code, f"{code.replace('-', ' ')} {path}", errno=-result, obj=path, hint=hint)
