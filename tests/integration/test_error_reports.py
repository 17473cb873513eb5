"""Errors as an interface: code, pointer into config.json, operation, errno and words, for what can go wrong in a create."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.box import Container
from harness.boxes import Boxes

pytestmark = pytest.mark.only("pyoci")

CODE = re.compile(r"[a-z]+(-[a-z0-9]+)*")


def last_mount(made: Container) -> str:
    return f"/mounts/{len(made.mounts) - 1}"


def bad_source(made: Container) -> str:
    made.mount("/x", "bind", "/no/such/source", "bind")
    return last_mount(made)


def bad_option(made: Container) -> str:
    made.mount("/x", "tmpfs", "tmpfs", "mode=9")
    return last_mount(made)


def bad_type(made: Container) -> str:
    made.mount("/x", "nosuchfs", "none")
    return last_mount(made)


def bad_destination(made: Container) -> str:
    made.mount("/etc/passwd/below", "tmpfs", "tmpfs")
    return last_mount(made)


def bad_args(made: Container) -> str:
    made.args("/no/such/program")
    return "/process/args"


def bad_path(made: Container) -> str:
    made.args("no-such-program")
    return "/process/args"


def bad_cwd(made: Container) -> str:
    made.process["cwd"] = "/etc/passwd"
    return "/process/cwd"


def bad_limit(made: Container) -> str:
    made.process["rlimits"] = [
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_NOFILE", "soft": 1 << 40, "hard": 1 << 40},
    ]
    return "/process/rlimits/1"


def bad_sysctl(made: Container) -> str:
    made.linux["sysctl"] = {"net.ipv4.no_such_thing": "1"}
    return "/linux/sysctl/net.ipv4.no_such_thing"


def bad_namespace(made: Container) -> str:
    made.namespace("network", "/no/such/namespace")
    return f"/linux/namespaces/{len(made.linux['namespaces']) - 1}"


def bad_root(made: Container) -> str:
    made.config["root"]["path"] = "no-such-root"
    return "/root/path"


def bad_hook(made: Container) -> str:
    made.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}, {"path": "/no/such/hook"}]}
    return "/hooks/createRuntime/1"


def bad_device(made: Container) -> str:
    made.linux["devices"] = [{"path": "/etc/passwd", "type": "c", "major": 1, "minor": 3}]
    return "/linux/devices/0"


def bad_profile(made: Container) -> str:
    made.linux["seccomp"] = {"defaultAction": "SCMP_ACT_NONSENSE"}
    return "/linux/seccomp"


def bad_hostname(made: Container) -> str:
    made.config["hostname"] = "x" * 100
    return "/hostname"


def bad_propagation(made: Container) -> str:
    made.linux["rootfsPropagation"] = "nonsense"
    return "/linux/rootfsPropagation"


def bad_score(made: Container) -> str:
    made.process["oomScoreAdj"] = 5000
    return "/process/oomScoreAdj"


def bad_cpus(made: Container) -> str:
    made.linux["resources"]["cpu"] = {"cpus": "4095"}
    return "/linux/resources/cpu"


WRONG: list[Callable[[Container], str]] = [
    bad_source,
    bad_option,
    bad_type,
    bad_destination,
    bad_args,
    bad_path,
    bad_cwd,
    bad_limit,
    bad_sysctl,
    bad_namespace,
    bad_root,
    bad_hook,
    bad_device,
    bad_profile,
    bad_hostname,
    bad_propagation,
    bad_score,
    bad_cpus,
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(wrong.__name__))
def test_the_error_points_at_its_cause(box: Boxes, folder: Path, wrong: Callable[[Container], str]) -> None:
    made = box("/bin/true")
    pointer = wrong(made)
    log = folder / "log"
    made.runtime.global_options = ["--log", str(log), "--log-format", "json"]
    found = made.create(check=False).failed()
    (line,) = log.read_text().splitlines()
    entry: dict[str, Any] = json.loads(line)
    assert entry["level"] == "error"
    assert entry.get("pointer", "").startswith(pointer), entry
    assert CODE.fullmatch(entry["code"]), entry
    said = entry["msg"].removesuffix(f"; hint: {entry.get('hint')}")
    assert found.err.splitlines()[0].endswith(said), (entry, found)
    assert "Traceback" not in found.err and "bug in pyoci" not in found.err
    if "errno" in entry:
        assert re.fullmatch(r"E[A-Z0-9]+", entry["errno"]), entry
    assert not made.runtime.exists(made.id)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(wrong.__name__))
def test_the_message_can_stand_alone(box: Boxes, wrong: Callable[[Container], str]) -> None:
    """One line that begins with the verb and names what it's about: a person sees no pointer, no bundle."""
    made = box("/bin/true")
    pointer = wrong(made)
    first = made.create(check=False).err.splitlines()[0]
    assert first.startswith("pyoci: create: "), first
    words = re.findall(r"[A-Za-z]{3,}", pointer.rsplit("/", 2)[-1] + " " + pointer)
    value = json.dumps(made.config)
    named = [
        word for word in re.findall(r"[\w./-]{3,}", first.removeprefix("pyoci: create: ")) if word in value
    ]
    assert named or any(word.lower() in first.lower() for word in words), (first, pointer)


DEBUG = re.compile(
    r'time="[^"]+" level=debug msg="((?:[^"\\\\]|\\\\.)*)" operation=\w+(?: pointer="([^"]*)")?'
)


def test_debug_tells_each_step_with_its_pointer(box: Boxes, folder: Path) -> None:
    """Of the command and of the init, on success, too; with a log file there alone."""
    made = box.sh("exit 3")
    made.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    made.config["hostname"] = "name"
    made.runtime.global_options = ["--debug"]

    def steps(text: str) -> dict[str, str]:
        found = [DEBUG.fullmatch(line) for line in text.splitlines()]
        assert all(found), text
        return {match[1]: match[2] or "" for match in found if match}

    created = steps(made.create().err)
    assert {"load", "check", "spawn", "cgroup create", "record", "init: ready"} <= set(created)
    assert created["createRuntime hook /bin/true"] == "/hooks/createRuntime/0"
    assert created["init: sethostname: hostname name"] == "/hostname"
    assert created["init: fsmount: proc on /proc"].startswith("/mounts/")
    started = steps(made.start().err)
    assert started["init: execve: exec /bin/sh"] == "/process/args" and "init: ready" not in started
    made.wait()
    log = folder / "log.json"
    made.runtime.global_options = ["--debug", "--log", str(log), "--log-format", "json"]
    made.delete()
    made.args("/no/such/program").config["hooks"] = {}
    error = made.create(check=False).failed().err
    assert "level" not in error and "pyoci: create: exec:" in error
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["level"] for entry in entries].count("error") == 1 and len(entries) > 20
    made.args("/bin/sleep", "1000").launch()
    made.runtime.global_options = ["--debug"]
    found = made.exec("/bin/true", options=("--cwd", "/bin"))
    assert {"init: chdir: directory /bin", "init: execve: exec /bin/true"} <= set(steps(found.err))


def no_dev(made: Container) -> tuple[str, str]:
    (made.rootfs / "dev").rmdir()
    return "tmpfs on /dev: mkdir /dev in the rootfs", "/dev"


def no_place_for_a_directory(made: Container) -> tuple[str, str]:
    made.mount("/new/deep/er", "tmpfs", "tmpfs")
    return "tmpfs on /new/deep/er: mkdir /new in the rootfs", "/new"


def no_place_for_a_file(made: Container) -> tuple[str, str]:
    made.mount("/newfile", "bind", "/etc/hostname", "bind")
    return "bind of /etc/hostname on /newfile: create /newfile in the rootfs", "/newfile"


def no_place_for_a_device(made: Container) -> tuple[str, str]:
    made.linux["devices"] = [{"path": "/node/fifo", "type": "p"}]
    return "device /node/fifo: mkdir /node in the rootfs", "/node"


def no_directory(made: Container) -> tuple[str, str]:
    made.process["cwd"] = "/work/dir"
    return 'chdir to cwd ("/work/dir") set in config.json failed: mkdir /work in the rootfs', "/work"


@pytest.mark.parametrize(
    "missing",
    [no_dev, no_place_for_a_directory, no_place_for_a_file, no_place_for_a_device, no_directory],
    ids=lambda missing: str(missing.__name__),
)
def test_what_can_not_be_made_in_the_rootfs_is_named(
    box: Boxes, missing: Callable[[Container], tuple[str, str]]
) -> None:
    """The call and the place: root of a user namespace may not write into a rootfs that is somebody else's."""
    made = box("/bin/true")
    made.user_namespace()
    words, place = missing(made)
    made.rootfs.chmod(0o755)
    os.chown(made.rootfs, 0, 0)
    found = made.create(check=False).failed(f"{words}: permission denied")
    assert f"create {place} in the rootfs" in found.err
