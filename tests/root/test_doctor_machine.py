"""doctor on this machine: what it says is so, it changes nothing, and --fix removes what is dead."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from harness import leaks, machine
from harness.boxes import Boxes
from harness.runtime import PATIENCE, Runtime

from pyoci.doctor.trial import Trial

pytestmark = [
    pytest.mark.only("pyoci"),
    pytest.mark.skipif(not machine.is_root(), reason="needs root"),
]


def examine(runtime: Runtime, *options: str, status: int | None = 0) -> dict[str, Any]:
    result = runtime.call("doctor", "--format", "json", *options, timeout=PATIENCE * 4)
    assert status is None or result.rc == status, result
    found: dict[str, Any] = result.json()
    return found


def results(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["result"] for check in report["checks"]}


def within(script: str, runtime: Runtime, *unshare: str, by: str = "") -> tuple[int, dict[str, Any]]:
    """doctor in namespaces that a script has spoiled before; `by`: the command that starts it there."""
    doctor = " ".join(runtime.argv("doctor", "--format", "json"))
    command = ["unshare", *unshare, "sh", "-c", f"{script} && exec {by} {doctor}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE * 4, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def check(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in report["checks"] if item["name"].startswith(name))
    return found


def test_this_machine_runs_containers_and_doctor_says_so(runtime: Runtime) -> None:
    report = examine(runtime)
    assert report["ready"] and report["leftovers"] == []
    assert all(item["result"] in ("yes", "no", "unknown") for item in report["checks"])
    assert all(
        item["cost"] for item in report["checks"] if item["result"] == "no" and item["area"] != "users"
    )


def test_it_agrees_with_what_others_see(runtime: Runtime) -> None:
    found = results(examine(runtime))
    for kind, option in (("time", "-T"), ("cgroup", "-C"), ("user", "-U"), ("network", "-n"), ("ipc", "-i")):
        works = subprocess.run(["unshare", option, "true"], capture_output=True, check=False).returncode == 0
        assert found[f"{kind} namespaces"] == ("yes" if works else "no")
    for name in ("memory", "pids", "cpu"):
        assert found[f"controller {name}"] == ("yes" if name in machine.controllers() else "no")
    assert found["seccomp filters"] == ("yes" if machine.seccomp_works() else "no")
    assert found["criu"] == ("yes" if shutil.which("criu") else "no")
    assert found["systemd"] == ("yes" if machine.systemd_runs() else "no")
    assert found["all capabilities"] == (
        "no" if not machine.has_capability("CAP_SYS_RESOURCE") else found["all capabilities"]
    )


def test_it_changes_nothing(runtime: Runtime, folder: Path) -> None:
    mounts, processes = leaks.mounts(), set(leaks.children(os.getpid()))
    name = Path("/proc/sys/kernel/hostname").read_text()
    examine(runtime)
    assert leaks.mounts() == mounts and set(leaks.children(os.getpid())) == processes
    assert Path("/proc/sys/kernel/hostname").read_text() == name
    assert not (folder / "root").exists(), "ROOT is looked at, not made"


def test_the_table(runtime: Runtime) -> None:
    out = runtime.call("doctor", timeout=PATIENCE * 4).ok().out
    assert out.startswith("kernel\n  yes      Linux 5.14 or later")
    assert "Ordinary containers run here." in out


@pytest.mark.parametrize(
    ("kind", "file"), [("time", "time"), ("uts", "uts"), ("ipc", "ipc"), ("network", "net")]
)
def test_a_limit_of_namespaces_is_found(runtime: Runtime, kind: str, file: str) -> None:
    """A user namespace has limits of its own: a safe place to take one away."""
    status, report = within(f"echo 0 >/proc/sys/user/max_{file}_namespaces", runtime, "-Ur")
    found = check(report, f"{kind} namespaces")
    assert found["result"] == "no" and "no space left on device" in found["why"]
    assert (status, report["ready"]) == ((0, True) if kind == "time" else (1, False))


def test_without_mount_namespaces_nothing_goes(runtime: Runtime) -> None:
    status, report = within("echo 0 >/proc/sys/user/max_mnt_namespaces", runtime, "-Ur")
    assert status == 1 and not report["ready"]
    assert results(report)["mount namespaces"] == results(report)["fsopen, fsmount (Linux 5.2)"] == "no"


def test_no_cgroups_are_found(runtime: Runtime) -> None:
    status, report = within("mount -t tmpfs none /sys/fs/cgroup", runtime, "-m")
    found = check(report, "cgroups")
    assert status == 1 and found["result"] == "no" and "mount -t cgroup2" in found["hint"]


def test_cgroups_that_are_read_only(runtime: Runtime) -> None:
    if machine.cgroup_version() == 1:
        script, name = "mount -o remount,bind,ro /sys/fs/cgroup/memory", "controller memory"
    else:
        script, name = "mount -o remount,bind,ro /sys/fs/cgroup", "cgroups can be made"
    _, report = within(f"mount --make-rprivate / && {script}", runtime, "-m")
    assert check(report, name)["result"] == "no" and "read-only" in check(report, name)["why"]


def test_a_state_directory_that_is_read_only(runtime: Runtime, folder: Path) -> None:
    script = f"mount -t tmpfs -o ro none {folder}"
    status, report = within(script, runtime, "-m")
    assert status == 1 and "read-only file system" in check(report, str(folder / "root"))["why"]


def test_a_hidden_proc_is_found(runtime: Runtime) -> None:
    """With a part of /proc covered, the kernel gives a user namespace no new one (user_namespaces(7))."""
    status, report = within("mount -t tmpfs none /proc/irq", runtime, "-m", by="unshare -Urm")
    found = check(report, "mounts of type proc")
    assert (status, found["result"]) == (1, "no") and "covered" in found["hint"]


def test_what_a_trial_says() -> None:
    assert Trial().run() == ""
    assert Trial("mount").file_system("nosuchfs").run().endswith("no such device")
    assert Trial(cgroup="/nonexistent").run() == "no such file or directory"


def test_a_container_that_was_never_deleted(runtime: Runtime, box: Boxes) -> None:
    made = box("sleep", "1000").launch()
    assert examine(runtime)["leftovers"] == []
    made.kill("KILL")
    made.wait()
    left = examine(runtime)["leftovers"]
    assert [(item["kind"], item["name"], item["removed"]) for item in left] == [("container", made.id, False)]
    assert made.status == "stopped"
    left = examine(runtime, "--fix")["leftovers"]
    assert [(item["name"], item["removed"], item["failure"]) for item in left] == [(made.id, True, "")]
    made.expected = False
    assert not runtime.exists(made.id) and examine(runtime)["leftovers"] == []


def test_a_creation_that_was_killed(runtime: Runtime, box: Boxes, folder: Path) -> None:
    made = box("true")
    ready, release = folder / "ready", folder / "release"
    os.mkfifo(release)
    script = f"echo $$ >{ready}.tmp && mv {ready}.tmp {ready} && read line <{release}"
    made.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    process = made.spawn("create")
    end = time.monotonic() + PATIENCE
    while not ready.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert ready.exists(), "the hook did not start"
    assert examine(runtime)["leftovers"] == [], "it is still being made"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with open(release, "w") as fifo:  # the hook ends
        fifo.write("\n")
    [left] = examine(runtime, "--fix")["leftovers"]
    assert (left["name"], left["removed"]) == (made.id, True) and "never finished" in left["why"]


def test_a_waiting_init_whose_entry_is_gone(runtime: Runtime, box: Boxes, folder: Path) -> None:
    made = box("true")
    made.create()
    shutil.rmtree(folder / "root" / made.id)
    made.expected = False
    mine = [item for item in examine(runtime)["leftovers"] if item["name"] == str(made.first)]
    assert len(mine) == 1 and mine[0]["kind"] == "process" and str(folder) in mine[0]["why"]
    fixed = [item for item in examine(runtime, "--fix")["leftovers"] if item["name"] == str(made.first)]
    assert fixed[0]["removed"]
    assert made.wait_for(made.first) == 128 + signal.SIGKILL


def test_a_damaged_record(runtime: Runtime, box: Boxes, folder: Path) -> None:
    made = box("sleep", "1000").launch()
    (folder / "root" / made.id / "state.json").write_text('{"format": 1')
    [left] = examine(runtime, "--fix")["leftovers"]
    assert left["removed"] and "can't be read" in left["why"]
    made.expected = False
    assert made.wait_for(made.first) == 128 + signal.SIGKILL, "its processes go with it, by its cgroup"
