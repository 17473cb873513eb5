"""The mounts of the host, as the kernel lists them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyoci.cgroups import paths as cgroup_paths
from pyoci.doctor import store
from pyoci.host import mountinfo

TABLE = "".join(
    line + "\n"
    for line in (
        "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw",
        "21 20 0:20 /in\\040side /srv/a\\040b\\134 ro,nodev master:3 propagate_from:1 - tmpfs x - y rw",
        "22 20 0:21 / /srv rw - tmpfs x rw",
        "23 20 0:22 / /srv rw - ramfs x rw",
        "24 20 0:23 / /caf\u00e9/\u2028x rw - fuse.sshfs x rw",
        "25 20 0:24 / /odd\udcff\x0cname rw - nfs4 x rw",
    )
)


def test_the_fields_of_a_line() -> None:
    mount = mountinfo.parse(TABLE)[1]
    assert (mount.id, mount.parent, mount.device, mount.type) == (21, 20, "0:20", "tmpfs")
    assert (mount.root, mount.point, mount.options) == ("/in side", "/srv/a b\\", ["ro", "nodev"])


def test_only_a_newline_ends_a_line() -> None:
    assert [mount.id for mount in mountinfo.parse(TABLE)] == [20, 21, 22, 23, 24, 25]
    assert [mount.point for mount in mountinfo.parse(TABLE)[4:]] == [
        "/caf\u00e9/\u2028x",
        "/odd\udcff\x0cname",
    ]


@pytest.mark.parametrize(
    ("place", "id"),
    [("/", 20), ("/srvx", 20), ("/srv/a", 23), ("/srv/a b\\/c", 21), ("/caf\u00e9/\u2028x", 24)],
)
def test_the_mount_that_a_path_is_in(place: str, id: int) -> None:
    found = mountinfo.holding(mountinfo.parse(TABLE), place)
    assert found and found.id == id


def test_the_kernel_s_own() -> None:
    lines = Path("/proc/self/mountinfo").read_bytes().count(b"\n")
    found = mountinfo.read()
    assert len(found) == lines
    proc = mountinfo.holding(found, "/proc/self")
    assert proc and (proc.type, proc.point) == ("proc", "/proc")
    assert proc.device == f"{os.major(os.stat('/proc').st_dev)}:{os.minor(os.stat('/proc').st_dev)}"


def test_names_of_all_kinds_reach_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """doctor once took the bytes of a name for characters, and the cgroup tree was not found on a path with a blank."""
    monkeypatch.setattr(mountinfo, "read", lambda: mountinfo.parse(TABLE))
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    assert store._file_system("/caf\u00e9/\u2028x/y") == ("fuse.sshfs", "/caf\u00e9/\u2028x")
    assert store._file_system("/odd\udcff\x0cname") == ("nfs4", "/odd\udcff\x0cname")
    assert cgroup_paths._mount_root("/srv/a b\\") == "/in side"
    assert cgroup_paths._mount_root("/srv") == ""
