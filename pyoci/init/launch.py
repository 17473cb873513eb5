"""launch: the container's init is started, fed with plans, listened to, and its failures become errors.

One conversation at a time: a plan is sent, the init answers DONE (the next plan, please) or READY (set-up is complete) or
ERROR, or it is gone. FORKED, in the middle of a plan, tells that a child goes on in its place.
"""

import posix

from pyoci._ops import Op
from pyoci._shim import ffi, lib
from pyoci.base import termination
from pyoci.base.errors import OciError, from_os_error
from pyoci.init import exit_status, protocol
from pyoci.plan.ops import Plan
from pyoci.spec import namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.trace.recorder import Trace

_ALL = 0xFFFFFFFF
_DEATH_MILLISECONDS = 10000


class Init:
    """A container's init, from its birth until it has become the program.

    pid, pidfd   the process; pidfd stays open until close()
    terminal     the master of its terminal, or -1 until it came
    prepared     CLONE_NEW* flags of the namespaces it is born into, because they were made ahead
    trace        hears how long each op takes, or None
    oom          tells what the container's cgroup knows of a lack of memory (Manager.oom), or None
    """

    def __init__(self, trace: "Trace | None" = None) -> None:
        self.pid = 0
        self.pidfd = -1
        self.terminal = -1
        self.trace = trace
        self.oom: Callable[[], tuple[int, int, int]] | None = None
        self.prepared = 0
        self._forks = False
        self._sync = -1
        self._wanted: Any = None
        self._sent: list[tuple[str, Plan]] = []

    def prepare(self, unshared: int) -> None:
        """Begin to make namespaces (CLONE_NEW* flags) for an init that will join none and has no user namespace of its own.

        The kernel takes its time for them, which we use meanwhile. Raises OciError.
        """
        result = lib.pyoci_prepare(unshared)
        if result < 0:
            raise _not_born(-result, unshared)
        self.prepared = unshared

    def spawn(
        self,
        born: int,
        *,
        cgroup_fd: int = -1,
        wait_for_maps: bool = False,
        become_root: bool = False,
        preserved: int = 0,
        die_with_parent: bool = False,
    ) -> None:
        """Start the init. `born` are CLONE_NEW* flags; what it joins is a matter of its first plan. Raises OciError."""
        wanted = ffi.new("struct spawn *")
        wanted.clone_flags = born
        wanted.cgroup_fd = cgroup_fd
        wanted.wait_for_maps = wait_for_maps
        wanted.become_root = become_root
        wanted.preserved = preserved
        wanted.die_with_parent = die_with_parent
        self._wanted = wanted  # a signal that comes meanwhile raises right behind the call: kill() finds the process here
        result = lib.pyoci_spawn(wanted)
        if result < 0:
            raise _not_born(-result, born | self.prepared)
        self._take()
        if self.trace:
            self.trace.born(self.pid)

    def _take(self) -> None:
        """The process that a call of the shim has made is ours."""
        wanted, self._wanted = self._wanted, None
        if wanted is not None and wanted.pid > 0:
            self.pid, self.pidfd, self._sync = wanted.pid, wanted.pidfd, wanted.sync

    def send(self, name: str, plan: Plan, fds: list[int]) -> None:
        """Send a plan with its descriptors, which stay ours to close; it may be sent before the one before is done.

        Raises OciError when the init is gone.
        """
        data = plan.encode(timed=self.trace is not None)
        self._sent.append((name, plan))
        result = lib.pyoci_send_plan(self._sync, data, len(data), fds, len(fds))
        if result < 0:
            while self._receive():  # what it said before it went
                pass
            raise self._died()

    def expect(self, expected: int) -> None:
        """Listen until the init says `expected` (REPLY_DONE, REPLY_READY, REPLY_FORKED). Raises OciError for a failure."""
        while True:
            kind = self._receive()
            if kind == expected:
                return
            if kind == 0:
                raise self._died()
            if kind in (lib.REPLY_DONE, lib.REPLY_READY):
                raise protocol.garbled("the answer to another question")

    def follow(self) -> None:
        """After the fork of the plan just sent the init is another process, which waits for go(). Raises OciError."""
        self._forks = True
        self.expect(lib.REPLY_FORKED)

    def go(self) -> None:
        """Answer READY or FORKED, or let an init that waits for its id maps go on."""
        lib.pyoci_send_byte(self._sync)

    def wait_exec(self) -> None:
        """Wait until the program runs, which closes the socket. Raises OciError when it can't."""
        while kind := self._receive():
            if kind != lib.REPLY_TIMES:
                raise protocol.garbled("an answer to nothing")
        if exit_status.early(self.pid, self.pidfd):
            raise self._died()
        if self.trace:
            name, plan = self._sent[0]
            self.trace.executed(name, plan.ops)

    def close(self) -> None:
        """Let go of the init; it lives on."""
        for fd in (self._sync, self.pidfd, self.terminal):
            if fd >= 0:
                posix.close(fd)
        self._sync = self.pidfd = self.terminal = -1

    def kill(self) -> None:
        """End the init, or what was prepared for it, and reap it."""
        lib.pyoci_forget()
        self._take()
        if self.pid and self.pidfd >= 0:
            lib.pyoci_pidfd_signal(self.pidfd, 9)
            self._reap()
        self.close()

    def _reap(self) -> int | None:
        """The wait status, or None where the process is not our child any more."""
        try:
            return posix.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            return None

    def _receive(self) -> int:
        """Take one reply in and return its kind, 0 at the end of file. Raises OciError for REPLY_ERROR and for nonsense."""
        found = protocol.receive(self._sync)
        if found is None:
            return 0
        if found.kind == lib.REPLY_TERMINAL:
            if self.terminal >= 0:
                posix.close(self.terminal)
            self.terminal = found.fd
        elif not self._sent:
            raise protocol.garbled("an answer to nothing")
        elif found.kind == lib.REPLY_ERROR:
            raise self._explain(found)
        elif found.kind == lib.REPLY_FORKED:
            self._become(found.error)
        elif found.kind == lib.REPLY_TIMES:
            self._tell(found)
        elif found.kind == lib.REPLY_DONE:
            self._sent.pop(0)
        return found.kind

    def _become(self, pid: int) -> None:
        """The init has a child that goes on in its place: one of ours, or somebody has got hold of it. Raises OciError."""
        if not self._forks:
            raise protocol.garbled("a birth that nobody asked for")
        self._forks = False
        try:
            pidfd = posix.pidfd_open(pid)
        except (OSError, ValueError):
            raise protocol.garbled("a process that is not there") from None
        try:
            posix.waitid(posix.P_PIDFD, pidfd, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
        except ChildProcessError:
            posix.close(pidfd)
            raise protocol.garbled("a process that is none of ours") from None
        before = termination.hold()
        posix.close(self.pidfd)
        self._reap()
        self.pid, self.pidfd = pid, pidfd
        termination.release(before)
        if self.trace:
            self.trace.became(pid)

    def _tell(self, found: "protocol.Reply") -> None:
        name, plan = self._sent[0]
        if self.trace is None:
            raise protocol.garbled("times that nobody asked for")
        self.trace.told(name, plan.ops, found.op, protocol.times(found, plan.ops))

    def _explain(self, found: "protocol.Reply") -> OciError:
        from pyoci.plan import failure

        name, plan = self._sent[0]
        op = protocol.failed_op(found, plan.ops)
        if self.trace:
            self.trace.failed(name, op)
        error = failure.explain(op, found.error, found.step, found.object())
        exit_status.add_filter(error, exit_status.filter_before(plan.ops, found.op))
        return error

    def _died(self) -> OciError:
        """The init went without a word: killed for lack of memory, by a signal, by the filter."""
        if not self._has_ended():
            return protocol.garbled("it hung up and lives on")
        status = self._reap()
        self.pid = 0
        name, plan = self._sent[0] if self._sent else ("", Plan())
        memory = self.oom() if self.oom else (0, 0, 0)
        return exit_status.explain(name, status, memory, exit_status.filter_before(plan.ops, len(plan.ops)))

    def _has_ended(self) -> bool:
        """Its socket is closed a moment before a process has ended; one that only closed its socket must not hold us up."""
        return exit_status.within(self.pidfd, _DEATH_MILLISECONDS)


def _not_born(error: int, born: int) -> OciError:
    from pyoci.plan import failure

    return failure.not_born(error, [name for name, flag in namespaces.FLAGS.items() if born & flag])


def open_namespace(kind: str, path: str, pointer: str) -> int:
    """A descriptor of a namespace file, whose type is checked (ioctl_ns(2)). Raises OciError."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise from_os_error(
            "namespace", f"{kind} namespace {path}", error, pointer=pointer, obj=path
        ) from None
    found = lib.pyoci_namespace_type(fd) & _ALL
    if found != namespaces.FLAGS[kind]:
        posix.close(fd)
        names = [name for name, flag in namespaces.FLAGS.items() if flag == found]
        what = f"a {names[0]} namespace" if names else "no namespace"
        raise OciError("namespace", f"{kind} namespace {path} is {what}", pointer=pointer, obj=path)
    return fd


def open_passed(plan: Plan, ready: "dict[str, list[int]]") -> list[int]:
    """The descriptors that travel with a plan, in their order; the ones of `ready` are taken from there, by (kind, index).

    All of them are the caller's to close. Raises OciError; then none is left open.
    """
    found: list[int] = []
    try:
        for what in plan.passed:
            if what[0] == "namespace":
                found.append(open_namespace(str(what[1]), str(what[2]), str(what[3])))
            elif str(what[0]).endswith("tree"):
                found.append(_open_tree(what))
                if what[0] != "tree":
                    _map_ids(found[-1], ready["userns"].pop(0), what)
            else:
                known = ready[str(what[0])]
                found.append(known.pop(0))
    except OciError:
        close_all(found)
        raise
    return found


def _open_tree(what: tuple[str | int | bool, ...]) -> int:
    _, path, recursive, pointer, about = what
    fd = lib.pyoci_open_tree(str(path).encode("utf-8", "surrogateescape"), bool(recursive))
    if fd < 0:
        raise OciError(
            "mount", f"{about}: source {path}", errno=-fd, pointer=f"{pointer}/source", obj=str(path)
        )
    return fd


def _map_ids(tree: int, user_namespace: int, what: tuple[str | int | bool, ...]) -> None:
    kind, path, _, pointer, about = what
    result = lib.pyoci_idmap_mount(tree, user_namespace, kind == "deep-idmapped-tree")
    posix.close(user_namespace)
    if result < 0:
        hint = "the file system may not support id-mapped mounts" if result == -22 else ""
        raise OciError(
            "mount",
            f"{about}: id map",
            errno=-result,
            pointer=f"{pointer}/uidMappings",
            obj=str(path),
            hint=hint,
        )


def close_all(fds: list[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        posix.close(fd)


def late_ops(plan: Plan) -> "list[list[Any]]":
    """What `start` has to know of the ops from the wait on: [index, name, pointer, about] each."""
    first = [op.name for op in plan.ops].index("wait_start")
    return [[index, op.name, op.pointer, op.about] for index, op in enumerate(plan.ops) if index >= first]


def read_answer(data: bytes, late: "list[list[Any]]", trace: "Trace | None") -> OciError | None:
    """What the init wrote into the failure fifo until its program ran: an error, or None. `late` is from late_ops().

    The record of a version before 0.2 has a number for the name, which means nothing any more. Raises OciError for what can't
    be an answer.
    """
    ops = [Op("ready", "", "ready")] * late[0][0]
    ops += [Op(name if isinstance(name, str) else "", pointer, about) for _, name, pointer, about in late]
    for found in protocol.parse(data):
        if found.kind == lib.REPLY_ERROR:
            return _late_failure(ops, found, trace)
        if found.kind == lib.REPLY_TIMES and trace:
            trace.told("finish", ops, found.op, protocol.times(found, ops))
    if trace:
        trace.executed("finish", ops)
    return None


def _late_failure(ops: list[Op], found: "protocol.Reply", trace: "Trace | None") -> OciError:
    from pyoci.plan import failure

    op = protocol.failed_op(found, ops)
    if trace:
        trace.failed("finish", op)
    return failure.explain(op, found.error, found.step, found.object())
