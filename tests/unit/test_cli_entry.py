"""From a command line to calls, output and exit status; a recorder plays the lifecycle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pyoci
import pyoci.lifecycle
from pyoci.base import signal_numbers
from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.cli import entry, matching
from pyoci.cli.list import table
from pyoci.lifecycle.requests import CreateRequest, ExecRequest
from pyoci.spec.versions import SPECIFICATION
from pyoci.trace.recorder import Trace

TREE = Path(__file__).resolve().parents[2]
COMMANDS = ("create", "run", "start", "kill", "delete", "states", "exec")  # modules of pyoci.lifecycle


class Lifecycle:
    """Plays the modules of `pyoci.lifecycle` that have a command: remembers what was asked, answers what the test wants."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.states: list[dict[str, Any]] = []
        self.answer: int = 0
        self.fails: dict[str, BaseException] = {}

    def _record(self, *call: Any) -> int:
        self.calls.append(call)
        if call[0] in self.fails:
            raise self.fails[call[0]]
        return self.answer

    def modules(self) -> dict[str, ModuleType]:
        made = {name: ModuleType(f"pyoci.lifecycle.{name}") for name in COMMANDS}
        vars(made["create"])["create"] = lambda context, request: self._record("create", request)
        vars(made["run"])["run"] = lambda context, request: self._record("run", request)
        vars(made["start"])["start"] = self.start
        vars(made["kill"])["kill"] = self.kill
        vars(made["delete"])["delete"] = self.delete
        vars(made["states"]).update(state=self.state, list_states=self.list_states)
        vars(made["exec"])["exec_process"] = lambda context, request: self._record("exec", request)
        return made

    def start(
        self, context: Context, root: str, id: str, resume_trace: Callable[[str, str, int], Trace]
    ) -> None:
        self._record("start", root, id)

    def kill(self, context: Context, root: str, id: str, signal: int, *, everyone: bool = False) -> None:
        self._record("kill", root, id, signal, everyone)

    def delete(self, context: Context, root: str, id: str, *, force: bool) -> None:
        self._record("delete", root, id, force)

    def state(self, context: Context, root: str, id: str) -> dict[str, Any]:
        self._record("state", root, id)
        return self.states[0]

    def list_states(self, context: Context, root: str) -> list[dict[str, Any]]:
        self._record("list", root)
        return self.states


@pytest.fixture
def lifecycle(monkeypatch: pytest.MonkeyPatch) -> Lifecycle:
    recorder = Lifecycle()
    for name, module in recorder.modules().items():
        monkeypatch.setitem(sys.modules, f"pyoci.lifecycle.{name}", module)
        monkeypatch.setattr(pyoci.lifecycle, name, module, raising=False)
    monkeypatch.setattr(matching, "list_states", recorder.list_states)
    return recorder


def call(*argv: str) -> int:
    return entry.main(Context(), list(argv))


def created(lifecycle: Lifecycle) -> CreateRequest:
    request = lifecycle.calls[-1][1]
    assert isinstance(request, CreateRequest)
    return request


def executed(lifecycle: Lifecycle) -> ExecRequest:
    request = lifecycle.calls[-1][1]
    assert isinstance(request, ExecRequest)
    return request


def state(name: str, **more: Any) -> dict[str, Any]:
    made = {
        "ociVersion": "1.3.0",
        "id": name,
        "pid": 7,
        "status": "running",
        "bundle": "/b",
        "rootfs": "/b/rootfs",
    }
    return {**made, "created": "2026-01-02T03:04:05.000000006Z", "owner": "", **more}


def test_create(lifecycle: Lifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "a" / "root"
    options = [
        "--console-socket",
        "S",
        "--pid-file",
        "P",
        "--no-pivot",
        "--no-new-keyring",
        "--preserve-fds",
        "2",
    ]
    assert (
        call("--root", str(root), "create", "-b", "/b", *options, "-f", "c.json", "--trace", "T", "ID") == 0
    )
    request = created(lifecycle)
    assert request.trace is not None and request.trace.path == f"{os.getcwd()}/T"
    assert vars(request) == {
        **vars(CreateRequest(str(root), "ID", "/b")),
        "console_socket": "S",
        "pid_file": f"{os.getcwd()}/P",
        "no_pivot": True,
        "no_new_keyring": True,
        "preserve_fds": 2,
        "config": "c.json",
        "trace": request.trace,
    }
    assert root.stat().st_mode & 0o7777 == 0o700


def test_the_bundle_is_the_working_directory(
    lifecycle: Lifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call("--root", "r", "create", "ID")
    assert (created(lifecycle).bundle, created(lifecycle).root) == (str(tmp_path), f"{tmp_path}/r")
    call("--root", "r", "create", "-b", "some/where", "ID")
    assert created(lifecycle).bundle == f"{tmp_path}/some/where"


@pytest.mark.parametrize(
    ("words", "manager", "rootless"),
    [
        ([], "cgroupfs", None),
        (["--systemd-cgroup"], "systemd", None),
        (["--systemd-cgroup=false", "--rootless=auto"], "cgroupfs", None),
        (["--cgroup-manager", "disabled", "--rootless", "true"], "disabled", True),
        (["--cgroup-manager=systemd", "--rootless=false"], "systemd", False),
    ],
)
def test_global_options_reach_the_request(
    lifecycle: Lifecycle, tmp_path: Path, words: list[str], manager: str, rootless: bool | None
) -> None:
    assert call("--root", str(tmp_path), *words, "run", "--detach", "--keep", "ID") == 0
    request = created(lifecycle)
    assert (request.cgroup_manager, request.rootless) == (manager, rootless)
    assert request.detach and request.keep


@pytest.mark.parametrize("verb", [["create", "ID"], ["delete", "ID"], ["list"]])
def test_an_unknown_value_of_rootless(
    lifecycle: Lifecycle, tmp_path: Path, verb: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert call("--root", str(tmp_path), "--rootless", "perhaps", *verb) == 1
    assert (
        'invalid value "perhaps" for flag -rootless: expected true, false or auto' in capfd.readouterr().err
    )
    assert lifecycle.calls == []


def test_the_status_of_run_and_exec_is_the_process_s(lifecycle: Lifecycle, tmp_path: Path) -> None:
    lifecycle.answer = 137
    assert call("--root", str(tmp_path), "run", "ID") == 137
    assert call("exec", "ID", "true") == 137


def test_exec(lifecycle: Lifecycle) -> None:
    words = [
        "--cwd",
        "/w",
        "-e",
        "A=1",
        "-t",
        "-u",
        "1:2",
        "-g",
        "3",
        "-c",
        "CAP_KILL",
        "--no-new-privs",
        "-d",
    ]
    assert call("--root", "/r", "exec", *words, "--cgroup", "sub", "--ignore-paused", "ID", "ls", "-l") == 0
    assert vars(executed(lifecycle)) == {
        **vars(ExecRequest("/r", "ID")),
        "args": ["ls", "-l"],
        "cwd": "/w",
        "env": ["A=1"],
        "tty": True,
        "user": "1:2",
        "additional_gids": [3],
        "caps": ["CAP_KILL"],
        "no_new_privs": True,
        "detach": True,
        "cgroups": ["sub"],
        "ignore_paused": True,
    }


def test_exec_takes_a_command_or_a_process(lifecycle: Lifecycle) -> None:
    assert call("exec", "ID") == 255
    assert call("exec", "-p", "F", "ID", "ls") == 255
    assert lifecycle.calls == []
    assert call("exec", "-p", "F", "ID") == 0
    assert executed(lifecycle).process == "F"


def test_start_kill_delete(lifecycle: Lifecycle) -> None:
    assert call("--root", "/r", "start", "ID") == 0
    assert call("--root", "/r", "kill", "ID") == 0
    assert call("--root", "/r", "kill", "--all", "ID", "9") == 0
    assert call("--root", "/r", "delete", "ID") == 0
    assert call("--root", "/r", "delete", "-f", "ID") == 0
    assert lifecycle.calls == [
        ("start", "/r", "ID"),
        ("kill", "/r", "ID", 15, False),
        ("kill", "/r", "ID", 9, True),
        ("delete", "/r", "ID", False),
        ("delete", "/r", "ID", True),
    ]


def test_regex_takes_every_match_and_goes_on_after_a_failure(
    lifecycle: Lifecycle, capfd: pytest.CaptureFixture[str]
) -> None:
    lifecycle.states = [state("web-1"), state("db"), state("web-2")]
    assert call("--root", "/r", "delete", "--regex", "^web") == 0
    assert [each[2] for each in lifecycle.calls if each[0] == "delete"] == ["web-1", "web-2"]
    lifecycle.fails["kill"] = OciError("x", "cannot")
    assert call("--root", "/r", "kill", "-r", "web", "KILL") == 1
    assert "kill: web-1: cannot" in capfd.readouterr().err
    assert [each[2:] for each in lifecycle.calls if each[0] == "kill"] == [
        ("web-1", 9, False),
        ("web-2", 9, False),
    ]
    assert call("--root", "/r", "kill", "-r", "[", "KILL") == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("15", 15),
        ("0", 0),
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigkill", 9),
        ("Hup", 1),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("RTMAX", 64),
        ("rtmax-1", 63),
        ("USR1", 10),
        ("WINCH", 28),
        ("CLD", 17),
        ("64", 64),
        ("SIGSTKFLT", 16),
    ],
)
def test_signals(text: str, number: int) -> None:
    assert signal_numbers.number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "65",
        "-9",
        "BAD",
        "SIG",
        "SIG_DFL",
        "_DFL",
        "RTMIN+40",
        "RTMAX+1",
        "RTMIN-1",
        "TERM+1",
        "15 ",
        "٣",
        "1.0",
    ],
)
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(OciError) as caught:
        signal_numbers.number(text)
    assert caught.value.code == "unknown-signal"


def test_state_is_printed_as_json(lifecycle: Lifecycle, capfd: pytest.CaptureFixture[str]) -> None:
    lifecycle.states = [state("ID")]
    assert call("--root", "/r", "state", "ID") == 0
    text = capfd.readouterr().out
    assert json.loads(text) == state("ID")
    assert text.startswith('{\n  "ociVersion": "1.3.0",\n  "id": "ID"') and text.endswith("}\n")


def test_list(lifecycle: Lifecycle, capfd: pytest.CaptureFixture[str]) -> None:
    lifecycle.states = [state("b"), state("a", status="stopped", pid=0)]
    assert call("--root", "/r", "list") == 0
    assert capfd.readouterr().out.splitlines() == [
        "ID          PID         STATUS      BUNDLE      CREATED                          OWNER",
        "a           0           stopped     /b          2026-01-02T03:04:05.000000006Z",
        "b           7           running     /b          2026-01-02T03:04:05.000000006Z",
    ]
    assert call("--root", "/r", "list", "-q") == 0
    assert capfd.readouterr().out == "a\nb\n"
    assert call("--root", "/r", "list", "--format", "json") == 0
    assert [each["id"] for each in json.loads(capfd.readouterr().out)] == ["a", "b"]
    lifecycle.states = []
    assert call("--root", "/r", "list", "--format=json") == 0
    assert capfd.readouterr().out == "[]\n"


def test_the_table_is_safe_for_terminals() -> None:
    assert "\x1b" not in table([state("a", bundle="/b\x1b[2J")])


# -- failures


def test_a_failure_is_logged_and_ends_with_its_status(
    lifecycle: Lifecycle, capfd: pytest.CaptureFixture[str]
) -> None:
    lifecycle.fails["start"] = OciError("gone", "container does not exist", hint="look", status=7)
    assert call("start", "ID") == 7
    found = capfd.readouterr()
    assert (found.out, found.err) == ("", "pyoci: start: container does not exist\n  hint: look\n")


def test_exec_s_own_failures_end_with_255(lifecycle: Lifecycle) -> None:
    lifecycle.fails["exec"] = OciError("gone", "container does not exist")
    assert call("exec", "ID", "true") == 255
    assert call("exec", "--bad", "ID") == 1
    lifecycle.fails["exec"] = ValueError("oops")
    assert call("exec", "ID", "true") == 255


def test_unknown_command_ends_with_3(capfd: pytest.CaptureFixture[str]) -> None:
    assert call("nonsense") == 3
    assert capfd.readouterr().out == ""


def test_a_usage_error_is_logged_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log"
    assert call("--log", str(file), "--log-format", "json", "create", "--nonsense", "ID") == 1
    entry = json.loads(file.read_text())
    assert (entry["level"], entry["code"], entry["operation"]) == ("error", "usage", "create")
    assert "not defined: -nonsense" in capfd.readouterr().err


def test_a_log_that_cannot_be_written(lifecycle: Lifecycle, capfd: pytest.CaptureFixture[str]) -> None:
    assert call("--log", "/nonexistent/log", "start", "ID") == 1
    assert capfd.readouterr().err.startswith(
        "pyoci: start: log file /nonexistent/log: no such file or directory\n"
    )
    assert lifecycle.calls == []


def test_a_bug_is_reported_with_its_place(
    lifecycle: Lifecycle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lifecycle.fails["start"] = ZeroDivisionError("by zero")
    file = tmp_path / "log"
    assert call("--log", str(file), "--log-format=json", "start", "ID") == 1
    assert json.loads(file.read_text())["code"] == "internal"
    found = capfd.readouterr().err
    assert "ZeroDivisionError: by zero" in found and "_record" in found


def test_an_unexpected_system_error_names_its_file(
    lifecycle: Lifecycle, capfd: pytest.CaptureFixture[str]
) -> None:
    lifecycle.fails["start"] = FileNotFoundError(2, "No such file or directory", "/x/y")
    assert call("start", "ID") == 1
    assert "unexpected failure on /x/y: no such file or directory" in capfd.readouterr().err


def test_an_interrupt_ends_with_130(lifecycle: Lifecycle) -> None:
    lifecycle.fails["start"] = KeyboardInterrupt()
    assert call("start", "ID") == 130


def test_warnings_wait_for_the_end(
    lifecycle: Lifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warn(context: Context, *more: Any) -> None:
        context.log.warning("take care", code="some-code")

    monkeypatch.setattr(sys.modules["pyoci.lifecycle.start"], "start", warn)
    file = tmp_path / "log"
    assert call("--log", str(file), "--log-format=json", "start", "ID") == 0
    assert json.loads(file.read_text())["level"] == "warning"


# -- help and version


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h", "create"], ["help"]])
def test_overview(argv: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert call(*argv) == 0
    assert capfd.readouterr().out.startswith("pyoci runs containers")


@pytest.mark.parametrize(
    "argv", [["help", "exec"], ["exec", "--help"], ["exec", "-h", "x"], ["help", "help", "-h"]]
)
def test_help_of_a_command(argv: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert call(*argv) == 0
    name = "help" if argv[-1] == "-h" else "exec"
    assert capfd.readouterr().out.startswith(f"pyoci {name}: ")


def test_help_for_an_unknown_command() -> None:
    assert call("help", "nonsense") == 3


@pytest.mark.parametrize("argv", [["--version"], ["-v"], ["-V", "x"], ["version"]])
def test_version(argv: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert call(*argv) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == f"pyoci version {pyoci.__version__}"
    assert f"spec: {SPECIFICATION}" in lines
    assert [line for line in lines if line.startswith("commit: ")] == [
        "commit: unknown"
    ]  # no launcher built this one
    assert [line for line in lines if line.startswith("+")] == [
        "+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF"
    ]


def test_only_the_first_line_says_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert call("--version", "--verbose") == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) > 4 and [line for line in lines if "version" in line] == lines[:1]


# -- what is imported

FORBIDDEN = {
    "os",
    "io",
    "re",
    "json",
    "typing",
    "enum",
    "argparse",
    "signal",
    "logging",
    "pathlib",
    "subprocess",
}


@pytest.mark.parametrize(
    "argv",
    [
        ["state", "none-such"],
        ["kill", "none-such", "BADSIGNAL"],
        ["kill", "none-such", "SIGTERM"],
        ["exec", "none-such", "true"],
        ["exec", "--bad"],
        ["--version"],
        ["lst"],
        ["help", "create"],
    ],
    ids=" ".join,
)
def test_no_standard_library_for_what_engines_call(argv: list[str], tmp_path: Path) -> None:
    script = f"""
import sys
before = set(sys.modules)
sys.path.insert(0, {str(TREE)!r})
import pyoci.lifecycle
class Gone:
    def __getattr__(self, name):
        def call(*more, **named):
            from pyoci.base.errors import OciError
            raise OciError("gone", "container does not exist")
        return call
for name in {COMMANDS!r}:
    sys.modules["pyoci.lifecycle." + name] = Gone()
    setattr(pyoci.lifecycle, name, Gone())
sys.modules["pyoci.base.termination"] = Gone()  # like the lifecycle it needs the shim, which is not on this path
from pyoci.base.context import Context
from pyoci.cli import entry
entry.main(Context(), {["--root", str(tmp_path), "--log", str(tmp_path / "log"), "--log-format", "json", *argv]!r})
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "bug in pyoci" not in done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "pyoci.cli.entry" in loaded
    assert not loaded & FORBIDDEN
