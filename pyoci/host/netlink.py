"""Network devices and their addresses, asked for and changed over netlink (netlink(7), rtnetlink(7))."""

import _struct
import posix

from pyoci._shim import lib
from pyoci.base import files

UP = 1  # IFF_UP

_ROOM = 1 << 16  # bytes; the kernel's messages are at most half as large
_TRIES = 5  # for a list that changed while it was read

# nlmsghdr: length, type, flags, sequence, port
_HEADER = _struct.Struct("=IHHII")
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _EXCL, _CREATE, _DUMP, _CHANGED = 0x1, 0x4, 0x200, 0x400, 0x300, 0x10

# ifinfomsg: family, type, index, flags, change
_LINK = _struct.Struct("=BxHiII")
_NEWLINK, _GETLINK = 16, 18
_IFLA_IFNAME, _IFLA_NET_NS_FD = 3, 28

# ifaddrmsg: family, prefix length, flags, scope, index
_ADDRESS = _struct.Struct("=BBBBI")
_NEWADDR, _GETADDR = 20, 22
_IFA_FLAGS = 8
_CACHEINFO = 6  # how long it is valid
# IFA_ADDRESS, LOCAL, BROADCAST, ANYCAST, RT_PRIORITY; the label has the device's name in it
_KEPT = (1, 2, 4, 5, 9)
_PERMANENT = 0x80
_KEPT_FLAGS = 0x2 | 0x200  # IFA_F_NODAD, IFA_F_NOPREFIXROUTE
_SCOPE_UNIVERSE = 0

_ATTRIBUTE = _struct.Struct("=HH")
_NUMBER = _struct.Struct("=I")


class Address:
    """An address of a device, as it is to be added to it again.

    lasting  it was given for good, and is valid everywhere and not on one host or link alone
    """

    __slots__ = ("_attributes", "_family", "_prefix", "_scope", "lasting")

    def __init__(self, message: bytes) -> None:
        """message: the kernel's own about the address."""
        self._family, self._prefix, flags, self._scope, _ = _ADDRESS.unpack_from(message)
        has = _attributes(message, _ADDRESS.size)
        if _IFA_FLAGS in has:
            flags = _NUMBER.unpack_from(has[_IFA_FLAGS])[0]
        permanent = bool(flags & _PERMANENT)
        kept = _KEPT if permanent else (*_KEPT, _CACHEINFO)
        self._attributes = b"".join([_attribute(kind, has[kind]) for kind in kept if kind in has])
        self._attributes += _attribute(_IFA_FLAGS, _NUMBER.pack(flags & _KEPT_FLAGS))
        self.lasting = permanent and self._scope == _SCOPE_UNIVERSE

    def message(self, index: int) -> bytes:
        """The request to add it to the device with this index."""
        return _ADDRESS.pack(self._family, self._prefix, 0, self._scope, index) + self._attributes


class Route:
    """A NETLINK_ROUTE socket. Whatever fails raises OSError, with the kernel's errno."""

    def __init__(self, network: int = -1) -> None:
        """network: a descriptor of the network namespace, -1 for ours."""
        self._fd = lib.pyoci_open_netlink(network)
        if self._fd < 0:
            raise OSError(-self._fd, "netlink socket")

    def close(self) -> None:
        """Close the socket."""
        files.close(self._fd)

    def link(self, name: str) -> tuple[int, int]:
        """Index and IFF_* flags of a device."""
        wanted = _LINK.pack(0, 0, 0, 0, 0) + _name(name)
        for kind, body in self._ask(_GETLINK, _ACK, wanted):
            if kind == _NEWLINK:
                _, _, index, flags, _ = _LINK.unpack_from(body)
                return index, flags
        raise OSError(5, "netlink: no answer")

    def links(self) -> dict[int, str]:
        """All devices, index -> name."""
        found = {}
        for kind, body in self._dump(_GETLINK, _LINK.pack(0, 0, 0, 0, 0)):
            if kind == _NEWLINK:
                name = _attributes(body, _LINK.size).get(_IFLA_IFNAME, b"")
                found[_LINK.unpack_from(body)[2]] = name.rstrip(b"\0").decode("utf-8", "surrogateescape")
        return found

    def addresses(self, index: int) -> list[Address]:
        """The addresses of a device, in their order."""
        listed = self._dump(_GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0))
        return [
            Address(body)
            for kind, body in listed
            if kind == _NEWADDR and _ADDRESS.unpack_from(body)[4] == index
        ]

    def add_address(self, index: int, address: Address) -> None:
        """Add an address to a device."""
        self._ask(_NEWADDR, _ACK | _CREATE | _EXCL, address.message(index))

    def set_up(self, index: int) -> None:
        """Switch a device on."""
        self._ask(_NEWLINK, _ACK, _LINK.pack(0, 0, index, UP, UP))

    def move(self, index: int, network: int, name: str) -> None:
        """Move a device into the network namespace of a descriptor, under a name; it is down there.

        The kernel keeps a name that is free there and renames the device when it has moved: where that fails, it stays moved.
        """
        body = _LINK.pack(0, 0, index, 0, 0) + _name(name)
        self._ask(_NEWLINK, _ACK, body + _attribute(_IFLA_NET_NS_FD, _NUMBER.pack(network)))

    def _dump(self, kind: int, body: bytes) -> list[tuple[int, bytes]]:
        """A whole list; one that changed meanwhile is read again."""
        for _ in range(_TRIES):
            try:
                return self._ask(kind, _DUMP, body)
            except InterruptedError:
                continue
        raise OSError(11, "netlink: the list changes all the time")

    def _ask(self, kind: int, flags: int, body: bytes) -> list[tuple[int, bytes]]:
        """Send a request; the messages of the answer, (type, body) each, without its end."""
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 0, 0)
        posix.write(self._fd, header + body)
        found: list[tuple[int, bytes]] = []
        changed = False
        while True:
            for what, state, content in _messages(posix.read(self._fd, _ROOM)):
                changed = changed or bool(state & _CHANGED)
                if what not in (_ERROR, _DONE):
                    found.append((what, content))
                    continue
                error = -_struct.unpack_from("=i", content)[0] if len(content) >= 4 else 0
                if error:
                    raise OSError(error, "netlink")
                if changed:
                    raise InterruptedError(4, "netlink")
                return found


def _messages(data: bytes) -> list[tuple[int, int, bytes]]:
    """Type, flags and body of each message of a datagram."""
    found = []
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            break
        found.append((kind, flags, data[at + _HEADER.size : at + length]))
        at += length + 3 & ~3
    return found


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    """The attributes of a message from this place on, number -> value."""
    found = {}
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = body[at + _ATTRIBUTE.size : at + length]
        at += length + 3 & ~3
    return found


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _name(name: str) -> bytes:
    return _attribute(_IFLA_IFNAME, name.encode("utf-8", "surrogateescape") + b"\0")
