"""Takes out one protection at a time, builds, and sees that a test fails: lane.py [--list] [NAME ...].

Each protection of protections.py gets a mount namespace of its own with an overlay on the tree, so that nothing of it is left.
First the same tests run with everything in place: they must pass. Needs root, and the environment of
`scripts/set-up .venv -e '.[test]'`; the runtime under test is the one in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE / "tests")]
from mutations.protections import PROTECTIONS, Protection  # noqa: E402

INSIDE = """
mount -t tmpfs lane /mnt && mkdir /mnt/up /mnt/work
mount -t overlay -o lowerdir="$1",upperdir=/mnt/up,workdir=/mnt/work lane "$1"
cd "$1" && exec "$2" -c "$3" "$4"
"""
PASSED, FAILED = 0, 1  # of pytest
NOT_BUILT, NOT_TRIED = 100, 101
VERDICTS = {
    PASSED: "not noticed",
    FAILED: "noticed",
    NOT_BUILT: "cannot be taken out",
    NOT_TRIED: "the tests fail with it in place, or there are none",
}


def weaken(protection: Protection) -> None:
    """Take a protection out of the tree that this process sees, and build it. Raises SystemExit."""
    changes = [(protection.file, protection.old, protection.new), *protection.also]
    for file, old, new in changes:
        path = TREE / file
        text = path.read_text()
        if text.count(old) != 1:
            print(f"{file} does not have this text once:\n{old}")
            sys.exit(NOT_BUILT)
        path.write_text(text.replace(old, new))
    if any(file.startswith("csrc") for file, _, _ in changes):
        environment = {**os.environ, "PYOCI_WERROR": "0"}
        if subprocess.run(["scripts/dev-build", ".venv"], env=environment, stdout=2, check=False).returncode:
            sys.exit(NOT_BUILT)


def pytest(tests: str) -> int:
    """Run the tests of a protection; says which of them failed, and returns the exit status of pytest."""
    environment = {**os.environ, "PYOCI_RUNTIME": str(TREE / ".venv/bin/pyoci"), "COLUMNS": "240"}
    command = f"exec .venv/bin/python -m pytest -x -p no:cacheprovider {tests}"
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (PASSED, FAILED):
        print(done.stdout[-2000:], done.stderr[-2000:])
    for line in done.stdout.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            print(f"    {line}")
    return done.returncode


def apart(program: str, name: str) -> int:
    """Run a piece of Python, with a name in sys.argv, where changes of the tree are lost; returns its exit status."""
    command = ["unshare", "-m", "--propagation", "private", "sh", "-ec", INSIDE, "sh"]
    code = f"import sys; sys.path[:0] = ['tests']; from mutations import lane; {program}"
    return subprocess.run([*command, str(TREE), sys.executable, code, name], check=False).returncode


def in_place(protection: Protection) -> int:
    """The status of the tests with everything in place."""
    return apart("sys.exit(lane.pytest(lane.named(sys.argv[1]).tests))", protection.name)


def taken_out(protection: Protection) -> int:
    """The status of the tests without the protection."""
    program = "one = lane.named(sys.argv[1]); lane.weaken(one); sys.exit(lane.pytest(one.tests))"
    return apart(program, protection.name)


def named(name: str) -> Protection:
    """The protection of a name."""
    return next(protection for protection in PROTECTIONS if protection.name == name)


def chosen(names: list[str]) -> list[Protection]:
    """Those that are named, or all that this machine is for; says which are left out."""
    throw_away = bool(os.environ.get("PYOCI_TEST_THROW_AWAY"))
    if not names and throw_away:
        return [protection for protection in PROTECTIONS if protection.apart]
    found = []
    for protection in [named(name) for name in names] or PROTECTIONS:
        if protection.apart and not throw_away:
            print(f"{protection.name:<32} skipped: {protection.apart} (tests/vm/run --mutations)")
        else:
            found.append(protection)
    return found


def main(names: list[str]) -> int:
    """Return 1 when a protection can go without a test that notices."""
    wrong = 0
    began = time.monotonic()
    for protection in chosen(names):
        status = taken_out(protection) if in_place(protection) == PASSED else NOT_TRIED
        print(f"{protection.name:<32} {VERDICTS.get(status, f'pytest ended with {status}')}", flush=True)
        wrong += status != FAILED
    print(f"{wrong} wrong, {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join(protection.name for protection in PROTECTIONS))
    else:
        sys.exit(main(sys.argv[1:]))
