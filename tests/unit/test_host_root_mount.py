"""What is written down of the root mount of a container without a mount namespace, and which mount may be one."""

from __future__ import annotations

from typing import Any

import pytest

from pyoci.host import mountinfo, root_mount

TABLE = r"""
20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
21 20 0:5 / /proc rw - proc proc rw
22 20 8:1 /srv/box/rootfs /srv/box/rootfs rw - ext4 /dev/vda rw
23 22 0:30 / /srv/box/rootfs/tmp rw - tmpfs tmpfs rw
24 20 8:1 /srv/a /srv/b rw - ext4 /dev/vda rw
30 20 0:40 / /srv/merged rw - overlay overlay rw
31 30 0:40 / /srv/merged rw - overlay overlay rw
32 30 0:40 /below /srv/merged/below rw - overlay overlay rw
40 20 8:2 /@home /home rw - btrfs /dev/vdb rw
41 40 8:2 /@home/a\040b/rootfs /home/a\040b/rootfs rw - btrfs /dev/vdb rw
42 40 8:2 /@root /home/c rw - btrfs /dev/vdb rw
43 40 8:2 /@home/x /homex rw - btrfs /dev/vdb rw
50 21 0:5 / /proc rw - proc proc rw
""".strip()


@pytest.mark.parametrize(("id", "parent"), [(22, 20), (31, 30), (32, 30), (41, 40), (50, 21)])
def test_a_copy_of_its_own_place(id: int, parent: int) -> None:
    assert root_mount.is_copy_of_its_place(mountinfo.parse(TABLE), id, parent)


@pytest.mark.parametrize(
    ("id", "parent"),
    [(20, 1), (20, 20), (21, 20), (22, 21), (22, 22), (23, 22), (24, 20), (30, 20), (40, 20), (42, 40), (43, 40), (99, 20),
     (2, 0)],
)  # fmt: skip
def test_no_copy_of_its_place(id: int, parent: int) -> None:
    assert not root_mount.is_copy_of_its_place(mountinfo.parse(TABLE), id, parent)


GOOD: dict[str, Any] = {"rootfs": "/srv/rootfs", "unique": 1 << 33, "id": 7, "parent": 0}


@pytest.mark.parametrize(
    "change",
    [{"rootfs": "srv"}, {"rootfs": ""}, {"rootfs": "/a\0"}, {"rootfs": 5}, {"unique": -1}, {"unique": 1 << 64}, {"id": "7"},
     {"id": True}, {"parent": None}, {"parent": 1.0}],
)  # fmt: skip
def test_what_is_no_record(change: dict[str, Any]) -> None:
    assert root_mount.is_record(GOOD)
    assert not root_mount.is_record({**GOOD, **change})
    assert not root_mount.is_record({name: value for name, value in GOOD.items() if name not in change})
    assert not root_mount.is_record([GOOD])
