"""Containers without a mount namespace: their mounts are the host's, and go with them, and nothing else of the host does.

The session has a mount namespace of its own, shared within as under systemd, which is the host's here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.box import Container
from harness.boxes import Boxes
from harness.runtime import PATIENCE


def table() -> list[tuple[str, ...]]:
    """Our mounts, each as mount point, flags and propagation, and type."""
    lines = [line.split(" ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((*line[4 : line.index("-")], line[line.index("-") + 1]) for line in lines)


def below(made: Container) -> int:
    """How many mounts there are in a rootfs."""
    return sum(line[0].startswith(str(made.rootfs)) for line in table())


@pytest.fixture
def volume(folder: Path) -> Iterator[Path]:
    """A directory of the host with a tmpfs below it."""
    (folder / "volume/tmpfs").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "x", folder / "volume/tmpfs"], check=True)
    yield folder / "volume"
    subprocess.run(["umount", folder / "volume/tmpfs"], check=True)


def container(box: Boxes, *command: str) -> Container:
    made = box(*command)
    made.no_namespace("mount")
    return made


def record(made: Container) -> Path:
    """The file with the ids of its root mount."""
    assert made.runtime.root
    return made.runtime.root / made.id / "mount.json"


@pytest.mark.parametrize("readonly", [False, True])
def test_the_mounts_go_with_the_container(box: Boxes, volume: Path, readonly: bool) -> None:
    """Those of the host that were in the rootfs or are bound into it stay, although the host shares their propagation."""
    script = "umount /tmp/volume/tmpfs; echo x > /tmp/x; touch /y; ls /tmp; stat -f -c %T /home; mount -t tmpfs tmpfs /tmp"
    made = container(box, "/bin/sh", "-c", script)
    made.capabilities("CAP_SYS_ADMIN")
    made.mount("/tmp", "tmpfs", "tmpfs")
    made.mount("/tmp/volume", "bind", str(volume), "rbind")
    made.config["root"]["readonly"] = readonly
    made.linux["rootfsPropagation"] = "shared"
    subprocess.run(["mount", "-t", "tmpfs", "x", made.rootfs / "home"], check=True)
    before = table()
    try:
        found = made.run()
        assert found.out == "volume\nx\ntmpfs\n"
        assert ("Read-only file system" in found.err) == readonly
        assert table() == before
        made.args("/bin/sleep", "100").launch()
        assert below(made) > 8
        assert made.exec("/bin/cat", "/proc/1/comm").out == "sleep\n"
        made.stop()
        assert table() == before
        made.args("/no/such/program").run(check=False).failed("no such file or directory")
        assert table() == before
    finally:
        subprocess.run(["umount", made.rootfs / "home"], check=True)


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("damage", ["", "{"])
def test_a_killed_create(box: Boxes, damage: str) -> None:
    """All is mounted when the createRuntime hook runs."""
    made = container(box, "/bin/true")
    read, write = os.pipe()
    script = f"echo $$ > /proc/{os.getpid()}/fd/{write}; exec sleep 100"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script]}
    made.config["hooks"] = {"createRuntime": [hook]}
    before = table()
    nowhere = subprocess.DEVNULL
    create = made.spawn("create", stdin=nowhere, stdout=nowhere, stderr=nowhere)
    ours = int(os.read(read, 20))
    assert below(made) > 5
    create.send_signal(signal.SIGKILL)
    create.wait(PATIENCE)
    os.kill(ours, signal.SIGKILL)
    os.close(read)
    os.close(write)
    if damage:
        record(made).with_name("state.json").write_text(damage)
    made.delete("--force")
    assert table() == before


@pytest.mark.only("pyoci")
def test_what_the_ids_do_not_prove_is_left_alone(box: Boxes) -> None:
    """Before Linux 6.8 there is no unique id: 0. With ids of another mount, or with none, nothing is unmounted."""
    made = container(box, "/bin/true")
    before = table()
    made.create()
    right: dict[str, Any] = json.loads(record(made).read_text())
    assert right["unique"] > 0 or tuple(map(int, os.uname().release.split(".")[:2])) < (6, 8)
    record(made).write_text(json.dumps({**right, "unique": 0}))
    made.delete("--force")
    assert table() == before
    wrong: list[dict[str, Any]] = [{"unique": 1}, {"id": 1}, {"parent": 1}, {"id": "1"}, {"rootfs": 5}]
    for fields in wrong:
        made.create()
        now: dict[str, Any] = json.loads(record(made).read_text())
        record(made).write_text(json.dumps({**now, **fields}))
        made.delete("--force")
        assert below(made) > 5, fields
        subprocess.run(["umount", "--recursive", made.rootfs], check=True)
        assert table() == before


@pytest.mark.only("pyoci")
def test_a_mount_over_the_root(box: Boxes) -> None:
    """The root below cannot be reached: the container stays until the other mount is gone."""
    made = container(box, "/bin/true")
    before = table()
    made.create()
    subprocess.run(["mount", "-t", "tmpfs", "x", made.rootfs], check=True)
    try:
        made.delete("--force", check=False).failed(
            "another mount lies over it", "unmount it, and delete again"
        )
    finally:
        subprocess.run(["umount", made.rootfs], check=True)
    made.delete("--force")
    assert table() == before


@pytest.mark.only("pyoci")
def test_the_hosts_own_root(box: Boxes, folder: Path) -> None:
    """It is used as it is where nothing is to be mounted in it."""
    made = container(box, "/bin/sh", "-c", f"ls -d {folder}")
    (folder / "link").symlink_to("/")
    made.config["root"]["path"] = str(folder / "link")
    words = "is the host's root, and there is no mount namespace"
    made.run(check=False).failed(words)
    made.config["mounts"] = []
    before = table()
    assert made.out() == f"{folder}\n"
    made.config["root"]["readonly"] = True
    made.run(check=False).failed(words)
    assert table() == before
