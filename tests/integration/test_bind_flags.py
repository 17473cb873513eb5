"""The flags of bind mounts: flags of the source, options, with and without a user namespace -> flags, or EPERM."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.boxes import Boxes

SHOWN = {"ro", "rw", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"}

# flags of the source, options of the mount, what the container sees
OUTSIDE = [
    ("ro", "bind,nosuid,nodev", "rw,nosuid,nodev,relatime"),
    ("nodev,nosuid,noexec,noatime", "bind,ro", "ro,noatime"),
    ("noatime", "bind,atime", "rw,noatime"),
    ("noatime", "bind,nodiratime", "rw,nodiratime,relatime"),
    ("ro,nosuid", "bind,rw", "rw,relatime"),
    ("nosuid,nodev", "rbind,rprivate", "rw,nosuid,nodev,relatime"),
    ("nosuid,nodev", "rbind,rprivate,rw", "rw,relatime"),
    ("nosuid,noexec", "bind", "rw,nosuid,noexec,relatime"),
    ("noexec", "bind,sync", "rw,relatime"),
    ("noatime", "bind,relatime", "rw,relatime"),
    ("nosuid", "bind,strictatime", "rw"),
]
INSIDE = [
    ("nosuid,nodev,noexec,noatime", "bind,nosuid", "rw,nosuid,nodev,noexec,noatime"),
    ("ro", "bind,nosuid", "ro,nosuid,relatime"),
    ("nodiratime,noatime", "bind,ro", "ro,noatime,nodiratime"),
    ("nosuid,nodev", "rbind,rprivate", "rw,nosuid,nodev,relatime"),
    ("noatime", "bind,noatime,ro", "ro,noatime"),
    ("nosuid", "bind,rw,dev", "rw,nosuid,relatime"),
]
REFUSED = [
    ("ro", "bind,rw", "ro"),
    ("nosuid,nodev", "bind,dev", "nodev"),
    ("nosuid", "bind,suid", "nosuid"),
    ("noexec", "bind,exec", "noexec"),
    ("relatime", "bind,strictatime", "relatime"),
    ("noatime", "bind,relatime", "noatime"),
    ("noatime", "bind,atime", "noatime"),
    ("relatime", "bind,nodiratime", "relatime"),
    ("nodiratime", "bind,diratime", "nodiratime"),
]


@pytest.fixture
def source(folder: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A tmpfs with the flags of the case."""
    place = folder / "source"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", request.getfixturevalue("flags"), "x", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def flags_seen(text: str) -> set[str]:
    """The flags of the mount on /b in a mountinfo."""
    (line,) = [line for line in text.splitlines() if line.split()[4] == "/b"]
    return set(line.split()[5].split(",")) & SHOWN


@pytest.mark.differs(runc="before 1.2 the flags of the source stay", crun="keeps flags of the source")
@pytest.mark.parametrize(("flags", "options", "expected"), OUTSIDE)
def test_what_is_named_replaces_the_flags_of_the_source(
    box: Boxes, source: Path, flags: str, options: str, expected: str
) -> None:
    made = box("/bin/cat", "/proc/self/mountinfo")
    made.mount("/b", "bind", str(source), *options.split(","))
    assert flags_seen(made.out()) == set(expected.split(","))


@pytest.mark.parametrize(("flags", "options", "expected"), INSIDE)
def test_in_a_user_namespace_the_flags_of_the_source_stay(
    box: Boxes, source: Path, flags: str, options: str, expected: str
) -> None:
    made = box("/bin/cat", "/proc/self/mountinfo")
    made.user_namespace()
    made.mount("/b", "bind", str(source), *options.split(","))
    assert flags_seen(made.out()) == set(expected.split(","))


@pytest.mark.parametrize(("flags", "options", "named"), REFUSED)
def test_in_a_user_namespace_no_option_clears_a_flag_of_the_source(
    box: Boxes, source: Path, flags: str, options: str, named: str
) -> None:
    made = box("/bin/true")
    made.user_namespace()
    made.mount("/b", "bind", str(source), *options.split(","))
    made.run(check=False).failed(f"mount_setattr {named}: operation not permitted", "on /b")
