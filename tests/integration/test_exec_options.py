"""exec: namespaces, options, process files, statuses, terminals, descriptors."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.leaks import children
from harness.programs import Programs
from harness.runtime import PATIENCE, Result
from harness.terminal import ConsoleSocket, Seat, set_window_size


@pytest.fixture
def running(box: Boxes, programs: Programs) -> Container:
    """A running container that has the probe in /bin."""
    made = box("/bin/sleep", "1000")
    made.put(programs.path("probe"))
    return made.launch()


@pytest.fixture
def console(folder: Path) -> Iterator[ConsoleSocket]:
    """A listening console socket."""
    made = ConsoleSocket(folder / "console.sock")
    yield made
    made.close()


def process_file(folder: Path, *args: str, **more: Any) -> str:
    """A process object in a file, as engines write it."""
    entry = {"user": {"uid": 0, "gid": 0}, "args": list(args), "env": ["PATH=/bin"], "cwd": "/", **more}
    path = folder / "process.json"
    path.write_text(json.dumps(entry))
    return str(path)


def detached(made: Container, folder: Path, *words: str, options: tuple[str, ...] = (), **call: Any) -> int:
    """A detached exec; returns its pid from the pid file."""
    made.exec(*words, options=("--detach", "--pid-file", str(folder / "pid"), *options), **call)
    text = (folder / "pid").read_text()
    assert text.isdigit()
    return int(text)


# -- what the process gets


def test_it_is_in_all_namespaces(running: Container) -> None:
    kinds = ("ipc", "mnt", "net", "pid", "uts", "cgroup")
    found = running.exec(
        "/bin/sh", "-c", f"for i in {' '.join(kinds)}; do readlink /proc/self/ns/$i; done"
    ).lines()
    pid = running.pid
    assert found == [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in kinds]


def test_it_is_in_the_user_namespace(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.user_namespace()
    made.launch()
    found = made.exec("/bin/sh", "-c", "readlink /proc/self/ns/user; id -u; cat /proc/self/setgroups").lines()
    assert found == [os.readlink(f"/proc/{made.pid}/ns/user"), "0", "allow"]


def test_it_sees_the_root_filesystem_and_the_processes(running: Container) -> None:
    found = running.exec("/bin/sh", "-c", "ls /; ps; hostname").out
    assert "sleep 1000" in found
    assert found.endswith("box\n")
    assert sorted(found.split("PID")[0].split()) == sorted(os.listdir(running.rootfs))


def test_it_is_in_the_cgroup(running: Container, folder: Path) -> None:
    pid = detached(running, folder, "/bin/sleep", "1000")
    ours = Path(f"/proc/{running.pid}/cgroup").read_text()
    assert Path(f"/proc/{pid}/cgroup").read_text() == ours
    assert running.cgroup in ours


@pytest.mark.parametrize("pid_namespace", [True, False])
@pytest.mark.parametrize("room", [0, 1])
def test_a_container_at_its_pids_limit_can_be_looked_into(
    box: Boxes, folder: Path, pid_namespace: bool, room: int
) -> None:
    """A fork bomb, say. What is moved into a cgroup does not count against its limit, only what forks there."""
    machine.need_controller("pids")
    made = box.sh("for i in 1 2 3 4 5; do sleep 1000 & done; echo up; wait")
    made.linux["resources"] = {"pids": {"limit": 6 + room}}
    if not pid_namespace:
        made.no_namespace("pid")
    said = made.stream()
    made.launch(stdout=said)
    said.until("up")
    pid = detached(made, folder, "/bin/sleep", "1000")
    assert Path(f"/proc/{pid}/cgroup").read_text() == Path(f"/proc/{made.pid}/cgroup").read_text()
    assert made.exec("/bin/echo", "hi").out == "hi\n"
    if not pid_namespace:
        made.kill("--all", "KILL")


def test_it_has_the_containers_process_as_model(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.process.update(cwd="/tmp", noNewPrivileges=True, user={"uid": 1000, "gid": 1001, "umask": 0o027})
    made.process["env"] += ["A=1"]
    made.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]
    made.launch()
    script = "pwd; id -u; id -g; echo $A; ulimit -c; grep NoNewPrivs /proc/self/status"
    found = made.exec("/bin/sh", "-c", script).lines()
    assert found[:4] == ["/tmp", "1000", "1001", "1"]
    assert found[-1].split() == ["NoNewPrivs:", "1"]


def test_it_has_the_containers_capabilities(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.capabilities("CAP_CHOWN", "CAP_KILL")
    made.launch()
    text = made.exec("/bin/grep", "Cap", "/proc/self/status").out
    found = {line.split(":")[0]: int(line.split(":")[1], 16) for line in text.splitlines()}
    assert found == {"CapInh": 0, "CapPrm": 0x21, "CapEff": 0x21, "CapBnd": 0x21, "CapAmb": 0}


def test_only_the_standard_streams_are_open(running: Container) -> None:
    with open("/dev/null") as one:
        lines = running.exec("/bin/probe", "fds", pass_fds=[one.fileno()]).lines()
    assert [int(line.split()[0]) for line in lines] == [0, 1, 2]


def test_signals_are_the_default(running: Container) -> None:
    assert running.exec("/bin/probe", "signals").out == ""


def test_the_flags_of_the_process(running: Container) -> None:
    found = running.exec("/bin/probe", "flags").lines()
    assert found[0] == "dumpable 1"
    assert "pdeathsig 0" in found


def test_streams(running: Container) -> None:
    found = running.exec("/bin/sh", "-c", "cat; echo err >&2", stdin=b"in\n")
    assert (found.out, found.err) == ("in\n", "err\n")


def test_the_environment_of_the_caller_stays_outside(running: Container) -> None:
    text = running.exec("/bin/env", env={"SECRET": "x", "_OCI_SYNCPIPE": "3"}).out
    assert sorted(line.split("=")[0] for line in text.splitlines()) == ["HOME", "PATH", "TERM"]


# -- options


@pytest.mark.parametrize("option", [("--cwd", "/tmp"), ("--cwd=/tmp",)])
def test_cwd(running: Container, option: tuple[str, ...]) -> None:
    assert running.exec("/bin/pwd", options=option).out == "/tmp\n"


def test_a_cwd_that_does_not_exist_is_refused(running: Container) -> None:
    """Whereas `create` makes it: what an image lacks is not what a person has mistyped."""
    running.exec("/bin/pwd", options=("--cwd", "/new/folder"), check=False).failed(
        "no such file or directory"
    )
    assert running.exec("test", "-e", "/new", check=False).rc == 1


@pytest.mark.parametrize(
    "option", [("-e", "A=1", "-e", "B=x y"), ("--env=A=1", "--env=B=x y"), ("--env", "A=1", "--env", "B=x y")]
)
def test_env(running: Container, option: tuple[str, ...]) -> None:
    lines = running.exec("/bin/env", options=option).lines()
    assert "A=1" in lines and "B=x y" in lines and "PATH=/bin" in lines


def test_env_overrides(running: Container) -> None:
    lines = running.exec("/bin/env", options=("-e", "TERM=other")).lines()
    assert [line for line in lines if line.startswith("TERM=")] == ["TERM=other"]


@pytest.mark.parametrize("entry", ["NAME", "", "=value"])
@pytest.mark.parametrize("option", ["--env", "-e"])
def test_env_without_a_name_or_a_value_is_refused(running: Container, option: str, entry: str) -> None:
    found = running.exec("/bin/true", options=(option, entry), check=False).failed()
    assert found.rc == 255


@pytest.mark.parametrize("path", ["tmp", "./tmp"])
def test_a_relative_cwd_is_refused(running: Container, path: str) -> None:
    found = running.exec("/bin/pwd", options=("--cwd", path), check=False).failed("absolute path")
    assert found.rc == 255


USERS = [
    ("0", "0", "0"),
    ("1", "1", "0"),
    ("1000", "1000", "0"),
    ("1000:50", "1000", "50"),
    ("0:1000", "0", "1000"),
    ("4321:1234", "4321", "1234"),
]


@pytest.mark.parametrize(("user", "uid", "gid"), USERS)
@pytest.mark.parametrize("option", ["--user", "-u"])
def test_user(running: Container, option: str, user: str, uid: str, gid: str) -> None:
    assert running.exec("/bin/sh", "-c", "id -u; id -g", options=(option, user)).lines() == [uid, gid]


NO_USERS = ["", ":", "abc", "1:", ":1", "-1", "1:2:3", "1x", " 1", "0x1", "4294967296"]


@pytest.mark.parametrize("user", NO_USERS)
def test_a_user_that_is_no_number_is_never_root(running: Container, user: str) -> None:
    found = running.exec("/bin/id", "-u", options=("--user", user), check=False)
    if found.rc == 0:
        assert user == "" and found.out == "0\n", found
    else:
        assert found.out == ""


@pytest.mark.parametrize(
    "option", [("--additional-gids", "5", "--additional-gids", "7"), ("-g", "5", "-g", "7")]
)
def test_additional_gids(running: Container, option: tuple[str, ...]) -> None:
    found = running.exec("/bin/id", "-G", options=("-u", "1000:1000", *option)).out.split()
    assert set(found) == {"1000", "5", "7"}


def caps(found: Result) -> dict[str, int]:
    """The sets in the output of grep Cap /proc/self/status."""
    return {line.split(":")[0]: int(line.split(":")[1], 16) for line in found.lines()}


def test_cap_is_ambient_where_the_configuration_has_it_inheritable(box: Boxes) -> None:
    """A user other than root would not have it otherwise."""
    made = box("/bin/sleep", "1000")
    made.capabilities("CAP_CHOWN")
    made.process["capabilities"].update(
        bounding=["CAP_CHOWN", "CAP_NET_RAW"], inheritable=["CAP_NET_RAW"], ambient=[]
    )
    made.launch()
    options = ("--user", "1000", "--cap", "CAP_NET_RAW", "--cap", "CAP_KILL")
    found = caps(made.exec("/bin/grep", "Cap", "/proc/self/status", options=options))
    raw, kill, chown = 1 << 13, 1 << 5, 1 << 0
    assert found["CapInh"] == found["CapAmb"] == found["CapEff"] == found["CapPrm"] == raw
    assert found["CapBnd"] == raw | kill | chown


@pytest.mark.parametrize("option", [("--cap", "CAP_NET_ADMIN"), ("-c", "CAP_NET_ADMIN")])
def test_cap_adds_to_three_sets_only(box: Boxes, option: tuple[str, ...]) -> None:
    made = box("/bin/sleep", "1000")
    made.capabilities("CAP_CHOWN")
    made.launch()
    found = caps(made.exec("/bin/grep", "Cap", "/proc/self/status", options=option))
    assert found == {"CapInh": 0, "CapPrm": 0x1001, "CapEff": 0x1001, "CapBnd": 0x1001, "CapAmb": 0}


def test_no_new_privs(running: Container) -> None:
    found = running.exec("/bin/grep", "NoNewPrivs", "/proc/self/status", options=("--no-new-privs",)).out
    assert found.split()[1] == "1"
    assert running.exec("/bin/grep", "NoNewPrivs", "/proc/self/status").out.split()[1] == "0"


def test_options_end_with_the_id(running: Container) -> None:
    assert running.exec("/bin/echo", "--cwd", "-e", "x").out == "--cwd -e x\n"


def test_two_dashes_before_the_id(running: Container) -> None:
    assert running.runtime.call("exec", "--", running.id, "/bin/echo", "hi").ok().out == "hi\n"


def test_without_a_command_it_is_refused(running: Container) -> None:
    found = running.exec(check=False).failed()
    assert found.rc == 255 or running.runtime.kind != "pyoci"


def test_preserve_fds(running: Container, folder: Path) -> None:
    (folder / "three").write_text("through three\n")
    argv = running.runtime.argv(
        "exec", "--preserve-fds", "1", running.id, "/bin/sh", "-c", "cat <&3; /bin/probe fds"
    )
    quoted = " ".join(f"'{word}'" for word in argv)
    command = f"exec 3<'{folder}/three' 4</dev/null; exec {quoted}"
    found = subprocess.run(
        ["/bin/bash", "-c", command], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    lines = found.stdout.splitlines()
    assert lines[0] == "through three", found
    assert [int(line.split()[0]) for line in lines[1:]] == [0, 1, 2, 3]


@pytest.mark.parametrize("option", ["--apparmor", "--process-label"])
def test_labels_of_a_security_module_that_is_off(running: Container, option: str) -> None:
    if Path("/sys/kernel/security/apparmor").exists() or Path("/sys/fs/selinux").exists():
        pytest.skip("the kernel has a security module")
    found = running.exec("/bin/true", options=(option, "label"), check=False)
    assert found.rc == 255
    assert re.search("apparmor|selinux", found.err, re.IGNORECASE)


# -- statuses


@pytest.mark.parametrize("status", [0, 1, 5, 126, 255])
def test_the_status_of_the_command(running: Container, status: int) -> None:
    assert running.exec("/bin/sh", "-c", f"exit {status}", check=False).rc == status


def test_death_by_signal(running: Container) -> None:
    assert running.exec("/bin/sh", "-c", "kill -9 $$", check=False).rc == 137


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/no/such/program", "no such file or directory"),
        ("nosuchprogram", "executable file not found in $PATH"),
        ("/etc/passwd", "permission denied"),
    ],
)
def test_what_the_runtime_can_not_start_is_255(running: Container, command: str, words: str) -> None:
    found = running.exec(command, check=False).failed(command, words)
    assert found.rc == 255
    assert found.out == ""


def test_exec_in_a_stopped_container_is_255(box: Boxes) -> None:
    made = box("/bin/true").launch()
    made.wait()
    found = made.exec("/bin/true", check=False).failed("stopped")
    assert found.rc == 255


def test_exec_in_a_created_container(box: Boxes) -> None:
    made = box("/bin/true")
    made.create()
    assert made.exec("/bin/echo", "hi").out == "hi\n"
    assert made.status == "created"


def test_signals_are_forwarded(running: Container) -> None:
    said = running.stream()
    process = running.runtime.spawn("exec", running.id, "/bin/probe", "catch", stdout=said.write_end)
    said.close_write()
    said.until("ready")
    process.send_signal(signal.SIGUSR1)
    said.until("got 10\n")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_it_ends_with_the_container(running: Container) -> None:
    said = running.stream()
    process = running.runtime.spawn("exec", running.id, "/bin/probe", "catch", stdout=said.write_end)
    said.close_write()
    said.until("ready")
    running.kill("KILL")
    assert process.wait(PATIENCE) == 137


def test_many_short_ones(running: Container) -> None:
    assert [running.exec("/bin/sh", "-c", "exit 7", check=False).rc for _ in range(10)] == [7] * 10


# -- process files


@pytest.mark.parametrize("option", ["--process", "-p"])
def test_a_process_file(running: Container, folder: Path, option: str) -> None:
    script = "pwd; id -u; id -g; env | sort | grep -v -E '^(HOME|PWD|SHLVL)'; grep CapEff /proc/self/status"
    path = process_file(
        folder,
        "/bin/sh",
        "-c",
        script,
        cwd="/tmp",
        user={"uid": 0, "gid": 7, "additionalGids": [8]},
        env=["PATH=/bin", "A=1"],
        capabilities={name: ["CAP_KILL"] for name in ("bounding", "effective", "permitted")},
    )
    found = running.exec(options=(option, path)).lines()
    assert found == ["/tmp", "0", "7", "A=1", "PATH=/bin", "CapEff:\t0000000000000020"]


def test_a_process_file_with_limits(running: Container, folder: Path) -> None:
    path = process_file(
        folder,
        "/bin/sh",
        "-c",
        "ulimit -n",
        rlimits=[{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}],
    )
    assert running.exec(options=("--process", path)).lines() == ["50"]


def test_a_process_file_with_umask_and_score(running: Container, folder: Path) -> None:
    script = "cat /proc/self/oom_score_adj; umask"
    user = {"uid": 0, "gid": 0, "umask": 0o077}
    path = process_file(folder, "/bin/sh", "-c", script, oomScoreAdj=300, user=user)
    score, umask = running.exec(options=("--process", path)).lines()
    assert score == "300"
    assert int(umask, 8) == 0o077


def test_without_capabilities_in_the_file_they_are_the_containers(running: Container, folder: Path) -> None:
    path = process_file(folder, "/bin/grep", "Cap", "/proc/self/status")
    found = caps(running.exec(options=("--process", path)))
    assert found == caps(running.exec("/bin/grep", "Cap", "/proc/self/status"))


def test_no_capabilities_in_the_file_are_none(running: Container, folder: Path) -> None:
    path = process_file(folder, "/bin/grep", "CapEff", "/proc/self/status", capabilities={})
    assert caps(running.exec(options=("--process", path))) == {"CapEff": 0}


def test_without_a_score_in_the_file_it_is_the_containers(box: Boxes, folder: Path) -> None:
    made = box("/bin/sleep", "1000")
    made.process["oomScoreAdj"] = 300
    made.launch()
    path = process_file(folder, "/bin/cat", "/proc/self/oom_score_adj")
    assert made.exec(options=("--process", path)).out == "300\n"


def test_without_a_schedule_in_the_file_it_is_the_containers(
    box: Boxes, programs: Programs, folder: Path
) -> None:
    made = box("/bin/sleep", "1000")
    made.put(programs.path("probe"))
    made.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 7}
    made.process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}
    made.launch()
    path = process_file(folder, "/bin/probe", "schedule")
    assert made.exec(options=("--process", path)).lines() == [
        "policy 3", "priority 0", "nice 7", f"ioprio {2 << 13 | 6}"
    ]  # fmt: skip
    own = {"policy": "SCHED_OTHER", "nice": 3}
    path = process_file(
        folder, "/bin/probe", "schedule", scheduler=own, ioPriority={"class": "IOPRIO_CLASS_IDLE"}
    )
    assert made.exec(options=("--process", path)).lines() == [
        "policy 0", "priority 0", "nice 3", f"ioprio {3 << 13}"
    ]  # fmt: skip


def test_a_process_file_that_does_not_exist(running: Container) -> None:
    found = running.exec(options=("--process", "/no/such/file"), check=False).failed("/no/such/file")
    assert found.rc == 255


@pytest.mark.parametrize("text", ["", "{", "[]", '{"args": []}', '{"args": "x", "cwd": "/"}'])
def test_a_process_file_that_is_none(running: Container, folder: Path, text: str) -> None:
    (folder / "broken").write_text(text)
    found = running.exec(options=("--process", str(folder / "broken")), check=False).failed()
    assert found.rc == 255 or running.runtime.kind != "pyoci"


# -- detached


def test_detach_returns_at_once(running: Container, folder: Path) -> None:
    pid = detached(running, folder, "/bin/sleep", "1000")
    assert pid in children(os.getpid())
    assert b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes()
    os.kill(pid, signal.SIGKILL)
    assert running.wait_for(pid) == 137


def test_the_status_of_a_detached_one_is_for_its_new_parent(running: Container, folder: Path) -> None:
    pid = detached(running, folder, "/bin/sh", "-c", "exit 9")
    assert running.wait_for(pid) == 9


def test_a_detached_one_has_the_streams_of_the_caller(running: Container, folder: Path) -> None:
    said = running.stream()
    pid = detached(running, folder, "/bin/sh", "-c", "echo out; echo err >&2", stdout=said, stderr=said)
    assert said.rest() == "out\nerr\n"
    running.wait_for(pid)


def test_a_detached_process_file(running: Container, folder: Path) -> None:
    path = process_file(folder, "/bin/sh", "-c", "echo $$ > /tmp/said")
    pid_file = str(folder / "pid")
    running.exec(options=("--process", path, "--detach", "--pid-file", pid_file))
    running.wait_for(int((folder / "pid").read_text()))
    assert (running.rootfs / "tmp/said").read_text().strip().isdigit()


def test_a_detached_one_that_can_not_start_fails(running: Container, folder: Path) -> None:
    pid_file = folder / "pid"
    found = running.exec("/no/such", options=("-d", "--pid-file", str(pid_file)), check=False).failed(
        "no such file"
    )
    assert found.rc == 255
    assert not pid_file.exists()


def bad_format(made: Container) -> str:
    """A program that is found and may be run, which execve(2) refuses."""
    path = made.rootfs / "tmp/bad"
    path.write_bytes(b"neither ELF nor a script")
    path.chmod(0o755)
    return "/tmp/bad"


def test_a_program_that_the_kernel_refuses_leaves_no_pid_file(running: Container, folder: Path) -> None:
    pid_file = folder / "pid"
    options = ("-d", "--pid-file", str(pid_file))
    running.exec(bad_format(running), options=options, check=False).failed("exec format error")
    assert not pid_file.exists()


def test_a_run_that_the_kernel_refuses_leaves_no_pid_file(box: Boxes, folder: Path) -> None:
    made = box("/tmp/bad")
    made.save()
    bad_format(made)
    pid_file = folder / "pid"
    made.runtime.call("run", "-d", "--pid-file", str(pid_file), "-b", str(made.directory), made.id).failed(
        "exec format error"
    )
    assert list(folder.glob("pid*")) == []


def test_the_kill_of_all_reaches_a_detached_one(box: Boxes, folder: Path) -> None:
    made = box("/bin/sleep", "1000")
    made.no_namespace("pid")
    made.launch()
    pid = detached(made, folder, "/bin/sleep", "1001")
    made.kill("--all", "KILL")
    assert made.wait_for(pid) == 137
    made.wait()


# -- terminals


@pytest.fixture
def seat() -> Iterator[Seat]:
    """A pseudo terminal to run a foreground call on."""
    made = Seat(33, 99)
    yield made
    made.close()


@pytest.mark.parametrize("option", ["--tty", "-t"])
def test_a_foreground_terminal(running: Container, seat: Seat, option: str) -> None:
    script = "test -t 0 && test -t 2 && echo terminal; stty size; read line; echo got $line; exit 5"
    process = seat.run(running.runtime.argv("exec", option, running.id, "/bin/sh", "-c", script))
    seat.master.until("33 99")
    assert seat.is_raw()
    seat.master.type("text\n")
    seat.master.until("got text")
    assert process.wait(PATIENCE) == 5
    assert seat.attributes() == seat.before


def test_a_window_change_is_passed_on(running: Container, seat: Seat) -> None:
    script = 'trap \'stty size; test "$(stty size)" = "12 34" && exit 0\' WINCH; '
    script += "echo ready; while :; do sleep 1000 & wait $!; done"
    process = seat.run(running.runtime.argv("exec", "-t", running.id, "/bin/sh", "-c", script))
    seat.master.until("ready")
    set_window_size(seat.master.fd, 12, 34)
    seat.master.until("12 34")
    assert process.wait(PATIENCE) == 0


def test_a_detached_terminal(running: Container, folder: Path, console: ConsoleSocket) -> None:
    options = ("--tty", "--console-socket", str(console.path))
    pid = detached(running, folder, "/bin/sh", "-c", "test -t 0 && echo terminal; read line", options=options)
    master = console.receive()
    master.until("terminal")
    master.type("x\n")
    running.wait_for(pid)
    master.close()


def test_a_terminal_asked_for_in_the_process_file(
    running: Container, folder: Path, console: ConsoleSocket
) -> None:
    """As containerd and newer podman call: no --tty, the file says it."""
    path = process_file(folder, "/bin/sh", "-c", "test -t 0 && echo terminal; stty size", terminal=True)
    options = (
        "--process",
        path,
        "--console-socket",
        str(console.path),
        "--detach",
        "--pid-file",
        str(folder / "pid"),
    )
    running.exec(options=options)
    master = console.receive()
    set_window_size(master.fd, 5, 6)
    master.until("terminal")
    running.wait_for(int((folder / "pid").read_text()))
    master.close()


def test_a_terminal_has_the_size_that_the_process_file_says(
    running: Container, folder: Path, console: ConsoleSocket
) -> None:
    size = {"height": 41, "width": 124}
    path = process_file(folder, "/bin/stty", "size", terminal=True, consoleSize=size)
    running.exec(options=("--detach", "--process", path, "--console-socket", str(console.path)))
    master = console.receive()
    assert master.rest() == "41 124\n"
    master.close()


def test_a_detached_terminal_needs_a_console_socket(running: Container) -> None:
    running.exec("/bin/true", options=("-d", "-t"), check=False).failed("console")


def test_a_stalled_reader_stops_nobody_else(running: Container, seat: Seat) -> None:
    """One exec whose terminal nobody reads, and another that works meanwhile."""
    stalled = seat.run(running.runtime.argv("exec", "-t", running.id, "/bin/sh", "-c", "yes"))
    seat.master.until("y")
    assert running.exec("/bin/echo", "hi").out == "hi\n"
    running.kill("KILL")
    ended = os.pidfd_open(stalled.pid)
    ready: list[int] = []
    while ended not in ready:
        ready, _, _ = select.select([ended, seat.master.fd], [], [], PATIENCE)
        assert ready, "the terminal is silent, but its exec does not end"
        if seat.master.fd in ready:
            os.read(seat.master.fd, 1 << 16)
    os.close(ended)
    assert stalled.wait() == 137


@pytest.mark.only("pyoci")
def test_an_error_does_not_blame_config_json_for_the_command_line(box: Boxes, folder: Path) -> None:
    made = box("/bin/sleep", "1000")
    made.process["cwd"] = "/gone"
    made.launch()
    log = folder / "log.json"
    made.runtime.global_options += ["--log", str(log), "--log-format", "json"]

    def failed(*options: str) -> tuple[str, str]:
        log.write_text("")
        made.exec(*(() if "--process" in options else ("/bin/true",)), options=options, check=False).failed()
        entry = json.loads(log.read_text())
        return entry["msg"], entry.get("pointer", "")

    assert failed("--cwd", "/nope") == (
        'chdir to cwd ("/nope") set by --cwd failed: no such file or directory',
        "",
    )
    assert failed("--cwd", "/set in config.json")[0].startswith(
        'chdir to cwd ("/set in config.json") set by --cwd failed'
    )
    path = process_file(folder, "/bin/set in config.json")
    assert 'exec: "/bin/set in config.json": ' in failed("--process", path)[0]
    path = process_file(folder, "/bin/true", cwd="/nope")
    assert failed("--process", path) == (
        f'chdir to cwd ("/nope") set in {path} failed: no such file or directory',
        "",
    )
    (made.rootfs / "gone").rmdir()
    words = 'chdir to cwd ("/gone") set in config.json failed: no such file or directory'
    assert failed() == (words, "/process/cwd")


# -- cgroups


V1 = machine.cgroup_version() == 1


def cgroup_directory(made: Container, controller: str) -> Path:
    """The container's cgroup, on v1 that of a controller."""
    return machine.CGROUPS / (controller if V1 else "") / made.cgroup.strip("/")


@contextmanager
def moved_to_another_cgroup(made: Container, controller: str) -> Iterator[Path]:
    """The first process is in another cgroup, and its own is gone; it is killed in the end."""
    own = cgroup_directory(made, controller)
    other = own.parent / (own.name + "-other")
    other.mkdir()
    try:
        (other / "cgroup.procs").write_text(str(made.pid))
        own.rmdir()
        yield other
    finally:
        made.kill("KILL")
        made.wait()
        other.rmdir()


def test_exec_into_a_cgroup_below(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.launch()
    words = ("/bin/cat", "/proc/self/cgroup")
    controllers = ("pids", "memory", "freezer") if V1 else ("",)
    for controller in controllers:
        (cgroup_directory(made, controller) / "below/deep").mkdir(parents=True)
    if V1:
        options: tuple[str, ...] = ("--cgroup", "pids,freezer:/below", "--cgroup", "memory:below/./x/../deep")
        found = made.exec(*words, options=options).out
        for controller, place in (("pids", "/below"), ("freezer", "/below"), ("memory", "/below/deep")):
            assert f":{controller}:{made.cgroup}{place}\n" in found
        assert f":devices:{made.cgroup}\n" in found
        top = made.exec(*words, options=("--cgroup", "/")).out
    else:
        found = made.exec(*words, options=("--cgroup", "below/deep")).out
        assert "/below/deep\n" in found
        top = made.exec(*words, options=("--cgroup", "/")).out
    assert "below" not in top and top == made.exec(*words).out
    for controller in controllers:
        (cgroup_directory(made, controller) / "below/deep").rmdir()
        (cgroup_directory(made, controller) / "below").rmdir()


@pytest.mark.skipif(not V1, reason="needs cgroup v1")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((":x",), "empty|there is no controller before the colon"),
        (("pids:x", "y"), "missing|each needs its controllers"),
        (("pids:/", "cpu,pids:/"), "specified multiple times|more than once"),
        (("whaaat:/",), "unknown controller "),
        (("pids:nonexistent",), "o such file or directory"),
    ],
)
def test_exec_into_cgroups_that_cannot_be(running: Container, options: tuple[str, ...], words: str) -> None:
    given = [part for text in options for part in ("--cgroup", text)]
    found = running.exec("/bin/true", options=(*given,), check=False).failed()
    assert found.rc == 255 and re.search(words, found.err)


@pytest.mark.skipif(not V1, reason="needs cgroup v1")
def test_exec_goes_where_the_first_process_is_when_its_cgroup_is_gone(running: Container) -> None:
    with moved_to_another_cgroup(running, "pids"):
        found = running.exec("/bin/cat", "/proc/self/cgroup").out
        assert f":pids:{running.cgroup}-other\n" in found and f":memory:{running.cgroup}\n" in found


def test_exec_does_not_leave_the_containers_cgroup(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.launch()
    own = cgroup_directory(made, "pids")
    sibling = own.parent / (own.name + "x")
    sibling.mkdir()
    try:
        for path in ("..", f"../{sibling.name}", f"/../{sibling.name}", f"below/../../{sibling.name}"):
            option = ("pids:" if V1 else "") + path
            found = made.exec("/bin/cat", "/proc/self/cgroup", options=("--cgroup", option), check=False)
            assert found.rc == 255 and found.out == "" and "bad sub cgroup path" in found.err
    finally:
        sibling.rmdir()


def test_exec_into_a_cgroup_that_does_not_exist(running: Container) -> None:
    found = running.exec("/bin/true", options=("--cgroup", "no-such-cgroup"), check=False).failed(
        "adding pid"
    )
    assert found.rc == 255 and "o such file or directory" in found.err


@pytest.mark.skipif(V1, reason="needs cgroup v2")
def test_exec_where_the_first_process_has_moved_to(box: Boxes) -> None:
    """A container that gives controllers to cgroups below its own takes no processes there any more."""
    made = box("/bin/sleep", "1000")
    made.launch()
    own = cgroup_directory(made, "")
    words = ("/bin/cat", "/proc/self/cgroup")
    (own / "moved").mkdir()
    (own / "moved/cgroup.procs").write_text(str(made.pid))
    assert "moved" not in made.exec(*words).out
    (own / "cgroup.subtree_control").write_text("+memory")
    assert made.exec(*words).out.endswith("/moved\n")
    found = made.exec("/bin/true", options=("--cgroup", "/"), check=False).failed("adding pid")
    assert "evice or resource busy" in found.err
    assert made.exec(*words, options=("--cgroup", "moved")).out.endswith("/moved\n")


@pytest.mark.skipif(V1, reason="needs cgroup v2")
def test_exec_follows_a_first_process_that_left_its_cgroup(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.linux["namespaces"] = [entry for entry in made.linux["namespaces"] if entry["type"] != "cgroup"]
    made.launch()
    with moved_to_another_cgroup(made, "") as other:
        assert made.exec("/bin/cat", "/proc/self/cgroup").out.endswith(f"{other.name}\n")
