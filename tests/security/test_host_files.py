"""What the root filesystem holds must never lead the runtime out of it: links in place of /dev, /proc, /etc ...

Each test puts a link into the root filesystem that points to a tree of the host, the canary, and looks afterwards
whether any byte, mode, owner, time of change or name in it is another than before.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.box import Container
from harness.boxes import Boxes
from harness.canary import Canary
from harness.terminal import ConsoleSocket

PLACES = [
    "dev",
    "dev/null",
    "dev/console",
    "dev/pts",
    "dev/ptmx",
    "dev/shm",
    "dev/mqueue",
    "proc",
    "sys",
    "etc",
    "run",
]
SPELLINGS = ["absolute", "dotted"]


@pytest.fixture
def canary(folder: Path) -> Iterator[Canary]:
    """A tree of the host that must stay as it is."""
    made = Canary(folder / "canary")
    yield made
    assert made.looked, "the test never looked at its canary"


def link(made: Container, place: str, target: Path | str, spelling: str = "absolute") -> None:
    """Replace a place in the root filesystem by a link."""
    path = made.rootfs / place
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    up = "/".join([".."] * 12)
    os.symlink(str(target) if spelling == "absolute" else f"{up}{target}", path)


def without_dev(made: Container) -> Container:
    """No fresh filesystem on /dev: the runtime then works in the directory the image brings."""
    made.mounts[:] = [mount for mount in made.mounts if not mount["destination"].startswith("/dev")]
    return made


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("place", PLACES)
def test_a_link_out_of_the_root_filesystem(box: Boxes, canary: Canary, place: str, spelling: str) -> None:
    made = box.sh("echo ran")
    link(made, place, canary.top, spelling)
    made.linux["maskedPaths"] = ["/proc/kcore", "/etc/passwd", "/sys/firmware", "/run/passwd"]
    made.linux["readonlyPaths"] = ["/proc/sys", "/etc/group", "/run/group", "/dev/shm"]
    canary.survives(made)


@pytest.mark.parametrize("place", PLACES[:7])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_link_out_of_the_root_filesystem_without_a_fresh_dev(
    box: Boxes, canary: Canary, place: str, spelling: str
) -> None:
    """CVE-2026-41579 and its kin: devices and links made in, and removed from, the host's directories."""
    made = without_dev(box.sh("echo ran"))
    link(made, place, canary.top, spelling)
    canary.survives(made)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_devices_and_links_are_made_in_no_directory_of_the_host(
    box: Boxes, canary: Canary, spelling: str
) -> None:
    """The same where nothing is in the way of the first of them."""
    made = without_dev(box.sh("echo ran"))
    link(made, "dev", canary.top / "shm", spelling)
    canary.survives(made)


@pytest.mark.parametrize("target", ["passwd", "zero", "fifo", "console", "new"])
@pytest.mark.parametrize("place", ["dev/null", "dev/console", "dev/ptmx", "dev/zero", "dev/tty"])
def test_a_link_in_the_place_of_a_device(box: Boxes, canary: Canary, place: str, target: str) -> None:
    """CVE-2026-88264 and -88265: opened, made or given to another owner through the link."""
    made = without_dev(box.sh("echo ran"))
    link(made, place, canary.top / target)
    made.process["user"] = {"uid": 1000, "gid": 1000}
    made.linux["maskedPaths"] = ["/etc/passwd"]
    canary.survives(made)


@pytest.mark.parametrize("place", ["dev/console", "dev/pts", "dev", "dev/ptmx"])
@pytest.mark.parametrize("fresh", [True, False])
def test_links_and_a_terminal(box: Boxes, canary: Canary, folder: Path, place: str, fresh: bool) -> None:
    """CVE-2025-52565: the terminal's other end, bound on /dev/console through a link."""
    console = ConsoleSocket(folder / "console.sock")
    made = box.sh("echo ran")
    if not fresh:
        without_dev(made)
    link(made, place, canary.top if place in ("dev", "dev/pts") else canary.top / "console")
    made.process.update(terminal=True, user={"uid": 1000, "gid": 1000})
    found = made.create("--console-socket", str(console.path), check=False)
    if found.rc == 0:
        master = console.receive()
        made.start(check=False)
        made.wait()
        master.close()
    console.close()
    canary.untouched()


@pytest.mark.parametrize("target", ["passwd", "zero", "self"])
def test_a_dev_null_that_is_none_masks_nothing_of_the_host(box: Boxes, canary: Canary, target: str) -> None:
    """CVE-2025-31133: the mask of a path is a bind of the container's /dev/null."""
    made = without_dev(box.sh("cat /etc/passwd; echo x > /etc/passwd"))
    link(made, "dev/null", canary.top / target)
    made.linux["maskedPaths"] = ["/etc/passwd"]
    found = canary.survives(made)
    assert "canary" not in found.out


def test_a_dev_null_that_is_a_file_is_not_taken_for_the_device(box: Boxes, canary: Canary) -> None:
    made = without_dev(box.sh("cat /etc/passwd"))
    made.file("dev/null", "not null\n", 0o666)
    made.linux["maskedPaths"] = ["/etc/passwd"]
    found = canary.survives(made)
    assert "not null" not in found.out


@pytest.mark.parametrize("what", ["a link", "a file"])
@pytest.mark.parametrize("place", ["proc", "sys"])
def test_proc_and_sys_must_be_directories(box: Boxes, canary: Canary, place: str, what: str) -> None:
    """CVE-2019-19921, CVE-2023-27561: a procfs somewhere else, and masks that miss it."""
    made = box.sh("echo ran")
    if what == "a link":
        link(made, place, "/tmp")
    else:
        (made.rootfs / place).rmdir()
        made.file(place, "")
    canary.survives(made).failed(f"/{place}")


def test_a_volume_on_proc_gets_no_writes(box: Boxes, canary: Canary) -> None:
    """CVE-2019-16884, CVE-2025-52881, CVE-2025-62596: labels and sysctls written into what the container calls /proc."""
    made = box.sh("echo ran")
    for name in ("sys/net/ipv4/ip_forward", "self/oom_score_adj"):
        (canary.top / name).parent.mkdir(parents=True, exist_ok=True)
        (canary.top / name).write_text("canary\n")
    canary.before = canary.look()
    made.mounts[:] = [mount for mount in made.mounts if mount["destination"] != "/proc"]
    made.mount("/proc", "bind", str(canary.top), "rbind")
    made.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    made.process.update(oomScoreAdj=500, noNewPrivileges=True)
    canary.survives(made)


@pytest.mark.only("pyoci")  # runc 1.1.5 takes no volume on /proc
def test_read_only_mounts_behind_a_volume_on_proc(box: Boxes, canary: Canary) -> None:
    """CVE-2026-115521: made read-only last, through /proc/self/fd/N, which is the volume's then and leads to another mount."""
    made = box.sh(
        "grep -E ' /(a|b|c) ' /proc/mounts; for i in a b c; do touch /$i/new && echo wrote $i; done; true"
    )
    (canary.top / "self/fd").mkdir()
    for number in range(3, 20):
        os.symlink("../../../a", canary.top / f"self/fd/{number}")
    canary.before = canary.look()
    made.mounts[:] = [mount for mount in made.mounts if mount["destination"] != "/proc"]
    made.mount("/proc", "bind", str(canary.top), "rbind")
    made.mount("/a", "bind", str(canary.top), "rbind", "ro")
    made.mount("/b", "tmpfs", "tmpfs", "ro")
    made.mount("/c", "bind", str(canary.top), "rbind", "rro")
    found = canary.survives(made)
    assert "wrote" not in found.out
    assert found.err.count("Read-only file system") == 3


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_mount_destination_through_a_link(
    box: Boxes, canary: Canary, folder: Path, kind: str, spelling: str
) -> None:
    """CVE-2019-18837: the last component, and one in the middle."""
    made = box.sh("echo ran; touch /volume/new /data/deep/new 2>/dev/null; echo done")
    link(made, "volume", canary.top, spelling)
    link(made, "data", canary.top, spelling)
    (folder / "source").mkdir()
    options = ["bind"] if kind == "bind" else []
    for place in ("/volume", "/data/deep", "/data/sys/kernel"):
        made.mount(place, kind, str(folder / "source"), *options)
    canary.survives(made)


@pytest.mark.parametrize("place", ["maskedPaths", "readonlyPaths"])
def test_masked_and_read_only_paths_through_a_link(box: Boxes, canary: Canary, place: str) -> None:
    made = box.sh("echo ran")
    link(made, "data", canary.top)
    made.linux[place] = ["/data", "/data/passwd", "/data/self"]
    canary.survives(made)


def test_a_working_directory_through_a_link(box: Boxes, canary: Canary) -> None:
    made = box.sh("pwd; ls; touch new")
    link(made, "data", canary.top)
    made.process["cwd"] = "/data/made/new"
    found = canary.survives(made)
    assert "passwd" not in found.out.split()


def test_devices_of_the_config_through_a_link(box: Boxes, canary: Canary) -> None:
    made = box.sh("echo ran")
    link(made, "data", canary.top)
    made.linux["devices"] = [
        {"path": "/data/new", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666},
        {"path": "/data/deep/er/new", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666},
        {"path": "/data/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666, "uid": 1, "gid": 1},
    ]
    canary.survives(made)


def test_the_password_file_is_read_inside(box: Boxes, canary: Canary) -> None:
    """HOME comes from /etc/passwd: a link must not make it come from the host's."""
    made = box.sh("echo $HOME")
    (canary.top / "passwd").chmod(0o644)
    host = canary.top / "hostpasswd"
    host.write_text("leaked:x:1000:1000::/leaked:/bin/sh\n")
    canary.before = canary.look()
    link(made, "etc/passwd", host)
    made.process["user"] = {"uid": 1000, "gid": 1000}
    assert "/leaked" not in canary.survives(made).out


@pytest.mark.only("pyoci")  # runc 1.1.5 waits for ever
def test_a_password_file_that_blocks_or_never_ends(box: Boxes) -> None:
    for maker in ("fifo", "zero"):
        made = box.sh("echo ran")
        (made.rootfs / "etc/passwd").unlink()
        if maker == "fifo":
            os.mkfifo(made.rootfs / "etc/passwd")
        else:
            os.mknod(made.rootfs / "etc/passwd", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        made.process["user"] = {"uid": 1000, "gid": 1000}
        made.run(check=False)


def test_tmpcopyup_copies_no_files_of_the_host(box: Boxes, canary: Canary) -> None:
    made = box.sh("cat /data/passwd /data/sub/passwd 2>/dev/null; ls /data; echo ran")
    link(made, "data", canary.top)
    made.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    found = canary.survives(made)
    assert "canary" not in found.out


def test_tmpcopyup_of_a_link_below(box: Boxes, canary: Canary) -> None:
    made = box.sh("ls -l /data/; cat /data/link/passwd 2>/dev/null; echo ran")
    (made.rootfs / "data").mkdir()
    os.symlink(canary.top, made.rootfs / "data/link")
    made.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    found = canary.survives(made)
    assert "canary passwd" not in found.out


def test_a_user_namespace_with_links(box: Boxes, canary: Canary) -> None:
    """In a user namespace devices are bound from the host: the places they are bound on are the container's."""
    made = without_dev(box.sh("echo ran"))
    made.user_namespace()
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        link(made, f"dev/{name}", canary.top / "passwd")
    canary.survives(made)


def test_a_hostile_cgroup_directory(box: Boxes, canary: Canary) -> None:
    made = box.sh("echo ran")
    made.mounts[:] = [mount for mount in made.mounts if mount["destination"] != "/sys"]
    (made.rootfs / "sys/fs").mkdir()
    link(made, "sys/fs/cgroup", canary.top)
    made.mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "nodev", "noexec")
    canary.survives(made)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("mount", ["tmpfs", "bind"])
def test_mount_points_are_made_below_the_root_alone(
    box: Boxes, canary: Canary, mount: str, spelling: str
) -> None:
    """What is missing of a destination is made in the directory that a link leads to, as the container sees it."""
    made = box.sh("echo ran")
    link(made, "run", canary.top, spelling)
    if mount == "tmpfs":
        made.mount("/run/new/directory", "tmpfs", "tmpfs")
    else:
        made.mount("/run/new/file", "bind", "/etc/hostname", "bind")
    assert canary.survives(made).out == "ran\n"
    assert (made.rootfs / str(canary.top).lstrip("/") / "new").is_dir()
