"""SELinux in a machine that was booted with it and has no policy: that of the tests is loaded, and enforced."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.boxes import Boxes
from harness.programs import Programs

SELINUX = Path("/sys/fs/selinux")
SOURCE = Path(__file__).parents[1] / "data/selinux.cil"
LABEL = "system_u:system_r:container_t:s0:c1,c2"
MOUNT_LABEL = "system_u:object_r:container_file_t:s0:c1,c2"
DENIED = "system_u:object_r:denied_file_t:s0"
SHOW = "cat /proc/self/attr/current; echo; cat /denied"


def policy(folder: Path) -> Path:
    """The policy, compiled; skips the test when it cannot be."""
    made = Path(os.environ.get("PYOCI_TEST_PROGRAMS", "/nonexistent")) / "selinux-policy"
    if made.exists():
        return made
    if shutil.which("secilc") is None:
        pytest.skip("secilc is not installed: the policy has to be compiled")
    made = folder / "selinux-policy"
    subprocess.run(["secilc", "-o", made, "-f", "/dev/null", SOURCE], check=True)
    return made


@pytest.fixture(scope="module")
def enforced(scratch: Path) -> Iterator[None]:
    """SELinux with the policy of the tests. It stays loaded; it is no longer enforced afterwards."""
    if not (SELINUX / "load").exists():
        pytest.skip("the machine was not booted with SELinux")
    if not os.environ.get("PYOCI_TEST_THROW_AWAY"):
        pytest.skip("PYOCI_TEST_THROW_AWAY is not set: the whole machine would have another policy")
    if (SELINUX / "class/process").exists():
        pytest.skip("the machine has a policy of its own")
    load = os.open(SELINUX / "load", os.O_WRONLY)
    try:
        os.write(load, policy(scratch).read_bytes())
    finally:
        os.close(load)
    before = (SELINUX / "enforce").read_text()
    (SELINUX / "enforce").write_text("1")
    yield
    (SELINUX / "enforce").write_text(before)


def label_of(path: Path) -> str:
    return os.getxattr(path, "security.selinux").decode().rstrip("\0")


@pytest.mark.usefixtures("enforced")
@pytest.mark.parametrize("ids", ["of the host", "of a user namespace"])
def test_labels_of_programs_hooks_keys_and_mounts(box: Boxes, programs: Programs, ids: str) -> None:
    made = box("/bin/sh", "-c")
    probe = made.put(programs.path("probe"))
    made.process["args"].append(f"{probe} keyring; ({SHOW}) 2>&1; exec sleep 1000")
    if "user" in ids:
        made.user_namespace()
    os.setxattr(made.file("denied"), "security.selinux", DENIED.encode())
    made.config["root"]["readonly"] = False
    made.process["selinuxLabel"] = LABEL
    made.process["noNewPrivileges"] = True
    made.linux["mountLabel"] = MOUNT_LABEL
    made.linux["maskedPaths"] = ["/sys/firmware"]
    made.mount("/volume", "tmpfs", "tmpfs")
    made.mount("/old", "tmpfs", "tmpfs", "silent")
    hook = f"({SHOW}) > /volume/hook 2>&1 || true"
    made.config["hooks"] = {
        "startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", hook], "env": ["PATH=/bin"]}]
    }
    output = made.stream()
    made.create(stdout=output.write_end)
    output.close_write()
    attributes = Path(f"/proc/{made.pid}/attr/current")
    assert ":kernel_t:" in attributes.read_text()  # execve(2) changes that
    root = Path(f"/proc/{made.pid}/root")
    for place in ("volume", "old", "dev/mqueue"):
        assert label_of(root / place) == MOUNT_LABEL, place
    assert ":file_t:" in label_of(root / "proc")
    made.start()
    text = output.until("denied")
    assert f"label {LABEL}\n" in text, "keyring"
    found = made.exec("/bin/sh", "-c", f"{probe} keyring; {SHOW}", check=False)
    assert f"label {LABEL}\n" in found.out, found
    for told in (text, found.out + found.err, (root / "volume/hook").read_text()):
        assert LABEL in told and "'/denied': Permission denied" in told, told
    assert attributes.read_text().rstrip("\0\n") == LABEL
    other = LABEL.replace("c1,c2", "c0")
    found = made.exec("/bin/cat", "/proc/self/attr/current", options=("--process-label", other))
    assert found.out.rstrip("\0\n") == other


@pytest.mark.only("pyoci")
@pytest.mark.usefixtures("enforced")
def test_a_label_that_the_policy_does_not_know_is_an_error_of_create(box: Boxes) -> None:
    for member, label, words in (
        ("process", "system_u:system_r:no_such_t:s0", "SELinux label"),
        ("linux", "system_u:object_r:no_such_t:s0", "mount"),
    ):
        made = box("/bin/true")
        if member == "process":
            made.process["selinuxLabel"] = label
        else:
            made.linux["mountLabel"] = label
            made.mount("/volume", "tmpfs", "tmpfs")
        made.create(check=False).failed(words, label, "invalid argument")
        assert not made.runtime.exists(made.id)
