"""A forged record leads no verb out of ROOT/ID and the container's own cgroups.

Each record is forged in a throw-away mount namespace: "/" is read-only there but for a canary tree and for ROOT, both in a
tmpfs. So what a verb would do to the host hits the canary, if anything, and shows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.boxes import Boxes
from harness.runtime import Runtime

pytestmark = pytest.mark.only("pyoci")

DRIVER = Path(__file__).with_name("forge_records.py")
VERBS = (
    "state",
    "list",
    "kill",
    "kill-all",
    "pause",
    "resume",
    "update",
    "ps",
    "exec",
    "start",
    "delete",
    "delete-force",
)


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_follows_a_forged_record(box: Boxes, runtime: Runtime, verb: str) -> None:
    neighbour = box("/bin/sleep", "1000").launch()
    made = box("/bin/sleep", "1000")
    made.create()
    assert runtime.root
    task = {
        "runtime": str(runtime.path),
        "verb": verb,
        "entry": str(runtime.root / made.id),
        "id": made.id,
        "neighbour": str(runtime.root / neighbour.id),
    }
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        sys.executable,
        str(DRIVER),
        json.dumps(task),
    ]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=500,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["tried"] > 60
    assert told["wrong"] == []
    assert neighbour.status == "running"
    assert all(Path(path).is_dir() for path in told["cgroups of the neighbour"])
