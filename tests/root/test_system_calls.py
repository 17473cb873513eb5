"""How many system calls the light verbs make, held to a written budget: what creeps in here, engines pay for each container."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness.boxes import Boxes
from harness.runtime import Runtime

pytestmark = pytest.mark.only("pyoci")

# More than `--version` makes, which is the start of the interpreter and its end. `kill` asks for the handler of each of the 64
# signals: Python's module for them does so when it is imported.
BUDGET = {"state": 62, "start": 75, "kill": 135, "delete": 85}


class Counter:
    """Counts the system calls of commands of the runtime's own process."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self.runtime = runtime
        self.log = folder / "system-calls"

    def __call__(self, *arguments: str) -> int:
        command = ["strace", "-qq", "-o", str(self.log), *self.runtime.argv(*arguments)]
        ended = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return len(self.log.read_text().splitlines())


@pytest.fixture
def calls(runtime: Runtime, folder: Path) -> Counter:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    kind = runtime.call("--version", "--verbose").ok().out
    if "launcher: static" not in kind:
        pytest.skip("the budget is that of the static launcher; the other reads modules from files")
    return Counter(runtime, folder)


def test_each_light_verb_keeps_to_its_budget(
    box: Boxes, runtime: Runtime, folder: Path, calls: Counter
) -> None:
    made = box("/bin/sleep", "100")
    made.create()
    calls.runtime = made.runtime
    least = calls("--version")
    found = {"state": calls("state", made.id) - least, "start": calls("start", made.id) - least}
    found["kill"] = calls("kill", made.id, "KILL") - least
    made.wait()
    found["delete"] = calls("delete", made.id) - least
    assert {verb: number for verb, number in found.items() if number > BUDGET[verb]} == {}


def test_no_light_verb_starts_a_program(box: Boxes, folder: Path, calls: Counter) -> None:
    made = box("/bin/sleep", "100")
    made.create()
    calls.runtime = made.runtime
    for verb in ("state", "start"):
        calls(verb, made.id)
        text = calls.log.read_text()
        assert text.count("execve(") == 1, verb
        assert not re.search(r"^(clone3?|v?fork)\(", text, re.MULTILINE), verb
