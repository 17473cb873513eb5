"""A forged record leads no verb out of ROOT/ID and the container's own cgroups.

Each record is forged in a throw-away mount and pid namespace: everything is read-only there but a canary tree, ROOT and the
cgroups of another container, the neighbour. So what a verb would do to the host hits one of these, if anything, and shows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.boxes import Boxes
from harness.runtime import PATIENCE, Runtime

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
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        sys.executable,
        str(DRIVER),
        json.dumps(task),
    ]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=20 * PATIENCE,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    print(*told["wrong"], sep="\n")
    assert {found[1] for found in told["wrong"]} == set()
    assert told["tried"] == told["records"] > 250
    assert told["damaged"] > 100 or verb in ("list", "delete-force")  # which take it as it is
    # or they were refused for another reason than their names
    assert told["started"] == (5 if verb == "start" else 0)
    assert neighbour.status == "running"
    assert all(Path(path).is_dir() for path in told["cgroups of the neighbour"])


def test_a_forged_root_mount_unmounts_nothing_of_the_host(box: Boxes, runtime: Runtime) -> None:
    """Of a container without a mount namespace, with the right ids of every mount of the host, "/" included."""
    made = box("/bin/true")
    made.no_namespace("mount")
    made.create()
    assert runtime.root
    command = ["unshare", "--mount", "--propagation", "private", sys.executable]
    driver = [str(DRIVER.with_name("forge_root_mounts.py")), str(runtime.path), str(runtime.root / made.id)]
    ended = subprocess.run(
        [*command, *driver], capture_output=True, text=True, timeout=4 * PATIENCE, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert int(ended.stdout) > 40
