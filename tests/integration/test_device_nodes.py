"""Default devices and links, linux.devices, and what the device cgroup lets through."""

from __future__ import annotations

import os
import stat

import pytest
from harness import machine
from harness.boxes import Boxes
from harness.programs import Programs

DEFAULTS = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


def test_the_default_devices(box: Boxes) -> None:
    names = " ".join(f"/dev/{name}" for name in DEFAULTS)
    lines = box.sh(f"stat -c '%n %F %t:%T %a %u:%g' {names}").out().splitlines()
    for line, (name, numbers) in zip(lines, DEFAULTS.items(), strict=True):
        major, minor = numbers.split(":")
        expected = f"/dev/{name} character special file {int(major):x}:{int(minor):x} 666 0:0"
        assert line == expected


def test_the_default_devices_work(box: Boxes) -> None:
    script = (
        "echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; echo x > /dev/full"
    )
    found = box.sh(script + "; echo $?").run()
    assert found.lines() == ["3", "3", "1"]
    assert "No space left" in found.err


def test_the_default_links(box: Boxes) -> None:
    names = " ".join(f"/dev/{name}" for name in LINKS)
    assert box.sh(f"for i in {names}; do readlink $i; done").out().splitlines() == list(LINKS.values())


def test_dev_holds_nothing_else(box: Boxes) -> None:
    names = set(box("/bin/ls", "/dev").out().split())
    assert names - {"core", "console"} == {*DEFAULTS, *LINKS, "pts", "shm", "mqueue"}


def test_a_console_only_with_a_terminal(box: Boxes) -> None:
    assert "console" not in box("/bin/ls", "/dev").out().split()


def test_devices_of_the_config(box: Boxes) -> None:
    made = box.sh(
        "stat -c '%n %F %t:%T %a %u:%g' /dev/mynull /dev/block /dev/pipe /other/place/null /dev/slash /dev/numbered"
    )
    made.linux["devices"] = [
        {"path": "/dev/mynull", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6},
        {"path": "/dev/block", "type": "b", "major": 7, "minor": 99, "fileMode": 0o600},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o622},
        {"path": "/other/place/null", "type": "u", "major": 1, "minor": 3},
        {"path": "/dev/slash/", "type": "c", "major": 1, "minor": 5},
        {"path": "/dev/numbered", "type": "p", "major": 1, "minor": 3},
    ]
    lines = made.out().splitlines()
    assert lines[0] == "/dev/mynull character special file 1:3 640 5:6"
    assert lines[1] == "/dev/block block special file 7:63 600 0:0"
    assert lines[2] == "/dev/pipe fifo 0:0 622 0:0"
    assert lines[3].startswith("/other/place/null character special file 1:3 ")
    assert lines[4].startswith("/dev/slash character special file 1:5 ")
    assert lines[5].startswith("/dev/numbered fifo 0:0 ")


def test_the_umask_of_the_caller_does_not_touch_device_modes(box: Boxes) -> None:
    made = box.sh("stat -c %a /dev/null /dev/mynull")
    made.linux["devices"] = [{"path": "/dev/mynull", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}]
    assert made.out(umask=0o077).split() == ["666", "666"]


def test_a_device_whose_place_holds_another_type_is_refused(box: Boxes) -> None:
    """config-linux.md: if a file already exists at path that does not match the requested device, error."""
    made = box("/bin/true")
    made.mounts[:] = [mount for mount in made.mounts if mount["destination"] != "/dev/mqueue"]
    made.file("data/device", "an ordinary file\n")
    made.linux["devices"] = [{"path": "/data/device", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}]
    made.run(check=False).failed("/data/device")
    assert (made.rootfs / "data/device").read_text() == "an ordinary file\n"


def test_a_device_that_is_there_already_is_taken(box: Boxes) -> None:
    made = box.sh("stat -c '%F %t:%T' /data/device")
    (made.rootfs / "data").mkdir()
    os.mknod(made.rootfs / "data/device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    made.linux["devices"] = [{"path": "/data/device", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}]
    assert made.out() == "character special file 1:3\n"


@pytest.mark.parametrize("mask", [0o077, 0o777, 0])
def test_owner_and_mode_of_devices_under_any_umask(box: Boxes, mask: int) -> None:
    made = box.sh("stat -c '%a %u:%g' /dev/null /dev/node /dev/pipe")
    made.linux["devices"] = [
        {"path": "/dev/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o646, "uid": 7, "gid": 8},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o462, "uid": 9, "gid": 10},
    ]
    made.process["user"]["umask"] = mask
    assert made.out(umask=mask).splitlines() == ["666 0:0", "646 7:8", "462 9:10"]


def test_a_device_in_a_user_namespace_is_the_hosts(box: Boxes) -> None:
    made = box.sh("stat -c %t:%T /dev/null /dev/fuse; mknod /dev/x c 1 3 2> /dev/null || echo denied")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no /dev/fuse here")
    made.user_namespace()
    made.linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]
    assert made.out().split() == ["1:3", "a:e5", "denied"]


@pytest.mark.only("pyoci")
def test_a_device_in_a_user_namespace_that_the_host_lacks_is_named(box: Boxes) -> None:
    made = box("/bin/true")
    made.user_namespace()
    made.linux["devices"] = [{"path": "/dev/not-here", "type": "c", "major": 1, "minor": 3}]
    made.run(check=False).failed("/dev/not-here", "no device nodes can be made in a user namespace")


def test_an_unknown_device_type_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.linux["devices"] = [{"path": "/dev/x", "type": "x", "major": 1, "minor": 3}]
    made.run(check=False).failed()


# -- what the device cgroup lets through: mknod and open. EPERM is 1.


def need_devices() -> None:
    """Skip where device access can't be controlled."""
    if machine.cgroup_version() == 1:
        machine.need_controller("devices")


OPEN = "mknod /dev/x {kind} {major} {minor}; /bin/probe open /dev/x r"


@pytest.mark.parametrize("device", [("c", 1, 1), ("c", 10, 1), ("b", 7, 5), ("c", 1, 11)])
def test_other_devices_can_not_be_opened(
    box: Boxes, programs: Programs, device: tuple[str, int, int]
) -> None:
    need_devices()
    made = box.sh(OPEN.format(kind=device[0], major=device[1], minor=device[2]))
    made.put(programs.path("probe"))
    assert made.out() == "/dev/x errno 1\n"


def test_any_device_may_be_made(box: Boxes) -> None:
    need_devices()
    made = box.sh("mknod /dev/x c 1 1 && mknod /dev/y b 7 5 && echo made")
    assert made.out() == "made\n"


def test_a_rule_lets_a_device_through(box: Boxes, programs: Programs) -> None:
    need_devices()
    made = box.sh("mknod /dev/x c 1 11; for i in r w; do /bin/probe open /dev/x $i; done")
    made.put(programs.path("probe"))
    made.linux["resources"]["devices"].append(
        {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "w"}
    )
    read, write = made.out().splitlines()
    assert read == "/dev/x errno 1"
    assert write != "/dev/x errno 1"


def test_the_order_of_rules_counts(box: Boxes, programs: Programs) -> None:
    need_devices()
    made = box.sh("mknod /dev/x c 1 11; /bin/probe open /dev/x w")
    made.put(programs.path("probe"))
    rule = {"type": "c", "major": 1, "minor": 11, "access": "rwm"}
    made.linux["resources"]["devices"] += [{"allow": True, **rule}, {"allow": False, **rule}]
    assert made.out() == "/dev/x errno 1\n"


def test_all_devices_may_be_allowed(box: Boxes, programs: Programs) -> None:
    need_devices()
    made = box.sh("mknod /dev/x c 1 11; /bin/probe open /dev/x w")
    made.put(programs.path("probe"))
    made.linux["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
    assert made.out() != "/dev/x errno 1\n"


def test_a_configured_device_is_allowed_by_its_rule_only(box: Boxes, programs: Programs) -> None:
    need_devices()
    made = box("/bin/probe", "open", "/dev/kmsg", "w")
    made.put(programs.path("probe"))
    made.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
    made.linux["resources"]["devices"].append(
        {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rwm"}
    )
    assert made.out() == "/dev/kmsg errno 0\n"
