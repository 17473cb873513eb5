"""Small static C programs that the containers run; built once a session with musl-gcc."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / "programs"


class Programs:
    """Builds programs/NAME.c on first use, unless the folder PYOCI_TEST_PROGRAMS has it ready.

    directory   where the executables go
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, name: str) -> Path:
        """The executable made from programs/`name`.c; skips the test when there is no compiler and no copy."""
        ready = os.environ.get("PYOCI_TEST_PROGRAMS")
        made = (Path(ready) if ready else self.directory) / name
        if made.exists():
            return made
        compiler = shutil.which("musl-gcc")
        if compiler is None:
            pytest.skip("musl-gcc is not installed: the test needs a static C program")
        source = SOURCES / f"{name}.c"
        command = [
            compiler,
            "-static",
            "-Os",
            "-s",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            str(made),
            str(source),
        ]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert found.returncode == 0, f"{source}: {found.stderr}"
        return made
