"""linux.netDevices: devices of our network namespace move into the container's (config-linux.md, Network Devices).

A device takes along what belongs to it, such as its MAC address and MTU. The kernel removes its addresses on the way: those that
were given to it for good and are valid beyond the host or its link are added again. Then it is switched on.
"""

import errno
import posix

from pyoci.base import files
from pyoci.base.errors import OciError, from_os_error
from pyoci.host import netlink
from pyoci.host.netlink import Address, Route
from pyoci.spec.json_pointer import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import NetDevice

_HINTS = {
    errno.ENODEV: "`ip link` lists the devices of the runtime's network namespace",
    errno.EPERM: "moving a device takes CAP_NET_ADMIN over both network namespaces: ordinary users have it where the device and"
    " pyoci are in a user namespace of their own (`unshare --user --map-root-user --net`)",
    errno.EINVAL: "some devices cannot leave their network namespace: bridges, tunnels, loopback",
}


class _Moved:
    """A device that is in the container.

    name  and addresses and up: as it was at home    index  inside
    """

    def __init__(self, name: str, addresses: list[Address], *, up: bool) -> None:
        self.name = name
        self.addresses = addresses
        self.up = up
        self.index = 0


class NetDevices:
    """The devices that a create moves, as long as it may have to take them back."""

    def __init__(self, pid: int) -> None:
        """pid: a process in the container's network namespace. Raises OciError."""
        self._moved: list[_Moved] = []
        self._sockets: list[Route] = []
        self._fds: list[int] = []
        try:
            for path in ("/proc/self/ns/net", f"/proc/{pid}/ns/net"):
                self._fds.append(posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC))
            self._sockets.append(Route())
            self._sockets.append(Route(self._fds[1]))
        except OSError as error:
            self.close()
            hint = _HINTS.get(error.errno or 0, "")
            message = "cannot reach the container's network"
            raise from_os_error(
                "net-device", message, error, pointer="/linux/netDevices", hint=hint
            ) from None

    def close(self) -> None:
        """The devices are where they are."""
        for socket in self._sockets:
            socket.close()
        files.close_all(self._fds)
        self._sockets.clear()

    def move(self, name: str, device: "NetDevice") -> None:
        """Move a device into the container and set it up there. Raises OciError."""
        inside = device.get("name") or name
        home, there = self._sockets
        try:
            index, flags = home.link(name)
            moved = _Moved(name, home.addresses(index), up=bool(flags & netlink.UP))
            before = there.links()
            if inside in before.values():
                raise FileExistsError(errno.EEXIST, inside)
            try:
                home.move(index, self._fds[1], inside)
            finally:
                after = there.links()
                new = [number for number in after if number not in before]
                if new:
                    moved.index = next((number for number in new if after[number] in (inside, name)), new[0])
                    self._moved.append(moved)
            for address in moved.addresses:
                if address.lasting:
                    there.add_address(moved.index, address)
            there.set_up(moved.index)
        except OSError as error:
            raise _refused(name, inside, error) from None

    def take_back(self) -> list[OciError]:
        """Put the devices back as they were, the last one first; what fails."""
        failed = []
        home, there = self._sockets
        while self._moved:
            moved = self._moved.pop()
            try:
                there.move(moved.index, self._fds[0], moved.name)
                index = home.link(moved.name)[0]
                for address in moved.addresses:
                    home.add_address(index, address)
                if moved.up:
                    home.set_up(index)
            except OSError as error:
                failed.append(_error(f"network device {moved.name} did not come back", moved.name, error))
        return failed


def _refused(name: str, inside: str, error: OSError) -> OciError:
    """A device that did not move."""
    found = _error(f"network device {name} cannot be moved into the container", name, error)
    if error.errno == errno.EEXIST:
        found.message += f' as "{inside}"'
        found.hint = 'that name is taken there: set another one with its member "name", such as "eth%d"'
    return found


def _error(message: str, name: str, error: OSError) -> OciError:
    pointer = f"/linux/netDevices/{escape(name)}"
    hint = _HINTS.get(error.errno or 0, "")
    return from_os_error("net-device", message, error, pointer=pointer, obj=name, hint=hint)
