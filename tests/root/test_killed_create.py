"""What `delete` may touch when `create` was killed before it wrote down how far it came."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness.boxes import Boxes
from harness.runtime import Runtime

from pyoci.base.context import Context
from pyoci.lifecycle import store
from pyoci.lifecycle.record import Record

pytestmark = pytest.mark.only("pyoci")


def test_another_container_in_the_same_cgroup_lives_on(runtime: Runtime, box: Boxes, folder: Path) -> None:
    """The killed create had not yet seen that the cgroup is in use."""
    other = box("/bin/sleep", "1000").launch()
    root = folder / "root"
    record = json.loads((root / other.id / "state.json").read_text())
    cgroup = record["cgroup"]
    paths = cgroup.get("paths") or {"": cgroup.get("path")}
    entry = store.create(Context(), str(root), "killed")
    killed = Record("killed", bundle=str(other.directory), rootfs=str(other.rootfs))
    killed.creator = (1, 0)
    cgroup["kept"] = list(paths.values())
    killed.cgroup = cgroup
    entry.record = killed
    entry.save()
    entry.close()
    runtime.call("delete", "--force", "killed").ok()
    assert not runtime.exists("killed")
    assert other.status == "running"
    assert all(Path(path).is_dir() for path in paths.values())


def test_a_refused_create_leaves_the_other_s_cgroup_alone(runtime: Runtime, box: Boxes) -> None:
    other = box("/bin/sleep", "1000").launch()
    made = box("/bin/true")
    made.linux["cgroupsPath"] = other.cgroup
    made.create(check=False).failed("container's cgroup is not empty")
    assert not runtime.exists(made.id)
    assert other.status == "running"
    assert other.exec("echo", "still here").out == "still here\n"


@pytest.mark.parametrize("call", ["openat", "write", "linkat", "unlink", "close"])
def test_a_kill_leaves_no_name_beside_the_pid_file(box: Boxes, folder: Path, call: str) -> None:
    """Nor beside the trace file. Before each of the last calls of this kind, from that which writes down the container on."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    made = box("/bin/sleep", "1000")
    made.save()
    pids = folder / "pids"
    pids.mkdir()
    argv = made.runtime.argv(
        "create",
        "--bundle",
        str(made.directory),
        "--pid-file",
        str(pids / "pid"),
        "--trace",
        str(pids / "trace"),
        made.id,
    )

    def traced(*options: str) -> str:
        trace = folder / "strace"
        command = ["strace", "-qq", "-o", str(trace), "-e", f"trace={call}", *options, *argv]
        with (folder / "output").open("w") as output:  # a file: the container would hold a pipe open
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60, check=False
            )
        made.delete("--force")
        return trace.read_text()

    (pids / "pid").write_text("99")
    count = sum(line.startswith(f"{call}(") for line in traced().splitlines())
    killed = 0
    for number in range(max(1, count - 12), count + 1):
        (pids / "pid").write_text("99")
        killed += "killed by SIGKILL" in traced("-e", f"inject={call}:signal=KILL:when={number}")
        assert {*os.listdir(pids)} <= {"pid", "trace"}
        assert not (pids / "pid").exists() or (pids / "pid").read_text().isdigit()
        assert not (pids / "trace").exists() or "traceEvents" in json.loads((pids / "trace").read_text())
    assert killed
