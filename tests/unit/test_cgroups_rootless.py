"""Whose cgroups they are: those of the host's root or of an ordinary user, also where we are root of a user namespace."""

from __future__ import annotations

import posix
import socket
import threading
from pathlib import Path

import pytest

from pyoci import userns
from pyoci.cgroups.dbus import bus, wire
from pyoci.lifecycle import facts

USER = 1234


def reply(serial: int, signature: str, body: list[object]) -> bytes:
    """A method's answer."""
    content, head = wire._Writer(), wire._Writer()
    for part, value in zip(wire.split(signature), body, strict=True):
        content.put(part, value)
    head.data += bytes((ord("l"), wire.METHOD_RETURN, 0, 1))
    head.put("u", len(content.data))
    head.put("u", 1)
    head.put("a(yv)", [(5, ("u", serial)), (8, ("g", signature))])
    head.align(8)
    return bytes(head.data + content.data)


class UserBus:
    """A bus that knows of one name, systemd's, and whose it is."""

    def __init__(self, path: Path) -> None:
        self.asked: list[str] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        """Answer one client."""
        client = self.listener.accept()[0].makefile("rwb", buffering=0)
        while client.readline() != b"BEGIN\r\n":
            continue
        client.write(b"DATA\r\nOK 0123\r\n")
        while start := client.read(wire.HEADER_SIZE):
            rest = client.read(wire.size_of(start) - len(start))
            assert rest is not None
            message = wire.parse(start + rest)
            serial = int.from_bytes(start[8:12], "little")
            self.asked.append(message.member)
            if message.member == "GetConnectionUnixUser":
                assert message.body == ["org.freedesktop.systemd1"]
                client.write(reply(serial, "u", [USER]))
            elif message.member == "Hello":
                client.write(reply(serial, "s", [":1.1"]))
            else:
                client.write(reply(serial, "", []))


def test_the_bus_is_asked_whose_systemd_it_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not systemd's own socket, which does not tell, and not the kernel, which answers in our user namespace's numbers."""
    there = tmp_path / "bus"
    served = UserBus(there)
    monkeypatch.setattr(bus, "_sockets", lambda user: [("/nowhere", False), (str(there), user)])
    assert bus.user_bus_owner() == USER
    assert "GetConnectionUnixUser" in served.asked


def test_a_bus_that_does_not_answer_counts_as_roots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bus, "_sockets", lambda user: [(str(tmp_path / "bus"), True)])
    assert bus.user_bus_owner() == 0


@pytest.mark.parametrize(
    ("option", "uid", "nested", "systemd", "owner", "rootless"),
    [
        (None, 0, False, True, None, False),  # the host's root
        (None, 0, False, False, None, False),
        (None, 1000, False, True, None, True),
        (None, 1000, True, False, None, True),
        (None, 0, True, False, None, True),  # cgroupfs: whose the path is can't be known
        (None, 0, True, True, 1000, True),  # podman
        (None, 0, True, True, 0, False),  # a container with a systemd of its own
        (True, 0, False, True, None, True),
        (True, 0, True, True, None, True),
        (False, 0, True, False, None, False),
        (False, 1000, True, True, None, False),
    ],
)
def test_who_is_an_ordinary_user(
    monkeypatch: pytest.MonkeyPatch,
    option: bool | None,
    uid: int,
    nested: bool,
    systemd: bool,
    owner: int | None,
    rootless: bool,
) -> None:
    def ask() -> int:
        assert owner is not None, "the bus is asked without need"
        return owner

    monkeypatch.setattr(posix, "geteuid", lambda: uid)
    monkeypatch.setattr(userns, "is_nested", lambda: nested)
    monkeypatch.setattr(bus, "user_bus_owner", ask)
    assert facts.lacks_cgroup_rights(option, systemd=systemd) is rootless
