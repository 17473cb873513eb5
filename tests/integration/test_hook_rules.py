"""The six hooks: order, state, namespaces, environment, time limits, and what a failing one does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from harness.box import Container
from harness.boxes import Boxes

CREATE = ("prestart", "createRuntime", "createContainer")
START = ("startContainer", "poststart")
ORDER = (*CREATE, *START, "poststop")


class Log:
    """A container whose hooks write into a folder that is also its /log."""

    def __init__(self, made: Container, folder: Path) -> None:
        self.made = made
        self.folder = folder / "log"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        made.mount("/log", "bind", str(self.folder), "rbind")
        made.config["hooks"] = {}

    def add(self, kind: str, script: str, **more: Any) -> None:
        """Append a hook that runs a shell script with $log set; the script has its state on stdin."""
        inside = "/log" if kind == "startContainer" else str(self.folder)
        hook = {
            "path": "/bin/sh",
            "args": ["sh", "-c", f"log={inside}; {script}"],
            "env": ["PATH=/usr/bin:/bin"],
            **more,
        }
        self.made.config["hooks"].setdefault(kind, []).append(hook)

    def add_all(self) -> None:
        """One hook of each kind that adds its name to $log/order and keeps its state as $log/KIND."""
        for kind in ORDER:
            self.add(kind, f"cat > $log/{kind}; echo {kind} >> $log/order")

    def read(self, name: str) -> str:
        """A file of the folder, "" without it."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def order(self) -> list[str]:
        """The names in $log/order."""
        return self.read("order").split()

    def state(self, kind: str) -> dict[str, Any]:
        """The state one hook had on standard input."""
        found: dict[str, Any] = json.loads(self.read(kind))
        return found


@pytest.fixture
def log(box: Boxes, folder: Path) -> Log:
    """A container with hooks to be added."""
    return Log(box.sh("echo program >> /log/order"), folder)


def test_all_six_run_in_order(log: Log) -> None:
    log.add_all()
    log.made.create()
    assert log.order() == list(CREATE)
    log.made.start()
    assert log.made.wait() == 0
    assert sorted(log.order()) == sorted([*CREATE, "startContainer", "program", "poststart"])
    assert log.order().index("startContainer") == 3
    log.made.delete()
    assert log.order()[-1] == "poststop"


def test_run_runs_all_six(log: Log) -> None:
    log.add_all()
    log.made.run()
    assert sorted(log.order()) == sorted([*ORDER, "program"])
    assert log.order()[-1] == "poststop"


def test_hooks_of_one_kind_run_in_the_listed_order(log: Log) -> None:
    for number in range(4):
        log.add("createRuntime", f"echo {number} >> $log/order")
    log.made.create()
    assert log.order() == ["0", "1", "2", "3"]


def test_the_program_starts_after_start_container_hooks(log: Log) -> None:
    log.add("startContainer", "test ! -e $log/order && echo hook >> $log/order")
    log.made.run()
    assert log.order() == ["hook", "program"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("prestart", "creating"),
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("startContainer", "created"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ],
)
def test_the_state_on_standard_input(log: Log, kind: str, status: str) -> None:
    log.add_all()
    log.made.config["annotations"] = {"org.example.key": "value"}
    log.made.create()
    pid = log.made.pid
    log.made.start()
    log.made.wait()
    log.made.delete()
    state = log.state(kind)
    assert state["ociVersion"].startswith("1.")
    assert state["id"] == log.made.id
    assert state["bundle"] == str(log.made.directory)
    assert state["annotations"] == {"org.example.key": "value"}
    assert state["status"] == status
    if kind not in ("poststop", "startContainer", "createContainer"):
        assert state["pid"] == pid


def test_the_pid_in_the_state_is_in_the_new_namespaces(log: Log) -> None:
    """Engines set the network up from a prestart or createRuntime hook through /proc/PID/ns/net."""
    for kind in ("prestart", "createRuntime"):
        script = f"pid=$(tr , '\\n' | sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); readlink /proc/$pid/ns/net > $log/{kind}"
        log.add(kind, script)
    log.made.create()
    expected = os.readlink(f"/proc/{log.made.pid}/ns/net") + "\n"
    assert (log.read("prestart"), log.read("createRuntime")) == (expected, expected)


@pytest.mark.parametrize("kind", ORDER)
def test_the_namespaces_of_a_hook(log: Log, kind: str) -> None:
    log.add(kind, f"cat > $log/state; readlink /proc/self/ns/mnt > $log/{kind}; hostname >> $log/{kind}")
    log.made.create()
    inside = os.readlink(f"/proc/{log.made.pid}/ns/mnt")
    log.made.start()
    log.made.wait()
    log.made.delete()
    expected = inside if kind in ("createContainer", "startContainer") else os.readlink("/proc/self/ns/mnt")
    assert log.read(kind).splitlines()[0] == expected


def test_a_start_container_hook_is_looked_up_inside(log: Log) -> None:
    log.made.file("hook", "#!/bin/sh\npwd > /log/cwd; echo inside > /log/said\n", 0o755)
    log.made.config["hooks"]["startContainer"] = [{"path": "/hook"}]
    log.made.run()
    assert log.read("said") == "inside\n"


@pytest.mark.parametrize("kind", CREATE)
def test_hooks_of_create_run_before_the_root_changes(log: Log, kind: str) -> None:
    log.add(kind, f"test -e {log.made.rootfs}/bin/busybox && echo host > $log/said")
    log.made.create()
    assert log.read("said") == "host\n"


def test_create_container_hooks_see_the_mounts(log: Log) -> None:
    log.add(
        "createContainer",
        f"cat /proc/self/mountinfo > $log/table; ls {log.made.rootfs}/proc/self > $log/proc",
    )
    log.made.create()
    assert f" {log.made.rootfs} " in log.read("table")
    assert "status" in log.read("proc")


# -- arguments and environment


@pytest.mark.parametrize("kind", ORDER)
def test_arguments_and_environment_are_exact(log: Log, kind: str) -> None:
    inside = "/log" if kind == "startContainer" else str(log.folder)
    script = f'echo "$0 $1" > {inside}/args; /usr/bin/env > {inside}/env || /bin/env > {inside}/env'
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script, "zero", "one"], "env": ["A=1", "B=x y"]}
    log.made.config["hooks"][kind] = [hook]
    log.made.run()
    assert log.read("args") == "zero one\n"
    shell = ("PWD=", "SHLVL=", "_=", "OLDPWD=", "PATH=")  # what shells add
    assert sorted(line for line in log.read("env").splitlines() if not line.startswith(shell)) == [
        "A=1",
        "B=x y",
    ]


def test_without_env_a_hook_on_the_host_has_the_callers_environment(log: Log) -> None:
    script = f"/usr/bin/env > {log.folder}/env"
    log.made.config["hooks"]["createRuntime"] = [{"path": "/bin/sh", "args": ["sh", "-c", script]}]
    log.made.create(env={"OF_THE_CALLER": "x \xfc", "PATH": "/bin"})
    assert "OF_THE_CALLER=x \xfc" in log.read("env").splitlines()


def test_without_env_a_create_container_hook_has_none(log: Log) -> None:
    log.made.process["env"].append("LD_PRELOAD=/evil.so")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"/usr/bin/env > {log.folder}/env"]}
    log.made.config["hooks"]["createContainer"] = [hook]
    log.made.run(env={"OF_THE_CALLER": "x", "PATH": "/bin"}, check=False)
    assert "OF_THE_CALLER" not in log.read("env") and "LD_PRELOAD" not in log.read("env")


def test_where_hooks_start(log: Log) -> None:
    """In the bundle; createContainer hooks in the root file system, startContainer hooks where the program does."""
    log.made.process["cwd"] = "/bin"
    for kind in ORDER:
        log.add(kind, f"pwd > $log/where-{kind}")
    log.made.run()
    found = {kind: log.read(f"where-{kind}").strip() for kind in ORDER}
    wanted = dict.fromkeys(ORDER, str(log.made.directory))
    assert found == wanted | {"createContainer": str(log.made.rootfs), "startContainer": "/bin"}


def test_without_env_a_start_container_hook_has_the_programs(log: Log) -> None:
    log.made.process["env"] = ["PATH=/bin", "OF_THE_CONTAINER=x"]
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "/bin/env > /log/env"]}
    log.made.config["hooks"]["startContainer"] = [hook]
    log.made.run(env={"OF_THE_CALLER": "x", "PATH": "/bin"})
    found = log.read("env").splitlines()
    assert {"OF_THE_CONTAINER=x", "PATH=/bin"} <= set(found)
    assert any(line.startswith("HOME=/") for line in found) and "OF_THE_CALLER=x" not in found


# -- a startContainer hook is a file of the container's: it is confined as the program is

CONFINED = """
grep -E '^(Seccomp|NoNewPrivs|CapEff|CapBnd|Uid|Gid|Groups):' /proc/self/status
ulimit -n; ulimit -Hn; ulimit -u; id -u; umask; pwd
"""


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_a_start_container_hook_is_confined_as_the_program(log: Log, no_new_privileges: bool) -> None:
    made = log.made
    made.process.update(
        noNewPrivileges=no_new_privileges,
        rlimits=[
            {"type": "RLIMIT_NOFILE", "soft": 200, "hard": 300},
            {"type": "RLIMIT_NPROC", "soft": 500, "hard": 500},
        ],
        user={"uid": 1000, "gid": 1000, "umask": 0o77},
    )
    made.capabilities("CAP_KILL", "CAP_CHOWN")
    rules = [{"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18}]
    made.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    for name in ("one", "two"):
        log.add("startContainer", f"({CONFINED}) > $log/{name}", env=["PATH=/bin"])
    made.sh(f"({CONFINED}) > /log/program").run()
    program = log.read("program")
    assert "Seccomp:\t2" in program and "\n200\n300\n500\n" in program
    assert log.read("one") == log.read("two") == program


@pytest.mark.only("pyoci")
def test_a_filter_that_denies_execve_denies_it_to_a_start_container_hook(log: Log) -> None:
    log.add("startContainer", "touch $log/ran")
    rules = [{"names": ["execve"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18}]
    log.made.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    log.made.create()
    log.made.start(check=False).failed("startContainer", "ross-device link")
    assert log.read("ran") == ""
    log.made.wait()


def test_a_start_container_hook_that_does_not_exist_says_so(log: Log) -> None:
    log.made.config["hooks"]["startContainer"] = [{"path": "/no/such/hook"}]
    log.made.create()
    log.made.start(check=False).failed("/no/such/hook", "o such file or directory")
    log.made.wait()


def test_without_args_a_hook_gets_its_path(log: Log) -> None:
    path = log.folder / "hook"
    path.write_text(f"#!/bin/sh\necho $# $0 > {log.folder}/said\n")
    path.chmod(0o755)
    log.made.config["hooks"]["createRuntime"] = [{"path": str(path)}]
    log.made.create()
    assert log.read("said") == f"0 {path}\n"


def test_a_hook_has_no_descriptors_of_the_runtime(log: Log) -> None:
    for kind in (*CREATE, "poststart", "poststop"):
        log.add(kind, f"ls /proc/self/fd > $log/{kind}")
    log.made.run()
    for kind in (*CREATE, "poststart", "poststop"):
        numbers = {int(name) for name in log.read(kind).split()}
        assert numbers <= {0, 1, 2, 3}, kind  # 3 is the directory that ls reads


def test_a_hook_has_default_signals(log: Log) -> None:
    log.add("createRuntime", "grep -E 'Sig(Ign|Blk)' /proc/self/status > $log/said")
    log.made.create()
    assert [int(line.split()[1], 16) for line in log.read("said").splitlines()] == [0, 0]


def test_a_hook_does_not_disturb_the_output(log: Log) -> None:
    log.add("createRuntime", "echo noise; echo noise >&2")
    found = log.made.create()
    assert found.out == ""


def test_a_hook_that_ignores_its_input_succeeds(log: Log) -> None:
    log.made.config["annotations"] = {f"key{number}": "x" * 1000 for number in range(200)}
    log.add("createRuntime", "exit 0")
    log.made.create()
    assert log.made.status == "created"


# -- failures


@pytest.mark.parametrize("kind", CREATE)
def test_a_failing_hook_of_create_fails_it(log: Log, kind: str) -> None:
    log.add(kind, "echo one >> $log/order")
    log.add(kind, "echo two >> $log/order; echo the reason >&2; exit 3")
    log.add(kind, "echo three >> $log/order")
    found = log.made.create(check=False).failed()
    assert log.order() == ["one", "two"]
    assert not log.made.runtime.exists(log.made.id)
    assert "the reason" in found.err
    assert "3" in found.err


@pytest.mark.only("pyoci")  # the words of runc 1.2 and later; 1.1 does not name the kind
@pytest.mark.parametrize("kind", [*CREATE, *START])
def test_a_failing_hook_is_told_in_the_words_of_runc(log: Log, kind: str) -> None:
    """Its tests look for them, and engines show them: output and error each on its own, with their ends when they are long."""
    log.add(kind, "exit 0")
    log.add(kind, "exit 3")
    error = log.made.run(check=False).failed().err.splitlines()[0]
    assert error.endswith(f"error running {kind} hook #1: exit status 3, stdout: , stderr: ")
    script = (
        "i=0; while [ $i -lt 2000 ]; do echo $i; echo e$i >&2; i=$((i+1)); done; printf '\\0last\\n'; exit 3"
    )
    log.made.config["hooks"][kind].pop()
    log.add(kind, script)
    error = log.made.run(check=False).failed().err.splitlines()[0]
    output, _, error_output = error.partition(", stderr: ")
    assert "hook #1: exit status 3, stdout: " in output and output.endswith(" | 1999 | ?last")
    assert error_output.endswith(" | e1998 | e1999") and len(error) < 3000


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("kind", [*CREATE, *START])
def test_of_a_hook_beyond_its_time_limit_the_output_is_told(log: Log, kind: str) -> None:
    log.add(kind, "echo out; echo err >&2; exec sleep 1000", timeout=1)
    error = log.made.run(check=False).failed().err.splitlines()[0]
    wanted = (
        f"error running {kind} hook #0: hook ran past specified timeout of 1.0s, stdout: out, stderr: err"
    )
    assert error.endswith(wanted)


# -- what hooks are used for


def test_hooks_bring_files_into_the_container(log: Log) -> None:
    """As the hooks that add a driver's libraries do: from the host, from the container's mount namespace, from inside."""
    made = log.made
    for name in ("one", "two"):
        (log.folder / name).write_text(f"library {name}\n")
        made.file(f"lib-{name}")
    made.sh("cat /lib-one /lib-two /cache > /log/program")
    pid = "pid=$(tr , '\\n' | sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p')"
    log.add("createRuntime", f"{pid}; nsenter -m -t $pid mount --bind $log/one {made.rootfs}/lib-one")
    log.add("createContainer", "mount --bind $log/two ./lib-two")
    log.add("startContainer", "/bin/cat /lib-one /lib-two > /cache", env=["PATH=/bin"])
    made.config["root"]["readonly"] = False
    made.run()
    assert log.read("program") == "library one\nlibrary two\n" * 2


def test_a_library_in_the_environment_of_a_hook_is_loaded_into_it(log: Log, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler for a shared library")
    source, library = tmp_path / "preloaded.c", tmp_path / "preloaded.so"
    source.write_text(
        "#include <stdio.h>\n#include <stdlib.h>\n__attribute__((constructor)) static void loaded(void) {\n"
        '    FILE *file = fopen(getenv("MARK"), "a");\n    if (file) fputs("loaded\\n", file), fclose(file);\n}\n'
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    host = [kind for kind in ORDER if kind != "startContainer"]
    for kind in host:
        log.add(kind, "exit 0", env=[f"LD_PRELOAD={library}", f"MARK={log.folder}/mark-{kind}"])
    log.made.run()
    assert {kind: log.read(f"mark-{kind}") for kind in host} == dict.fromkeys(host, "loaded\n")


def test_hooks_of_a_container_without_a_mount_namespace(log: Log) -> None:
    made = log.made
    made.config["linux"].update(maskedPaths=[], readonlyPaths=[])
    made.config["mounts"], made.config["root"]["readonly"] = [], False
    made.no_namespace("mount")
    inside = made.rootfs / "log"
    inside.mkdir()
    made.sh("echo program >> /log/order")
    for kind in ORDER:
        log.add(kind, f"echo {kind} >> $log/order; readlink /proc/self/ns/mnt > $log/ns-{kind} || true")
    made.run()
    assert log.order() == [*CREATE, *START[1:], "poststop"]
    assert (inside / "order").read_text().split()[0] == "startContainer"
    for kind in (*CREATE, "poststart", "poststop"):
        assert log.read(f"ns-{kind}").strip() == os.readlink("/proc/self/ns/mnt")


def test_files_that_annotations_name_get_the_output_of_hooks(log: Log) -> None:
    out, err = log.folder / "out", log.folder / "err"
    log.made.config["annotations"] = {"run.oci.hooks.stdout": str(out), "run.oci.hooks.stderr": str(err)}
    for kind in ORDER:
        log.add(kind, f"echo {kind}; echo not {kind} >&2")
    log.made.run()
    assert sorted(log.read("out").split()) == sorted(ORDER)
    assert sorted(log.read("err").splitlines()) == sorted(f"not {kind}" for kind in ORDER)
    log.made.config["annotations"] = {"run.oci.hooks.stdout": "/no/such/directory/file"}
    log.made.create(check=False).failed("/no/such/directory/file", "no such file or directory")


@pytest.mark.parametrize("kind", CREATE)
def test_after_a_failing_hook_of_create_poststop_runs(log: Log, kind: str) -> None:
    log.add(kind, "exit 1")
    log.add("poststop", "echo poststop >> $log/order")
    log.made.create(check=False).failed()
    assert log.order() == ["poststop"]


def test_a_failing_start_container_hook_stops_and_removes_the_container(log: Log) -> None:
    log.add("startContainer", "exit 1")
    log.add("poststop", "echo poststop >> $log/order")
    log.made.create()
    log.made.start(check=False).failed()
    assert log.order() == ["poststop"]
    assert not log.made.runtime.exists(log.made.id)
    log.made.expected = False


def test_after_a_failing_start_container_hook_the_program_does_not_run(log: Log) -> None:
    log.add("startContainer", "exit 1")
    log.made.run(check=False).failed()
    assert "program" not in log.order()


def test_a_failing_poststart_hook_stops_and_removes_the_container(log: Log) -> None:
    log.made.args("/bin/sleep", "1000")
    log.add("poststart", "echo first >> $log/order; exit 1")
    log.add("poststart", "echo second >> $log/order")
    log.add("poststop", "echo poststop >> $log/order")
    log.made.create()
    log.made.start(check=False).failed()
    log.made.expected = False
    assert log.order() == ["first", "poststop"]
    assert not log.made.runtime.exists(log.made.id)
    assert log.made.wait() == 128 + signal.SIGKILL


def test_a_failing_poststop_hook_is_only_a_warning(log: Log) -> None:
    log.add("poststop", "echo one >> $log/order; exit 1")
    log.add("poststop", "echo two >> $log/order")
    log.made.create()
    log.made.delete("--force")
    assert log.order() == ["one", "two"]
    assert not log.made.runtime.exists(log.made.id)


def test_a_failing_poststop_hook_does_not_change_the_status_of_run(log: Log) -> None:
    log.made.sh("exit 5")
    log.add("poststop", "exit 1")
    assert log.made.run(check=False).rc == 5


def test_a_hook_killed_by_a_signal_fails(log: Log) -> None:
    log.add("createRuntime", "kill -9 $$")
    log.made.create(check=False).failed("createRuntime" if log.made.runtime.kind == "pyoci" else "signal")


def test_a_hook_that_does_not_exist_fails(log: Log) -> None:
    log.made.config["hooks"]["createRuntime"] = [{"path": "/no/such/hook"}]
    log.made.create(check=False).failed("/no/such/hook", "no such file")


def test_a_relative_hook_path_is_refused(log: Log) -> None:
    log.made.config["hooks"]["createRuntime"] = [{"path": "bin/true"}]
    log.made.create(check=False).failed()


def test_a_hook_beyond_its_time_limit_fails_and_is_killed(log: Log) -> None:
    log.add("createRuntime", "echo $$ > $log/pid; exec sleep 1000", timeout=1)
    log.made.create(check=False).failed()
    assert not Path(f"/proc/{log.read('pid').strip()}").exists()


def test_a_hook_within_its_time_limit_succeeds(log: Log) -> None:
    log.add("createRuntime", "echo done > $log/said", timeout=60)
    log.made.create()
    assert log.read("said") == "done\n"


@pytest.mark.only("pyoci")  # runc starts the hook and ends it at once
@pytest.mark.parametrize("timeout", [0, -1])
def test_a_time_limit_must_be_positive(log: Log, timeout: int) -> None:
    log.add("createRuntime", "echo ran > $log/said", timeout=timeout)
    log.made.create(check=False).failed("timeout")
    assert log.read("said") == ""


@pytest.mark.only("pyoci")
def test_the_error_names_the_hook_by_its_place_in_the_config(log: Log) -> None:
    log.add("createRuntime", "exit 0")
    log.add("createRuntime", "exit 1")
    options = log.made.runtime.global_options
    options += ["--log", str(log.folder / "json"), "--log-format", "json"]
    log.made.create(check=False).failed()
    entry = json.loads(log.read("json"))
    assert entry["pointer"] == "/hooks/createRuntime/1"


def test_a_hook_may_leave_a_process_behind_that_keeps_nothing_open(log: Log) -> None:
    log.add("createRuntime", "sleep 1000 > /dev/null 2>&1 < /dev/null & echo $! > $log/pid")
    watched = log.made.stream()
    log.made.create(stdout=watched)
    pid = int(log.read("pid"))
    os.kill(pid, signal.SIGKILL)
    log.made.delete("--force")
    assert watched.rest() == ""


@pytest.mark.only("pyoci")  # runc waits for who holds the output of a hook
def test_a_process_of_a_hook_that_prints_without_pause_does_not_hold_up_create(log: Log) -> None:
    """The hook's own end counts. A real-time process on the reader's processor fills the pipe again whenever it is read."""
    if subprocess.run(["chrt", "-f", "1", "true"], check=False, capture_output=True).returncode:
        pytest.skip("there are no real-time processes here")
    leave = "[ ! -e /sys/fs/cgroup/cpu/tasks ] || echo 0 > /sys/fs/cgroup/cpu/tasks"  # in v1 a cgroup may have none
    log.add(
        "createContainer",
        f"taskset -cp 0 $PPID; taskset -cp 0 $$; {leave}; chrt -f 1 yes & sleep 0.3; exit 7",
    )
    error = log.made.create(check=False).failed().err
    assert "error running createContainer hook #0: exit status 7, stdout: y | y" in error


def test_a_failed_create_is_as_if_never_tried(log: Log) -> None:
    log.add("createContainer", "exit 1")
    log.made.create(check=False).failed()
    log.made.config["hooks"] = {}
    log.made.run()
    assert log.order() == ["program"]
