"""Which flags of the host's mounts recursive options of a bind mount would clear."""

from __future__ import annotations

import pytest

from pyoci.host import locked_flags, mountinfo
from pyoci.spec import mount_options
from pyoci.spec.mount_options import NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, RDONLY, STRICTATIME

TABLE = r"""
20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
21 20 0:20 / /srv rw,nosuid,relatime - tmpfs x rw
22 21 0:21 / /srv/a\040b ro,nodev,noatime - tmpfs x rw
23 22 0:22 / /srv/a\040b/c rw,noexec,nodiratime,relatime - tmpfs x rw
24 21 0:23 / /srv/a rw - tmpfs x rw
25 21 0:24 / /srv/a rw,nosuid,relatime - tmpfs x rw
""".strip()


@pytest.mark.parametrize(
    ("place", "recursive", "expected"),
    [
        ("/srv/a b/x", True, [RDONLY | NODEV | NOATIME]),
        ("/srv/a b", True, [RDONLY | NODEV | NOATIME, NOEXEC | NODIRATIME]),
        ("/srv/a b", False, [RDONLY | NODEV | NOATIME]),
        ("/srv/a b/c/d", True, [NOEXEC | NODIRATIME]),
        ("/srv/a", True, [NOSUID]),
        ("/srv/other", False, [NOSUID]),
        ("/", False, [0]),
        ("/srv", True, [NOSUID, RDONLY | NODEV | NOATIME, NOEXEC | NODIRATIME, STRICTATIME, NOSUID]),
    ],
)
def test_flags_of(place: str, recursive: bool, expected: list[int]) -> None:
    assert locked_flags.flags_of(mountinfo.parse(TABLE), place, recursive=recursive) == expected


@pytest.mark.parametrize(
    ("have", "words", "name"),
    [
        (RDONLY, "rrw", "ro"),
        (RDONLY | NOSUID | NODEV | NOEXEC, "rro,rnosuid,rnodev,rnoexec", ""),
        (RDONLY | NOSUID | NODEV | NOEXEC, "rexec", "noexec"),
        (NOSUID, "rsuid,rnosuid", ""),
        (NODEV, "rsuid,rrw,rexec", ""),
        (NOATIME, "rrelatime", "noatime"),
        (NOATIME, "rnoatime", ""),
        (0, "rrelatime", ""),
        (0, "rnoatime", "relatime"),
        (0, "rnodiratime", "relatime"),
        (NODIRATIME, "rdiratime", "nodiratime"),
        (STRICTATIME, "rstrictatime", ""),
        (STRICTATIME, "rnostrictatime", "strictatime"),
        (NOATIME, "rsymfollow,rnosymfollow", ""),
    ],
)
def test_lost(have: int, words: str, name: str) -> None:
    found = mount_options.parse(words.split(","))
    assert locked_flags.lost(have, found.deep_set, found.deep_clear) == name
