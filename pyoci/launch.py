"""launch: the container's init is started, fed with plans, listened to, and its failures become errors.

One conversation at a time: a plan is sent, the init answers DONE (the next plan, please) or READY (set-up is complete) or
ERROR, or it is gone.
"""

import posix

from pyoci._shim import ffi, lib
from pyoci.errors import OciError, from_os_error
from pyoci.plan import namespaces
from pyoci.plan.ops import Op, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.trace import Trace

_REPLY_SIZE = ffi.sizeof("struct plan_reply")
_ALL = 0xFFFFFFFF
_INTERRUPTED = -4  # EINTR, before a byte was read


class Init:
    """A container's init, from its birth until it has become the program.

    pid, pidfd   the process; pidfd stays open until close()
    terminal     the master of its terminal, or -1 until it came
    trace        hears how long each op takes, or None
    """

    def __init__(self, trace: "Trace | None" = None) -> None:
        self.pid = 0
        self.pidfd = -1
        self.terminal = -1
        self.trace = trace
        self._sync = -1
        self._sent: list[tuple[str, Plan]] = []

    def spawn(
        self,
        born: int,
        joins: list[tuple[int, int]],
        *,
        cgroup_fd: int = -1,
        wait_for_maps: bool = False,
        become_root: bool = False,
        preserved: int = 0,
        die_with_parent: bool = False,
    ) -> None:
        """Start the init. `born` are CLONE_NEW* flags, `joins` pairs of (namespace descriptor, CLONE_NEW* flags).

        Raises OciError.
        """
        wanted = ffi.new("struct spawn *")
        wanted.clone_flags = born
        wanted.joins = len(joins)
        for index, (fd, flags) in enumerate(joins):
            wanted.join_fds[index] = fd
            wanted.join_flags[index] = flags
        wanted.cgroup_fd = cgroup_fd
        wanted.wait_for_maps = wait_for_maps
        wanted.become_root = become_root
        wanted.preserved = preserved
        wanted.die_with_parent = die_with_parent
        result = lib.pyoci_spawn(wanted)
        if result < 0:
            raise _not_born(-result, born, bool(joins))
        self.pid, self.pidfd, self._sync = wanted.pid, wanted.pidfd, wanted.sync
        if self.trace:
            self.trace.born(self.pid)

    def maps_written(self) -> None:
        """Let an init that waits for its id maps go on."""
        lib.pyoci_send_byte(self._sync)

    def send(self, name: str, plan: Plan, fds: list[int]) -> None:
        """Send a plan with its descriptors, which stay ours to close; it may be sent before the one before is done.

        Raises OciError when the init is gone.
        """
        data = plan.encode(timed=self.trace is not None)
        self._sent.append((name, plan))
        result = lib.pyoci_send_plan(self._sync, data, len(data), fds, len(fds))
        if result < 0:
            self._receive()  # what it said before it went
            raise self._died()

    def expect(self, expected: int) -> None:
        """Listen until the init says `expected` (REPLY_DONE, REPLY_READY). Raises OciError for a failure."""
        while True:
            kind = self._receive()
            if kind == expected:
                return
            if kind == 0:
                raise self._died()

    def go(self) -> None:
        """Answer READY."""
        lib.pyoci_send_byte(self._sync)

    def wait_exec(self) -> None:
        """Wait until the program runs, which closes the socket. Raises OciError when it can't."""
        while self._receive():
            pass
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
        """End the init and reap it."""
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
        """Take one reply in and return its kind, 0 at the end of file. Raises OciError for REPLY_ERROR."""
        head = ffi.new("struct plan_reply *")
        fd = ffi.new("int *")
        while True:  # between two tries a signal's handler may raise
            got = lib.pyoci_receive(self._sync, head, _REPLY_SIZE, fd)
            if got != _INTERRUPTED:
                break
        passed = fd[0]
        text = b""
        if got > 0 and head.length:
            body = ffi.new("char[]", head.length)
            got = lib.pyoci_receive(self._sync, body, head.length, fd)
            text = ffi.buffer(body, head.length)[:]
        if got <= 0:
            return 0
        kind: int = head.kind
        if kind == lib.REPLY_ERROR:
            raise self._explain(head.op, head.error, text)
        if kind == lib.REPLY_TERMINAL:
            self.terminal = passed
        elif kind == lib.REPLY_TIMES:
            self._tell(head.op, text)
        elif kind == lib.REPLY_DONE:
            self._sent.pop(0)
        return kind

    def _tell(self, first: int, text: bytes) -> None:
        name, plan = self._sent[0]
        if self.trace:
            self.trace.told(name, plan.ops, first, _numbers(text))

    def _explain(self, index: int, error: int, text: bytes) -> OciError:
        from pyoci.plan import failure

        name, plan = self._sent[0]
        op = plan.ops[index]
        if self.trace:
            self.trace.failed(name, op)
        return failure.explain(op.code, op.pointer, op.about, error, text)

    def _died(self) -> OciError:
        """The init went without a word: killed for lack of memory, by a signal, by the filter."""
        from pyoci.plan import failure

        status = self._reap()
        self.pid = 0
        return failure.died(self._sent[0][0] if self._sent else "its birth", status)


def _numbers(text: bytes) -> list[int]:
    return list(memoryview(text).cast("Q"))


def _not_born(error: int, born: int, joined: bool) -> OciError:
    from pyoci.plan import failure

    names = [name for name, flag in namespaces.FLAGS.items() if born & flag]
    return failure.not_born(error, names, joined)


def open_joined(joined: list[tuple[str, str, int]]) -> list[tuple[int, int]]:
    """Open the namespaces to join, (type, path, index) each; a file of another type is refused.

    Returns (descriptor, CLONE_NEW*) pairs. Raises OciError.
    """
    found: list[tuple[int, int]] = []
    try:
        for kind, path, index in joined:
            fd = open_namespace(kind, path, f"/linux/namespaces/{index}/path")
            found.append((fd, namespaces.FLAGS[kind]))
    except OciError:
        close_all([fd for fd, _ in found])
        raise
    return found


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
            if str(what[0]).endswith("tree"):
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
    fd: int = lib.pyoci_open_tree(str(path).encode("utf-8", "surrogateescape"), recursive)
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
    """What `start` has to know of the ops behind the wait: [index, code, pointer, about] each."""
    codes = [op.code for op in plan.ops]
    first = codes.index(lib.OP_WAIT_START)
    return [[index, op.code, op.pointer, op.about] for index, op in enumerate(plan.ops) if index >= first]


def read_answer(data: bytes, late: "list[list[Any]]", trace: "Trace | None") -> OciError | None:
    """What the init wrote into the failure fifo until its program ran: an error, or None. `late` is from late_ops()."""
    ops = [Op(lib.OP_READY, "", "ready", 0, 0, 0, (), ())] * late[0][0]
    ops += [Op(code, pointer, about, 0, 0, 0, (), ()) for _, code, pointer, about in late]
    head = ffi.new("struct plan_reply *")
    while len(data) >= _REPLY_SIZE:
        ffi.memmove(head, data, _REPLY_SIZE)
        text, data = data[_REPLY_SIZE : _REPLY_SIZE + head.length], data[_REPLY_SIZE + head.length :]
        if head.kind == lib.REPLY_ERROR:
            return _late_failure(ops, head.op, head.error, text, trace)
        if trace:
            trace.told("finish", ops, head.op, _numbers(text))
    if trace:
        trace.executed("finish", ops)
    return None


def _late_failure(ops: list[Op], index: int, error: int, text: bytes, trace: "Trace | None") -> OciError:
    from pyoci.plan import failure

    if index >= len(ops):
        return OciError("start", "the container's program did not start", errno=error)
    op = ops[index]
    if trace:
        trace.failed("finish", op)
    return failure.explain(op.code, op.pointer, op.about, error, text)
