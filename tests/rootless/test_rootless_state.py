"""ROOT of an ordinary user, and in a user namespace, where the host's root is seen as the overflow uid."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness import machine
from harness.boxes import Boxes
from harness.roots import ROOTLESS_ENGINES, every_verb, place
from harness.runtime import Runtime

USER = 4321  # not the overflow uid
# As rootlesskit --copy-up=/run does it for docker and containerd: a tmpfs whose links lead to the directories of the host
COPY_UP = """set -e
mount --bind "$1/run" "$1/hosts"
mount -t tmpfs -o mode=0755 none "$1/run"
mkdir "$1/run/.ro"
mount --bind "$1/hosts" "$1/run/.ro"
ln -s .ro/user "$1/run/user"
test "$(stat -L -c %u "$1/run/user")" = "$(cat /proc/sys/kernel/overflowuid)"
test "$(stat -c %u "$1/run/user/1000")" = 0
exec "$2" --root "$1/run/user/1000/docker" delete nothing
"""


@pytest.mark.rootless
@pytest.mark.parametrize("engine", ROOTLESS_ENGINES)
def test_the_roots_of_engines(rootless: Boxes, folder: Path, user: int, engine: str) -> None:
    owner = user if os.geteuid() == 0 else None
    rootless.runtime.root = place(folder, ROOTLESS_ENGINES[engine], owner)
    every_verb(rootless("/bin/sleep", "1000"))


def test_root_acts_on_the_root_of_a_user_that_it_names(rootless: Boxes, folder: Path, user: int) -> None:
    rootless.runtime.root = place(folder, ROOTLESS_ENGINES["podman"], user)
    made = rootless("/bin/sleep", "1000").launch()
    rootless.runtime.user = None
    assert "can be forged" not in made.delete("--force").err


@pytest.mark.parametrize(
    ("mode", "said"), [(0o755, "container does not exist: nothing"), (0o757, "can be forged")]
)
def test_the_hosts_root_in_a_user_namespace(runtime: Runtime, folder: Path, mode: int, said: str) -> None:
    if reason := machine.user_namespaces_unprivileged():
        pytest.skip(reason)
    place(folder, [(mode, "run/user"), (0o700, "1000")], USER)
    (folder / "hosts").mkdir()
    found = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            COPY_UP,
            "sh",
            str(folder),
            str(runtime.path),
        ],
        user=USER,
        group=USER,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1 and said in found.stderr, found


@pytest.mark.rootless
def test_a_damaged_record_of_an_init_that_waits(rootless: Boxes) -> None:
    """It is not dumpable: its user sees what it has open all the same, as the owner of its user namespace."""
    made = rootless("/bin/sleep", "1000")
    made.create()
    assert made.runtime.root
    (made.runtime.root / made.id / "state.json").write_text("{")
    (made.runtime.root / made.id / "cgroup.json").unlink(missing_ok=True)
    made.runtime.call("delete", made.id).failed("can't be read")
    assert made.delete("--force").err == ""
    assert made.wait_for(made.first) == 137
