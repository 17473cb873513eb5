"""The systemd unit of a container: its name, its place and its properties; pure functions.

systemd.scope(5), systemd.resource-control(5), org.freedesktop.systemd1(5).
"""

from pyoci.base.errors import OciError
from pyoci.base.numbers import decimal, ranges
from pyoci.cgroups.resources import PERIOD
from pyoci.spec import json_pointer
from pyoci.spec.annotations import SYSTEMD_PROPERTY
from pyoci.spec.paths import slice_path
from pyoci.spec.resource_rules import MOST_NODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroups.devices import Rule
    from pyoci.cgroups.resources import Write

    Property = tuple[str, tuple[str, object]]

INFINITY = 2**64 - 1
DESCRIPTION = "OCI container "
_SECOND = 1000000
_VALID = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@"
_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-./:@"
_IDLE_SINCE = 252  # the systemd that knows CPUWeight=idle


class Unit:
    """Name and slice of a container's unit, and the path of its cgroup below systemd's own."""

    __slots__ = ("name", "path", "slice")

    def __init__(self, name: str, slice_: str) -> None:
        self.name = name
        self.slice = slice_
        # a slice has its place by its own name: a-b.slice is a child of a.slice
        self.path = slice_path(name) if self.is_slice else f"{slice_path(slice_)}/{name}"

    @property
    def is_slice(self) -> bool:
        """True for a slice, which the container has to itself."""
        return self.name.endswith(".slice")


def unit(cgroups_path: str, id: str, *, user: bool) -> Unit:
    """The unit that a cgroupsPath of the form slice:prefix:name means, or the default one."""
    slice_, prefix, name = cgroups_path.split(":") if cgroups_path else ("", "pyoci", id)
    slice_ = slice_ or ("user.slice" if user else "system.slice")
    slice_ = "-.slice" if slice_ == "-" else slice_
    if name.endswith(".slice"):
        return Unit(name, slice_)
    return Unit(escape(f"{prefix}-{name}" if prefix else name) + ".scope", slice_)


def escape(name: str) -> str:
    r"""A name with what a unit's name may not hold as \xXX, as systemd-escape(1) does."""
    return "".join(c if c in _VALID else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in name)


def of_entry(entry: str) -> str:
    """What a unit has as its documentation: the URL of ROOT/ID, by which the unit of a create that was killed is known again."""
    return "file:" + "".join(
        [
            chr(byte) if chr(byte) in _PLAIN else f"%{byte:02X}"
            for byte in entry.encode("utf-8", "surrogateescape")
        ]
    )


def base_properties(which: Unit, id: str, pid: int, *, version: int, entry: str = "") -> "list[Property]":
    """What every container's unit has."""
    accounting = ["MemoryAccounting", "CPUAccounting", "TasksAccounting"]
    accounting.append("IOAccounting" if version == 2 else "BlockIOAccounting")
    found: list[Property] = [("Description", ("s", DESCRIPTION + id))]
    if entry:
        found.append(("Documentation", ("as", [of_entry(entry)])))
    if which.is_slice:
        found.append(("Wants", ("as", [which.slice])))  # a slice is a child of others by its name
    else:
        found.append(("Slice", ("s", which.slice)))
        found.append(("Delegate", ("b", True)))
        found.append(("PIDs", ("au", [pid])))
        found.append(
            ("CollectMode", ("s", "inactive-or-failed"))
        )  # no failed unit remains that blocks the name
    found += [(name, ("b", True)) for name in accounting]
    found.append(("DefaultDependencies", ("b", False)))
    return found


def limits_v2(writes: "list[Write]", *, systemd_version: int = _IDLE_SINCE) -> "list[Property]":
    """The limits that systemd has a property for, so that it does not undo them when it is reloaded."""
    latest = {file: (value, pointer) for file, value, pointer in writes}
    found: list[Property] = []
    for file, name in _V2_NUMBERS:
        if file in latest:
            found.append((name, ("t", _count(*latest[file]))))
    if latest.get("cpu.idle", ("0", ""))[0] == "1" and systemd_version >= _IDLE_SINCE:
        found = [entry for entry in found if entry[0] != "CPUWeight"] + [("CPUWeight", ("t", 0))]
    if "cpu.max" in latest:
        value, pointer = latest["cpu.max"]
        quota, _, period = value.partition(" ")
        found += _quota(_count(quota, pointer), _count(period, pointer) if period else PERIOD)
    for file, name in (("cpuset.cpus", "AllowedCPUs"), ("cpuset.mems", "AllowedMemoryNodes")):
        if file in latest:
            found.append((name, ("ay", bits(*latest[file]))))
    return found


_V2_NUMBERS = (
    ("memory.max", "MemoryMax"),
    ("memory.high", "MemoryHigh"),
    ("memory.low", "MemoryLow"),
    ("memory.min", "MemoryMin"),
    ("memory.swap.max", "MemorySwapMax"),
    ("cpu.weight", "CPUWeight"),
    ("pids.max", "TasksMax"),
)


def limits_v1(writes: "list[Write]") -> "list[Property]":
    """As `limits_v2`, for cgroup v1."""
    latest = {file: (value, pointer) for file, value, pointer in writes}
    names = (
        ("memory.limit_in_bytes", "MemoryLimit"),
        ("cpu.shares", "CPUShares"),
        ("blkio.weight", "BlockIOWeight"),
        ("pids.max", "TasksMax"),
    )
    found: list[Property] = [(name, ("t", _count(*latest[file]))) for file, name in names if file in latest]
    if "cpu.cfs_quota_us" in latest or "cpu.cfs_period_us" in latest:
        quota, period = (
            latest.get("cpu.cfs_quota_us", ("-1", "")),
            latest.get("cpu.cfs_period_us", (str(PERIOD), "")),
        )
        found += _quota(_count(*quota), _count(*period))
    return found


def device_properties(rules: "list[Rule]") -> "list[Property]":
    """The device rules as systemd knows them, for cgroup v1: there it rewrites the lists of each unit when it
    is reloaded.

    On v2 our own program stays as long as systemd gets no property on devices.
    """
    from pyoci.cgroups import devices

    if devices.allows_all(rules):
        return [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    allowed = []
    for allow, kind, major, minor, access in rules:
        if allow and kind != "a":
            allowed.append(
                _device(kind, major, minor, devices.line(kind, major, minor, access).rpartition(" ")[2])
            )
    entries = [entry for entry in allowed if entry[0]]
    return [("DevicePolicy", ("s", "strict")), ("DeviceAllow", ("a(ss)", entries))]


def _device(kind: str, major: int, minor: int, access: str) -> tuple[str, str]:
    word = "char" if kind == "c" else "block"
    if major >= 0 and minor >= 0:
        return f"/dev/{word}/{major}:{minor}", access
    if major < 0:
        return (f"{word}-*", access) if minor < 0 else ("", "")  # systemd cannot say "any major, this minor"
    return f"{word}-{major}", access


def annotated(annotations: dict[str, str]) -> "list[Property]":
    """The properties in annotations `org.systemd.property.NAME`. Raises OciError."""
    found: list[Property] = []
    for key, text in annotations.items():
        if not key.startswith(SYSTEMD_PROPERTY):
            continue
        from pyoci.cgroups.dbus import gvariant

        name = key[len(SYSTEMD_PROPERTY) :]
        pointer = f"/annotations/{json_pointer.escape(key)}"
        try:
            kind, value = gvariant.parse(text)
            found.append(_in_microseconds(name, kind, value))
        except (ValueError, IndexError, OverflowError) as error:
            raise OciError(
                "systemd-property", f'annotation {key}: "{text}": {error}', pointer=pointer
            ) from None
    return found


def bits(text: str, pointer: str) -> bytes:
    """A list such as "0-3,8" as a bit mask, the lowest number in the lowest bit of the first byte.

    Raises OciError.
    """
    found = ranges(text.replace("\n", ""), MOST_NODES)
    if not found:
        raise OciError("cgroup-limit", f'"{text}" is not a list of numbers such as 0-3,8', pointer=pointer)
    mask = 0
    for low, high in found:
        mask |= (1 << (high + 1)) - (1 << low)
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")


def _count(text: str, pointer: str) -> int:
    if text in ("max", "-1"):
        return INFINITY
    number = decimal(text, INFINITY)
    if number < 0:
        raise OciError("cgroup-limit", f'"{text}" is neither a number nor "max"', pointer=pointer)
    return number


def _quota(quota: int, period: int) -> "list[Property]":
    per_second = INFINITY
    if quota != INFINITY and period:
        # systemd keeps whole percents; rounded up, the exact quota below it fits.
        per_second = -(-quota * _SECOND // period // 10000) * 10000
    return [("CPUQuotaPerSecUSec", ("t", per_second)), ("CPUQuotaPeriodUSec", ("t", period))]


def _in_microseconds(name: str, kind: str, value: object) -> "Property":
    """A property named in seconds, as in unit files, under the name and the unit of the D-Bus interface."""
    if not (name.endswith("Sec") and name[-4:-3].islower()):
        return name, (kind, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a number of seconds")
    return f"{name[:-3]}USec", ("t", int(value * _SECOND))
