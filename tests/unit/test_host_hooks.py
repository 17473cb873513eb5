"""Hooks: what they get, how they end, what is left behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pyoci.base.errors import OciError
from pyoci.base.spans import Spans
from pyoci.host import hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Hook, Spec


POINTER = "/hooks/createRuntime"
STATE = b'{"ociVersion":"1.3.0","id":"c","status":"creating","pid":1,"bundle":"/b"}'


def shell(script: str, **more: Any) -> Hook:
    hook: Any = {"path": "/bin/sh", "args": ["sh", "-c", script]} | more
    made: Hook = hook
    return made


def run(*entries: Hook, state: bytes = STATE) -> None:
    hooks.run(spec(*entries), "createRuntime", state, spans=Spans())


def spec(*entries: Hook, name: str = "createRuntime", **more: Any) -> Spec:
    made: Any = {"ociVersion": "1.3.0", "hooks": {name: [*entries]}} | more
    found: Spec = made
    return found


def failure(*entries: Hook) -> OciError:
    with pytest.raises(OciError) as caught:
        run(*entries)
    assert caught.value.code == "hook"
    assert "\n" not in caught.value.text()
    return caught.value


def test_state_is_on_standard_input(tmp_path: Path) -> None:
    run(shell(f"cat > {tmp_path}/got"))
    assert (tmp_path / "got").read_bytes() == STATE


def test_state_larger_than_a_pipe_to_a_hook_that_does_not_read() -> None:
    run({"path": "/bin/true"}, state=b"x" * 3_000_000)


def test_environment_is_exactly_the_listed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posix.environ", {b"OF_THE_RUNTIME": b"1=\xfc"})

    def seen(name: str, env: list[str] | None) -> bytes:
        hook: Hook = {"path": "/bin/cp", "args": ["cp", "/proc/self/environ", str(tmp_path / name)]}
        if env is not None:
            hook["env"] = env
        run(hook)
        return (tmp_path / name).read_bytes()

    assert (
        seen("env", ["A=1", "B=x=y", "A=2", "nothing", "=z", "C="]) == b"A=1\0B=x=y\0A=2\0nothing\0=z\0C=\0"
    )
    assert seen("empty", []) == b""
    assert seen("own", None) == b"OF_THE_RUNTIME=1=\xfc\0"


def test_args_are_given_as_they_are(tmp_path: Path) -> None:
    script = f'echo "$0" "$1" > {tmp_path}/got'
    run({"path": "/bin/sh", "args": ["other-name", "-c", script, "zero", "one two"]})
    assert (tmp_path / "got").read_text() == "zero one two\n"


def test_directory_it_starts_in(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_PATH)
    try:
        hooks.run(spec(shell("pwd -P > where")), "createRuntime", STATE, spans=Spans(), directory=directory)
    finally:
        os.close(directory)
    assert (tmp_path / "where").read_text() == f"{os.path.realpath(tmp_path)}\n"
    run(shell(f"pwd -P > {tmp_path}/where"))
    assert (tmp_path / "where").read_text() == f"{os.getcwd()}\n"


def test_no_descriptor_of_ours_reaches_the_hook(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        run(shell(f"ls /proc/self/fd > {tmp_path}/fds"))
    finally:
        os.close(reader)
        os.close(writer)
    assert (tmp_path / "fds").read_text().split() == ["0", "1", "2", "3"]  # 3 is the listing itself


def test_signals_are_reset(tmp_path: Path) -> None:
    previous = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        run({"path": "/bin/cp", "args": ["cp", "/proc/self/status", str(tmp_path / "status")]})
    finally:
        signal.signal(signal.SIGUSR1, previous)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    lines = (tmp_path / "status").read_text().splitlines()
    fields = dict(line.split(":\t") for line in lines if ":\t" in line)
    assert int(fields["SigBlk"], 16) == 0
    assert int(fields["SigIgn"], 16) == 0


def test_hooks_run_in_order_and_stop_at_the_first_failure(tmp_path: Path) -> None:
    log = tmp_path / "log"
    entries = [shell(f"echo 1 >> {log}"), shell(f"echo 2 >> {log}; exit 7"), shell(f"echo 3 >> {log}")]
    error = failure(*entries)
    assert log.read_text() == "1\n2\n"
    assert error.pointer == f"{POINTER}/1"
    assert "exit status 7" in error.message


def test_run_all_runs_all_and_tells_each_failure(tmp_path: Path) -> None:
    entries: list[Hook] = [
        shell("exit 1"),
        shell(f"touch {tmp_path}/ran"),
        {"path": "/no/such/hook"},
    ]
    failures = hooks.run_all(spec(*entries, name="poststop"), "poststop", STATE, spans=Spans())
    assert (tmp_path / "ran").exists()
    assert [each.pointer for each in failures] == ["/hooks/poststop/0", "/hooks/poststop/2/path"]


def test_output_of_both_streams_is_in_the_error() -> None:
    error = failure(shell("echo first; echo second >&2; printf '\\033[1mbold'; echo third >&2; exit 2"))
    said = "stdout: first | ?[1mbold, stderr: second | third"
    assert error.message == f"error running createRuntime hook #0: exit status 2, {said}"
    assert error.hint == "the hook is /bin/sh"


def test_files_that_annotations_name_get_the_output(tmp_path: Path) -> None:
    (tmp_path / "err").write_text("before\n")
    names = {"run.oci.hooks.stdout": "out", "run.oci.hooks.stderr": str(tmp_path / "err")}
    directory = os.open(tmp_path, os.O_PATH)
    try:
        entries = [shell("echo one; echo two >&2; ls /proc/self/fd"), shell("echo three; exit 1")]
        with pytest.raises(OciError, match=r"#1: exit status 1, stdout: , stderr: $"):
            made = spec(*entries, annotations=names)
            hooks.run(made, "createRuntime", STATE, spans=Spans(), directory=directory)
    finally:
        os.close(directory)
    assert (tmp_path / "out").read_text().split() == ["one", "0", "1", "2", "3", "three"]
    assert (tmp_path / "err").read_text() == "before\ntwo\n"


@pytest.mark.parametrize("kind", ["missing", "fifo", "nul"])
def test_a_file_for_the_output_that_cannot_be_opened(kind: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # that nobody reads
    path = {"missing": "/no/such/directory/file", "fifo": str(tmp_path / "fifo"), "nul": "a\0b"}[kind]
    before = sorted(os.listdir("/proc/self/fd"))
    made = spec(shell(f"touch {tmp_path}/ran"), annotations={"run.oci.hooks.stderr": path})
    with pytest.raises(OciError) as caught:
        hooks.run(made, "createRuntime", STATE, spans=Spans())
    assert caught.value.pointer == "/annotations/run.oci.hooks.stderr"
    assert not (tmp_path / "ran").exists()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_output_is_bounded_and_its_end_is_kept() -> None:
    error = failure(shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 1"))
    assert len(error.message) < 2000
    assert error.message.endswith("line 19999, stderr: ")


def test_death_by_signal_is_told() -> None:
    assert "killed by signal 9" in failure(shell("kill -9 $$")).message


def test_timeout_kills_the_hook_and_what_it_started(tmp_path: Path) -> None:
    begin = time.monotonic()
    error = failure(shell(f"sleep 60 & echo $! > {tmp_path}/pid; echo waiting; wait; true", timeout=1))
    assert 0.9 < time.monotonic() - begin < 5
    assert error.pointer == f"{POINTER}/0/timeout"
    assert "hook ran past specified timeout of 1.0s, stdout: waiting, stderr: " in error.message
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while _alive(pid):
        assert time.monotonic() < deadline, "the hook's child outlived the timeout"
        time.sleep(0.01)


def test_timeout_of_a_hook_that_writes_without_pause() -> None:
    begin = time.monotonic()
    failure(shell("while :; do echo y; done", timeout=1))
    assert time.monotonic() - begin < 5


def test_daemon_that_keeps_the_output_open_is_not_waited_for(tmp_path: Path) -> None:
    begin = time.monotonic()
    run(shell(f"sleep 30 & echo $! > {tmp_path}/pid"))
    assert time.monotonic() - begin < 5
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("kind", ["missing", "interpreter", "mode", "relative", "nul"])
def test_hook_that_cannot_be_started(kind: str, tmp_path: Path) -> None:
    script = tmp_path / "hook"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o644 if kind == "mode" else 0o755)
    path = {"missing": "/no/such/hook", "relative": "bin/true", "nul": "/bin/true\0"}.get(kind, str(script))
    error = failure({"path": path})
    expected = {"missing": "no such file", "mode": "permission denied", "relative": "absolute", "nul": "null"}
    assert expected.get(kind, "no such file") in error.text()
    assert ("interpreter" in error.hint) == (kind == "interpreter")


def our_children() -> set[str]:
    """Pids of this process's children, zombies included, but not the orphans that come to a session that adopts them."""
    tasks = Path("/proc/self/task").iterdir()
    children = {pid for task in tasks for pid in (task / "children").read_text().split()}
    return {pid for pid in children if Path(f"/proc/{pid}/comm").read_text() != "sleep\n"}


def test_nothing_is_left_behind() -> None:
    before, children = sorted(os.listdir("/proc/self/fd")), our_children()
    tried: list[Hook] = [
        shell("true"),
        shell("exit 1"),
        shell("sleep 9", timeout=1),
        {"path": "/no/such/hook"},
    ]
    for hook in tried:
        hooks.run_all(spec(hook, name="poststop"), "poststop", STATE, spans=Spans())
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert our_children() == children


def test_status_is_known_though_our_parent_ignores_sigchld() -> None:
    previous = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert "exit status 4" in failure(shell("exit 4")).message
    finally:
        signal.signal(signal.SIGCHLD, previous)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
