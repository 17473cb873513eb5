"""Whoever shares the root filesystem exchanges a directory and a link to the host, again and again, during every create.

One race for each path that config.json can name, beside those of test_escapes.py that carry the number of a published hole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.box import Container
from harness.boxes import Boxes
from harness.canary import Canary
from harness.programs import Programs
from harness.race import Race

pytestmark = pytest.mark.only("pyoci")


@pytest.fixture
def canary(folder: Path) -> Iterator[Canary]:
    """The tree that the link leads to."""
    made = Canary(folder / "canary")
    yield made
    assert made.looked, "the test never looked at its canary"


def tmpcopyup(made: Container) -> None:
    made.mount("/real", "tmpfs", "tmpfs", "tmpcopyup")


def mount_points_of_every_type(made: Container) -> None:
    made.mount("/real/tmpfs", "tmpfs", "tmpfs")
    made.mount("/real/mqueue", "mqueue", "mqueue")
    made.mount("/real/file", "bind", "/etc/hostname", "bind", "ro")
    made.mount("/real/cgroup", "cgroup", "cgroup")


def mount_points_in_a_user_namespace(made: Container) -> None:
    made.user_namespace()
    made.mount("/real/tmpfs", "tmpfs", "tmpfs")
    made.mount("/real/file", "bind", "/etc/hostname", "bind", "ro")


def devices(made: Container) -> None:
    made.linux["devices"] = [
        {"path": "/real/device", "type": "c", "major": 1, "minor": 3, "uid": 1, "gid": 1}
    ]


def devices_in_a_user_namespace(made: Container) -> None:
    made.user_namespace()
    made.linux["devices"] = [{"path": "/real/null", "type": "c", "major": 1, "minor": 3}]


def masked_and_read_only_paths(made: Container) -> None:
    made.linux["maskedPaths"] = ["/real/passwd", "/real/pts"]
    made.linux["readonlyPaths"] = ["/real/shm", "/real"]


def working_directory_below_a_read_only_root(made: Container) -> None:
    made.process["cwd"] = "/real/new"
    made.config["root"]["readonly"] = True


def program_and_path(made: Container) -> None:
    made.process["env"] = ["PATH=/real:/bin"]


def sources_in_the_rootfs(made: Container) -> None:
    made.mount("/m", "bind", str(made.rootfs / "real"), "rbind")
    made.mount("/n", "bind", str(made.rootfs / "real/passwd"), "bind", "idmap=uids=0-1-10;gids=0-1-10")


def sources_in_the_rootfs_in_a_user_namespace(made: Container) -> None:
    made.user_namespace()
    made.mount("/m", "bind", str(made.rootfs / "real"), "rbind")


def mount_points_without_a_mount_namespace(made: Container) -> None:
    made.no_namespace("mount")
    mount_points_of_every_type(made)
    working_directory_below_a_read_only_root(made)


def copies_of_links_and_mounts_on_them(made: Container) -> None:
    made.mount("/real/copy", "bind", str(made.rootfs / "link"), "bind", "copy-symlink")
    made.mount("/real/exec", "bind", "/etc/hostname", "bind", "dest-nofollow")


RACES: list[Callable[[Container], None]] = [
    tmpcopyup,
    mount_points_of_every_type,
    mount_points_in_a_user_namespace,
    devices,
    devices_in_a_user_namespace,
    masked_and_read_only_paths,
    working_directory_below_a_read_only_root,
    program_and_path,
    sources_in_the_rootfs,
    sources_in_the_rootfs_in_a_user_namespace,
    mount_points_without_a_mount_namespace,
    copies_of_links_and_mounts_on_them,
]


@pytest.mark.parametrize("prepare", RACES, ids=lambda each: each.__name__)
def test_a_race(box: Boxes, programs: Programs, canary: Canary, prepare: Callable[[Container], None]) -> None:
    made = box.sh("cat /real/passwd /real/group /real/*/exec /m/passwd /n 2>/dev/null; true")
    (made.rootfs / "real").mkdir()
    for name in ("pts", "shm"):
        (made.rootfs / "real" / name).mkdir()
    os.symlink("/".join([".."] * 12) + str(canary.top), made.rootfs / "link")
    prepare(made)
    texts = Race(programs, made, made.rootfs, "real", "link").run()
    assert not any("canary" in text for text in texts)
    canary.untouched()


def test_a_race_on_the_password_file(box: Boxes, programs: Programs, canary: Canary) -> None:
    (canary.top / "passwd").write_text("canary:x:7:7::/canary:/bin/sh\n")
    canary.before = canary.look()
    made = box.sh("echo $HOME")
    made.process["user"] = {"uid": 7, "gid": 7}
    made.process["env"] = ["PATH=/bin"]
    made.file("etc/passwd", "inside:x:7:7::/inside:/bin/sh\n")
    os.symlink("/".join([".."] * 12) + str(canary.top), made.rootfs / "link")
    texts = Race(programs, made, made.rootfs, "etc", "link").run()
    assert "/inside\n" in texts and not any("canary" in text for text in texts)
    canary.untouched()


def test_a_race_on_the_working_directory_of_exec(box: Boxes, programs: Programs, canary: Canary) -> None:
    made = box("/bin/sleep", "1000")
    (made.rootfs / "real").mkdir()
    os.symlink("/".join([".."] * 12) + str(canary.top), made.rootfs / "link")
    made.launch()
    race = Race(programs, made, made.rootfs, "real", "link")
    try:
        texts = [
            made.exec("/bin/cat", "passwd", options=("--cwd", "/real"), check=False).out
            for _ in range(race.ROUNDS)
        ]
    finally:
        race.end()
    assert not any("canary" in text for text in texts)
    canary.untouched()
