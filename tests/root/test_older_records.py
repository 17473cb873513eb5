"""A container outlives an upgrade of the runtime: every verb takes the record of the last release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes

pytestmark = pytest.mark.only("pyoci")
RECORDS = Path(__file__).parents[1] / "data/records"
# What differs from one container to the next; all else stays as the older version wrote it
OWN = ("id", "bundle", "rootfs", "created", "creator", "pid", "start", "late")


def entry(made: Container) -> Path:
    """ROOT/ID."""
    assert made.runtime.root
    return made.runtime.root / made.id


def as_of_0_1(made: Container) -> dict[str, Any]:
    """Rewrite the record of a container as pyoci 0.1 would have left it; returns it."""
    version = machine.cgroup_version()
    older: dict[str, Any] = json.loads((RECORDS / f"pyoci-0.1.0-v{version}.json").read_text())
    today = json.loads((entry(made) / "state.json").read_text())
    older.update({name: today[name] for name in OWN})
    key = "paths" if version == 1 else "path"
    older["cgroup"][key] = today["cgroup"][key]
    older["hooks"] = made.config.get("hooks", {})
    (entry(made) / "state.json").write_text(json.dumps(older))
    (entry(made) / "cgroup.json").unlink()
    return older


def test_the_record_is_an_older_one() -> None:
    for path in RECORDS.glob("*.json"):
        older = json.loads(path.read_text())
        assert older["format"] == 1 and "ids" not in older["cgroup"] and "version" not in older


def test_every_verb_on_a_running_container(box: Boxes, folder: Path) -> None:
    made = box("/bin/sleep", "1000")
    made.config["annotations"] = {"org.example.note": "made by 0.1"}
    made.config["hooks"] = {"poststop": [{"path": "/bin/touch", "args": ["touch", str(folder / "stopped")]}]}
    made.launch()
    older = as_of_0_1(made)
    call = made.runtime.call

    state = made.state()
    assert (state["status"], state["pid"]) == ("running", older["pid"])
    assert state["annotations"] == made.config["annotations"]
    assert [one["pid"] for one in call("list", "--format", "json").ok().json()] == [older["pid"]]
    assert call("ps", "--format", "json", made.id).ok().json() == [older["pid"]]
    assert made.exec("/bin/echo", "inside").out == "inside\n"
    call("pause", made.id).ok()
    assert made.status == "paused"
    call("resume", made.id).ok()
    assert made.status == "running"
    call("update", "--pids-limit", "77", made.id).ok()
    cgroup = older["cgroup"]
    assert Path(cgroup.get("path") or cgroup["paths"]["pids"], "pids.max").read_text() == "77\n"
    call("delete", made.id).failed("not stopped")
    made.kill("--all", "KILL")
    made.wait()
    assert made.status == "stopped"
    made.delete()
    assert (folder / "stopped").exists()


def test_a_waiting_container_is_started(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.create()
    as_of_0_1(made)
    assert made.status == "created"
    made.start()
    assert made.status == "running"
    made.stop()


def test_a_running_container_is_deleted_by_force(box: Boxes) -> None:
    made = box("/bin/sh", "-c", "sleep 1000 & sleep 1000").launch()
    as_of_0_1(made)
    made.delete("--force")
    assert not made.runtime.exists(made.id)
