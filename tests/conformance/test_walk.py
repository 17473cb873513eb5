"""One container through the whole lifecycle of the specification (runtime.md 1.3.0), step by step."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.bundle import default_config
from harness.leaks import LeakChecker

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


@pytest.fixture
def diary(folder: Path) -> Path:
    """A folder where hooks and program write down what happens; inside it is /diary."""
    path = folder / "diary"
    path.mkdir()
    path.chmod(0o777)
    return path


@pytest.fixture
def walker(box: Boxes, diary: Path) -> Container:
    """A container whose six hooks and program each add their name to the diary; the program ends at USR1."""
    made = box.sh("trap 'exit 3' USR1; echo program >> /diary/order; echo up; sleep 1000 & wait")
    made.config["annotations"] = {"org.example.walk": "yes"}
    made.mount("/diary", "bind", str(diary), "rbind")
    made.config["hooks"] = {}
    for kind in HOOKS:
        place = "/diary" if kind == "startContainer" else str(diary)
        script = f"cat > {place}/{kind}; echo {kind} >> {place}/order"
        made.config["hooks"][kind] = [
            {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}
        ]
    return made


def order(diary: Path) -> list[str]:
    """What happened up to now."""
    path = diary / "order"
    return path.read_text().split() if path.exists() else []


def resources(made: Container) -> list[str]:
    """What exists of the container on the host."""
    top = machine.CGROUPS / ("pids" if machine.cgroup_version() == 1 else "") / made.cgroup.strip("/")
    found = [str(top)] if top.exists() else []
    root = made.runtime.root
    return found + ([str(root / made.id)] if root and (root / made.id).exists() else [])


def test_the_thirteen_steps(walker: Container, diary: Path) -> None:
    # 1, 2: create is invoked with a bundle and an id; the environment is made, the program does not run
    assert resources(walker) == []
    said = walker.stream()
    walker.create(stdout=said)
    assert len(resources(walker)) == 2
    # 3, 4, 5: the hooks of create have run
    assert order(diary) == ["prestart", "createRuntime", "createContainer"]
    state = walker.state()
    assert state["status"] == "created"
    pid = state["pid"]
    namespaces = {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("pid", "net", "mnt", "uts", "ipc")}
    assert all(link != os.readlink(f"/proc/self/ns/{kind}") for kind, link in namespaces.items())
    # 6, 7, 8, 9: start is invoked; startContainer hooks, the program, poststart hooks
    walker.start()
    said.until("up")
    assert walker.state()["status"] == "running"
    assert walker.state()["pid"] == pid
    assert {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in namespaces} == namespaces
    assert order(diary)[:4] == ["prestart", "createRuntime", "createContainer", "startContainer"]
    assert sorted(order(diary)[4:]) == ["poststart", "program"]
    # 10: the process exits
    walker.kill("USR1")
    assert walker.wait() == 3
    assert walker.state()["status"] == "stopped"
    assert "poststop" not in order(diary)
    # 11, 12, 13: delete is invoked; everything is undone; poststop hooks
    walker.delete()
    assert order(diary)[-1] == "poststop"
    assert resources(walker) == []
    assert json.loads((diary / "poststop").read_text())["status"] == "stopped"


def test_every_hook_gets_the_state_of_its_moment(walker: Container, diary: Path) -> None:
    walker.create()
    pid = walker.pid
    walker.start()
    os.kill(pid, signal.SIGKILL)
    walker.wait()
    walker.delete()
    expected = dict(
        zip(HOOKS, ["creating", "creating", "creating", "created", "running", "stopped"], strict=True)
    )
    for kind, status in expected.items():
        state: dict[str, Any] = json.loads((diary / kind).read_text())
        assert state["status"] == status, kind
        assert (state["id"], state["bundle"]) == (walker.id, str(walker.directory)), kind
        assert state["annotations"] == {"org.example.walk": "yes"}, kind
        assert state["ociVersion"].startswith("1."), kind


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_steps_3_to_5_a_failing_hook_leads_to_12_and_13(walker: Container, diary: Path, kind: str) -> None:
    walker.config["hooks"][kind].insert(0, {"path": "/bin/false"})
    walker.create(check=False).failed()
    assert "program" not in order(diary) and kind not in order(diary)
    assert resources(walker) == []
    assert order(diary)[-1] == "poststop"


def test_step_7_a_failing_hook_leads_to_12_and_13(walker: Container, diary: Path) -> None:
    walker.config["hooks"]["startContainer"].insert(0, {"path": "/bin/false"})
    walker.create()
    walker.start(check=False).failed()
    assert "program" not in order(diary)
    assert resources(walker) == []
    assert order(diary)[-1] == "poststop"
    walker.expected = False


def test_step_9_a_failing_hook_leads_to_12_and_13(walker: Container, diary: Path) -> None:
    walker.config["hooks"]["poststart"].insert(0, {"path": "/bin/false"})
    walker.create()
    walker.start(check=False).failed()
    assert resources(walker) == []
    assert order(diary)[-1] == "poststop"
    walker.expected = False


def test_step_13_a_failing_hook_is_a_warning(walker: Container, diary: Path) -> None:
    walker.config["hooks"]["poststop"].append({"path": "/bin/false"})
    walker.create()
    found = walker.delete("--force")
    assert resources(walker) == []
    assert order(diary)[-1] == "poststop"
    assert "poststop" in found.err.lower() or walker.runtime.kind != "pyoci"


BROKEN: dict[str, dict[str, Any]] = {
    "a mount": {
        "mounts": [{"destination": "/x", "type": "bind", "source": "/no/such/source", "options": ["bind"]}]
    },
    "a root": {"root": {"path": "no-such-root"}},
    "a program": {"process": {"args": ["/no/such/program"]}},
    "a directory": {"process": {"cwd": "/etc/passwd"}},
    "a limit": {"process": {"rlimits": [{"type": "RLIMIT_NONSENSE", "soft": 1, "hard": 1}]}},
    "a namespace": {"linux": {"namespaces": [{"type": "network", "path": "/no/such/namespace"}]}},
    "a sysctl": {"linux": {"sysctl": {"net.no_such_thing": "1"}}},
    "a hook": {"hooks": {"createContainer": [{"path": "/bin/false"}]}},
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_error_leaves_the_environment_as_if_never_tried(
    box: Boxes, scratch: Path, folder: Path, what: str
) -> None:
    """runtime.md, Errors. Processes, cgroups, mounts and the state directory; and the id is free."""
    made = box("/bin/echo", "hi")
    for section, change in BROKEN[what].items():
        if section == "mounts":
            made.mounts.extend(change)
        elif section == "linux" and "namespaces" in change:
            made.linux["namespaces"] = [
                {"type": "mount"},
                {"type": "pid"},
                {"type": "uts"},
                *change["namespaces"],
            ]
        elif isinstance(change, dict) and isinstance(made.config.get(section), dict):
            made.config[section].update(change)
        else:
            made.config[section] = change
    leaks = LeakChecker(scratch.name, folder / "root")
    made.create(check=False).failed()
    assert leaks.settled() == []
    made.config = default_config(made.cgroup)
    assert made.args("/bin/echo", "hi").out() == "hi\n"


def test_the_user_who_creates_can_use_all_operations(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.create()
    assert made.state()["id"] == made.id
    made.start()
    made.kill("KILL")
    made.wait()
    made.delete()


def test_operations_do_not_touch_other_containers(box: Boxes) -> None:
    first, second = box("/bin/sleep", "1000").launch(), box("/bin/sleep", "1000").launch()
    first.kill("KILL")
    first.wait()
    first.delete()
    assert second.status == "running"
    second.stop()


def test_unknown_properties_are_ignored(box: Boxes) -> None:
    """config.md, Extensibility: properties the runtime does not know must not make it fail."""
    made = box("/bin/echo", "hi")
    made.config["fromTheFuture"] = {"a": 1}
    made.process["fromTheFuture"] = True
    made.linux["fromTheFuture"] = [1]
    made.mounts[0]["fromTheFuture"] = "x"
    assert made.out() == "hi\n"


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0"])
def test_supported_versions_of_the_specification(box: Boxes, version: str) -> None:
    made = box("/bin/echo", "hi")
    made.config["ociVersion"] = version
    assert made.out() == "hi\n"


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("version", ["2.0.0", "1", "x", ""])
def test_unsupported_versions_of_the_specification(box: Boxes, version: str) -> None:
    """config.md: ociVersion must be in SemVer 2.0.0 format; a major version that isn't 1 isn't this specification."""
    made = box("/bin/true")
    made.config["ociVersion"] = version
    made.run(check=False).failed("ociVersion")
