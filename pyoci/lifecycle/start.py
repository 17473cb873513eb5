"""start: the init of a created container is let go and becomes the program."""

import posix

from pyoci.base import files, jsontext
from pyoci.base.errors import OciError, from_os_error
from pyoci.init import exit_status
from pyoci.lifecycle import store
from pyoci.lifecycle.delete import destroy
from pyoci.lifecycle.processes import kill_and_wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.base.context import Context
    from pyoci.host.notify import NotifySocket
    from pyoci.trace.recorder import Trace

    ResumeTrace = Callable[[str, str, int], Trace]

_LARGEST_ANSWER = 1 << 20  # bytes; an init that is not itself any more might write for ever


def start(context: "Context", root: str, id: str, resume_trace: "ResumeTrace") -> None:
    """`start`: let the waiting init execute the program. Raises OciError.

    resume_trace  goes on with the trace file of `create`: called with its path, the id and the pid of the init
    """
    entry = store.open(context, root, id, lock=True)
    pidfd = -1
    try:
        _refuse_unless_created(entry)
        entry.read_hooks()
        record = entry.record
        notify = notify_socket(context, entry)
        if notify:
            pidfd = entry.open_process()
        trace = resume_trace(record.trace, entry.id, record.pid) if record.trace else None
        try:
            _let_go(context, entry, trace)
        finally:
            if trace:
                trace.save()
    finally:
        entry.close()
    if notify and pidfd >= 0:
        notify.wait(record.pid, pidfd)


def notify_socket(context: "Context", entry: store.Entry) -> "NotifySocket | None":
    """The socket for sd_notify(3), where `create` has made its directory and our caller has NOTIFY_SOCKET. Raises OciError."""
    if not posix.environ.get(b"NOTIFY_SOCKET"):
        return None
    from pyoci.host.notify import DIRECTORY, NotifySocket

    if not posix.access(DIRECTORY, posix.F_OK, dir_fd=entry.directory, follow_symlinks=False):
        return None
    return NotifySocket(context, entry.directory)


def _refuse_unless_created(entry: store.Entry) -> None:
    """Raise OciError for a container that does not wait for `start`; engines look for its words."""
    status = entry.status()
    if status == "stopped":
        hint = f"a container runs once: `pyoci delete {entry.id}`, then create it again"
        raise OciError("not-created", "cannot start a container that has stopped", obj=entry.id, hint=hint)
    if status == "paused":
        hint = f"`pyoci resume {entry.id}` resumes it"
        raise OciError("paused", "cannot start a container in the paused state", obj=entry.id, hint=hint)
    if status != "created":
        raise OciError("not-created", "cannot start an already running container", obj=entry.id)
    late = entry.record.late
    if late and late[-1][1] == "wait_start":  # nothing comes after it
        raise process_missing()


def process_missing() -> OciError:
    """The error for a container without a process; `process` is needed when `start` is called (config.md, Process)."""
    hint = "delete the container, and create it again with a process in config.json"
    return OciError("process-missing", "there is no process to start", pointer="/process", hint=hint)


def _let_go(context: "Context", entry: store.Entry, trace: "Trace | None") -> None:
    """From the byte that the init waits for until the poststart hooks have run. Raises OciError."""
    try:
        answer = _wake(entry)
        context.spans.lap("wait for the program's start")
        error = _read_answer(answer, entry.record.late, trace) if answer else None
        if error:
            if _is_filtered(error.op, late := _names(entry)):
                exit_status.add_filter(error, _filter(entry), exit_status.privileged_after(late))
            raise error
        _check_ran(entry)
        if context.log.is_debugging:
            from pyoci.init import start_answer

            start_answer.log(context.log, entry.record.late)
        run_poststart(context, entry, entry.record.pid)
    except OciError as error:
        if error.code == "hook":
            # A startContainer or poststart hook that fails ends the container altogether (runtime.md, Lifecycle, 9 and 10).
            kill_and_wait(entry)
            destroy(context, entry)
        raise


def run_poststart(context: "Context", entry: store.Entry, pid: int, directory: int = -1) -> None:
    """Run the poststart hooks, in a directory or, for -1, in ours. Raises OciError "hook"."""
    if "poststart" in entry.record.hooks:
        from pyoci.host import hooks
        from pyoci.lifecycle.state_document import document

        text = document(entry.record, "running", pid)
        hooks.run(entry.config(), "poststart", text, spans=context.spans, directory=directory)
        context.spans.lap("hooks", "/hooks/poststart")


def _wake(entry: store.Entry) -> bytes:
    """Wake the init and read what it says until its program runs: nothing, or a failure. Raises OciError when it is gone."""
    opened: list[int] = []
    try:
        for name, flag in (("failure", posix.O_RDONLY), ("start", posix.O_WRONLY)):
            opened.append(store.open_fifo(name, flag, entry.directory))
        failure, go = opened
        posix.set_blocking(failure, True)
        posix.write(go, b"\0")
        files.close(opened.pop())
        return files.read_fd(failure, _LARGEST_ANSWER)
    except OSError as error:
        message = "cannot wake the container's init"
        raise from_os_error(
            "init-died", message, error, obj=entry.id, hint="it may have been killed"
        ) from None
    finally:
        files.close_all(opened)


def _read_answer(answer: bytes, late: "list[list[int | str]]", trace: "Trace | None") -> OciError | None:
    """The failure that the init has written, if any. Raises OciError for what can't be an answer."""
    # It brings the compiler's words along, which a start that succeeds does not need.
    from pyoci.init import start_answer

    return start_answer.read(answer, late, trace)


def _check_ran(entry: store.Entry) -> None:
    """Raise OciError when the init was killed on the way to its program."""
    pid = entry.record.pid
    if not exit_status.is_init(pid):
        return
    try:
        pidfd = posix.pidfd_open(pid)
    except OSError:
        return
    try:
        if exit_status.early(pid, pidfd):
            status, privileged = exit_status.wait_status(pid), exit_status.privileged_after(_names(entry))
            raise exit_status.explain("finish", status, entry.memory(), _filter(entry), privileged)
    finally:
        files.close(pidfd)


def _names(entry: store.Entry) -> list[str]:
    """The ops that the init had before it when `start` was called."""
    return [str(name) for _, name, _, _ in entry.record.late]


def _is_filtered(op: str, late: list[str]) -> bool:
    """Whether a seccomp filter is in force when the init executes an op: one that notifies from before it waited."""
    return "seccomp" not in late or op in late[late.index("seccomp") :]


def _filter(entry: store.Entry) -> bytes:
    """The container's seccomp filter, or b""."""
    from pyoci.lifecycle.facts import filter_of

    try:
        found = filter_of(entry.config())
    except jsontext.ManyMembers:
        return b""
    return found[0] if found else b""
