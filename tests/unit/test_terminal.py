"""The foreground: signals, exit statuses and terminals, tried on ordinary processes and pseudo-terminals."""

import array
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyoci.base.errors import OciError
from pyoci.host.signals import Signals
from pyoci.lifecycle.session import _send_descriptor
from pyoci.terminal import console

PATIENCE = 20.0
PR_SET_CHILD_SUBREAPER = 36


def shell(script: str) -> Callable[[], None]:
    """What a container's process does: become a shell with this script."""

    def become() -> None:
        for number in range(1, signal.NSIG):
            if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
                signal.signal(number, signal.SIG_DFL)
        os.execv("/bin/sh", ["sh", "-c", script])

    return become


def start(become: Callable[[], None], slave: int | None = None) -> tuple[int, int]:
    """Start a container's process, on a terminal if there is one; gives pid and pidfd."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            if slave is not None:
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
                for fd in range(3):
                    os.dup2(slave, fd)
            os.closerange(3, 100)
            become()
        finally:
            os._exit(99)
    return pid, os.pidfd_open(pid)


def in_runtime(job: Callable[[], int]) -> int:
    """Start a process that stands for the runtime and ends with the result of `job`; gives its pid."""
    pid = os.fork()
    if pid == 0:
        status = 98
        try:
            status = job()
        finally:
            os._exit(status)
    return pid


def stay(script: str) -> int:
    """A runtime in the foreground of a process without a terminal."""
    signals = Signals()
    return console.foreground(*start(shell(script)), signals=signals)


def ended(pid: int) -> int:
    """The exit status of a process, which must end soon."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the process does not end")


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


# Processes without a terminal.


@pytest.mark.parametrize(("script", "expected"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_exit_status(script: str, expected: int) -> None:
    assert ended(in_runtime(lambda: stay(script))) == expected


@pytest.mark.parametrize("name", "HUP INT QUIT TERM USR1 USR2 ALRM TSTP ABRT SYS".split())
def test_signals_are_passed_on(name: str, tmp_path: Path) -> None:
    script = f"trap 'exit 42' {name}; touch {tmp_path}/ready; while :; do sleep 0.01; done"
    runtime = in_runtime(lambda: stay(script))
    until((tmp_path / "ready").exists)
    os.kill(runtime, getattr(signal, f"SIG{name}"))
    assert ended(runtime) == 42


@pytest.mark.parametrize(
    "number", [signal.SIGILL, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV, 32, 33, 34, 37, 64]
)
def test_faults_and_real_time_signals_are_passed_on(number: int, tmp_path: Path) -> None:
    """Also those that the C library keeps for itself."""
    pidfile = tmp_path / "pid"
    script = f"echo $$ > {pidfile}.new; mv {pidfile}.new {pidfile}; exec sleep 60"
    runtime = in_runtime(lambda: stay(script))
    until(pidfile.exists)
    os.kill(runtime, number)
    assert ended(runtime) == 128 + number


def test_a_change_of_our_window_is_nothing_to_a_container_without_a_terminal(tmp_path: Path) -> None:
    """Apache's httpd stops at it."""
    script = (
        f"trap 'exit 41' WINCH; trap 'exit 42' USR1; touch {tmp_path}/ready; while :; do sleep 0.01; done"
    )
    runtime = in_runtime(lambda: stay(script))
    until((tmp_path / "ready").exists)
    os.kill(runtime, signal.SIGWINCH)
    os.kill(runtime, signal.SIGUSR1)
    assert ended(runtime) == 42


def test_a_fault_of_our_own_ends_us_all_the_same() -> None:
    def job() -> int:
        Signals()
        ctypes.string_at(0)
        return 0

    assert ended(in_runtime(job)) == -signal.SIGSEGV


@pytest.mark.parametrize("number", [signal.SIGSYS, 34])
def test_an_ignored_one_of_the_others_stays_ignored(number: int, tmp_path: Path) -> None:
    script = f"trap 'exit 42' USR1; touch {tmp_path}/ready; while :; do sleep 0.01; done"

    def job() -> int:
        signal.signal(number, signal.SIG_IGN)
        return stay(script)

    runtime = in_runtime(job)
    until((tmp_path / "ready").exists)
    os.kill(runtime, number)
    os.kill(runtime, signal.SIGUSR1)
    assert ended(runtime) == 42


def test_afterwards_signals_do_what_they_did_before() -> None:
    def job() -> int:
        signals = Signals()
        signals.restore()
        os.kill(os.getpid(), signal.SIGSYS)
        return 0

    assert ended(in_runtime(job)) == -signal.SIGSYS


def test_signals_that_come_early_are_kept(tmp_path: Path) -> None:
    script = f"trap 'exit 42' TERM; touch {tmp_path}/ready; while :; do sleep 0.01; done"

    def job() -> int:
        signals = Signals()
        os.kill(os.getpid(), signal.SIGTERM)
        process = start(shell(script))
        until((tmp_path / "ready").exists)
        return console.foreground(*process, signals=signals)

    assert ended(in_runtime(job)) == 42


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    script = f"trap 'exit 42' TERM; trap 'exit 1' HUP; touch {tmp_path}/ready; while :; do sleep 0.01; done"

    def job() -> int:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return stay(script)

    runtime = in_runtime(job)
    until((tmp_path / "ready").exists)
    os.kill(runtime, signal.SIGHUP)
    time.sleep(0.2)
    os.kill(runtime, signal.SIGTERM)
    assert ended(runtime) == 42


def test_orphans_are_reaped(tmp_path: Path) -> None:
    script = f"(sh -c 'echo $$ > {tmp_path}/pid; sleep 0.1' &) ; touch {tmp_path}/ready; sleep 60"

    def job() -> int:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        return stay(script)

    runtime = in_runtime(job)
    until((tmp_path / "ready").exists)
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    orphan = int((tmp_path / "pid").read_text())
    until(lambda: not os.path.exists(f"/proc/{orphan}"))
    os.kill(runtime, signal.SIGTERM)
    assert ended(runtime) == 128 + signal.SIGTERM


def test_signals_are_restored_and_nothing_is_left_open() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    handlers = [signal.getsignal(number) for number in range(1, signal.NSIG)]
    pid, pidfd = start(shell("exit 3"))
    assert console.foreground(pid, pidfd) == 3
    os.close(pidfd)
    assert [signal.getsignal(number) for number in range(1, signal.NSIG)] == handlers
    assert sorted(os.listdir("/proc/self/fd")) == before


# A terminal over a socket.


@pytest.mark.parametrize("length", [20, 150])
def test_master_over_the_socket(length: int, tmp_path: Path) -> None:
    folder = tmp_path / ("d" * length)
    folder.mkdir()
    master, slave = os.openpty()
    with socket.socket(socket.AF_UNIX) as server:
        handle = os.open(folder, os.O_PATH)
        server.bind(f"/proc/self/fd/{handle}/s")
        os.close(handle)
        server.listen()
        _send_descriptor("console-socket", f"{folder}/s", master, "/dev/pts/0")
        connection, _ = server.accept()
        with connection:
            data, control, flags, _ = connection.recvmsg(4096, socket.CMSG_SPACE(64))
            assert connection.recv(10) == b""
    (level, kind, content), *more = control
    assert (data, flags, level, kind, more) == (b"/dev/pts/0", 0, socket.SOL_SOCKET, socket.SCM_RIGHTS, [])
    fds = array.array("i", content)
    assert len(fds) == 1 and os.path.sameopenfile(fds[0], master)
    for fd in (*fds, master, slave):
        os.close(fd)


def test_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    with pytest.raises(OciError) as caught:
        _send_descriptor("console-socket", str(tmp_path / "none"), 0, "x")
    assert caught.value.code == "console-socket"
    assert "no such file" in caught.value.text()


# A terminal in the foreground.


class Session:
    """A runtime in the foreground of one terminal, with its container's process on another.

    The test sits at `master`, as a terminal emulator does.
    """

    def __init__(self, script: str, *, stdin: int | None = None, stdout: int | None = None) -> None:
        self.master, self.terminal = os.openpty()
        self.resize(33, 111)
        self.before = termios.tcgetattr(self.terminal)
        self.output = b""
        self.pid = in_runtime(lambda: self._run(script, stdin, stdout))

    def _run(self, script: str, stdin: int | None, stdout: int | None) -> int:
        os.setsid()
        fcntl.ioctl(self.terminal, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for fd, other in enumerate((stdin, stdout, None)):
            os.dup2(self.terminal if other is None else other, fd)
        os.closerange(3, 100)
        signals = Signals()
        master, slave = os.openpty()
        console.prepare(master)
        pid, pidfd = start(shell(script), slave)
        os.close(slave)
        return console.foreground(pid, pidfd, master, signals=signals)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read_until(self, text: str) -> bytes:
        """Collect what the terminal shows until it shows `text`."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self.output:
            assert time.monotonic() < deadline, self.output[-500:]
            if select.select([self.master], [], [], 0.1)[0]:
                self.output += os.read(self.master, 1 << 16)
        return self.output

    def is_raw(self) -> bool:
        lflag = termios.tcgetattr(self.terminal)[3]
        return not lflag & (termios.ICANON | termios.ECHO | termios.ISIG)

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self.terminal) == self.before

    def guards(self) -> list[str]:
        """Processes that hold our terminal open, this one and the runtime left out."""
        found = []
        name = os.ttyname(self.terminal)
        for process in filter(str.isdecimal, os.listdir("/proc")):
            try:
                links = {os.readlink(f"/proc/{process}/fd/{fd}") for fd in os.listdir(f"/proc/{process}/fd")}
            except OSError:
                continue
            if name in links and int(process) not in (os.getpid(), self.pid):
                found.append(process)
        return found

    def end(self) -> int:
        status = ended(self.pid)
        assert self.is_as_before()
        assert self.guards() == []
        return status

    def close(self) -> None:
        for fd in (self.master, self.terminal):
            os.close(fd)


@pytest.fixture
def session() -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def make(script: str, **streams: int) -> Session:
        made.append(Session(script, **streams))
        return made[-1]

    yield make
    for each in made:
        try:
            os.kill(each.pid, signal.SIGKILL)
            os.waitpid(each.pid, 0)
        except OSError:
            pass
        each.close()


Make = Callable[..., Session]


def test_raw_while_it_lasts(session: Make) -> None:
    box = session("echo up; read line; echo got $line; exit 5")
    box.read_until("up")
    assert box.is_raw()
    box.type("hello\r")
    assert b"hello\r\ngot hello\r\n" in box.read_until("got hello\r\n")
    assert box.end() == 5


def test_interrupt_character_goes_to_the_container(session: Make) -> None:
    box = session("trap 'echo caught; exit 6' INT; echo up; while :; do sleep 0.01; done")
    box.read_until("up")
    box.type("\x03")
    box.read_until("caught")
    assert box.end() == 6


def test_window_size(session: Make) -> None:
    box = session("stty size; trap 'stty size' WINCH; echo up; while :; do sleep 0.01; done")
    assert b"33 111\r\n" in box.read_until("up")
    box.resize(44, 155)
    box.read_until("44 155\r\n")
    os.kill(box.pid, signal.SIGTERM)
    assert box.end() == 128 + signal.SIGTERM


def test_much_output_arrives_whole(session: Make) -> None:
    box = session("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")
    lines = box.read_until("line 19999\r\n").decode().split("\r\n")
    assert lines == [*(f"line {number}" for number in range(20000)), ""]
    assert box.end() == 0


def test_last_words_arrive_though_the_process_is_gone(session: Make) -> None:
    for _ in range(5):
        box = session("printf 'all of it'")
        box.read_until("all of it")
        assert box.end() == 0


def test_stalled_reader_delays_no_signal(session: Make, tmp_path: Path) -> None:
    trap = f"trap 'touch {tmp_path}/caught; exit 8' USR1; "
    box = session(f"{trap} while :; do echo y; done & touch {tmp_path}/up; wait")
    until((tmp_path / "up").exists)
    time.sleep(0.5)  # everything between is full now
    os.kill(box.pid, signal.SIGUSR1)
    until((tmp_path / "caught").exists)
    time.sleep(0.5)
    os.kill(box.pid, signal.SIGTERM)  # the process is gone, and so is our patience with the reader
    assert box.end() == 8


def test_typed_text_that_nobody_reads(session: Make) -> None:
    box = session("echo up; stty raw -echo; echo ready; sleep 60")
    box.read_until("ready")
    os.set_blocking(box.master, False)
    for _ in range(200):
        try:
            box.type("x" * 1000)
        except BlockingIOError:
            time.sleep(0.005)
    os.kill(box.pid, signal.SIGTERM)
    assert box.end() == 128 + signal.SIGTERM


def test_restored_after_a_crash(session: Make) -> None:
    box = session("echo up; sleep 60")
    box.read_until("up")
    assert box.is_raw()
    until(lambda: len(box.guards()) == 1)
    os.kill(box.pid, signal.SIGKILL)
    assert ended(box.pid) == -signal.SIGKILL
    until(box.is_as_before)
    until(lambda: box.guards() == [])


def test_guard_holds_nothing_else(session: Make) -> None:
    box = session("echo up; sleep 60")
    box.read_until("up")
    until(lambda: len(box.guards()) == 1)
    (guard,) = box.guards()
    until(lambda: os.readlink(f"/proc/{guard}/cwd") == "/" and len(os.listdir(f"/proc/{guard}/fd")) == 2)
    kinds = [os.readlink(f"/proc/{guard}/fd/{fd}").split(":")[0] for fd in (0, 1)]
    assert kinds == ["socket", os.ttyname(box.terminal)]
    os.kill(box.pid, signal.SIGTERM)
    box.end()


def test_raw_again_after_a_stop(session: Make) -> None:
    box = session("echo up; sleep 60")
    box.read_until("up")
    os.kill(box.pid, signal.SIGSTOP)
    termios.tcsetattr(box.terminal, termios.TCSANOW, box.before)
    os.kill(box.pid, signal.SIGCONT)
    until(box.is_raw)
    os.kill(box.pid, signal.SIGTERM)
    assert box.end() == 128 + signal.SIGTERM


def test_terminal_that_is_closed_and_opened_again(session: Make) -> None:
    closed = "t=$(tty); exec </dev/null >/dev/null 2>&1; sleep 0.2; "
    script = closed + "echo again > $t; sleep 0.2; echo more > $t"
    box = session(script)
    box.read_until("again\r\nmore\r\n")
    assert box.end() == 0


def test_daemon_that_keeps_the_terminal_is_not_waited_for(session: Make, tmp_path: Path) -> None:
    box = session(f"trap '' HUP; sleep 60 & echo $! > {tmp_path}/pid; echo up")
    box.read_until("up")
    assert box.end() == 0
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_streams_that_are_no_terminals(session: Make, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with open(tmp_path / "out", "wb") as output:
        box = session("echo up; read a; read b; echo $a-$b; stty size", stdin=reader, stdout=output.fileno())
    os.close(reader)
    os.write(writer, b"one\ntwo\n")
    os.close(writer)
    assert box.end() == 0
    assert b"one-two\n33 111\n" in (tmp_path / "out").read_bytes()


def test_output_that_is_closed_does_not_stop_the_container(session: Make) -> None:
    reader, writer = os.pipe()
    box = session("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 4", stdout=writer)
    os.close(writer)
    os.close(reader)
    assert box.end() == 4


def test_flags_of_a_shared_output_are_left_alone(session: Make) -> None:
    reader, writer = os.pipe()
    box = session("echo up; sleep 0.2", stdout=writer)
    assert os.read(reader, 100) == b"up\n"
    assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(writer)
    os.close(reader)
    assert box.end() == 0


def test_hangup_of_our_terminal_hangs_up_the_container(session: Make) -> None:
    box = session("trap '' HUP; echo up; cat; exit 11")
    box.read_until("up")
    os.close(box.terminal)
    os.close(box.master)
    box.master, box.terminal = os.openpty()
    assert ended(box.pid) == 11


def test_signal_of_a_hangup(session: Make, tmp_path: Path) -> None:
    box = session(f"trap 'touch {tmp_path}/hangup; exit 9' HUP; echo up; while :; do sleep 0.01; done")
    box.read_until("up")
    os.close(box.terminal)
    os.close(box.master)
    box.master, box.terminal = os.openpty()
    assert ended(box.pid) == 9
    assert (tmp_path / "hangup").exists()
