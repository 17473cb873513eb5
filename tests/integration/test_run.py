"""run: status, streams, signals, descriptors, detach and keep."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from harness import machine
from harness.box import Container, Stream
from harness.boxes import Boxes
from harness.programs import Programs
from harness.runtime import PATIENCE


@pytest.mark.parametrize("status", [0, 1, 3, 127, 255])
def test_the_status_of_the_command_is_the_status_of_run(box: Boxes, status: int) -> None:
    assert box.sh(f"exit {status}").run(check=False).rc == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_death_by_signal_gives_128_and_its_number(box: Boxes, number: int) -> None:
    made = box.sh(f"kill -{int(number)} $$")
    made.no_namespace("pid")
    assert made.run(check=False).rc == 128 + number


def test_run_removes_the_container(box: Boxes) -> None:
    made = box("/bin/true")
    made.run()
    assert not made.runtime.exists(made.id)


def test_run_removes_the_container_whose_command_failed(box: Boxes) -> None:
    made = box("/bin/false")
    assert made.run(check=False).rc == 1
    assert not made.runtime.exists(made.id)


def test_keep_leaves_the_stopped_container(box: Boxes) -> None:
    made = box.sh("exit 4")
    assert made.run("--keep", check=False).rc == 4
    assert made.status == "stopped"
    made.delete()


def test_detach_returns_at_once_and_leaves_it_running(box: Boxes) -> None:
    for option in ("--detach", "-d"):
        made = box("/bin/sleep", "100")
        found = made.run(option)
        assert (found.out, found.err) == ("", "")
        assert made.status == "running"
        made.stop()


def test_run_leaves_alone_who_got_its_id(box: Boxes) -> None:
    """The container is deleted, its id given away, before `run` is rid of the output."""
    made = box.sh("seq 1 3000; touch /written; exec sleep 1000")
    made.process["terminal"] = True
    process = made.spawn("run", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pipesize=4096)
    assert process.stdout
    end = time.monotonic() + PATIENCE
    while not (made.rootfs / "written").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    made.delete("--force")
    made.process.update(terminal=False, args=["/bin/sleep", "1000"])
    made.launch()
    process.stdout.read()
    process.stdout.close()
    assert process.wait(PATIENCE) == 128 + signal.SIGKILL
    assert made.status == "running"
    made.stop()


def test_standard_input_is_inherited(box: Boxes) -> None:
    assert box("/bin/wc", "-c").out(stdin=b"12345").strip() == "5"


def test_streams_stay_apart(box: Boxes) -> None:
    found = box.sh("echo out; echo err >&2").run()
    assert (found.out, found.err) == ("out\n", "err\n")


def test_much_output_comes_whole(box: Boxes) -> None:
    assert box.sh("yes | head -c 3000000").out() == "y\n" * 1500000


def test_create_and_start_pass_the_streams_too(box: Boxes) -> None:
    made = box.sh('read line; echo "got $line"; echo err >&2')
    out, err = made.stream(), made.stream()
    made.create(stdin=b"text\n", stdout=out, stderr=err)
    made.start()
    assert (out.rest(), err.rest()) == ("got text\n", "err\n")
    assert made.wait() == 0


def test_a_user_who_is_not_root_can_reopen_the_streams(box: Boxes, folder: Path) -> None:
    """The streams belong to the container's user: /dev/stdout and /dev/stderr can be opened by name."""
    made = box.sh("echo out > /dev/stdout; echo err > /dev/stderr")
    made.process["user"] = {"uid": 1000, "gid": 1000}
    out, err = made.stream(), made.stream()
    made.launch(stdout=out, stderr=err)
    assert (out.rest(), err.rest()) == ("out\n", "err\n")
    assert made.wait() == 0


def test_dev_null_of_the_host_keeps_its_owner(box: Boxes) -> None:
    before = os.stat("/dev/null")
    made = box("/bin/true")
    made.process["user"] = {"uid": 1000, "gid": 1000}
    with open("/dev/null", "wb") as null:
        made.run(stdout=null, stderr=null)
    after = os.stat("/dev/null")
    assert (before.st_uid, before.st_gid, before.st_mode) == (after.st_uid, after.st_gid, after.st_mode)


# -- signals


def start_until(made: Container, words: str) -> tuple[subprocess.Popen[bytes], Stream]:
    """A foreground `run`; returns when its program has printed these words."""
    said = made.stream()
    process = made.spawn("run", stdin=subprocess.DEVNULL, stdout=said.write_end)
    said.close_write()
    said.until(words)
    return process, said


def start_catching(made: Container, programs: Programs) -> tuple[subprocess.Popen[bytes], Stream]:
    """A foreground `run` of a program that reports every signal; returns when it is ready."""
    made.args(made.put(programs.path("probe")), "catch")
    return start_until(made, "ready")


def start_sleeping(box: Boxes) -> tuple[Container, subprocess.Popen[bytes]]:
    """A foreground `run` of a program that a signal ends; returns when it is ready."""
    made = box.sh("echo ready; exec sleep 1000")
    made.no_namespace("pid")
    return made, start_until(made, "ready")[0]


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "USR1", "USR2", "CONT", "ALRM"])
def test_run_forwards_signals(box: Boxes, programs: Programs, name: str) -> None:
    process, said = start_catching(box(), programs)
    number = getattr(signal, f"SIG{name}")
    process.send_signal(number)
    said.until(f"got {int(number)}\n")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert f"got {int(signal.SIGTERM)}\n" in said.rest()


@pytest.mark.only("pyoci")  # runc 1.1.5 is ended by 34
@pytest.mark.parametrize("number", [signal.SIGSYS, signal.SIGSEGV, 32, 33, 34, 35, 64])
def test_a_signal_that_ends_the_container_does_not_leave_it_behind(box: Boxes, number: int) -> None:
    made, process = start_sleeping(box)
    process.send_signal(number)
    assert process.wait(PATIENCE) == 128 + number
    assert not made.runtime.exists(made.id)


def test_a_change_of_our_window_is_not_passed_on_without_a_terminal(box: Boxes, programs: Programs) -> None:
    process, said = start_catching(box(), programs)
    process.send_signal(signal.SIGWINCH)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert f"got {int(signal.SIGWINCH)}\n" not in said.rest()


def test_a_forwarded_signal_that_kills_gives_its_status(box: Boxes) -> None:
    _, process = start_sleeping(box)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM


def test_the_program_starts_with_default_signals(box: Boxes, programs: Programs) -> None:
    made = box()
    made.args(made.put(programs.path("probe")), "signals")
    assert made.out() == ""
    made.create(stdout=(said := made.stream()))
    made.start()
    assert said.rest() == ""
    made.wait()


def test_signals_ignored_by_the_caller_are_reset(box: Boxes, programs: Programs) -> None:
    made = box()
    made.args(made.put(programs.path("probe")), "signals")
    made.save()
    command = made.runtime.argv("run", "-b", str(made.directory), made.id)
    script = 'trap "" HUP INT USR1 PIPE; exec "$@"'
    found = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *command], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


# -- descriptors


def descriptors(text: str) -> dict[int, str]:
    """The output of `probe fds`."""
    return {int(line.split(" ", 1)[0]): line.split(" ", 1)[1] for line in text.splitlines()}


def test_only_the_standard_streams_are_open(box: Boxes, programs: Programs) -> None:
    made = box()
    made.args(made.put(programs.path("probe")), "fds")
    assert sorted(descriptors(made.out())) == [0, 1, 2]


def test_descriptors_of_the_caller_are_closed(box: Boxes, programs: Programs) -> None:
    made = box()
    made.args(made.put(programs.path("probe")), "fds")
    with open("/dev/null") as one, open("/dev/null") as two:
        assert sorted(descriptors(made.out(pass_fds=[one.fileno(), two.fileno()]))) == [0, 1, 2]


def at_descriptors(made: Container, verb: str, options: str, words: str, env: str = "") -> str:
    """Call the runtime from a shell that has arranged its descriptors as `words` say."""
    made.save()
    quoted = " ".join(f"'{word}'" for word in made.runtime.argv(verb))
    script = f"exec {words}; {env} exec {quoted} {options} -b '{made.directory}' {made.id}"
    found = subprocess.run(
        ["/bin/bash", "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert found.returncode == 0, found
    return found.stdout


def test_preserve_fds_passes_exactly_these(box: Boxes, programs: Programs, folder: Path) -> None:
    (folder / "three").write_text("3")
    made = box()
    made.args(made.put(programs.path("probe")), "fds")
    words = f"3<'{folder}/three' 4</dev/null 5</dev/zero 6</dev/null"
    found = descriptors(at_descriptors(made, "run", "--preserve-fds 3", words))
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert found[3].endswith("/three")
    assert found[5].endswith("/dev/zero")


def test_preserve_fds_with_gaps(box: Boxes, programs: Programs, folder: Path) -> None:
    """`podman run --preserve-fd=9,40` asks for all up to 40. Nothing of the runtime's may be in the gaps, nor of the hooks'."""
    (folder / "nine").write_text("9")
    made = box()
    made.args(made.put(programs.path("probe")), "fds")
    made.mount("/volume", "bind", str(folder), "bind")
    script = f"ls /proc/self/fd > {folder}/hook"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}
    made.config["hooks"] = {"createRuntime": [hook]}
    words = f"9<'{folder}/nine' 40</dev/zero"
    found = descriptors(at_descriptors(made, "run", "--preserve-fds 38", words))
    assert sorted(found) == [0, 1, 2, 9, 40]
    assert found[9].endswith("/nine") and found[40].endswith("/dev/zero")
    assert (folder / "hook").read_text().split() == ["0", "1", "2", "3"]
    env = "export LISTEN_FDS=2 LISTEN_PID=$$;"
    found = descriptors(at_descriptors(made, "run", "--preserve-fds 5", f"3</dev/null 4<&3 {words}", env))
    assert sorted(found) == [0, 1, 2, 3, 4, 9]


def test_preserved_descriptors_can_be_read(box: Boxes, folder: Path) -> None:
    (folder / "three").write_text("through three\n")
    made = box.sh("cat <&3")
    assert at_descriptors(made, "run", "--preserve-fds=1", f"3<'{folder}/three'") == "through three\n"


@pytest.mark.parametrize("count", ["5", "1073741824", "2147483648"])
def test_preserve_fds_of_closed_descriptors_is_refused(box: Boxes, count: str) -> None:
    made = box("/bin/true")
    found = made.run("--preserve-fds", count, check=False).failed()
    assert "Traceback" not in found.err


def test_listen_fds_are_passed_on(box: Boxes, programs: Programs, folder: Path) -> None:
    (folder / "three").write_text("3")
    made = box.sh("echo fds=$LISTEN_FDS pid=$LISTEN_PID; cat <&3; /bin/probe fds")
    made.put(programs.path("probe"))
    env = "LISTEN_FDS=1 LISTEN_PID=$$"
    text = at_descriptors(made, "run", "", f"3<'{folder}/three'", f"export {env};")
    first, rest = text.split("\n", 1)
    assert first == "fds=1 pid=1"
    assert rest.startswith("3")
    assert sorted(descriptors(rest[1:])) == [0, 1, 2, 3]


def test_listen_fds_of_another_process_are_not_taken(box: Boxes, programs: Programs) -> None:
    made = box.sh("echo fds=$LISTEN_FDS; /bin/probe fds")
    made.put(programs.path("probe"))
    text = at_descriptors(made, "run", "", "3</dev/null", "export LISTEN_FDS=1 LISTEN_PID=1;")
    first, rest = text.split("\n", 1)
    assert first == "fds="
    assert sorted(descriptors(rest)) == [0, 1, 2]


def test_listen_fds_come_before_preserved_ones(box: Boxes, programs: Programs, folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).write_text(name)
    made = box.sh("cat <&3; cat <&4; echo")
    env = "export LISTEN_FDS=1 LISTEN_PID=$$;"
    assert at_descriptors(made, "run", "--preserve-fds 1", f"3<'{folder}/a' 4<'{folder}/b'", env) == "ab\n"


# -- other options


def test_no_pivot(box: Boxes) -> None:
    made = box.sh("echo hi; ls /")
    text = made.out("--no-pivot")
    assert text.startswith("hi\n")
    assert "bin" in text and "usr" not in text


def session_keyring(made: Container, programs: Programs, *options: str) -> str:
    if not machine.keyring_works():
        pytest.skip("the kernel has no keyrings")
    made.args(made.put(programs.path("probe")), "keyring")
    return made.out(*options)


@pytest.mark.only("pyoci")
def test_others_can_not_change_the_session_keyring(box: Boxes, programs: Programs) -> None:
    """Root of another container is the same user to the kernel: it may find the keyring, not write into it or link it."""
    made = box()
    text = session_keyring(made, programs)
    assert text.strip().split(";")[3:] == ["3f0b0000", f"_ses.{made.id}"]
    probe = made.process["args"]
    made.args("/bin/sleep", "1000").launch()
    assert made.exec(*probe).out.endswith(text[text.index(";") :])


def test_a_new_session_keyring(box: Boxes, programs: Programs) -> None:
    made = box()
    assert f"_ses.{made.id}" in session_keyring(made, programs)


def test_no_new_keyring(box: Boxes, programs: Programs) -> None:
    made = box()
    assert f"_ses.{made.id}" not in session_keyring(made, programs, "--no-new-keyring")


def test_a_run_that_can_not_start_leaves_nothing(box: Boxes) -> None:
    made = box("/no/such/program")
    found = made.run(check=False)
    assert found.rc not in (0, None)
    assert not made.runtime.exists(made.id)


def test_runs_one_after_another_with_one_id(box: Boxes) -> None:
    made = box("/bin/echo", "hi")
    assert [made.out() for _ in range(3)] == ["hi\n"] * 3


def test_a_short_process_is_not_missed(box: Boxes) -> None:
    made = box.sh("exit 9")
    assert [made.run(check=False).rc for _ in range(10)] == [9] * 10


def test_run_survives_a_reader_that_went_away(box: Boxes) -> None:
    """With standard output closed by its reader the command gets SIGPIPE, and run its status."""
    made = box.sh("exec yes")
    made.no_namespace("pid")
    process, said = start_until(made, "y\n")
    said.close()
    assert process.wait(PATIENCE) == 128 + signal.SIGPIPE


def test_a_killed_run_leaves_a_container_that_delete_force_removes(box: Boxes) -> None:
    made = box.sh("echo ready; exec sleep 1000")
    said = made.stream()
    process = made.spawn("run", stdout=said.write_end)
    said.close_write()
    said.until("ready")
    process.kill()
    process.wait()
    made.expected = True
    assert made.status == "running"
    made.delete("--force")
    said.rest()


def test_a_pdeathsig_of_the_caller_concerns_the_runtime_only(box: Boxes) -> None:
    """Engines set PR_SET_PDEATHSIG before they exec the runtime; the container outlives the call."""
    made = box("/bin/sleep", "1000")
    made.create(preexec_fn=lambda: machine.LIBC.prctl(1, signal.SIGKILL, 0, 0, 0))
    made.start()
    assert made.status == "running"
    made.stop()
