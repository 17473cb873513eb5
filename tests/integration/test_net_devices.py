"""linux.netDevices: devices of the host move into the container (config-linux.md, Network Devices)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.box import Container
from harness.boxes import Boxes

MAC = "02:00:00:00:51:01"


def ip(*words: str) -> str:
    """Call iproute2."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def on_host(name: str) -> dict[str, Any] | None:
    """A device of the host with its addresses, None when it is not there."""
    found = subprocess.run(
        ["ip", "-json", "address", "show", "dev", name], check=False, capture_output=True, text=True
    )
    return json.loads(found.stdout)[0] if found.returncode == 0 else None


class Pair:
    """Two devices that are joined: `name` moves, `peer` stays with the host."""

    def __init__(self) -> None:
        self.name = f"a{os.getpid()}"
        self.peer = f"b{os.getpid()}"

    def make(self) -> None:
        ip("link", "add", self.name, "address", MAC, "mtu", "1400", "type", "veth", "peer", "name", self.peer)
        ip("address", "add", "10.251.7.1/24", "broadcast", "+", "dev", self.name, "label", f"{self.name}:x")
        ip("address", "add", "10.251.8.1", "peer", "10.251.8.2/32", "dev", self.name)
        ip("address", "add", "169.254.7.7/16", "scope", "link", "dev", self.name)
        ip("address", "add", "10.251.9.1/24", "dev", self.name, "valid_lft", "1000", "preferred_lft", "1000")
        ip("-6", "address", "add", "fd00:7::1/64", "dev", self.name, "nodad")
        ip("link", "set", self.name, "up")
        ip("link", "set", self.peer, "up")


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    made.make()
    yield made
    subprocess.run(["ip", "link", "del", made.name], check=False, capture_output=True)
    subprocess.run(["ip", "link", "del", made.peer], check=False, capture_output=True)


def moving(box: Boxes, devices: dict[str, Any], script: str) -> Container:
    made = box.sh(script)
    made.linux["netDevices"] = devices
    return made


def addresses(text: str) -> list[str]:
    """Address, broadcast or peer, scope of each line of `ip -o address`; not what the kernel makes by itself."""
    found = [line.split(None, 2)[2].split("\\")[0] for line in text.splitlines()]
    return [" ".join(line.split()) for line in found if "fe80:" not in line]


SHOW = "ip -o link show dev {0}; ip -o address show dev {0}"


@pytest.mark.parametrize("user_namespace", [False, True])
def test_a_device_moves_with_what_belongs_to_it(box: Boxes, pair: Pair, user_namespace: bool) -> None:
    made = moving(box, {pair.name: {}}, SHOW.format(pair.name) + f"; cat /sys/class/net/{pair.name}/address")
    if user_namespace:
        made.user_namespace()
    link, *rest, mac = made.out().splitlines()
    assert mac == MAC
    assert "mtu 1400" in link and ",UP" in link
    shown = addresses("\n".join(rest))
    wanted = [
        "inet 10.251.7.1/24 brd 10.251.7.255 scope global",
        "inet 10.251.8.1 peer 10.251.8.2/32 scope global",
    ]
    assert [line.replace(pair.name, "").strip() for line in shown[:2]] == wanted
    assert shown[2].startswith("inet6 fd00:7::1/64 scope global") and "tentative" not in shown[2]
    assert len(shown) == 3, "addresses for a time, or of the link alone, stay behind"


@pytest.mark.parametrize(("name", "inside"), [("inner", "inner"), ("net%d", "net0"), ("Ärger", "Ärger")])
def test_a_device_is_renamed(box: Boxes, pair: Pair, name: str, inside: str) -> None:
    found = moving(box, {pair.name: {"name": name}}, "cd /sys/class/net; echo *; cat */operstate").out()
    assert inside in found.split() and pair.name not in found.split()
    assert "up" in found.split()


def test_the_device_is_gone_with_the_container(box: Boxes, pair: Pair) -> None:
    """It is in the container when that is created; nothing brings it back (a virtual one ends with its namespace)."""
    made = moving(box, {pair.name: {}}, "sleep 1000")
    made.create()
    assert on_host(pair.name) is None
    assert on_host(pair.peer) is not None
    made.start()
    made.stop()
    assert on_host(pair.name) is None


def test_hooks_find_the_device_moved(box: Boxes, pair: Pair, folder: Path) -> None:
    made = moving(box, {pair.name: {"name": "inner"}}, "true")
    script = f"nsenter -t $(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/') -n ip -o link > {folder}/seen"
    made.config["hooks"] = {
        "createRuntime": [
            {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=" + os.environ["PATH"]]}
        ]
    }
    made.run()
    assert "inner" in (folder / "seen").read_text()


@pytest.fixture
def held(folder: Path) -> Iterator[Path]:
    """A network namespace held by a mount, as engines have them; it has a device "taken"."""
    path = folder / "netns"
    path.touch()
    make = "ip link add taken type veth peer name other"
    subprocess.run(["unshare", f"--net={path}", "sh", "-c", make], check=True)
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("user_namespace", [False, True])
def test_into_a_joined_network_namespace(box: Boxes, pair: Pair, held: Path, user_namespace: bool) -> None:
    made = moving(box, {pair.name: {"name": "inner"}}, "true")
    made.namespace("network", str(held))
    if user_namespace:
        made.user_namespace()
        made.mounts[:] = [mount for mount in made.mounts if mount["type"] != "sysfs"]
    made.run()
    shown = subprocess.run(
        ["nsenter", f"--net={held}", "ip", "-o", "address", "show", "dev", "inner"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "10.251.7.1/24" in shown
    assert on_host(pair.name) is None


def unchanged(before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
    """The device is as it was, its index and the link-local address that the kernel makes aside."""

    def kept(found: dict[str, Any] | None) -> object:
        assert found is not None, "the device is gone"
        listed = sorted(
            (each["local"], each["prefixlen"], each.get("broadcast"), each.get("address"), each["scope"])
            for each in found["addr_info"]
            if not each["local"].startswith("fe80:")
        )
        return (found["ifname"], found["address"], found["mtu"], "UP" in found["flags"], listed)

    assert kept(after) == kept(before)


def test_a_name_that_is_taken_in_the_container(box: Boxes, pair: Pair, held: Path) -> None:
    before = on_host(pair.name)
    made = moving(box, {pair.name: {"name": "taken"}}, "true")
    made.namespace("network", str(held))
    made.run(check=False).failed(pair.name, "taken", "file exists")
    unchanged(before, on_host(pair.name))


def test_a_failed_create_brings_devices_back(box: Boxes, pair: Pair) -> None:
    before = on_host(pair.name)
    made = moving(box, {pair.name: {"name": "inner"}, "no-such-device": {}}, "true")
    made.run(check=False).failed("no-such-device", "no such device")
    unchanged(before, on_host(pair.name))


@pytest.mark.parametrize("up", [False, True])
def test_a_create_that_fails_later_brings_devices_back(box: Boxes, pair: Pair, up: bool) -> None:
    if not up:
        ip("link", "set", pair.name, "down")
    before = on_host(pair.name)
    made = moving(box, {pair.name: {"name": "inner"}}, "true").args("/no/such/program")
    made.create(check=False).failed("no such file")
    unchanged(before, on_host(pair.name))


def test_loopback_stays_where_it_is(box: Boxes) -> None:
    made = moving(box, {"lo": {"name": "other"}}, "true")
    made.run(check=False).failed("lo", "invalid argument")


@pytest.mark.parametrize("path", [None, "/proc/self/ns/net"])
def test_the_callers_own_network_is_refused(box: Boxes, pair: Pair, path: str | None) -> None:
    made = moving(box, {pair.name: {}}, "true")
    made.no_namespace("network")
    made.mounts[:] = [mount for mount in made.mounts if mount["type"] != "sysfs"]
    if path:
        made.namespace("network", path)
    made.run(check=False).failed("unable to move network devices without a private NET namespace")
    assert on_host(pair.name) is not None
