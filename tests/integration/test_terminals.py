"""Terminals: passed over the console socket, or proxied by a foreground call."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.boxes import Boxes
from harness.runtime import PATIENCE
from harness.terminal import ConsoleSocket, Seat, set_window_size, window_size

# Runtimes may set the first size after the start, so that there is more than one change
WINDOW = "trap 'set -- $(stty size); echo $*; test $2 = 34 && exit 0' WINCH; echo ready; while :; do sleep 1000 & wait $!; done"


@pytest.fixture
def console(folder: Path) -> Iterator[ConsoleSocket]:
    """A listening console socket."""
    made = ConsoleSocket(folder / "console.sock")
    yield made
    made.close()


@pytest.fixture
def seat() -> Iterator[Seat]:
    """A pseudo terminal to run a foreground call on."""
    made = Seat(33, 99)
    yield made
    made.close()


# -- detached: the master goes over the console socket


def test_create_sends_the_master_before_it_returns(box: Boxes, console: ConsoleSocket) -> None:
    made = box.sh("tty; test -t 0 && test -t 1 && test -t 2 && echo all three; read line; echo got $line")
    made.process["terminal"] = True
    made.create("--console-socket", str(console.path))
    assert not console.nothing_came()
    master = console.receive()
    made.start()
    master.until("all three\n")
    master.type("text\n")
    master.until("got text")
    assert made.wait() == 0
    text = master.rest()
    assert text.startswith(("/dev/pts/0\n", "/dev/console\n"))
    master.close()


def test_the_streams_of_the_caller_are_not_used(box: Boxes, console: ConsoleSocket) -> None:
    made = box.sh("echo out; echo err >&2")
    made.process["terminal"] = True
    out, err = made.stream(), made.stream()
    made.create("--console-socket", str(console.path), stdout=out, stderr=err)
    assert (out.rest(), err.rest()) == ("", "")  # at their end: the container holds them no more
    master = console.receive()
    made.start()
    made.wait()
    assert master.rest() == "out\nerr\n"
    master.close()


def test_the_size_of_the_config(box: Boxes, console: ConsoleSocket) -> None:
    made = box("/bin/stty", "size")
    made.process.update(terminal=True, consoleSize={"height": 40, "width": 123})
    made.create("--console-socket", str(console.path))
    master = console.receive()
    assert window_size(master.fd) == (40, 123)
    made.start()
    made.wait()
    assert master.rest() == "40 123\n"
    master.close()


def test_the_terminal_is_the_controlling_one(box: Boxes, console: ConsoleSocket) -> None:
    made = box.sh("echo hello > /dev/tty; trap 'echo interrupted; exit 3' INT; echo ready; sleep 1000 & wait")
    made.process["terminal"] = True
    made.create("--console-socket", str(console.path))
    master = console.receive()
    made.start()
    master.until("ready")
    assert "hello\n" in master.text()
    master.type("\x03")
    master.until("interrupted")
    assert made.wait() == 3
    master.close()


def test_dev_console_is_the_terminal(box: Boxes, console: ConsoleSocket) -> None:
    made = box.sh("stat -c %F /dev/console; echo to console > /dev/console")
    made.process["terminal"] = True
    made.create("--console-socket", str(console.path))
    master = console.receive()
    made.start()
    made.wait()
    assert master.rest() == "character special file\nto console\n"
    master.close()


def test_the_terminal_belongs_to_the_user(box: Boxes, console: ConsoleSocket) -> None:
    made = box.sh("stat -L -c %u /proc/self/fd/0; echo reopened > /dev/tty; echo reopened > /dev/stdout")
    made.process.update(terminal=True, user={"uid": 1000, "gid": 1000})
    made.create("--console-socket", str(console.path))
    master = console.receive()
    made.start()
    made.wait()
    assert master.rest() == "1000\nreopened\nreopened\n"
    master.close()


@pytest.mark.parametrize("verb", ["run", "create", "exec"])
def test_the_callers_terminal_keeps_its_owner(box: Boxes, verb: str) -> None:
    """It is the caller's after the container has ended; only a terminal that the runtime made belongs to the container's user."""
    made = box("/bin/sleep", "1000") if verb == "exec" else box("/bin/true")
    if verb != "exec":
        made.process["user"] = {"uid": 1234, "gid": 1234}
    made.save()
    seat = Seat()
    before = os.fstat(seat.slave)
    assert before.st_uid != 1234
    streams: dict[str, Any] = {"stdin": seat.slave, "stdout": seat.slave, "stderr": seat.slave}
    if verb == "exec":
        made.launch()
        made.exec("/bin/true", options=("--user", "1234:1234"), **streams)
    elif verb == "create":
        made.create(**streams)
    else:
        made.run(**streams)
    after = os.fstat(seat.slave)
    seat.close()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


@pytest.mark.parametrize("kind", ["pipe", "socket", "file"])
def test_other_standard_files_belong_to_the_user(box: Boxes, folder: Path, kind: str) -> None:
    made = box("/bin/true")
    made.process["user"] = {"uid": 1234, "gid": 1234}
    if kind == "pipe":
        ends: tuple[int, ...] = os.pipe()
    elif kind == "socket":
        ends = tuple(end.detach() for end in socket.socketpair())
    else:
        ends = (os.open("/dev/null", os.O_RDONLY), os.open(folder / "out", os.O_WRONLY | os.O_CREAT, 0o600))
    made.run(stdout=ends[1])
    owner = os.fstat(ends[1]).st_uid
    for end in ends:
        os.close(end)
    assert owner == 1234


def test_a_window_change_reaches_the_program(box: Boxes, console: ConsoleSocket) -> None:
    made = box.sh(WINDOW)
    made.process["terminal"] = True
    made.create("--console-socket", str(console.path))
    master = console.receive()
    made.start()
    master.until("ready")
    set_window_size(master.fd, 12, 34)
    master.until("12 34")
    made.wait()
    master.close()


def test_run_detached_with_a_terminal(box: Boxes, console: ConsoleSocket) -> None:
    made = box.sh("echo hi; read line")
    made.process["terminal"] = True
    made.run("--detach", "--console-socket", str(console.path))
    master = console.receive()
    master.until("hi")
    master.close()
    assert made.wait() in (0, 1, 128 + signal.SIGHUP)


def test_a_terminal_in_a_user_namespace(box: Boxes, console: ConsoleSocket) -> None:
    made = box.sh("tty; echo to console > /dev/console; stat -L -c %u /proc/self/fd/0")
    made.user_namespace()
    made.process["terminal"] = True
    made.create("--console-socket", str(console.path))
    master = console.receive()
    made.start()
    made.wait()
    assert master.rest().splitlines()[1:] == ["to console", "0"]
    master.close()


def test_create_with_a_terminal_needs_a_console_socket(box: Boxes) -> None:
    made = box("/bin/true")
    made.process["terminal"] = True
    made.create(check=False).failed("console")


def test_run_detached_with_a_terminal_needs_a_console_socket(box: Boxes) -> None:
    made = box("/bin/true")
    made.process["terminal"] = True
    made.run("--detach", check=False).failed("console")


def test_a_console_socket_without_a_terminal_is_refused(box: Boxes, console: ConsoleSocket) -> None:
    made = box("/bin/true")
    made.create("--console-socket", str(console.path), check=False).failed("console")
    assert console.nothing_came()


def test_a_console_socket_nobody_listens_on_is_refused(box: Boxes, folder: Path) -> None:
    made = box("/bin/true")
    made.process["terminal"] = True
    made.create("--console-socket", str(folder / "nobody.sock"), check=False).failed("nobody.sock")
    assert not made.runtime.exists(made.id)


# -- foreground: the call proxies between its terminal and the container's


def run_seated(box: Boxes, seat: Seat, script: str) -> subprocess.Popen[bytes]:
    """A foreground `run` with a terminal, on a terminal."""
    made = box.sh(script)
    made.process["terminal"] = True
    made.save()
    return seat.run(made.runtime.argv("run", "-b", str(made.directory), made.id))


def test_a_foreground_terminal(box: Boxes, seat: Seat) -> None:
    process = run_seated(box, seat, "tty; read line; echo got $line; exit 5")
    seat.master.until("/dev/")
    seat.master.type("text\n")
    seat.master.until("got text")
    assert process.wait(PATIENCE) == 5


@pytest.mark.only("pyoci")  # runc 1.1.5 sets the size after the start
def test_a_foreground_terminal_has_our_size(box: Boxes, seat: Seat) -> None:
    process = run_seated(box, seat, "stty size")
    seat.master.until("33 99")
    assert process.wait(PATIENCE) == 0


def test_our_terminal_is_raw_meanwhile_and_restored_afterwards(box: Boxes, seat: Seat) -> None:
    process = run_seated(box, seat, "echo ready; read line")
    assert not seat.is_raw()
    seat.master.until("ready")
    assert seat.is_raw()
    seat.master.type("x\n")
    assert process.wait(PATIENCE) == 0
    assert seat.attributes() == seat.before


def test_our_terminal_is_restored_after_a_failed_run(box: Boxes, seat: Seat) -> None:
    made = box("/no/such/program")
    made.process["terminal"] = True
    made.save()
    process = seat.run(made.runtime.argv("run", "-b", str(made.directory), made.id))
    assert process.wait(PATIENCE) != 0
    assert seat.attributes() == seat.before
    seat.master.until("no such file")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_our_terminal_is_restored_when_a_signal_ends_it(box: Boxes, seat: Seat, number: int) -> None:
    process = run_seated(box, seat, f"trap 'exit 7' {int(number)}; echo ready; sleep 1000 & wait")
    seat.master.until("ready")
    process.send_signal(number)
    assert process.wait(PATIENCE) == 7
    assert seat.attributes() == seat.before


@pytest.mark.only("pyoci")
def test_our_terminal_is_restored_after_the_runtime_was_killed(box: Boxes, seat: Seat) -> None:
    made = box.sh("echo ready; exec sleep 1000")
    made.process["terminal"] = True
    made.save()
    process = seat.run(made.runtime.argv("run", "-b", str(made.directory), made.id))
    seat.master.until("ready")
    process.kill()
    process.wait()
    made.expected = True
    made.delete("--force")
    deadline = PATIENCE * 50
    while seat.attributes() != seat.before and deadline > 0:
        subprocess.run(["sleep", "0.02"], check=True)
        deadline -= 1
    assert seat.attributes() == seat.before


def test_keys_go_to_the_container_not_to_the_runtime(box: Boxes, seat: Seat) -> None:
    process = run_seated(box, seat, "trap 'echo interrupted; exit 3' INT; echo ready; sleep 1000 & wait")
    seat.master.until("ready")
    seat.master.type("\x03")
    seat.master.until("interrupted")
    assert process.wait(PATIENCE) == 3


def test_end_of_file_by_key(box: Boxes, seat: Seat) -> None:
    process = run_seated(box, seat, "echo ready; cat; exit 6")
    seat.master.until("ready")
    seat.master.type("\x04")
    assert process.wait(PATIENCE) == 6


def test_a_window_change_is_passed_on(box: Boxes, seat: Seat) -> None:
    process = run_seated(box, seat, WINDOW)
    seat.master.until("ready")
    set_window_size(seat.master.fd, 12, 34)
    seat.master.until("12 34")
    assert process.wait(PATIENCE) == 0


def test_the_last_output_is_not_lost(box: Boxes, seat: Seat) -> None:
    process = run_seated(box, seat, "seq 1 20000; echo the end")
    seat.master.until("the end\n")
    assert process.wait(PATIENCE) == 0
    numbers = seat.master.text().split("the end")[0].split()
    assert numbers == [str(number) for number in range(1, 20001)]


def test_much_input_is_not_lost(box: Boxes, seat: Seat) -> None:
    process = run_seated(box, seat, "stty -echo -icanon; echo ready; head -c 100000 | md5sum; exit 0")
    seat.master.until("ready")
    data = "".join(chr(97 + number % 26) for number in range(100000))
    for start in range(0, len(data), 1000):
        seat.master.type(data[start : start + 1000])
    seat.master.until(hashlib.md5(data.encode()).hexdigest())
    assert process.wait(PATIENCE) == 0


def test_a_terminal_with_streams_that_are_none(box: Boxes) -> None:
    """`run` of a container with a terminal whose own streams are a file and a pipe."""
    made = box.sh("test -t 1 && echo terminal; exit 4")
    made.process["terminal"] = True
    found = made.run(check=False, stdin=subprocess.DEVNULL)
    if made.runtime.kind == "runc":
        assert found.rc != 0 or "terminal" in found.out
    else:
        assert (found.rc, found.out) == (4, "terminal\n")


# Which end of a line: runc's tests read lines from a foreground call, and engines want those of a terminal


def newline(text: str) -> str:
    """The setting that adds a carriage return to a newline, as stty shows it."""
    return next(word for word in text.split() if word.endswith("onlcr"))


def test_lines_of_a_foreground_terminal_end_with_a_newline_alone(box: Boxes) -> None:
    made = box("/bin/stty", "-a")
    made.process["terminal"] = True
    text = made.out(stdin=subprocess.DEVNULL)
    assert newline(text) == "-onlcr" and "\r" not in text


def test_lines_of_a_foreground_exec_end_with_a_newline_alone(box: Boxes) -> None:
    made = box("/bin/sleep", "1000").launch()
    text = made.exec("/bin/stty", "-a", options=("--tty",), stdin=subprocess.DEVNULL).out
    assert newline(text) == "-onlcr" and "\r" not in text


@pytest.mark.parametrize("verb", ["create", "run", "exec"])
def test_a_terminal_that_is_handed_over_keeps_its_line_ends(
    box: Boxes, console: ConsoleSocket, verb: str
) -> None:
    handed = ("--detach", "--console-socket", str(console.path))
    made = box("/bin/stty", "-a")
    if verb == "exec":
        made.args("/bin/sleep", "1000").launch()
        made.exec("/bin/stty", "-a", options=("--tty", *handed))
    else:
        made.process["terminal"] = True
        made.run(*handed) if verb == "run" else made.create(*handed[1:])
    master = console.receive()
    if verb == "create":
        made.start()
    master.rest()
    assert newline(master.text()) == "onlcr" and b"\r\n" in master.data
    if verb != "exec":
        made.wait()
    master.close()


def test_no_staircase(box: Boxes, seat: Seat) -> None:
    """What others write to our terminal meanwhile ends its lines as before."""
    process = run_seated(box, seat, "echo ready; read line")
    seat.master.until("ready")
    assert seat.is_raw()
    assert seat.attributes()[1] == seat.before[1]
    os.write(seat.slave, b"from a job in the background\n")
    seat.master.until("background")
    seat.master.type("x\n")
    assert process.wait(PATIENCE) == 0
    assert seat.master.data.count(b"\n") == seat.master.data.count(b"\r\n") > 1


def test_without_a_terminal_ours_is_left_alone(box: Boxes, seat: Seat) -> None:
    made = box.sh("echo ready; read line; echo got $line")
    made.save()
    process = seat.run(made.runtime.argv("run", "-b", str(made.directory), made.id))
    seat.master.until("ready")
    assert not seat.is_raw()
    seat.master.type("text\n")
    seat.master.until("got text")
    assert process.wait(PATIENCE) == 0


def test_hanging_up_ends_the_run(box: Boxes, seat: Seat) -> None:
    made = box.sh("echo ready; exec cat")
    made.process["terminal"] = True
    made.save()
    process = seat.run(made.runtime.argv("run", "-b", str(made.directory), made.id))
    seat.master.until("ready")
    seat.master.close()
    os.close(seat.slave)
    seat.slave = os.open("/dev/null", os.O_RDONLY)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGKILL) if made.runtime.kind == "runc" else None
    process.wait(PATIENCE)
    made.expected = made.runtime.kind == "runc" or made.runtime.exists(made.id)


def test_raw_mode_keeps_bytes(box: Boxes, seat: Seat) -> None:
    process = run_seated(box, seat, "stty raw -echo; echo ready; head -c 4 | od -An -tx1")
    seat.master.until("ready")
    os.write(seat.master.fd, b"\x03\x1a\x00\xff")
    seat.master.until("03 1a 00 ff")
    assert process.wait(PATIENCE) == 0


def test_the_attributes_are_those_of_an_ordinary_terminal(box: Boxes, console: ConsoleSocket) -> None:
    made = box("/bin/true")
    made.process["terminal"] = True
    made.create("--console-socket", str(console.path))
    master = console.receive()
    local = termios.tcgetattr(master.fd)[3]
    assert local & termios.ECHO and local & termios.ICANON and local & termios.ISIG
    master.close()
