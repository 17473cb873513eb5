"""Start a command as cheaply as possible, wait for it, and tell what it cost.

posix_spawn(3) is clone(CLONE_VM | CLONE_VFORK): its price does not grow with this process. Output goes to
files on a tmpfs, never through pipes, so nobody has to read while the clock runs, and a container that
outlives its `create` may keep them.
"""

import os
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path

LIMIT = 20.0  # seconds that one command may take
# Engines call runtimes with next to no environment; a PATH is all that ours get.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

_running: set[int] = set()


class Failed(Exception):
    """A command did not do what it must: its exit status, output or effect is wrong."""


@dataclass(frozen=True)
class Outcome:
    """One finished command; times in nanoseconds; `code` is -N for signal N."""

    argv: list[str]
    code: int
    out: str
    err: str
    began: int
    ended: int
    cpu: int
    pid: int

    @property
    def wall(self) -> int:
        """Nanoseconds from before the start of the command to after its end."""
        return self.ended - self.began

    def failed(self, what: str) -> Failed:
        """A failure that says WHAT is wrong, and with which command."""
        return Failed(f"{what} [{' '.join(self.argv)}]")

    def demand(self, *, out: str | None = None) -> "Outcome":
        """This outcome if the status is 0, stderr empty and stdout is OUT (None: whatever), else `Failed`."""
        wrong = []
        if self.code != 0:
            late = f" (took longer than {LIMIT:.0f} s)" if self.code == -signal.SIGKILL else ""
            wrong.append(f"exit status {self.code}{late}")
        if out is not None and self.out != out:
            wrong.append(f"stdout is {self.out[:200]!r}, not {out!r}")
        if self.err:
            wrong.append(f"stderr: {self.err[:500].strip()}")
        if wrong:
            raise self.failed("; ".join(wrong))
        return self


def cpu_time(usage: resource.struct_rusage) -> int:
    """User and system time of a getrusage(2) answer, in nanoseconds."""
    return round((usage.ru_utime + usage.ru_stime) * 1e9)


def _kill_late(_signal: int, _frame: object) -> None:
    for pid in _running:
        os.kill(pid, signal.SIGKILL)


class Stage:
    """A pair of output files, and the commands run one after another with them."""

    def __init__(self, directory: Path, name: str = "command") -> None:
        """DIRECTORY: of the output files, best a tmpfs; NAME: its own for stages used together."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._out = os.open(directory / f"{name}.out", flags, 0o600)
        self._err = os.open(directory / f"{name}.err", flags, 0o600)
        self._actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, self._out, 1),
            (os.POSIX_SPAWN_DUP2, self._err, 2),
        ]
        self._argv: list[str] = []
        self._began = 0
        self._pid = 0

    def begin(self, argv: list[str], extra: dict[str, str] | None = None) -> None:
        """Start ARGV (argv[0] is a path); `end` must follow. EXTRA is added to the environment."""
        os.ftruncate(self._out, 0)
        os.ftruncate(self._err, 0)
        self._argv = argv
        environment = {**ENVIRONMENT, **(extra or {})}
        reset = [signal.SIGPIPE, signal.SIGXFSZ]  # Python ignores them, and ignored signals pass through exec
        self._began = time.perf_counter_ns()
        self._pid = os.posix_spawn(argv[0], argv, environment, file_actions=self._actions, setsigdef=reset)
        _running.add(self._pid)

    def end(self) -> Outcome:
        """Wait for the started command; after `LIMIT` seconds it is killed."""
        _, status, usage = os.wait4(self._pid, 0)
        ended = time.perf_counter_ns()
        _running.discard(self._pid)
        return Outcome(
            self._argv,
            os.waitstatus_to_exitcode(status),
            _content(self._out),
            _content(self._err),
            self._began,
            ended,
            cpu_time(usage),
            self._pid,
        )

    def go(self, argv: list[str], extra: dict[str, str] | None = None) -> Outcome:
        """Run ARGV to its end."""
        with Deadline():
            self.begin(argv, extra)
            return self.end()

    def close(self) -> None:
        """Close the output files."""
        os.close(self._out)
        os.close(self._err)


def wait_for_death(pid: int) -> int:
    """Wait, as an engine's monitor does, for a container's process, a child of ours; its CPU nanoseconds.

    It must die of SIGKILL and in time, or it was not the runtime that ended it.
    """
    _running.add(pid)
    began = time.monotonic()
    try:
        with Deadline():
            _, status, usage = os.wait4(pid, 0)
    except ChildProcessError as error:
        raise Failed(f"the container's process {pid} was not left to the caller of the runtime") from error
    finally:
        _running.discard(pid)
    if time.monotonic() - began >= LIMIT:
        raise Failed(f"the container's process lived on for {LIMIT:.0f} s")
    code = os.waitstatus_to_exitcode(status)
    if code != -signal.SIGKILL:
        raise Failed(f"the container's process ended with {code}, not by SIGKILL")
    return cpu_time(usage)


class Deadline:
    """A block in which commands are killed once `LIMIT` seconds are over; blocks must not be nested."""

    def __enter__(self) -> None:
        signal.signal(signal.SIGALRM, _kill_late)
        signal.setitimer(signal.ITIMER_REAL, LIMIT)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _content(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0).decode(errors="replace") if size else ""
