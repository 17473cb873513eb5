"""Netlink messages: what is asked, and an answer that is cut, empty or changes meanwhile."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

import pytest

from pyoci._shim import lib
from pyoci.host.netlink import Route

ERROR, DONE, NEWLINK, NEWADDR = 2, 3, 16, 20
CHANGED = 0x10


def message(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body + bytes(-len(body) % 4)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def link(index: int, name: str, flags: int = 1) -> bytes:
    return message(
        NEWLINK, struct.pack("=BxHiII", 0, 1, index, flags, 0) + attribute(3, name.encode() + b"\0")
    )


def acknowledged(error: int = 0) -> bytes:
    return message(ERROR, struct.pack("=i", -error))


class Kernel:
    """What reads of the socket return, one after the other; what was written to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[bytes] = []
        self.asked: list[bytes] = []
        monkeypatch.setattr("posix.read", lambda fd, size: self.answers.pop(0))
        monkeypatch.setattr("posix.write", self.take)

    def take(self, fd: int, data: bytes) -> int:
        self.asked.append(data)
        return len(data)

    def route(self) -> Route:
        return Route()


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    if lib.pyoci_open_netlink(-1) < 0:
        pytest.skip("no netlink sockets here")
    yield Kernel(monkeypatch)


def test_a_device_by_its_name(kernel: Kernel) -> None:
    kernel.answers = [link(7, "eth0", 0x1003), acknowledged()]
    assert kernel.route().link("eth0") == (7, 0x1003)
    length, kind, flags = struct.unpack_from("=IHH", kernel.asked[0])
    assert (length, kind, flags) == (len(kernel.asked[0]), 18, 0x5)
    assert attribute(3, b"eth0\0") in kernel.asked[0]


def test_an_error_is_the_kernels(kernel: Kernel) -> None:
    kernel.answers = [acknowledged(errno.ENODEV)]
    with pytest.raises(OSError) as caught:
        kernel.route().link("eth0")
    assert caught.value.errno == errno.ENODEV


def test_an_answer_without_the_device(kernel: Kernel) -> None:
    kernel.answers = [acknowledged()]
    with pytest.raises(OSError) as caught:
        kernel.route().link("eth0")
    assert caught.value.errno == errno.EIO


def test_a_list_in_several_parts(kernel: Kernel) -> None:
    kernel.answers = [link(1, "lo") + link(2, "a"), link(3, "Ärger"), message(DONE, bytes(4))]
    assert kernel.route().links() == {1: "lo", 2: "a", 3: "Ärger"}


def test_a_list_that_changed_is_read_again(kernel: Kernel) -> None:
    kernel.answers = [
        link(1, "lo"),
        message(DONE, bytes(4), CHANGED),
        link(1, "lo") + link(2, "a"),
        message(DONE, bytes(4)),
    ]
    assert kernel.route().links() == {1: "lo", 2: "a"}
    kernel.answers = [message(DONE, bytes(4), CHANGED)] * 9
    with pytest.raises(OSError) as caught:
        kernel.route().links()
    assert caught.value.errno == errno.EAGAIN


def test_addresses_of_one_device(kernel: Kernel) -> None:
    def address(index: int, flags: int, scope: int, *more: bytes) -> bytes:
        head = struct.pack("=BBBBI", 2, 24, flags & 0xFF, scope, index)
        return message(NEWADDR, head + b"".join(more))

    local, label, wide = (
        attribute(2, b"\n\0\0\1"),
        attribute(3, b"eth0\0"),
        attribute(8, struct.pack("=I", 0x280)),
    )
    kernel.answers = [
        address(5, 0x80, 0, local) + address(4, 0x80, 0, local),
        address(4, 0, 0, local, attribute(6, bytes(16)))
        + address(4, 0x80, 253, local)
        + address(4, 0x80, 0, local, label, wide),
        message(DONE, bytes(4)),
    ]
    found = kernel.route().addresses(4)
    assert [each.lasting for each in found] == [True, False, False, True]
    assert attribute(6, bytes(16)) in found[1].message(9)
    again = found[3].message(9)
    assert again[:8] == struct.pack("=BBBBI", 2, 24, 0, 0, 9)
    assert again[8:] == local + attribute(8, struct.pack("=I", 0x200))


@pytest.mark.parametrize("broken", [struct.pack("=IHHII", 0, NEWLINK, 0, 0, 0), b"\1"])
def test_a_message_with_a_wrong_length_ends_the_datagram(kernel: Kernel, broken: bytes) -> None:
    kernel.answers = [broken, message(DONE, bytes(4))]
    assert kernel.route().links() == {}


def test_the_real_kernel_has_a_loopback_device() -> None:
    fds = set(os.listdir("/proc/self/fd"))
    route = Route()
    try:
        index, _ = route.link("lo")
        assert route.links()[index] == "lo"
        with pytest.raises(OSError) as caught:
            route.link("no-such-device")
        assert caught.value.errno == errno.ENODEV
    finally:
        route.close()
    assert set(os.listdir("/proc/self/fd")) == fds
