"""A short run of changed configurations on the real create and run, and the proof that it sees what it looks for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import machine
from harness.runtime import Runtime

PROGRAM = Path(__file__).with_name("fuzz_create.py")
COUNT = int(os.environ.get("PYOCI_FUZZ", "5000")) // 100

pytestmark = [
    pytest.mark.only("pyoci"),
    pytest.mark.skipif(not machine.is_root(), reason="needs root"),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed"),
]


def fuzz(runtime: Path | str, folder: Path, count: int) -> subprocess.CompletedProcess[str]:
    """Try so many configurations."""
    command = [sys.executable, str(PROGRAM), "1", str(count), str(runtime), str(folder / "machine")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_changed_configurations(runtime: Runtime, folder: Path) -> None:
    found = fuzz(runtime.path, folder, COUNT)
    assert found.returncode == 0, found.stdout + found.stderr
    ran = re.search(r"(\d+) ran, 0 failed", found.stdout)
    assert ran and int(ran[1]) > COUNT // 10


BROKEN = {
    "traceback": ("echo 'Traceback (most recent call last)' >&2", "Traceback"),
    "leak of a process": ("sleep 1000 & ", "process"),
    "leak of a mount": ("mount -t tmpfs leak /mnt", "mount /mnt"),
    "leak of state": ("mkdir -p /var/pyoci-fuzz/state/left", "state left"),
}


@pytest.mark.parametrize("what", list(BROKEN))
def test_it_sees(runtime: Runtime, folder: Path, what: str) -> None:
    """A runtime that does everything right but for one thing."""
    script, said = BROKEN[what]
    made = folder / "broken"
    made.write_text(f'#!/bin/sh\ncase "$*" in *run*) {script};; esac >/dev/null\nexec {runtime.path} "$@"\n')
    made.chmod(0o755)
    found = fuzz(made, folder, 1)
    assert found.returncode == 1 and said in found.stdout, found.stdout + found.stderr
