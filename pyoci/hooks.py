"""Hooks in the runtime's own namespaces: programs that config.json wants run at points of the lifecycle."""

import errno
import fcntl
import posix
import select
import time

from pyoci.errors import OciError, from_os_error
from pyoci.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any
else:
    import _signal

_TAIL = 8192  # bytes of output that are kept while a hook runs
_SHOWN = 1024  # characters of it that go into the message
_CHUNK = 1 << 16
_SIGNALS = (*range(1, 32), *range(34, 65))  # 32 and 33 belong to the C library


def run(hooks: "list[dict[str, Any]]", state: bytes, *, name: str, pointer: str) -> None:
    """Run the hooks in the listed order, stopping at the first that fails.

    state    the container's state as JSON, which each hook gets on standard input
    name     the kind of hook for messages, such as "createRuntime"
    pointer  JSON pointer of the list, such as "/hooks/createRuntime"

    Raises OciError "hook" with the hook's exit status and the end of its output.
    Specification: config.md, POSIX-platform Hooks.
    """
    for index, hook in enumerate(hooks):
        _run_one(hook, state, name, f"{pointer}/{index}")


def run_ignoring(hooks: "list[dict[str, Any]]", state: bytes, *, name: str, pointer: str) -> list[OciError]:
    """Run all hooks whatever happens to each, and give back their failures: the rule for poststop."""
    failures: list[OciError] = []
    for index, hook in enumerate(hooks):
        try:
            _run_one(hook, state, name, f"{pointer}/{index}")
        except OciError as failure:
            failures.append(failure)
    return failures


def _run_one(hook: "dict[str, Any]", state: bytes, name: str, pointer: str) -> None:
    path = hook["path"]
    if path[:1] != "/":
        message = f"{name} hook {path}: the path is not absolute"
        raise OciError("hook", message, pointer=f"{pointer}/path", obj=path)
    timeout = hook.get("timeout")
    deadline = None if timeout is None else time.monotonic() + timeout
    _make_waitable()
    reader, pid = _start(path, hook, state, name, pointer)
    status = None
    try:
        status, output = _wait(pid, reader, deadline)
    finally:
        if status is None:  # an interrupt came: leave nothing behind
            _kill(pid)
            _reap(pid)
        posix.close(reader)
    if status == 0:
        return
    text = f"{name} hook {path}"
    if status < 0:
        text += f" did not end within its timeout of {timeout} s"
        pointer += "/timeout"
    else:
        text += f" failed: {describe(status)}"
    raise OciError("hook", text + _shown(output), pointer=pointer, obj=path)


def describe(status: int) -> str:
    """A wait status in words: "exit status 3", "killed by signal 9"."""
    if posix.WIFSIGNALED(status):
        return f"killed by signal {posix.WTERMSIG(status)}"
    return f"exit status {posix.WEXITSTATUS(status)}"


def _make_waitable() -> None:
    """A parent that ignores SIGCHLD hands that on to us, and then the kernel throws exit statuses away."""
    if _signal.getsignal(_signal.SIGCHLD) == _signal.SIG_IGN:
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)


def _start(path: str, hook: "dict[str, Any]", state: bytes, name: str, pointer: str) -> tuple[int, int]:
    """Start the program; gives the read end of its output, and its pid."""
    opened: list[int] = []
    try:
        opened.append(_high(_state_file(state)))
        opened.extend(map(_high, posix.pipe2(posix.O_CLOEXEC)))
        standard_input, reader, writer = opened
        actions: list[tuple[int, ...]] = [
            (posix.POSIX_SPAWN_DUP2, standard_input, 0),
            (posix.POSIX_SPAWN_DUP2, writer, 1),
            (posix.POSIX_SPAWN_DUP2, writer, 2),
        ]
        actions.extend((posix.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable())
        # Its own process group: a timeout then also ends what a shell script has started.
        pid = posix.posix_spawn(
            path,
            hook.get("args") or [path],
            _environment(hook.get("env") or []),
            file_actions=actions,
            setpgroup=0,
            setsigmask=(),
            setsigdef=_SIGNALS,
        )
        posix.set_blocking(reader, False)
        opened.remove(reader)
        return reader, pid
    except OSError as error:
        message = f"{name} hook {path} cannot be started"
        hint = _missing_hint(path) if error.errno == errno.ENOENT else ""
        raise from_os_error("hook", message, error, pointer=f"{pointer}/path", obj=path, hint=hint) from None
    except ValueError as error:  # an embedded NUL
        raise OciError("hook", f"{name} hook {path}: {error}", pointer=pointer, obj=path) from None
    finally:
        for fd in opened:
            posix.close(fd)


def _missing_hint(path: str) -> str:
    try:
        posix.stat(path)
    except OSError:
        return "hooks are looked up on the host, not in the container"
    return "the file exists: what is missing is the interpreter its first line names, or its dynamic loader"


def _state_file(state: bytes) -> int:
    """The state as an open file: unlike a pipe it cannot be full, and nobody has to read it."""
    fd = posix.memfd_create("state", posix.MFD_CLOEXEC)
    write_all(fd, state)
    posix.lseek(fd, 0, 0)
    return fd


def _high(fd: int) -> int:
    """The same file on a descriptor above the three that are about to be replaced."""
    if fd > 2:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        posix.close(fd)


def _inheritable() -> list[int]:
    """The descriptors from 3 up that would survive exec: engines leave their own pipes open in us."""
    found = []
    for name in posix.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            if fd > 2 and not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
                found.append(fd)
        except OSError:  # the descriptor of the listing itself
            pass
    return found


def _environment(entries: list[str]) -> dict[str, str]:
    """NAME=value entries as a mapping; the last of a name counts, entries without a name mean nothing."""
    pairs = (entry.partition("=") for entry in entries)
    return {name: value for name, sign, value in pairs if name and sign}


def _wait(pid: int, reader: int, deadline: float | None) -> tuple[int, bytes]:
    """Wait for the end; gives the wait status, or -1 after the timeout, and the end of the output.

    Only the hook's own end counts: a daemon it leaves behind may hold the pipe for ever.
    """
    tail = bytearray()
    pidfd = posix.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.register(reader, select.POLLIN)
        while True:
            timeout = None if deadline is None else max(0, int((deadline - time.monotonic()) * 1000) + 1)
            ready = [fd for fd, _ in poller.poll(timeout)]
            if reader in ready and not _drain(reader, tail):
                poller.unregister(reader)
            if pidfd in ready:
                _drain(reader, tail)
                return _reap(pid), bytes(tail)
            if deadline is not None and time.monotonic() >= deadline:
                _kill(pid)
                _reap(pid)
                _drain(reader, tail)
                return -1, bytes(tail)
    finally:
        posix.close(pidfd)


def _drain(reader: int, tail: bytearray) -> bool:
    """Read what is there, keeping the last bytes; False at the end of the file."""
    for _ in range(16):  # a hook that writes without pause must not keep us from the clock
        try:
            chunk = posix.read(reader, _CHUNK)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        tail += chunk
        del tail[:-_TAIL]
    return True


def _kill(pid: int) -> None:
    """SIGKILL to the hook, which is our unreaped child, and to its process group."""
    for kill in (posix.kill, posix.killpg):
        try:
            kill(pid, _signal.SIGKILL)
        except OSError:
            pass


def _reap(pid: int) -> int:
    return posix.waitpid(pid, 0)[1]


def _shown(output: bytes) -> str:
    """The output as one line for the message."""
    text = output.decode("utf-8", "replace")[-_SHOWN:]
    lines = [line.strip() for line in text.splitlines()]
    line = " | ".join(line for line in lines if line)
    printable = "".join(sign if sign.isprintable() else "?" for sign in line)
    return f": {printable}" if printable else ""
