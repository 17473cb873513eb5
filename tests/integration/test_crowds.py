"""Many containers at once, and runtimes killed in the middle of their work: nothing is left behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.leaks import LeakChecker, children, is_zombie
from harness.programs import Programs
from harness.runtime import PATIENCE

SILENT: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
WORKERS = 20
CONTAINERS = int(os.environ.get("PYOCI_TEST_CROWD", "200"))


def output(made: Container, *words: str) -> str:
    """Standard output of a call of the runtime; usable from threads."""
    command = made.runtime.argv(*words)
    return subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE, check=False).stdout


def call(made: Container, *words: str) -> None:
    """One call of the runtime that has to succeed; usable from threads."""
    with open(os.devnull, "r+b") as null, tempfile.TemporaryFile() as text:
        command = made.runtime.argv(*words)
        found = subprocess.run(
            command, stdin=null, stdout=null, stderr=text, timeout=4 * PATIENCE, check=False
        )
        text.seek(0)
        assert found.returncode == 0, (command, text.read())


class Reaper(threading.Thread):
    """Waits for the first processes of the containers, as engines do, while the threads use the runtime."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()

    def run(self) -> None:
        """Reap zombies that no `subprocess` waits for."""
        while not self.done.wait(0.01):
            for pid in children(os.getpid()):
                name = Path(f"/proc/{pid}/stat")
                try:
                    ended = is_zombie(pid) and "sleep" in name.read_text()
                except OSError:
                    continue
                if ended:
                    os.waitpid(pid, os.WNOHANG)


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    """A running reaper."""
    made = Reaper()
    made.start()
    yield made
    made.done.set()
    made.join()


def test_two_hundred_containers_in_twenty_workers(
    box: Boxes, reaper: Reaper, scratch: Path, folder: Path
) -> None:
    template = box("/bin/sleep", "1000")
    leaks = LeakChecker(scratch.name, folder / "root")

    def one(number: int) -> None:
        made = Container.like(template, f"{template.id}-{number}")
        made.save()
        call(made, "create", "--bundle", str(made.directory), made.id)
        call(made, "start", made.id)
        call(made, "kill", made.id, "KILL")
        end = time.monotonic() + 4 * PATIENCE
        while '"status": "stopped"' not in output(made, "state", made.id):
            assert time.monotonic() < end
            time.sleep(0.01)
        call(made, "delete", made.id)
        shutil.rmtree(made.directory)

    with ThreadPoolExecutor(WORKERS) as pool:
        for future in [pool.submit(one, number) for number in range(CONTAINERS)]:
            future.result()
    assert leaks.settled() == []


def test_runs_in_parallel_keep_their_outputs_apart(box: Boxes) -> None:
    template = box("/bin/true")

    def one(number: int) -> str:
        made = Container.like(template, f"{template.id}-{number}")
        made.args("/bin/sh", "-c", f"echo {number}; exit {number}").save()
        command = made.runtime.argv("run", "--bundle", str(made.directory), made.id)
        found = subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE, check=False)
        return f"{found.returncode} {found.stdout}{found.stderr}"

    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(one, range(40)))
    assert found == [f"{number} {number}\n" for number in range(40)]


@pytest.mark.only("pyoci")  # runc 1.1.5 looks first and locks never
def test_of_many_who_create_one_id_one_wins(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.save()
    made.expected = True
    command = made.runtime.argv("create", "--bundle", str(made.directory), made.id)

    def one(_: int) -> int:
        return subprocess.run(command, timeout=4 * PATIENCE, check=False, **SILENT).returncode

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(one, range(8)))
    assert statuses.count(0) == 1
    assert made.status == "created"
    made.start()
    assert made.status == "running"


def test_of_many_who_delete_none_crashes(box: Boxes) -> None:
    made = box("/bin/sleep", "1000").launch()

    def one(_: int) -> str:
        command = made.runtime.argv("delete", "--force", made.id)
        return subprocess.run(
            command, capture_output=True, text=True, timeout=4 * PATIENCE, check=False
        ).stderr

    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(one, range(8)))
    assert not any("Traceback" in text or "panic" in text for text in texts)
    made.expected = False
    made.wait()


# -- kill -9


def recover(made: Container, folder: Path, leaks: LeakChecker) -> None:
    """Whatever a killed call left: `delete --force` removes all of it, and the id works again."""
    found = made.runtime.call("delete", "--force", made.id)
    assert found.rc == 0, found
    assert leaks.settled() == []
    assert made.runtime.call("run", "--bundle", str(made.directory), made.id).ok().out == "hi\n"
    assert leaks.settled() == []


MOMENTS = 24


@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_call_killed_at_many_moments(box: Boxes, folder: Path, scratch: Path, verb: str) -> None:
    """The moments are spread over the time that a whole call takes here."""
    made = box("/bin/echo", "hi")
    made.save()
    leaks = LeakChecker(scratch.name, folder / "root")
    command = made.runtime.argv(verb, "--bundle", str(made.directory), made.id)
    begin = time.monotonic()
    subprocess.run(command, check=True, **SILENT)
    whole = time.monotonic() - begin
    made.runtime.call("delete", "--force", made.id).ok()
    for moment in range(MOMENTS):
        process = subprocess.Popen(command, start_new_session=True, **SILENT)
        try:
            process.wait(whole * moment / MOMENTS * 1.2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        recover(made, folder, leaks)


def calls_made(made: Container, folder: Path, verb: str) -> list[tuple[str, int]]:
    """The system calls that the runtime's own process makes for a verb: name, and which one of that name it is."""
    trace = folder / "trace"
    words = ["-b", str(made.directory)] if verb == "create" else []
    command = ["strace", "-o", str(trace), *made.runtime.argv(verb, *words, made.id)]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    seen: Counter[str] = Counter()
    calls = []
    for name in re.findall(r"^(\w+)\(", trace.read_text(), re.MULTILINE):
        seen[name] += 1
        calls.append((name, seen[name]))
    return calls


def can_trace() -> str:
    """Why strace can't be used here, or ""."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    found = subprocess.run(
        ["strace", "-o", "/dev/null", "-e", "inject=getpid:signal=KILL:when=99", "true"], check=False
    )
    return "" if found.returncode == 0 else "strace can't inject signals here"


STEPS = int(os.environ.get("PYOCI_TEST_KILL_STEPS", "40"))


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("verb", ["create", "start", "delete"])
def test_a_call_killed_at_exact_system_calls(box: Boxes, folder: Path, scratch: Path, verb: str) -> None:
    """strace kills the runtime as it enters its n-th system call; n runs over the whole call in even steps."""
    if reason := can_trace():
        pytest.skip(reason)
    made = box("/bin/echo", "hi")
    made.save()
    leaks = LeakChecker(scratch.name, folder / "root")

    def prepare() -> None:
        if verb != "create":
            made.runtime.call("create", "-b", str(made.directory), made.id).ok()

    prepare()
    calls = calls_made(made, folder, verb)
    recover(made, folder, leaks)
    words = ["-b", str(made.directory)] if verb == "create" else []
    killed = 0
    for step in range(STEPS):
        prepare()
        name, number = calls[step * len(calls) // STEPS]
        inject = f"inject={name}:signal=KILL:when={number}"
        command = ["strace", "-o", "/dev/null", "-e", inject, *made.runtime.argv(verb, *words, made.id)]
        found = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        killed += found.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        recover(made, folder, leaks)
    assert killed > STEPS * 3 // 4  # a call more or less of one name, and the last moments are missed


LAST_CALLS = 12


@pytest.mark.only("pyoci")
def test_a_create_that_is_asked_to_end_in_its_last_moments(box: Boxes, folder: Path) -> None:
    """Either it says that it has failed and leaves nothing, or it succeeds: never one with the other's status."""
    if reason := can_trace():
        pytest.skip(reason)
    made = box("/bin/echo", "hi")
    made.save()
    calls = calls_made(made, folder, "create")
    made.runtime.call("delete", "--force", made.id).ok()
    for name, number in calls[-LAST_CALLS:]:
        inject = f"inject={name}:signal=TERM:when={number}"
        words = made.runtime.argv("create", "-b", str(made.directory), made.id)
        with (folder / "errors").open("w+") as errors:
            command = ["strace", "-o", "/dev/null", "-e", inject, *words]
            found = subprocess.run(
                command, stdin=errors, stdout=subprocess.DEVNULL, stderr=errors, check=False
            )
            errors.seek(0)
            assert "Traceback" not in errors.read(), (name, number)
        assert found.returncode in (0, 128 + signal.SIGTERM), (name, number)
        assert made.runtime.exists(made.id) == (found.returncode == 0), (name, number)
        made.runtime.call("delete", "--force", made.id).ok()


@pytest.mark.only("pyoci")
def test_a_damaged_record_is_no_reason_to_keep_the_container(box: Boxes, folder: Path, scratch: Path) -> None:
    made = box("/bin/echo", "hi")
    leaks = LeakChecker(scratch.name, folder / "root")
    made.create()
    made.expected = False
    root = made.runtime.root
    assert root is not None
    for path in (root / made.id).iterdir():
        if path.name == "state.json":
            path.write_text(path.read_text()[: path.stat().st_size // 2])
    recover(made, folder, leaks)


@pytest.mark.only("pyoci")
def test_a_create_that_is_killed_shows_in_list_and_state(box: Boxes) -> None:
    """The record is there before anything else is made: `creating` while it goes on, `stopped` after it died."""
    made = box("/bin/true")
    made.config["hooks"] = {
        "createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "echo $$; exec sleep 1000"]}]
    }
    pid_file = made.directory / "hook.pid"
    made.config["hooks"]["createRuntime"][0]["args"][2] = f"echo $$ > {pid_file}; exec sleep 1000"
    process = made.spawn(
        "create", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + PATIENCE
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert made.status == "creating"
    assert made.id in made.runtime.call("list", "-q").ok().lines()
    process.kill()
    process.wait()
    hook = int(pid_file.read_text())
    try:
        os.kill(hook, signal.SIGKILL)
    except ProcessLookupError:
        pass
    assert made.id in made.runtime.call("list", "-q").ok().lines()
    made.runtime.call("delete", "--force", made.id).ok()
    assert not made.runtime.exists(made.id)


@pytest.mark.only("pyoci")
def test_a_full_state_directory_fails_cleanly(box: Boxes, folder: Path, scratch: Path) -> None:
    (folder / "small").mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=4,mode=0700", "tmpfs", str(folder / "small")]
    subprocess.run(options, check=True)
    try:
        made = box("/bin/true")
        made.config["annotations"] = {"big": "x" * 100000}
        made.runtime.root = folder / "small"
        leaks = LeakChecker(scratch.name, folder / "small")
        made.create(check=False).failed("no space left on device")
        assert leaks.settled() == []
    finally:
        subprocess.run(["umount", str(folder / "small")], check=True)


def test_a_process_that_ignores_signals_is_killed_by_delete_force(box: Boxes, programs: Programs) -> None:
    made = box()
    made.args(made.put(programs.path("probe")), "catch")
    said = made.stream()
    made.launch(stdout=said)
    said.until("ready")
    made.delete("--force")
    assert made.wait() == 128 + signal.SIGKILL


def test_a_stopped_process_is_killed_by_delete_force(box: Boxes) -> None:
    made = box("/bin/sleep", "1000").launch()
    os.kill(made.pid, signal.SIGSTOP)
    made.delete("--force")
    assert made.wait() == 128 + signal.SIGKILL


def test_a_frozen_container_is_killed_by_delete_force(box: Boxes) -> None:
    made = box("/bin/sleep", "1000").launch()
    v1 = machine.cgroup_version() == 1
    machine.need_controller("freezer") if v1 else None
    top = machine.CGROUPS / ("freezer" if v1 else "") / made.cgroup.strip("/")
    (top / ("freezer.state" if v1 else "cgroup.freeze")).write_text("FROZEN" if v1 else "1")
    made.delete("--force")
    assert made.wait() == 128 + signal.SIGKILL
