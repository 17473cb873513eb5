"""Real engines on top of the runtime, offline, by the project's engine driver; each check of it is one line here.

The driver (`engines/engine-smoke` in the shared folder, PYOCI_SHARED or ../shared beside the repository) makes a throw-away
engine state, an image from busybox, and prints TAP. Without it, or without the engine, the test is skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import machine
from harness.runtime import Runtime

PROGRAMS = {"podman": "podman", "docker": "dockerd", "containerd": "containerd", "buildah": "buildah"}
# One engine takes one to three minutes: too long for the ordinary suite
ASKED = os.environ.get("PYOCI_TEST_ENGINES", "")


def driver() -> Path:
    """The engine driver, or a skip that says where it was looked for."""
    shared = machine.shared_folder()
    if shared is None:
        pytest.skip("no shared folder: set PYOCI_SHARED")
    path = shared / "engines/engine-smoke"
    if not os.access(path, os.X_OK):
        pytest.skip(f"{path} is not there")
    return path


@pytest.mark.parametrize("engine", PROGRAMS)
def test_an_engine_works_with_the_runtime(runtime: Runtime, engine: str) -> None:
    if ASKED not in ("all", engine):
        pytest.skip(f"takes minutes: set PYOCI_TEST_ENGINES=all or ={engine}")
    path = driver()
    if shutil.which(os.environ.get(PROGRAMS[engine].upper(), PROGRAMS[engine])) is None:
        pytest.skip(f"{PROGRAMS[engine]} is not installed")
    found = subprocess.run(
        [str(path), engine, str(runtime.path)], capture_output=True, text=True, timeout=1200, check=False
    )
    bad = re.findall(r"^not ok \d+ - .*(?:\n(?!ok|not ok|1\.\.).*)*", found.stdout, re.MULTILINE)
    assert not bad, "\n".join(bad)
    skipped = re.search(r"^1\.\.0 # SKIP (.*)$", found.stdout, re.MULTILINE)
    if skipped:
        pytest.skip(skipped[1])
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-2000:]
    assert re.search(r"^ok \d+", found.stdout, re.MULTILINE)


def test_the_driver_knows_the_engines_named_here() -> None:
    text = driver().read_text()
    for engine in PROGRAMS:
        assert f"e_{engine}()" in text
