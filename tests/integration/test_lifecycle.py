"""create, start, state, kill, delete, list: what each does and refuses in each state."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from harness import machine
from harness.box import Container, Stream
from harness.boxes import Boxes
from harness.bundle import busybox
from harness.programs import Programs
from harness.runtime import Runtime

CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def test_the_states_in_order(box: Boxes) -> None:
    made = box("/bin/cat")
    keep_open = made.stream()
    made.create(stdin=keep_open.read_end)
    assert made.status == "created"
    made.start()
    assert made.status == "running"
    keep_open.close()
    assert made.wait() == 0
    assert made.status == "stopped"
    made.delete()
    assert not made.runtime.exists(made.id)


def test_create_does_not_run_the_program(box: Boxes) -> None:
    made = box.sh("echo ran > /tmp/ran")
    made.create()
    assert not (made.rootfs / "tmp/ran").exists()
    made.start()
    assert made.wait() == 0
    assert (made.rootfs / "tmp/ran").read_text() == "ran\n"
    made.delete()


def test_the_state_says_what_the_specification_asks_for(box: Boxes) -> None:
    made = box("/bin/true")
    made.config["annotations"] = {"org.example.key": "value", "ü": "ä"}
    made.create()
    state = made.state()
    assert state["ociVersion"].startswith("1.")
    assert state["id"] == made.id
    assert state["status"] == "created"
    assert state["bundle"] == str(made.directory)
    assert state["annotations"] == made.config["annotations"]
    assert Path(f"/proc/{state['pid']}").exists()
    assert CREATED.fullmatch(state["created"])
    assert state["rootfs"] == str(made.rootfs)


def test_the_state_of_a_stopped_container(box: Boxes) -> None:
    made = box("/bin/true").launch()
    made.wait()
    state = made.state()
    assert (state["status"], state["pid"]) == ("stopped", 0)


def test_the_bundle_in_the_state_is_absolute(box: Boxes) -> None:
    made = box("/bin/true")
    made.save()
    made.runtime.call("create", "-b", made.directory.name, made.id, cwd=made.directory.parent).ok()
    made.expected = True
    assert made.state()["bundle"] == str(made.directory)


def test_an_id_is_taken_only_once(box: Boxes) -> None:
    made = box("/bin/true")
    made.create()
    pid = made.pid
    made.create(check=False).failed("exist")
    assert (made.status, made.pid) == ("created", pid)


def test_an_id_is_free_again_after_delete(box: Boxes) -> None:
    made = box("/bin/echo", "hi")
    for _ in range(2):
        made.create()
        made.delete("--force")
    assert made.out() == "hi\n"


def test_later_edits_of_the_config_have_no_effect(box: Boxes) -> None:
    made = box("/bin/sh", "-c", "echo first > /tmp/said")
    made.create()
    made.args("/bin/sh", "-c", "echo second > /tmp/said").save()
    made.start()
    made.wait()
    assert (made.rootfs / "tmp/said").read_text() == "first\n"


def test_without_its_config_a_container_is_still_managed(box: Boxes) -> None:
    made = box("/bin/sleep", "100")
    made.create()
    (made.directory / "config.json").unlink()
    assert made.status == "created"
    made.start()
    assert made.status == "running"
    made.stop()


# -- start


def test_a_second_start_is_refused(box: Boxes) -> None:
    made = box("/bin/sleep", "100").launch()
    made.start(check=False).failed()
    assert made.status == "running"


def test_a_stopped_container_is_not_started(box: Boxes) -> None:
    made = box("/bin/true").launch()
    made.wait()
    made.start(check=False).failed("stopped")


def test_a_container_killed_before_start_is_not_started(box: Boxes) -> None:
    made = box("/bin/true")
    made.create()
    made.kill("KILL")
    assert made.wait() == 128 + signal.SIGKILL
    assert made.status == "stopped"
    made.start(check=False).failed("stopped")


# -- kill


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ((), signal.SIGTERM),
        (("TERM",), signal.SIGTERM),
        (("SIGTERM",), signal.SIGTERM),
        (("15",), signal.SIGTERM),
        (("KILL",), signal.SIGKILL),
        (("SIGKILL",), signal.SIGKILL),
        (("9",), signal.SIGKILL),
        (("HUP",), signal.SIGHUP),
        (("usr1",), signal.SIGUSR1),
    ],
)
def test_kill_ends_a_process_by_signal(box: Boxes, words: tuple[str, ...], number: int) -> None:
    made = box("/bin/sleep", "100")
    made.no_namespace("pid")  # the first process of a pid namespace ignores signals it has no handler for
    made.launch()
    made.kill(*words)
    assert made.wait() == 128 + number


@pytest.mark.parametrize(("word", "number"), [("USR1", 10), ("SIGUSR2", 12), ("WINCH", 28), ("64", 64)])
def test_kill_delivers_any_signal(box: Boxes, programs: Programs, word: str, number: int) -> None:
    made = box()
    made.args(made.put(programs.path("probe")), "catch")
    said = made.stream()
    made.launch(stdout=said)
    said.until("ready")
    made.kill(word)
    said.until(f"got {number}\n")
    made.kill("TERM")
    assert made.wait() == 0


@pytest.mark.parametrize("word", ["NONSENSE", "SIGNONSENSE", "-1", "65", "1000", "9x"])
def test_kill_refuses_what_is_no_signal(box: Boxes, word: str) -> None:
    made = box("/bin/sleep", "100").launch()
    made.runtime.call("kill", made.id, word).failed()
    assert made.status == "running"


def test_kill_of_a_created_container(box: Boxes) -> None:
    made = box("/bin/true")
    made.create()
    made.kill("KILL")
    assert made.wait() == 128 + signal.SIGKILL


def test_kill_of_a_stopped_container_is_refused(box: Boxes) -> None:
    made = box("/bin/true").launch()
    made.wait()
    found = made.kill("TERM", check=False).failed("container not running")
    assert found.rc == 1


def test_kill_all_of_a_stopped_container_succeeds(box: Boxes) -> None:
    made = box("/bin/true").launch()
    made.wait()
    made.kill("--all", "KILL")


def test_kill_all_reaches_every_process_of_a_shared_pid_namespace(box: Boxes) -> None:
    made = box.sh("sleep 1000 & sleep 1001 & echo up; wait")
    made.no_namespace("pid")
    said = made.stream()
    made.launch(stdout=said)
    said.until("up")
    made.kill("--all", "KILL")
    assert made.wait() == 128 + signal.SIGKILL
    said.rest()  # the end of file comes when the last of them is gone


def test_kill_of_a_shared_pid_namespace_leaves_others_alone(box: Boxes) -> None:
    bystander = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")
    made = box("/bin/sleep", "1000")
    made.no_namespace("pid")
    made.launch()
    made.kill("--all", "KILL")
    made.wait()
    assert os.waitpid(bystander, os.WNOHANG) == (0, 0)
    os.kill(bystander, signal.SIGKILL)
    os.waitpid(bystander, 0)


def outlived(box: Boxes) -> tuple[Container, Stream]:
    """A container in a pid namespace of somebody else's whose first process has ended, and another one has not.

    The stream ends with the last process.
    """
    made = box.sh("sleep 1000 & echo up; exit 3")
    made.no_namespace("pid")
    said = made.stream()
    made.launch(stdout=said)
    said.until("up")
    assert made.wait() == 3
    return made, said


@pytest.mark.only("pyoci")
def test_kill_ends_what_a_dead_first_process_left(box: Boxes) -> None:
    """In a pid namespace of somebody else's the end of the first process ends no other: KILL is for all of them."""
    made, said = outlived(box)
    assert made.status == "stopped"
    made.kill("TERM", check=False).failed("container not running")
    made.kill("KILL")
    said.rest()
    made.kill("KILL", check=False).failed("container not running")


@pytest.mark.only("pyoci")
def test_kill_of_a_container_of_which_nothing_is_left_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.no_namespace("pid")
    made.launch()
    made.wait()
    made.kill("KILL", check=False).failed("container not running")


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("options", [["--all"], []], ids=["all", "first"])
def test_kill_says_that_it_left_the_container_paused(box: Boxes, folder: Path, options: list[str]) -> None:
    """The signal was sent to all processes, but the cgroup can't be thawed: that is no success."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    machine.need_controller("freezer") if machine.cgroup_version() == 1 else None
    made = box.sh("trap 'echo got it' USR1; echo up; while :; do sleep 0.1; done")
    said = made.stream()
    made.launch(stdout=said)
    said.until("up")
    if not options:
        made.runtime.call("pause", made.id).ok()
    log = folder / "writes"

    def kill(*inject: str) -> subprocess.CompletedProcess[str]:
        traced = ["strace", "-qq", "-o", str(log), "-y", "-e", "trace=write", *inject]
        argv = made.runtime.argv("kill", *options, made.id, "USR1" if options else "KILL")
        return subprocess.run([*traced, *argv], capture_output=True, text=True, timeout=120, check=False)

    word = '"THAWED"' if machine.cgroup_version() == 1 else '"0"'
    for attempt in range(300):  # how often v1 has to be told to freeze is not the same each time
        which = (2 if options else 1) + attempt % 6
        ended = kill("-e", f"inject=write:error=EIO:when={which}")
        writes = [
            line for line in log.read_text().splitlines() if line.startswith("write(") and "freez" in line
        ]
        if "INJECTED" in writes[-1] and word in writes[-1]:
            break
        assert options and ended.returncode == 0 and made.status == "running"
    else:
        pytest.fail("no thaw was made to fail")
    assert ended.returncode == 1
    assert "cannot thaw cgroup" in ended.stderr and "input/output error" in ended.stderr
    if options:
        assert "stay stopped" in ended.stderr and "pyoci resume" in ended.stderr
        assert made.status == "paused"
        made.runtime.call("resume", made.id).ok()
        said.until("got it")


# -- delete


def test_delete_of_a_running_container_is_refused(box: Boxes) -> None:
    made = box("/bin/sleep", "100").launch()
    made.delete(check=False).failed("not stopped")
    assert made.status == "running"


def test_delete_of_a_created_container_ends_it(box: Boxes) -> None:
    made = box("/bin/sleep", "100")
    made.create()
    made.delete()
    assert made.wait() == 128 + signal.SIGKILL


def test_delete_force_ends_a_running_container(box: Boxes) -> None:
    made = box("/bin/sleep", "100").launch()
    made.delete("--force")
    assert made.wait() == 128 + signal.SIGKILL
    made.delete(check=False).failed("does not exist")


def test_delete_force_ends_what_a_dead_first_process_left(box: Boxes) -> None:
    made, said = outlived(box)
    made.delete("--force")
    said.rest()


def test_delete_ends_what_a_dead_first_process_left_in_the_host_pid_namespace(box: Boxes) -> None:
    made, said = outlived(box)
    made.delete()
    said.rest()


def test_delete_after_the_process_was_killed_from_outside(box: Boxes) -> None:
    made = box("/bin/sleep", "100").launch()
    os.kill(made.pid, signal.SIGKILL)
    made.wait()
    assert made.status == "stopped"
    made.delete()


def test_delete_leaves_the_bundle_alone(box: Boxes) -> None:
    made = box("/bin/true").launch()
    made.wait()
    made.delete()
    assert (made.directory / "config.json").exists()
    assert (made.rootfs / "bin/busybox").exists()


# -- list


def test_list_of_nothing(runtime: Runtime) -> None:
    assert runtime.call("list").ok().lines()[0].split()[:4] == ["ID", "PID", "STATUS", "BUNDLE"]
    assert runtime.call("list", "--quiet").ok().out == ""
    assert runtime.call("list", "--format", "json").ok().json() in (None, [])


def test_list_shows_each_container(box: Boxes) -> None:
    first, second = box("/bin/sleep", "100"), box("/bin/sleep", "100")
    first.create()
    second.launch()
    runtime = first.runtime
    rows = {line.split()[0]: line.split() for line in runtime.call("list").ok().lines()[1:]}
    assert rows[first.id][1:4] == [str(first.pid), "created", str(first.directory)]
    assert rows[second.id][2] == "running"
    assert rows[second.id][5] == "root"
    assert sorted(runtime.call("list", "-q").ok().lines()) == sorted([first.id, second.id])
    for option in (["--format", "json"], ["--format=json"], ["-f", "json"]):
        entries = {entry["id"]: entry for entry in runtime.call("list", *option).ok().json()}
        assert entries[first.id]["status"] == "created"
        assert entries[second.id]["pid"] == second.pid
        assert entries[second.id]["owner"] == "root"


def test_list_refuses_an_unknown_format(runtime: Runtime) -> None:
    runtime.call("list", "--format", "yaml").failed("format")


# -- pid files


@pytest.mark.parametrize("verb", ["create", "run"])
def test_the_pid_file_has_digits_only(box: Boxes, folder: Path, verb: str) -> None:
    made = box("/bin/sleep", "100")
    options = ["--pid-file", str(folder / "pid")]
    if verb == "create":
        made.create(*options)
    else:
        made.run("--detach", *options)
    text = (folder / "pid").read_text()
    assert text.isdigit()
    assert int(text) == made.pid


def test_a_relative_pid_file_is_relative_to_the_caller(box: Boxes, folder: Path) -> None:
    made = box("/bin/sleep", "100")
    made.create("--pid-file", "here.pid", cwd=folder)
    assert int((folder / "here.pid").read_text()) == made.pid


def test_a_pid_file_that_can_not_be_written_fails_the_create(box: Boxes, folder: Path) -> None:
    made = box("/bin/sleep", "100")
    made.create("--pid-file", str(folder / "nowhere/pid"), check=False).failed("nowhere")


def test_a_failed_create_leaves_no_pid_file(box: Boxes, folder: Path) -> None:
    made = box("/bin/true")
    made.mount("/x", "bind", "/no/such/source", "bind")
    made.create("--pid-file", str(folder / "pid"), check=False).failed()
    assert not (folder / "pid").exists()


def test_an_existing_pid_file_is_replaced(box: Boxes, folder: Path) -> None:
    (folder / "pid").write_text("99999999999")
    made = box("/bin/sleep", "100")
    made.create("--pid-file", str(folder / "pid"))
    assert int((folder / "pid").read_text()) == made.pid


# -- the process that waits for start


def test_the_waiting_process_holds_nothing_of_the_caller(box: Boxes, folder: Path) -> None:
    """Engines wait for the end of file on pipes they left open in the runtime."""
    made = box("/bin/true")
    watched = made.stream()
    os.set_inheritable(watched.write_end, True)
    made.create(pass_fds=[watched.write_end])
    watched.rest()
    assert made.status == "created"


def test_the_waiting_process_is_an_orphan_of_the_runtime(box: Boxes) -> None:
    made = box("/bin/true")
    made.create()
    status = Path(f"/proc/{made.pid}/status").read_text()
    assert re.findall(r"^PPid:\s+(\d+)$", status, re.MULTILINE) == [str(os.getpid())]


def test_the_waiting_process_sleeps(box: Boxes) -> None:
    made = box("/bin/true")
    made.create()
    pid = made.pid

    def switches() -> list[str]:
        text = Path(f"/proc/{pid}/status").read_text()
        return re.findall(r"^\w*voluntary_ctxt_switches:\s+(\d+)$", text, re.MULTILINE)

    before = switches()
    for _ in range(5):
        made.state()
    assert switches() == before


@pytest.mark.only("pyoci")
def test_the_waiting_process_shows_no_host_binary(box: Boxes) -> None:
    made = box("/bin/true")
    made.create()
    target = os.readlink(f"/proc/{made.pid}/exe")
    assert target.startswith("/memfd:"), target


def test_state_output_is_one_json_object(box: Boxes) -> None:
    made = box("/bin/true")
    made.create()
    text = made.runtime.call("state", made.id).ok().out
    assert isinstance(json.loads(text), dict)


@pytest.mark.only("pyoci")
def test_a_container_of_a_former_version_is_started(box: Boxes) -> None:
    """Its record has numbers where the names of ops are now; what fails is told by what it was for."""
    made = box("/bin/true")
    program = made.put(Path(busybox()), "program")
    made.args(program, "true")
    made.create()
    assert made.runtime.root
    record = made.runtime.root / made.id / "state.json"
    state = json.loads(record.read_text())
    assert [name for _, name, _, _ in state["late"]] == ["wait_start", "execve"]
    state["late"] = [[index, index, pointer, about] for index, _, pointer, about in state["late"]]
    record.write_text(json.dumps(state))
    (made.rootfs / program[1:]).unlink()
    found = made.start(check=False).failed(f"exec {program} failed: {program}: no such file or directory")
    assert "Traceback" not in found.err
