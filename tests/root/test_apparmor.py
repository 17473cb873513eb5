"""AppArmor: a profile of the test's own holds the program, an exec and a startContainer hook."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.boxes import Boxes

PARSER = shutil.which("apparmor_parser", path="/usr/sbin:/sbin:/usr/bin")
ENABLED = Path("/sys/module/apparmor/parameters/enabled")

pytestmark = pytest.mark.skipif(
    PARSER is None or not ENABLED.exists() or ENABLED.read_text() != "Y\n",
    reason="needs AppArmor, and apparmor_parser",
)


@pytest.fixture
def profile(folder: Path) -> Iterator[str]:
    """A loaded profile that allows everything but to write one file."""
    name = f"pyoci-test-{folder.name}"
    rules = "file, capability, signal, deny /denied w,"
    text = f"profile {name} flags=(attach_disconnected,mediate_deleted) {{ {rules} }}\n"
    for option in ("-r", "-R"):
        if option == "-R":
            yield name
        subprocess.run([str(PARSER), option], input=text, text=True, check=True, capture_output=True)


SHOW = "cat /proc/self/attr/current; echo x > /allowed; echo x > /denied"


def test_the_program_an_exec_and_a_hook_are_confined(box: Boxes, profile: str) -> None:
    made = box.sh(f"{SHOW}; exec sleep 1000")
    made.config["root"]["readonly"] = False
    made.process["apparmorProfile"] = profile
    hook = f"({SHOW}) > /hook 2>&1 || true"
    made.config["hooks"] = {
        "startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", hook], "env": ["PATH=/bin"]}]
    }
    made.create()
    assert Path(f"/proc/{made.pid}/attr/current").read_text() == "unconfined\n"  # execve(2) changes that
    made.start()
    found = made.exec("/bin/sh", "-c", SHOW, check=False)
    for text in (found.out + found.err, (made.rootfs / "hook").read_text()):
        assert f"{profile} (enforce)" in text and "/denied: Permission denied" in text, text
    assert Path(f"/proc/{made.pid}/attr/current").read_text() == f"{profile} (enforce)\n"
    assert (made.rootfs / "allowed").exists() and not (made.rootfs / "denied").exists()


def test_a_profile_that_is_not_loaded_is_an_error_of_create(box: Boxes) -> None:
    made = box("/bin/true")
    made.process["apparmorProfile"] = "pyoci-no-such-profile"
    made.create(check=False).failed("AppArmor profile pyoci-no-such-profile", "no such file or directory")
    assert not made.runtime.exists(made.id)
