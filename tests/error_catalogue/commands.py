"""Failures before any container is touched: command line, logs, files."""

from __future__ import annotations

import os
import signal
import time

from harness.runtime import PATIENCE, Result

from . import Stage, case


@case(
    "usage", '"create" requires exactly 1 argument(s)', verb="create", hint="usage: pyoci create [options] ID"
)
def no_argument(stage: Stage) -> Result:
    return stage.call("create")


@case("unknown-command", 'unknown command "strat"', verb="strat", hint="did you mean start?", status=3)
def misspelt_command(stage: Stage) -> Result:
    return stage.call("strat", "x")


@case(
    "engine-config",
    "kubernetes has no file to write",
    verb="engine-config",
    hint="kubectl apply",
)
def no_file_for_kubernetes(stage: Stage) -> Result:
    return stage.call("engine-config", "--write", "kubernetes")


@case(
    "seccomp-profile",
    'profile.json:1:118: /syscalls/0/includes/cap: there is no condition "cap"',
    verb="seccomp check",
    pointer="/syscalls/0/includes/cap",
    hint="did you mean caps?",
    status=2,
)
def condition_that_docker_does_not_know(stage: Stage) -> Result:
    file = stage.folder / "profile.json"
    file.write_text(
        '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",'
        ' "includes": {"cap": ["CAP_SYS_ADMIN"]}}]}'
    )
    return stage.call("seccomp", "check", str(file))


@case("unknown-signal", 'unknown signal "FOO"', verb="kill", hint="kill -l")
def signal_that_is_none(stage: Stage) -> Result:
    return stage.call("kill", "x", "FOO")


@case("invalid-id", 'invalid container ID format: "a/b"', verb="state", hint="letters, digits")
def id_with_a_slash(stage: Stage) -> Result:
    return stage.call("state", "a/b")


@case("bad-root", '--root must not be "/"', verb="list", hint="a directory that holds nothing else")
def root_is_the_root(stage: Stage) -> Result:
    stage.runtime.global_options += ["--root", "/"]
    return stage.call("list")


@case(
    "log-file",
    "log file /nonexistent/log: no such file or directory",
    verb="list",
    hint="--log",
    logged=False,
)
def log_in_no_directory(stage: Stage) -> Result:
    stage.runtime.global_options = ["--log", "/nonexistent/log"]
    return stage.call("list")


@case("output", "write to standard output: no space left on device", verb="version", errno="ENOSPC")
def output_is_full(stage: Stage) -> Result:
    with open("/dev/full", "wb") as full:
        return stage.call("version", stdout=full)


@case("output", "write to standard output: no space left on device", verb="help", errno="ENOSPC")
def output_of_a_command_of_the_library(stage: Stage) -> Result:
    with open("/dev/full", "wb") as full:
        return stage.call("help", "run", stdout=full)


@case(
    "file-exists",
    "config.json exists",
    verb="spec",
    hint="remove the file first, or write to another directory",
)
def spec_is_there(stage: Stage) -> Result:
    (stage.folder / "config.json").write_text("{}")
    return stage.call("spec", "--bundle", str(stage.folder))


@case(
    "write-config", "write /nonexistent/config.json: no such file or directory", verb="spec", errno="ENOENT"
)
def spec_nowhere(stage: Stage) -> Result:
    return stage.call("spec", "--bundle", "/nonexistent")


@case("trace-file", "/nonexistent/trace: no such file or directory", verb="run", errno="ENOENT")
def trace_nowhere(stage: Stage) -> Result:
    return stage.box("/bin/true").run("--trace", "/nonexistent/trace", check=False)


@case("seccomp-record", "cannot write /nonexistent/profile: its directory is missing", verb="seccomp record")
def profile_nowhere(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.save()
    return made.runtime.call("seccomp", "record", str(made.directory), "-o", "/nonexistent/profile")


@case("pid-file", "pid file /nonexistent/pid: no such file or directory", verb="create", errno="ENOENT")
def pid_file_nowhere(stage: Stage) -> Result:
    return stage.box("/bin/true").create("--pid-file", "/nonexistent/pid", check=False)


@case(
    "pidfd-socket", "pidfd socket /nonexistent/s: no such file or directory", verb="create", errno="ENOENT",
    hint="that listens on the socket",
)  # fmt: skip
def pidfd_to_nobody(stage: Stage) -> Result:
    return stage.box("/bin/true").create("--pidfd-socket", "/nonexistent/s", check=False)


@case(
    "console-socket",
    "cannot allocate tty",
    verb="create",
    pointer="/process/terminal",
    hint="--console-socket",
)
def terminal_without_socket(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.process["terminal"] = True
    return made.create(check=False)


@case(
    "console-socket", "console socket /nonexistent/s: no such file or directory", verb="create", errno="ENOENT",
    hint="that listens on the socket",
)  # fmt: skip
def terminal_for_nobody(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.process["terminal"] = True
    return made.create("--console-socket", "/nonexistent/s", check=False)


@case("preserve-fds", "descriptor 4", "bad file descriptor", verb="run", errno="EBADF", hint="close-on-exec")
def descriptor_that_is_not_open(stage: Stage) -> Result:
    return stage.box("/bin/true").run("--preserve-fds", "2", check=False)


@case("interrupted", "ended by signal 15", verb="create", status=128 + signal.SIGTERM)
def a_signal_ends_create(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    ready, release = stage.folder / "ready", stage.folder / "release"
    os.mkfifo(release)
    script = f"echo >{ready}; read line <{release}"
    made.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    with open(stage.folder / "err", "wb") as stderr:
        process = made.spawn("create", stderr=stderr)
        end = time.monotonic() + PATIENCE
        while not ready.exists() and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    argv = made.runtime.argv("create", made.id)
    return Result(argv, process.returncode, "", (stage.folder / "err").read_text())
