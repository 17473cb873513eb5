"""The lifecycle of a container: the one place that knows the order of things (runtime.md, Lifecycle)."""

import posix

from pyoci.base import files, log, signal_numbers, spans
from pyoci.base.errors import OciError
from pyoci.init import exit_status
from pyoci.lifecycle import cleanup, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.cgroups.base import Manager
    from pyoci.host.signals import Signals
    from pyoci.lifecycle.creation import Creation
    from pyoci.lifecycle.requests import CreateRequest
    from pyoci.trace.recorder import Trace

_DEATH_MILLISECONDS = 10000
_THAW_MILLISECONDS = 200
_LARGEST_ANSWER = 1 << 20  # bytes; an init that is not itself any more might write for ever


def create(request: "CreateRequest") -> int:
    """`create`: the container is set up and its init waits for `start`. Raises OciError; then nothing is left of it."""
    from pyoci.base import termination
    from pyoci.lifecycle.creation import Creation, send_terminal

    termination.heed()
    creation = Creation(request, wait_start=True)
    _check_terminal(creation, detached=True)
    try:
        creation.make()
        if creation.init.terminal >= 0:
            send_terminal(request.console_socket, creation.init.terminal)
        creation.commit("created")
        termination.ignore()
    except BaseException:
        termination.ignore()
        creation.undo()
        raise
    finally:
        if creation.trace:
            creation.trace.save()
    creation.init.close()
    creation.entry.close()
    return 0


def run(request: "CreateRequest") -> int:
    """`run`: create and start; in the foreground also wait and delete. Returns the exit status. Raises OciError."""
    from pyoci.base import termination
    from pyoci.lifecycle.creation import Creation, send_terminal

    termination.heed()
    creation = Creation(request, wait_start=False)
    _check_terminal(creation, detached=request.detach)
    signals = None
    try:
        creation.make()
        if creation.init.terminal >= 0 and request.console_socket:
            send_terminal(request.console_socket, creation.init.terminal)
        if not request.detach:
            signals = stand_in(creation.init.terminal)
        creation.commit("running")
        creation.init.wait_exec()
        spans.lap("wait for the program's start")
        _poststart(creation.entry, creation.init.pid)
        if request.detach:
            termination.ignore()
    except BaseException:
        termination.ignore()
        creation.undo()
        raise
    finally:
        if creation.trace:
            creation.trace.save()
    if request.detach:
        creation.init.close()
        creation.entry.close()
        return 0
    return _foreground(creation, signals)


def stand_in(master: int) -> "Signals":
    """From now on signals are the container's; its terminal has the size of ours before its program can look."""
    from pyoci.host.signals import Signals
    from pyoci.terminal import console

    if master >= 0:
        console.match_size(master)
    return Signals()


def _foreground(creation: "Creation", signals: "Signals | None") -> int:
    """Stay with the container's process until it ends: its terminal, its signals, its status."""
    from pyoci.terminal import console

    creation.entry.close()  # others may kill, pause, delete it meanwhile
    init = creation.init
    try:
        master = None if creation.request.console_socket or init.terminal < 0 else init.terminal
        status = console.foreground(init.pid, init.pidfd, master, signals=signals)
    finally:
        init.close()
    spans.lap("the program runs", kind="idle")
    if not creation.request.keep:
        delete(creation.request.root, creation.request.id, True, only=init.pid)
    if creation.trace:
        creation.trace.save()
    return status


def _check_terminal(creation: "Creation", *, detached: bool) -> None:
    """A terminal needs somebody at its other end: the console socket when we go away, else ourselves."""
    terminal = bool((creation.spec.get("process") or {}).get("terminal"))
    check_terminal(terminal, creation.request.console_socket, detached=detached)


def check_terminal(terminal: bool, console_socket: str, *, detached: bool) -> None:
    """Raise OciError unless a console socket is given just when it is needed."""
    if terminal and detached and not console_socket:
        hint = "give --console-socket, or set process.terminal to false"
        message = "cannot allocate tty: nobody is there to hold its other end"
        raise OciError("console-socket", message, pointer="/process/terminal", hint=hint)
    if console_socket and not (terminal and detached):
        message = "a console socket is of no use here: there is no terminal, or the runtime stays to serve it"
        raise OciError("console-socket", message, pointer="/process/terminal", obj=console_socket)


def start(root: str, id: str) -> None:
    """`start`: let the waiting init execute the program. Raises OciError."""
    entry = store.open(root, id, lock=True)
    status = entry.status()
    if status == "stopped":
        hint = f"a container runs once: `pyoci delete {id}`, then create it anew"
        raise OciError("not-created", "cannot start a container that has stopped", obj=id, hint=hint)
    if status == "paused":
        hint = f"`pyoci resume {id}` lets it go on"
        raise OciError("paused", "cannot start a container in the paused state", obj=id, hint=hint)
    if status != "created":
        raise OciError("not-created", "cannot start an already running container", obj=id)
    trace = _trace_of(entry)
    try:
        answer = _let_go(entry)
        spans.lap("wait for the program's start")
        if answer:
            _heed(answer, entry, trace)
        _check_ran(entry)
        _poststart(entry, entry.record["pid"])
    except OciError as error:
        if error.code == "hook":
            _stop(entry)
        raise
    finally:
        if trace:
            trace.save()
    entry.close()


def _trace_of(entry: store.Entry) -> "Trace | None":
    """A `create` that was traced has its `start` traced too."""
    path = entry.record.get("trace")
    if not path:
        return None
    from pyoci.trace import recorder

    return recorder.begin_start(path, entry.id, entry.record["pid"])


def _heed(answer: bytes, entry: store.Entry, trace: "Trace | None") -> None:
    """Raise OciError when the waiting init says that it failed."""
    from pyoci.init import launch

    error = launch.read_answer(answer, entry.record["late"], trace)
    if error:
        if error.op == "execve":
            exit_status.add_filter(error, _filter(entry))
        raise error


def _let_go(entry: store.Entry) -> bytes:
    """Wake the init and hear what it says until its program runs: nothing, or a failure."""
    directory = entry.directory
    failure = posix.open("failure", posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC, dir_fd=directory)
    posix.set_blocking(failure, True)
    try:
        go = posix.open("start", posix.O_WRONLY | posix.O_NONBLOCK | posix.O_CLOEXEC, dir_fd=directory)
        posix.write(go, b"\0")
        posix.close(go)
        return files.read_fd(failure, _LARGEST_ANSWER)
    finally:
        posix.close(failure)


def _check_ran(entry: store.Entry) -> None:
    """Raise OciError when the init was killed on the way to its program."""
    pid = entry.record["pid"]
    if not exit_status.is_init(pid):
        return
    try:
        pidfd = posix.pidfd_open(pid)
    except OSError:
        return
    try:
        if exit_status.early(pid, pidfd):
            raise exit_status.explain("finish", exit_status.wait_status(pid), memory(entry), _filter(entry))
    finally:
        posix.close(pidfd)


def _filter(entry: store.Entry) -> bytes:
    """The container's seccomp filter, or b""."""
    profile = (entry.config().get("linux") or {}).get("seccomp")
    if not profile:
        return b""
    from pyoci.seccomp import filters

    return filters.program(profile)[0]


def memory(entry: store.Entry) -> tuple[int, int, int]:
    """What the container's cgroup knows of a lack of memory (Manager.oom)."""
    manager = _manager(entry)
    return manager.oom() if manager else (0, 0, 0)


def _poststart(entry: store.Entry, pid: int) -> None:
    hooks = entry.record["hooks"].get("poststart")
    if hooks:
        from pyoci.host import hooks as runner
        from pyoci.lifecycle.state_document import document

        runner.run(hooks, document(entry, "running", pid), name="poststart", pointer="/hooks/poststart")
        spans.lap("hooks", "/hooks/poststart")


def _stop(entry: store.Entry) -> None:
    """A startContainer or poststart hook that fails ends the container altogether (runtime.md, Lifecycle, 9 and 10)."""
    _kill_and_wait(entry)
    _destroy(entry)


def kill(root: str, id: str, signal: int, all_: bool) -> None:
    """`kill`: send a signal to the container's process, or to all of them. Raises OciError."""
    entry = store.open(root, id, lock=False)
    try:
        if entry.status() in ("stopped", "creating"):
            if all_:
                _signal_all(entry, signal)
                return
            raise not_running(id)
        everyone = all_ or (signal == signal_numbers.KILL and entry.record["flags"].get("host_pid"))
        if everyone and _signal_all(entry, signal):
            return
        if not _signal(entry, signal):
            raise not_running(id)
        if signal == signal_numbers.KILL:
            _thaw(entry)
    finally:
        entry.close()


def not_running(id: str) -> OciError:
    """The error for a container without a process; engines look for its words."""
    return OciError("not-running", "container not running", obj=id)


def _signal_all(entry: store.Entry, signal: int) -> bool:
    """Signal all processes; False where there is no cgroup to find them by."""
    manager = _manager(entry)
    return manager is not None and manager.signal_all(signal)


def _signal(entry: store.Entry, signal: int) -> bool:
    import _signal

    pidfd = entry.open_process()
    if pidfd < 0:
        return False
    try:
        _signal.pidfd_send_signal(pidfd, signal)
        return True
    except ProcessLookupError:
        return False
    except PermissionError as error:
        hint = "its process belongs to another user"
        message = f"cannot send signal {signal} to container {entry.id}"
        raise OciError("kill", message, errno=error.errno or 0, obj=entry.id, hint=hint) from None
    finally:
        posix.close(pidfd)


def _kill_and_wait(entry: store.Entry) -> None:
    """End the container's process and wait for its death. Raises OciError when it does not die."""
    pidfd = entry.open_process() if entry.record["pid"] else -1
    if pidfd >= 0:
        import _signal

        try:
            _signal.pidfd_send_signal(pidfd, signal_numbers.KILL)
        except ProcessLookupError:
            pass
    if entry.record["flags"].get("host_pid") or not (entry.record["pid"] or _shares_cgroup(entry)):
        _signal_all(entry, signal_numbers.KILL)
    if pidfd < 0:
        return
    _thaw(entry)
    dead = exit_status.within(pidfd, _THAW_MILLISECONDS)
    if not dead:
        _signal_all(entry, signal_numbers.KILL)
        dead = exit_status.within(pidfd, _DEATH_MILLISECONDS)
    posix.close(pidfd)
    if not dead:
        hint = "a process in uninterruptible sleep, or a frozen cgroup, holds it up"
        raise OciError("not-dying", f"container {entry.id} does not die", obj=entry.id, hint=hint)


def _shares_cgroup(entry: store.Entry) -> bool:
    """Whether the cgroup was there before: then a `create` that was killed early may not have found out that it is in use.

    Whoever is in it is left alone; an init of ours ends by itself when its runtime is gone.
    """
    return bool((entry.record["cgroup"] or {}).get("kept"))


def _thaw(entry: store.Entry) -> None:
    """Let a paused container's killed process die: in a frozen cgroup of v1 even SIGKILL waits. Raises OciError."""
    if entry.paused():
        manager = _manager(entry)
        if manager is not None:
            manager.thaw()


def delete(root: str, id: str, force: bool, *, only: int = 0) -> None:
    """`delete`: undo what create made. A running container is refused unless forced. Raises OciError.

    only  the pid of the container that is meant, 0 for any: a new one may have got the id of one that was deleted
    """
    try:
        entry = store.open(root, id, lock=True)
        if only and entry.record["pid"] != only:
            entry.close()
            return
    except OciError as error:
        if force and error.code in ("not-found", "invalid-id"):
            return
        if not force or error.code != "state-damaged":
            raise
        entry = _salvage(root, id)
    status = entry.status()
    if status in ("running", "paused") and not force:
        message = f"cannot delete container {id} that is not stopped: {status}"
        raise OciError("not-stopped", message, obj=id, hint="`kill` it first, or use --force")
    if status != "stopped" or not entry.record["pid"]:
        _kill_and_wait(entry)
    _destroy(entry)


def _salvage(root: str, id: str) -> store.Entry:
    """The entry of a container whose record can't be read, with what its saved configuration still tells. Raises OciError."""
    entry = store.open(root, id, lock=True, damaged=True)
    try:
        spec = entry.config()
        from pyoci import cgroups

        systemd = ":" in ((spec.get("linux") or {}).get("cgroupsPath") or "")
        record = cgroups.manager(spec, id, systemd=systemd, rootless=True).record()
        entry.record["cgroup"] = {**record, "kept": []} if "kept" in record else record
        hooks = spec.get("hooks") or {}
        entry.record["hooks"] = {"poststop": hooks["poststop"]} if hooks.get("poststop") else {}
    except OciError as error:
        log.warning(error.text(), code=error.code)
    return entry


def _destroy(entry: store.Entry) -> None:
    """Remove what is left of a container whose process is dead, other processes of it included."""
    manager = _manager(entry)
    if manager is not None and entry.record["flags"].get("host_pid"):
        manager.signal_all(signal_numbers.KILL)
    cleanup.destroy(entry, manager)


def _manager(entry: store.Entry) -> "Manager | None":
    if not entry.record["cgroup"]:
        return None
    from pyoci import cgroups

    return cgroups.from_record(entry.record["cgroup"])


def state(root: str, id: str) -> "dict[str, Any]":
    """`state`: the container's state document. Raises OciError."""
    from pyoci.lifecycle.state_document import full

    entry = store.open(root, id, lock=False)
    try:
        return full(entry)
    finally:
        entry.close()


def _owner(path: str) -> str:
    """The name of the user that a file belongs to, or the uid where there is no name."""
    import pwd

    try:
        uid = posix.stat(path).st_uid
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
    except OSError:
        return ""


def list_states(root: str) -> "list[dict[str, Any]]":
    """`list`: the state documents of all containers; one that can't be read is logged and left out."""
    found = []
    for id in store.ids(root):
        try:
            found.append({**state(root, id), "owner": _owner(f"{root}/{id}")})
        except OciError as error:
            if error.code not in ("not-found", "invalid-id"):
                log.warning(error.text(), code=error.code)
    return found
