"""Calls to systemd over D-Bus, without a library and without a helper program.

Like systemctl this goes to the manager's own socket where that is possible - it works without a bus daemon,
loads it with nothing, and is there early and in small systems - and else to the system's or the user's bus.
D-Bus Specification, "Authentication Protocol"; org.freedesktop.systemd1(5).
"""

import errno
import posix
import select
import time

from pyoci import userns
from pyoci.base import files
from pyoci.base.errors import OciError, errno_name
from pyoci.cgroups.dbus import wire

SECONDS = 30.0
NO_UNIT = "org.freedesktop.systemd1.NoSuchUnit"
UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"
_SYSTEMD = "org.freedesktop.systemd1"
_MANAGER = "org.freedesktop.systemd1.Manager"
_MANAGER_PATH = "/org/freedesktop/systemd1"
_BUS = "org.freedesktop.DBus"
_JOBS = f"type='signal',sender='{_SYSTEMD}',interface='{_MANAGER}',member='JobRemoved'"
_WITHOUT = (
    "use --cgroup-manager=cgroupfs in place of --systemd-cgroup "
    "(docker: native.cgroupdriver=cgroupfs; containerd: SystemdCgroup = false)"
)
# The identity is left empty, so the peer takes that of the socket: in a user namespace our own idea of it is
# wrong.
_AUTHENTICATE = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"


class BusError(Exception):
    """systemd or the bus answered with an error: its D-Bus name and its words."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name
        self.text = text


class Connection:
    """A connection to systemd: the system's manager, or with `user` the user's own."""

    def __init__(self, *, user: bool, bus: bool = False) -> None:
        """`bus`: by way of a bus alone. Raises OciError when there is no systemd to talk to."""
        self._serial = 0
        self._buffer = bytearray()
        self._jobs: dict[str, str] = {}
        self._fd = -1
        self._poll = select.poll()
        tried: list[str] = []
        for name, is_bus in _sockets(user):
            if bus and not is_bus:
                continue
            try:
                self._connect(name, is_bus)
                return
            except (OSError, wire.WireError, BusError) as error:
                self.close()
                # Its name, not its text: by "no such file or directory" podman takes an error for that of a missing command
                why = errno_name(error.errno) if isinstance(error, OSError) and error.errno else error
                tried.append(f"{name.replace(chr(0), '@')}: {why}")
        raise _unreachable(user, tried)

    def close(self) -> None:
        """Close the connection; it may be closed already."""
        if self._fd >= 0:
            files.close(self._fd)
            self._fd = -1

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, member: str, signature: str = "", *arguments: object) -> list[object]:
        """Call a method of systemd's manager. Raises BusError, and OSError when the connection breaks."""
        return self._call(_SYSTEMD, _MANAGER_PATH, _MANAGER, member, signature, arguments)

    def owner(self) -> int:
        """The uid of systemd as the bus sees it, which need not be what it is for us. Raises BusError, OSError."""
        answer = self._call(_BUS, "/org/freedesktop/DBus", _BUS, "GetConnectionUnixUser", "s", (_SYSTEMD,))[0]
        return answer if isinstance(answer, int) else 0

    def manager_property(self, name: str) -> object:
        """A property of systemd's manager. Raises BusError, OSError."""
        return self._property(_MANAGER_PATH, _MANAGER, name)

    def unit_property(self, unit: str, name: str, kind: str = "Unit") -> object:
        """A property of a unit that systemd has loaded, or one that its kind has, such as "Slice".

        Raises BusError, `NO_UNIT` for another one, and OSError.
        """
        return self._property(str(self.call("GetUnit", "s", unit)[0]), f"{_SYSTEMD}.{kind}", name)

    def _property(self, path: str, interface: str, name: str) -> object:
        variant = self._call(_SYSTEMD, path, f"{_BUS}.Properties", "Get", "ss", (interface, name))[0]
        return variant[1] if isinstance(variant, tuple) else None

    def wait(self, job: str) -> str:
        """The result of a job ("done", "failed", "timeout" ...) when it has ended. Raises OSError."""
        deadline = time.monotonic() + SECONDS
        while job not in self._jobs:
            self._receive(deadline)
        return self._jobs.pop(job)

    def _connect(self, name: str, is_bus: bool) -> None:
        from pyoci._shim import lib

        encoded = name.encode("utf-8", "surrogateescape")
        fd = lib.pyoci_unix_connect(encoded, len(encoded))
        if fd < 0:
            raise OSError(-fd, posix.strerror(-fd))
        self._fd = fd
        posix.set_blocking(fd, False)
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._buffer.clear()
        self._send(_AUTHENTICATE)
        self._authenticated()
        if is_bus:
            self._call(_BUS, "/org/freedesktop/DBus", _BUS, "Hello", "", ())
            self._call(_BUS, "/org/freedesktop/DBus", _BUS, "AddMatch", "s", (_JOBS,))
            self.call("Subscribe")

    def _authenticated(self) -> None:
        deadline = time.monotonic() + SECONDS
        while self._buffer.count(b"\r\n") < 2:
            self._fill(deadline)
        for word in (b"DATA", b"OK"):
            line, _, rest = self._buffer.partition(b"\r\n")
            if not line.startswith(word):
                raise OSError(errno.EACCES, f"not accepted: {line.decode('ascii', 'replace')}")
            self._buffer = bytearray(rest)

    def _call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str,
        arguments: tuple[object, ...],
    ) -> list[object]:
        self._serial += 1
        names = {"destination": destination, "path": path, "interface": interface, "member": member}
        self._send(wire.call(self._serial, signature, list(arguments), **names))
        deadline = time.monotonic() + SECONDS
        while True:
            message = self._receive(deadline)
            if message.reply_to != self._serial:
                continue
            if message.kind == wire.ERROR:
                raise BusError(message.error, str(message.body[0]) if message.body else "")
            return message.body

    def _receive(self, deadline: float) -> wire.Message:
        """The next message; the end of a job is noted. Raises OSError."""
        while len(self._buffer) < wire.HEADER_SIZE:
            self._fill(deadline)
        size = wire.size_of(bytes(self._buffer[: wire.HEADER_SIZE]))
        while len(self._buffer) < size:
            self._fill(deadline)
        message = wire.parse(bytes(self._buffer[:size]))
        del self._buffer[:size]
        if message.kind == wire.SIGNAL and message.interface == _MANAGER and message.member == "JobRemoved":
            _, job, _, result = message.body
            self._jobs[str(job)] = str(result)
        return message

    def _fill(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0 or not self._poll.poll(left * 1000):
            raise OSError(errno.ETIMEDOUT, "no answer")
        chunk = posix.read(self._fd, 1 << 16)
        if not chunk:
            raise OSError(errno.ECONNRESET, "connection closed")
        self._buffer += chunk

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        deadline = time.monotonic() + SECONDS
        while view:
            try:
                view = view[posix.write(self._fd, view) :]
            except BlockingIOError:
                writable = select.poll()
                writable.register(self._fd, select.POLLOUT)
                if not writable.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    raise OSError(errno.ETIMEDOUT, "not taken") from None


def user_bus_owner() -> int:
    """The uid, outside of our user namespace, of the user whose own systemd we would talk to; 0 where there is no bus to ask."""
    try:
        with Connection(user=True, bus=True) as bus:
            return bus.owner()
    except (OciError, BusError, OSError):
        return 0


def _sockets(user: bool) -> list[tuple[str, bool]]:
    """Where systemd may be reached, the best first: (socket, whether it is a bus)."""
    if user:
        runtime = _environment("XDG_RUNTIME_DIR") or f"/run/user/{host_uid()}"
        buses = _addresses(_environment("DBUS_SESSION_BUS_ADDRESS")) or [f"{runtime}/bus"]
        private = [(f"{runtime}/systemd/private", False)]
    else:
        buses = _addresses(_environment("DBUS_SYSTEM_BUS_ADDRESS")) or ["/run/dbus/system_bus_socket"]
        private = [("/run/systemd/private", False)] if posix.geteuid() == 0 else []
    return private + [(name, True) for name in buses]


def _addresses(text: str) -> list[str]:
    """The unix sockets of a D-Bus address; an abstract one starts with a NUL.

    Other transports are left out.
    """
    found = []
    for address in text.split(";"):
        transport, _, rest = address.partition(":")
        for entry in rest.split(",") if transport == "unix" else []:
            key, _, value = entry.partition("=")
            if key in ("path", "abstract"):
                found.append(("\0" if key == "abstract" else "") + _unescape(value))
    return found


def _unescape(text: str) -> str:
    """%XX of a D-Bus address as the character; a text with another % stays as it is, and leads nowhere."""
    first, *rest = text.split("%")
    try:
        return first + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest)
    except ValueError:
        return text


def _environment(name: str) -> str:
    return posix.environ.get(name.encode(), b"").decode("utf-8", "surrogateescape")


def host_uid() -> int:
    """Our effective uid as the manager outside sees it, also from within a user namespace."""
    uid = posix.geteuid()
    try:
        lines = files.read("/proc/self/uid_map").decode().splitlines()
    except OSError:
        return uid
    for line in lines:
        inside, outside, count = (int(part) for part in line.split())
        if inside <= uid < inside + count:
            return outside + uid - inside
    return uid


def _unreachable(user: bool, tried: list[str]) -> OciError:
    which = "the user's systemd" if user else "systemd"
    hint = _without_session() if user else not_the_systems() or _WITHOUT
    return OciError("systemd-unreachable", f"cannot reach {which} ({'; '.join(tried)})", hint=hint)


def not_the_systems() -> str:
    """What to do where the system's systemd was asked because no bus of the user's answers; "" elsewhere."""
    if not userns.is_nested():
        return ""
    return f"in this user namespace no bus of the user's answers, so the system's systemd was asked: {_without_session()}"


def _without_session() -> str:
    """What to do where the user's systemd does not answer."""
    uid = host_uid()
    usual, given = f"/run/user/{uid}", _environment("XDG_RUNTIME_DIR")
    if not posix.access(given or usual, posix.F_OK):
        start = f"log in as uid {uid} (su and sudo open no session), or run `loginctl enable-linger {uid}` as root"
        if given and given != usual and posix.access(usual, posix.F_OK):
            start = f"set XDG_RUNTIME_DIR={usual}"
    elif _environment("DBUS_SESSION_BUS_ADDRESS"):
        start = f"unset DBUS_SESSION_BUS_ADDRESS, or correct it: unix:path={given or usual}/bus is usual"
    else:
        start = "see whether it runs: `systemctl --user status`"
    return f"{start}; or {_WITHOUT}"
