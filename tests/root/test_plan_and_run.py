"""`pyoci plan` shows what `run` and `create` execute: the same ops, in the same order, for the same properties."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from engines.test_engine_configs import EXPECTED, adapt
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.terminal import ConsoleSocket

pytestmark = [pytest.mark.only("pyoci")]

Ops = list[tuple[str, str, str]]  # plan, op, pointer


def executed(trace: Path) -> Ops:
    """The ops that the init told of. From the filter on it could not: there the pointer is that of the last one."""
    found: Ops = []
    for event in json.loads(trace.read_text())["traceEvents"]:
        args = event.get("args", {})
        if "op" in args:
            names = args["op"].split(", ")
            found += [(args["plan"], name, "?") for name in names[:-1]]
            found.append((args["plan"], names[-1], args.get("pointer", "")))
    return found


def shown(made: Container, *options: str) -> Ops:
    """The ops on the page."""
    made.save()
    arguments = ("plan", "--steps", "--format", "json", "--id", made.id, *options, str(made.directory))
    steps = made.runtime.call(*arguments).ok().json()["steps"]
    return [(step["plan"], step["op"], step["pointer"]) for step in steps if step["by"] == "init"]


def check(found: Ops, wanted: Ops) -> None:
    """Equal, op for op."""
    assert [row[:2] for row in found] == [row[:2] for row in wanted]
    assert [
        (ran, plan) for ran, plan in zip(found, wanted, strict=True) if ran[2] not in ("?", plan[2])
    ] == []
    assert sum(row[2] == "?" for row in found) <= 3, "the filter, capabilities and labels at most"


def without_limits_above_ours(made: Container) -> None:
    """The engine's machine could raise limits that ours may not."""
    if not machine.has_capability("CAP_SYS_RESOURCE"):
        made.process.pop("rlimits", None)


def run(made: Container, folder: Path, *options: str) -> None:
    """A traced `run` whose program may end as it likes, but which came to it; with a terminal, `create` and `start`."""
    trace = folder / "trace"
    if not made.process.get("terminal"):
        before = shown(made, "--run", *options)
        made.run("--trace", str(trace), *options, check=False)
        check(executed(trace), before)
        return
    console = ConsoleSocket(folder / "console.sock")
    before = shown(made, *options)
    made.create("--console-socket", str(console.path), "--trace", str(trace), *options)
    master = console.receive()
    made.start()
    master.rest()
    made.wait()
    made.delete()
    master.close()
    console.close()
    check(executed(trace), before)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_recording(box: Boxes, folder: Path, name: str) -> None:
    made = box()
    adapt(made, name, folder)
    without_limits_above_ours(made)
    run(made, folder)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_recording_in_a_nested_user_namespace(box: Boxes, folder: Path, name: str) -> None:
    """As rootless engines call us: root of a user namespace that is not the first."""
    if reason := machine.user_namespaces_unprivileged():
        pytest.skip(reason)
    made = box()
    adapt(made, name, folder)
    nest(made, folder)
    if name == "docker20-hostns":
        for kind in ("pid", "network", "ipc"):
            made.namespace(kind)  # proc, sysfs and mqueue show a namespace, which has to be the mounter's
    for mount in made.mounts:
        mount["options"] = [
            word for word in mount.get("options", []) if not word.startswith("gid=")
        ]  # one id is there
    here = [device for device in made.linux.get("devices", []) if Path(device["path"]).exists()]
    made.linux["devices"] = here  # the host's are bound
    made.process.pop("rlimits", None)
    made.process.pop("oomScoreAdj", None)
    made.process["user"].pop("additionalGids", None)
    made.linux.pop("resources", None)
    made.linux.pop("cgroupsPath", None)
    made.linux.pop("sysctl", None)
    if made.linux.get("uidMappings"):
        for kind in ("uidMappings", "gidMappings"):
            made.linux[kind] = [{"containerID": 0, "hostID": 0, "size": 1}]
        made.user_namespace_root(0)
    run(made, folder)


def nest(made: Container, folder: Path) -> None:
    """From now on the runtime is called in a new user namespace."""
    enter = folder / "enter"
    enter.write_text(f'#!/bin/sh\nexec unshare -Urm {made.runtime.path} "$@"\n')
    enter.chmod(0o755)
    made.runtime.path = enter


def test_create_and_start(box: Boxes, folder: Path) -> None:
    made = box("/bin/true")
    made.config["hooks"] = {kind: [{"path": "/bin/true"}] for kind in ("createContainer", "startContainer")}
    before = shown(made, "--no-new-keyring")
    made.create("--trace", str(folder / "trace"), "--no-new-keyring")
    made.start()
    made.wait()
    made.delete()
    found = executed(folder / "trace")
    check(found, before)
    assert "wait_start" in [op for _, op, _ in found]
    assert "join_session_keyring" not in [op for _, op, _ in found]


@pytest.mark.parametrize("joined", ["pid", "network", "user"])
def test_joined_namespaces(box: Boxes, folder: Path, joined: str) -> None:
    """An init that forks is in its cgroup before; in a user namespace that it joins nothing is made ahead."""
    other = box("/bin/sleep", "100")
    other.user_namespace()
    other.launch()
    made = box("/bin/true")
    made.user_namespace_root(100000)
    file = {"network": "net"}.get(joined, joined)
    made.namespace("user", f"/proc/{other.pid}/ns/user")
    made.namespace(joined, f"/proc/{other.pid}/ns/{file}")
    run(made, folder)
    other.stop()


@pytest.mark.parametrize("manager", ["disabled", "systemd"])
def test_another_cgroup_manager(box: Boxes, folder: Path, manager: str) -> None:
    if manager == "systemd" and not Path("/run/systemd/system").is_dir():
        pytest.skip("no systemd runs here")
    made = box("/bin/true")
    made.linux["cgroupsPath"] = f"system.slice:pyoci:{made.id}" if manager == "systemd" else ""
    made.runtime.global_options = ["--cgroup-manager", manager]
    found = shown(made, "--run")
    run(made, folder)
    assert "join_cgroup" not in [op for _, op, _ in found]


def listing(top: Path) -> list[str]:
    """Every path below a directory."""
    return sorted(map(str, top.rglob("*")))


def test_nothing_is_made(box: Boxes, folder: Path) -> None:
    made = box("/bin/true")
    made.linux["resources"] = {"pids": {"limit": 77}}
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77}],
    }
    made.save()
    log = folder / "strace"
    wanted = "trace=openat,open,creat,mkdir,mkdirat,mknodat,symlinkat,mount,unlinkat,renameat2,rename,fsopen"
    roots = listing(made.runtime.root) if made.runtime.root and made.runtime.root.exists() else []
    argv = [
        "strace",
        "-f",
        "-o",
        str(log),
        "-e",
        wanted,
        *made.runtime.argv("plan", "--id", made.id, str(made.directory)),
    ]
    ended = subprocess.run(argv, check=False, capture_output=True, stdin=subprocess.DEVNULL, text=True)
    assert ended.returncode == 0, ended.stderr
    assert (listing(made.runtime.root) if made.runtime.root and made.runtime.root.exists() else []) == roots
    done = [line for line in log.read_text().splitlines() if re.search(r"\) += \d", line)]
    assert any("config.json" in line for line in done), "strace saw it"
    # A Python that runs from a fresh tree compiles its modules and renames them into place there.
    done = [line for line in done if "__pycache__" not in line]
    assert [line for line in done if re.search(r"O_WRONLY|O_RDWR|O_CREAT", line)] == []
    assert [line for line in done if not re.search(r"\bopen(at)?\(", line)] == []


def test_values_on_the_page_are_those_of_the_cgroup(box: Boxes, folder: Path) -> None:
    """Each file and value that the page names is there when the container runs."""
    made = box("/bin/sleep", "100")
    made.linux["resources"] = {
        "pids": {"limit": 77},
        "memory": {"limit": 64 << 20},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000},
    }
    made.save()
    call = made.runtime.call("plan", "--steps", "--format", "json", "--id", made.id, str(made.directory))
    steps: list[dict[str, Any]] = call.ok().json()["steps"]
    mine = [
        step for step in steps if step["op"] == "write" and step["pointer"].startswith("/linux/resources/")
    ]
    limits = [step for step in mine if not step["pointer"].endswith("/devices")]
    made.launch()
    assert len(limits) >= 4
    for step in limits:
        assert Path(step["about"]).read_text().strip() == step["value"], step
    directories = [step["about"] for step in steps if step["op"] == "mkdir"]
    assert all(Path(path).is_dir() for path in directories)
    assert len(directories) >= 2
    made.stop()
