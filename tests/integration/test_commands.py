"""The command line: verbs, options in both spellings, logs, exit statuses, refusals."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from harness.boxes import Boxes
from harness.runtime import Runtime

import pyoci

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@pytest.mark.only("pyoci")
def test_the_version_is_that_of_the_package(runtime: Runtime) -> None:
    """The launcher has no number of its own; a static one has the package's in it."""
    assert runtime.call("--version").ok().lines()[0] == f"pyoci version {pyoci.__version__}"


def test_version_names_the_runtime_and_the_specification(runtime: Runtime) -> None:
    lines = runtime.call("--version").ok().lines()
    assert re.match(r"\w+ version \d", lines[0]), lines
    assert any(line.startswith("spec: 1.") for line in lines[1:]), lines


def test_help_lists_the_verbs(runtime: Runtime) -> None:
    text = runtime.call("--help").ok().out
    for verb in ("create", "start", "state", "kill", "delete", "run", "exec", "list", "spec"):
        assert verb in text


def test_an_unknown_command_ends_with_3(runtime: Runtime) -> None:
    assert runtime.call("nonsense").rc == 3


@pytest.mark.parametrize(
    "verb", ["create", "start", "state", "kill", "delete", "run", "exec", "list", "spec"]
)
def test_an_unknown_option_is_refused(runtime: Runtime, verb: str) -> None:
    runtime.call(verb, "--no-such-option", "x").failed("no-such-option")


@pytest.mark.parametrize("verb", ["create", "start", "state", "kill", "delete", "run", "exec"])
def test_a_missing_id_is_refused(runtime: Runtime, verb: str) -> None:
    runtime.call(verb).failed()


@pytest.mark.parametrize("verb", ["start", "state", "delete"])
def test_too_many_arguments_are_refused(runtime: Runtime, verb: str) -> None:
    runtime.call(verb, "one", "two").failed()


@pytest.mark.parametrize("verb", [("state",), ("start",), ("kill",), ("delete",)])
def test_an_id_nobody_made_does_not_exist(runtime: Runtime, verb: tuple[str, ...]) -> None:
    found = runtime.call(*verb, "nobody-made-this")
    assert found.rc == 1
    found.failed("does not exist")


def test_delete_force_of_what_does_not_exist_succeeds(runtime: Runtime) -> None:
    found = runtime.call("delete", "--force", "nobody-made-this").ok()
    assert found.out == ""


def test_exec_in_what_does_not_exist_ends_with_255(runtime: Runtime) -> None:
    found = runtime.call("exec", "nobody-made-this", "true").failed("does not exist")
    assert found.rc == 255


@pytest.mark.parametrize("spelling", ["apart", "joined"])
def test_root_in_both_spellings(runtime: Runtime, box: Boxes, folder: Path, spelling: str) -> None:
    other = str(folder / "elsewhere")
    options = ["--root", other] if spelling == "apart" else [f"--root={other}"]
    made = box("/bin/true")
    runtime.root = None
    runtime.global_options = options
    made.create()
    assert made.status == "created"
    made.delete("--force")
    runtime.call("state", made.id).failed("does not exist")


@pytest.mark.parametrize("spelling", ["apart", "joined", "short"])
def test_the_bundle_option_in_all_spellings(box: Boxes, spelling: str) -> None:
    made = box("/bin/echo", "hi")
    made.save()
    path = str(made.directory)
    options = {"apart": ["--bundle", path], "joined": [f"--bundle={path}"], "short": ["-b", path]}[spelling]
    assert made.runtime.call("run", *options, made.id).ok().out == "hi\n"


def test_the_bundle_is_the_working_directory_by_default(box: Boxes) -> None:
    made = box("/bin/echo", "hi")
    made.save()
    assert made.runtime.call("run", made.id, cwd=made.directory).ok().out == "hi\n"


def test_a_relative_bundle(box: Boxes) -> None:
    made = box("/bin/echo", "hi")
    made.save()
    found = made.runtime.call("run", "-b", made.directory.name, made.id, cwd=made.directory.parent)
    assert found.ok().out == "hi\n"


@pytest.mark.parametrize("verb", [["list"], ["delete", "--regex", "x"], ["doctor"]], ids=lambda verb: verb[0])
@pytest.mark.only("pyoci")
def test_a_root_that_is_no_directory(runtime: Runtime, folder: Path, verb: list[str]) -> None:
    (folder / "file").write_text("")
    argv = [str(runtime.path), "--root", str(folder / "file"), *verb]
    found = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "not a directory" in found.stderr
    assert "bug" not in found.stderr


@pytest.mark.parametrize(
    "options",
    [[], ["--bundle", "box"], ["--bundle", "BUNDLE", "--pid-file", "pid"], ["--bundle", "BUNDLE"]],
    ids=["no bundle", "relative bundle", "relative pid file", "absolute bundle"],
)
def test_a_working_directory_that_was_removed(box: Boxes, folder: Path, options: list[str]) -> None:
    made = box("/bin/echo", "hi")
    made.save()
    gone = folder / "gone"
    gone.mkdir()
    words = [str(made.directory) if word == "BUNDLE" else word for word in options]
    command = shlex.join(made.runtime.argv("run", *words, made.id))
    script = ["sh", "-c", f"cd {gone} && rmdir {gone} && exec {command}"]
    found = subprocess.run(script, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if options == ["--bundle", "BUNDLE"]:
        assert (found.returncode, found.stdout) == (0, "hi\n")
    else:
        assert found.returncode == 1
        assert "no such file or directory" in found.stderr or made.runtime.kind != "pyoci"
        assert "bug" not in found.stderr


def test_a_bundle_without_config_is_refused(runtime: Runtime, folder: Path) -> None:
    (folder / "empty").mkdir()
    runtime.call("create", "-b", str(folder / "empty"), "c").failed("config.json")


def test_a_bundle_that_does_not_exist_is_refused(runtime: Runtime, folder: Path) -> None:
    runtime.call("create", "-b", str(folder / "nowhere"), "c").failed("no such file")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ociVersion": "1.0.2"', '{"ociVersion": 1}'])
def test_a_config_that_is_no_config_is_refused(box: Boxes, text: str) -> None:
    made = box()
    made.save()
    (made.directory / "config.json").write_text(text)
    made.runtime.call("create", "-b", str(made.directory), made.id).failed()
    assert not made.runtime.exists(made.id)


@pytest.mark.parametrize("id", ["", ".", "..", "a/b", "../x", "a b", "a\nb", "ä", "*"])
def test_an_id_that_is_no_name_is_refused(box: Boxes, id: str) -> None:
    made = box()
    made.save()
    made.runtime.call("create", "-b", str(made.directory), id).failed()


@pytest.mark.parametrize("id", ["a", "A.b-c_d+e", "0", "x" * 200])
def test_an_id_of_ordinary_characters_is_taken(box: Boxes, id: str) -> None:
    made = box("/bin/echo", "hi")
    made.id = id
    assert made.out() == "hi\n"


def test_success_says_nothing(box: Boxes) -> None:
    made = box("/bin/sleep", "100")
    for found in (made.create(), made.start(), made.kill("KILL")):
        assert (found.out, found.err) == ("", "")
    made.wait()
    found = made.delete()
    assert (found.out, found.err) == ("", "")


# -- logs


def test_an_error_goes_to_standard_error(runtime: Runtime) -> None:
    found = runtime.call("state", "nobody").failed("does not exist")
    assert found.out == ""
    first, *hints = found.err.strip().splitlines()
    assert "does not exist" in first
    assert all(line.startswith("  hint: ") for line in hints)


def test_with_a_log_the_error_is_in_both(runtime: Runtime, folder: Path) -> None:
    log = folder / "log"
    runtime.global_options = ["--log", str(log)]
    runtime.call("state", "nobody").failed("does not exist")
    assert "does not exist" in log.read_text()


@pytest.mark.parametrize("joined", [False, True])
def test_a_json_log_has_one_error_line(runtime: Runtime, folder: Path, joined: bool) -> None:
    log = folder / "log"
    if joined:
        runtime.global_options = ["--log-format=json", f"--log={log}"]
    else:
        runtime.global_options = ["--log", str(log), "--log-format", "json"]
    runtime.call("state", "nobody")
    lines = log.read_text().splitlines()
    assert len(lines) == 1
    entry = json.loads(lines[0])
    assert entry["level"] == "error"
    assert "does not exist" in entry["msg"]
    assert RFC3339.fullmatch(entry["time"]), entry


def test_a_log_is_appended_to(runtime: Runtime, folder: Path) -> None:
    log = folder / "log"
    runtime.global_options = ["--log", str(log), "--log-format", "json"]
    runtime.call("state", "nobody")
    runtime.call("state", "nobody")
    assert [json.loads(line)["level"] for line in log.read_text().splitlines()] == ["error", "error"]


def test_a_successful_create_logs_nothing(runtime: Runtime, box: Boxes, folder: Path) -> None:
    log = folder / "log"
    runtime.global_options = ["--log", str(log), "--log-format", "json"]
    made = box("/bin/true")
    made.create()
    made.delete("--force")
    assert not log.exists() or log.read_text() == ""


def test_a_failed_create_logs_one_json_object(runtime: Runtime, box: Boxes, folder: Path) -> None:
    log = folder / "log"
    runtime.global_options = ["--log", str(log), "--log-format", "json"]
    made = box("/bin/true")
    made.mount("/x", "bind", "/no/such/source", "bind")
    made.create(check=False).failed("/no/such/source")
    lines = log.read_text().splitlines()
    entry = json.loads(lines[-1])
    assert entry["level"] == "error"
    assert "/no/such/source" in entry["msg"]


@pytest.mark.only("pyoci")
def test_an_error_carries_machine_readable_fields(runtime: Runtime, box: Boxes, folder: Path) -> None:
    log = folder / "log"
    runtime.global_options = ["--log", str(log), "--log-format", "json"]
    made = box("/bin/true")
    made.mount("/x", "bind", "/no/such/source", "bind")
    made.create(check=False).failed()
    (line,) = log.read_text().splitlines()
    entry = json.loads(line)
    assert entry["pointer"].startswith(f"/mounts/{len(made.mounts) - 1}")
    assert entry["errno"] == "ENOENT"
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", entry["code"])


def test_debug_does_not_disturb_output(runtime: Runtime, box: Boxes) -> None:
    runtime.global_options = ["--debug"]
    assert box("/bin/echo", "hi").out() == "hi\n"


@pytest.mark.parametrize(
    "options", [["--rootless=false"], ["--rootless", "auto"], ["--systemd-cgroup=false"]]
)
def test_global_options_with_values(runtime: Runtime, box: Boxes, options: list[str]) -> None:
    runtime.global_options = options
    assert box("/bin/echo", "hi").out() == "hi\n"


# -- poor surroundings: engines call without PATH and HOME, with odd descriptors


def test_an_empty_environment_is_enough(box: Boxes) -> None:
    assert box("/bin/echo", "hi").out(env={}) == "hi\n"


def test_an_empty_xdg_runtime_dir_is_as_none(box: Boxes) -> None:
    assert box("/bin/echo", "hi").out(env={"XDG_RUNTIME_DIR": ""}) == "hi\n"


def test_the_environment_of_the_caller_stays_outside(box: Boxes) -> None:
    text = box("/bin/env").out(env={"SECRET": "x", "PYTHONPATH": "/x", "_OCI_SYNCPIPE": "3"})
    assert "SECRET" not in text and "PYTHON" not in text and "_OCI" not in text and "LIBCONTAINER" not in text


def test_python_settings_of_the_caller_change_nothing(box: Boxes) -> None:
    odd = {"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONSTARTUP": "/x", "PYTHONINSPECT": "1"}
    assert box("/bin/echo", "hi").out(env=odd) == "hi\n"


def test_a_bundle_full_of_python_modules_is_not_imported(box: Boxes) -> None:
    made = box("/bin/echo", "hi")
    made.save()
    for name in ("posix", "errno", "os", "json", "pyoci", "site", "sitecustomize"):
        (made.directory / f"{name}.py").write_text("raise SystemExit('imported from the bundle')\n")
    found = made.runtime.call("run", made.id, cwd=made.directory, env={"LD_LIBRARY_PATH": "/nowhere:"})
    assert found.ok().out == "hi\n"


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams_are_survived(box: Boxes, closed: tuple[int, ...]) -> None:
    """The program gets /dev/null in their place, and no file of the runtime has their numbers meanwhile."""
    made = box.sh(
        "for fd in 0 1 2; do test -c /proc/$$/fd/$fd || test -p /proc/$$/fd/$fd || exit $fd; done; exit 7"
    )
    made.save()
    words = " ".join(f"{fd}>&-" for fd in closed)
    quoted = " ".join(f"'{word}'" for word in made.runtime.argv("run", "-b", str(made.directory), made.id))
    found = subprocess.run(
        ["/bin/sh", "-c", f"{quoted} {words}"], timeout=60, capture_output=True, check=False
    )
    assert found.returncode == 7, found
