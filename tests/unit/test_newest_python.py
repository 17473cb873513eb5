"""scripts/newest-python says what refuses a Python, and why: with an interpreter and an installer that do what a test wants."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
TOOLS = "cat cut dirname env grep id mkdir rm sed sh tail".split()

# makes a virtual environment whose programs are those of the directory `programs`
INTERPRETER = """#!/bin/sh
case $1 in
-c) echo 3.99.0 ;;
-m) mkdir -p "$3/bin"; cp -R {programs}/. "$3/bin" ;;
esac
"""
PYOCI = """#!/bin/sh
echo 'pyoci version 0'
echo 'launcher: {kind}'
{more}
"""


class Lane:
    """A copy of the script in a tree of its own, with the programs that it is to find."""

    def __init__(self, directory: Path) -> None:
        self.tree = directory / "tree"
        self.programs = directory / "programs"
        self.tools = directory / "tools"
        for place in (self.tree / "scripts", self.programs, self.tools):
            place.mkdir(parents=True)
        for name in ("newest-python", "set-up"):
            shutil.copy(TOP / "scripts" / name, self.tree / "scripts")
        (self.tree / "csrc/build").mkdir(parents=True)
        shutil.copy(TOP / "csrc/build/cffi.txt", self.tree / "csrc/build")
        for name in [*TOOLS, "cp"]:
            (self.tools / name).symlink_to(shutil.which(name) or name)
        self.interpreter = directory / "python3.99"
        self.write(self.interpreter, INTERPRETER.format(programs=self.programs))
        self.program("pip")
        self.program("python", "echo '7 passed'")
        self.pyoci("static")

    def write(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def program(self, name: str, text: str = "") -> None:
        self.write(self.programs / name, f"#!/bin/sh\n{text}\n")

    def pyoci(self, kind: str, more: str = "") -> None:
        self.write(self.programs / "pyoci", PYOCI.format(kind=kind, more=more))

    def run(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [self.tree / "scripts/newest-python", *(arguments or (str(self.interpreter),))],
            env={"PATH": str(self.tools), "PYOCI_CFFI_SOURCE": os.devnull},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    return Lane(tmp_path)


def test_nothing_refuses_it(lane: Lane) -> None:
    status, output = lane.run()
    assert status == 0, output
    assert output.splitlines() == [
        f"== Python 3.99.0, {lane.interpreter}",
        "passed   the static launcher",
        "passed   the extension modules",
        "passed   the tests: 7 passed",
    ]


def test_the_static_launcher_is_refused_with_the_reason_that_the_other_keeps(lane: Lane) -> None:
    lane.pyoci("exec", "echo 'no static launcher: linking: undefined reference to `new_function'\"'\"")
    status, output = lane.run()
    assert status == 1
    assert "refused  by the static launcher: linking: undefined reference to `new_function'\n" in output
    assert f"{lane.tree}/build/newest-python/install\n" in output
    assert "passed   the tests" in output


def test_an_installation_that_fails_is_quoted(lane: Lane) -> None:
    lane.program(
        "pip", "echo 'x.c:1: error: no PyThing'; echo 'error: subprocess-exited-with-error'; exit 1"
    )  # as pip ends
    (lane.programs / "pyoci").unlink()
    status, output = lane.run()
    assert status == 1 and "refused  by the installation: x.c:1: error: no PyThing\n" in output
    assert "tests" not in output


def test_a_command_that_does_not_start_is_quoted(lane: Lane) -> None:
    lane.program("pyoci", "echo 'Segmentation fault' >&2; exit 139")
    status, output = lane.run()
    assert status == 1 and "refused  by the start: Segmentation fault\n" in output


def test_tests_that_fail_are_listed(lane: Lane) -> None:
    lane.program("python", 'case $* in *pytest*) echo "FAILED tests/unit/test_x.py::test_y"; exit 1 ;; esac')
    status, output = lane.run()
    assert status == 1
    assert (
        "refused  by the tests: 1 failed\n" in output and "\nFAILED tests/unit/test_x.py::test_y\n" in output
    )


def test_extension_modules_that_do_not_load_are_quoted(lane: Lane) -> None:
    lane.program("python", "case $* in *_shim*) echo 'ImportError: undefined symbol'; exit 1 ;; esac")
    status, output = lane.run()
    assert status == 1 and "refused  by the extension modules: ImportError: undefined symbol\n" in output


def test_a_wrong_argument_shows_the_usage(lane: Lane) -> None:
    status, output = lane.run("python3.99")
    assert status == 2 and "scripts/newest-python INTERPRETER" in output
