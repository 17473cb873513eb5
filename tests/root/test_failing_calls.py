"""A system call between the runtime and the init that fails: create ends at once with an error, and leaves nothing behind."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from harness.boxes import Boxes

pytestmark = pytest.mark.only("pyoci")

# What the conversation consists of; `write` is also what the process that makes namespaces ahead is told by.
CALLS = ("sendmsg", "recvmsg", "write", "pidfd_open")


@pytest.mark.parametrize("call", CALLS)
def test_create_neither_waits_for_ever_nor_leaves_anything(box: Boxes, folder: Path, call: str) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    made = box("/bin/sleep", "100")
    made.save()
    for number in range(1, 60):
        injection = f"inject={call}:error=EIO:when={number}"
        argv = made.runtime.argv("create", "--bundle", str(made.directory), made.id)
        command = [
            "strace",
            "-qq",
            "-o",
            str(folder / "strace"),
            "-e",
            f"trace={call}",
            "-e",
            injection,
            *argv,
        ]
        with (folder / "stderr").open("w+") as output:  # a file: the container would hold a pipe open
            ended = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60, check=False
            )
        said = (folder / "stderr").read_text()
        if ended.returncode == 0:
            assert made.status == "created"
            made.delete("--force")
        else:
            assert "Traceback" not in said
            assert not made.runtime.exists(made.id), f"{call} {number}: {said}"
        if "INJECTED" not in (folder / "strace").read_text():
            break
    else:
        pytest.fail("the call is made without end")
    assert number > 1, "nothing was injected"
