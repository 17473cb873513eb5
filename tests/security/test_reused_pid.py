"""A pid is a number: when the container's process is gone it may be another process, which no verb touches."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from harness.boxes import Boxes

pytestmark = pytest.mark.only("pyoci")


def start_time(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


@pytest.mark.parametrize(
    "words", [["kill", "ID", "KILL"], ["kill", "--all", "ID", "KILL"], ["delete", "--force", "ID"]]
)
def test_a_process_that_has_the_pid_of_the_container(box: Boxes, words: list[str]) -> None:
    made = box("/bin/sleep", "1000").launch()
    record = Path(str(made.runtime.root), made.id, "state.json")
    made.kill("KILL")
    made.wait()
    other = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL)
    try:
        values = json.loads(record.read_text())
        assert values["start"] != start_time(other.pid)
        record.write_text(json.dumps({**values, "pid": other.pid}))
        assert made.status == "stopped"
        made.runtime.call(*[made.id if word == "ID" else word for word in words])
        assert other.poll() is None
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
