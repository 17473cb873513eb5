"""The flags of bind mounts: flags of the source, options, with and without a user namespace -> flags, or EPERM."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import machine
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


# The same of recursive options: flags of the source and of the mount below it
DEEP = [
    ("ro", "nosuid", "rbind,rrw", "ro"),
    ("nosuid", "ro,nosuid", "rbind,rrw", "ro"),
    ("nosuid", "ro,nosuid", "bind,rrw", ""),
    ("nosuid", "nosuid,nodev", "rbind,rdev", "nodev"),
    ("nosuid", "nodev", "rbind,rsuid,rro", "nosuid"),
    ("noexec", "nodev", "bind,rexec", "noexec"),
    ("noatime", "noatime", "rbind,ratime", "noatime"),
    ("relatime", "noatime", "rbind,rnoatime", "relatime"),
    ("relatime", "strictatime", "rbind,rrelatime", "strictatime"),
    ("relatime", "nodiratime", "rbind,rdiratime", "nodiratime"),
    ("noatime", "noatime", "rbind,rnoatime,rro,rnosuid", ""),
    ("nodev", "nodev", "rbind,rrw,rsuid", ""),
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


def test_in_a_user_namespace_no_recursive_option_does(box: Boxes, folder: Path) -> None:
    """Not of the source and not of what is mounted below it, by whatever path."""
    place = folder / "a b"
    place.mkdir()
    made = box("/bin/true")
    made.user_namespace()
    paths = [str(place), os.path.relpath(place, made.directory)]
    made.config["mounts"] = made.config["mounts"][:1]
    entry = made.mount("/b", "bind", "")
    for index, (above, below, options, named) in enumerate(DEEP):
        subprocess.run(["mount", "-t", "tmpfs", "x", place], check=True)
        try:
            (place / "below").mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", below, "x", place / "below"], check=True)
            subprocess.run(["mount", "-o", f"remount,bind,{above}", place], check=True)
            entry.update(source=paths[index % 2], options=options.split(","))
            found = made.run(check=False)
            if named:
                found.failed(f"on /b: mount_setattr {named}: operation not permitted", "attribute is locked")
            else:
                found.ok()
        finally:
            subprocess.run(["umount", "--recursive", place], check=True)


@pytest.mark.only("pyoci")
def test_recursive_options_of_a_source_in_the_rootfs(box: Boxes) -> None:
    """What only adds a flag needs no look at the mounts below the source."""
    made = box("/bin/cat", "/proc/self/mountinfo")
    made.user_namespace()
    (made.rootfs / "t/below").mkdir(parents=True)
    made.mount("/t/below", "tmpfs", "tmpfs")
    entry = made.mount("/b", "bind", str(made.rootfs / "t"), "rbind", "rro")
    text = made.out()
    assert "ro" in flags_seen(text)
    (below,) = [line.split()[5].split(",") for line in text.splitlines() if line.split()[4] == "/b/below"]
    assert "ro" in below
    entry["options"] = ["rbind", "rrw"]
    made.run(check=False).failed("recursive options that clear a flag", "operation not permitted")


@pytest.mark.only("pyoci")
def test_in_the_runtimes_own_user_namespace_no_recursive_option_does(box: Boxes, folder: Path) -> None:
    place = folder / "source"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid", "x", place], check=True)
    try:
        made = box("/bin/cat", "/proc/self/mountinfo")
        made.linux.pop("resources", None)
        entry = made.mount("/b", "bind", str(place), "rbind", "rsuid")
        words = "on /b: mount_setattr nosuid: operation not permitted"
        made.run(check=False, preexec_fn=machine.identity_user_namespace).failed(words, "attribute is locked")
        entry["options"] = ["rbind", "rro"]
        found = made.run(preexec_fn=machine.identity_user_namespace)
        assert {"ro", "nosuid"} <= flags_seen(found.out)
    finally:
        subprocess.run(["umount", place], check=True)


def test_in_a_user_namespace_no_remount_does(box: Boxes, folder: Path) -> None:
    """Neither of a bind mount nor of the rootfs; what the container mounts itself may be changed."""
    (folder / "source").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,nosuid", "x", folder / "source"], check=True)
    made = box("/bin/cat", "/proc/self/mountinfo")
    made.user_namespace()
    rootfs = str(made.rootfs)
    subprocess.run(["mount", "--bind", rootfs, rootfs], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,nodev", rootfs], check=True)
        made.mount("/b", "bind", str(folder / "source"), "bind")
        remount = made.mount("/b", "", "", "remount", "rw")
        made.run(check=False).failed("on /b: mount_setattr ro: operation not permitted")
        remount["options"] = ["remount", "noexec"]
        assert flags_seen(made.out()) == {"ro", "nosuid", "noexec", "relatime"}
        remount.update(destination="/", options=["remount", "dev"])
        made.run(check=False).failed("on /: mount_setattr nodev: operation not permitted")
        made.mounts[-2] = {
            "destination": "/b",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["ro", "nosuid"],
        }
        remount.update(destination="/b", options=["remount", "suid"])
        assert "nosuid" not in flags_seen(made.out())
    finally:
        subprocess.run(["umount", rootfs], check=True)
        subprocess.run(["umount", folder / "source"], check=True)
