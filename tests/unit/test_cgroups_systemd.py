"""systemd units: names, properties, GVariant annotations, and the D-Bus encoding."""

from __future__ import annotations

import posix
from typing import Any, Unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyoci.base.errors import OciError
from pyoci.cgroups import devices, resources, unit
from pyoci.cgroups.dbus import bus, gvariant, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Resources


@pytest.mark.parametrize(
    ("path", "user", "name", "cgroup"),
    [
        ("", False, "pyoci-id.scope", "/system.slice/pyoci-id.scope"),
        ("", True, "pyoci-id.scope", "/user.slice/pyoci-id.scope"),
        ("machine.slice:libpod:abc", False, "libpod-abc.scope", "/machine.slice/libpod-abc.scope"),
        (":docker:abc", False, "docker-abc.scope", "/system.slice/docker-abc.scope"),
        ("-:p:n", False, "p-n.scope", "/p-n.scope"),
        ("-.slice:p:n", False, "p-n.scope", "/p-n.scope"),
        ("a-b.slice::n", False, "n.scope", "/a.slice/a-b.slice/n.scope"),
        ("a.slice:p:a-n.slice", False, "a-n.slice", "/a.slice/a-n.slice"),
        (":p:b-n.slice", False, "b-n.slice", "/b.slice/b-n.slice"),
        (":p:a+b", False, "p-a\\x2bb.scope", "/system.slice/p-a\\x2bb.scope"),
    ],
)
def test_unit_of_a_path(path: str, user: bool, name: str, cgroup: str) -> None:
    found = unit.unit(path, "id", user=user)
    assert (found.name, found.path) == (name, cgroup)
    assert found.is_slice == name.endswith(".slice")


def properties(**limits: Unpack[Resources]) -> dict[str, Any]:
    return {name: value for name, (_, value) in unit.limits_v2(resources.v2(limits))}


def test_limits_as_properties() -> None:
    limits: Resources = {
        "memory": {"limit": 1 << 20, "swap": 3 << 20, "reservation": 4096},
        "cpu": {"shares": 1024, "quota": 33333, "period": 50000, "cpus": "0-1,9", "mems": "0"},
        "pids": {"limit": -1},
    }
    assert properties(**limits) == {
        "MemoryMax": 1 << 20,
        "MemorySwapMax": 2 << 20,
        "MemoryLow": 4096,
        "CPUWeight": 100,
        "TasksMax": unit.INFINITY,
        "CPUQuotaPerSecUSec": 670000,  # 66.666 % rounded up
        "CPUQuotaPeriodUSec": 50000,
        "AllowedCPUs": b"\x03\x02",
        "AllowedMemoryNodes": b"\x01",
    }


def test_unified_overrides() -> None:
    found = properties(
        memory={"limit": 1 << 20}, unified={"memory.max": "max", "memory.high": "7", "cpu.max": "max 1000"}
    )
    assert found["MemoryMax"] == unit.INFINITY and found["MemoryHigh"] == 7
    assert found["CPUQuotaPerSecUSec"] == unit.INFINITY and found["CPUQuotaPeriodUSec"] == 1000


def test_idle_needs_a_systemd_that_knows_it() -> None:
    writes = resources.v2({"cpu": {"idle": 1, "shares": 2048}})
    assert dict(unit.limits_v2(writes))["CPUWeight"] == ("t", 0)
    kind, weight = dict(unit.limits_v2(writes, systemd_version=251))["CPUWeight"]
    assert kind == "t" and isinstance(weight, int) and weight > 100


def test_v1_properties() -> None:
    writes = resources.v1({"memory": {"limit": 5}, "cpu": {"shares": 3, "quota": 1000}, "pids": {"limit": 2}})
    found = {name: value for name, (_, value) in unit.limits_v1(writes)}
    assert found == {
        "MemoryLimit": 5,
        "CPUShares": 3,
        "TasksMax": 2,
        "CPUQuotaPerSecUSec": 10000,
        "CPUQuotaPeriodUSec": 100000,
    }
    policy, (_, (_, allowed)) = unit.device_properties(
        devices.rules({"devices": [{"allow": False, "access": "rwm"}]})
    )
    assert isinstance(allowed, list)
    assert policy == ("DevicePolicy", ("s", "strict"))
    assert ("/dev/char/1:3", "rwm") in allowed and ("char-136", "rwm") in allowed
    assert ("block-*", "m") in allowed
    everything = devices.rules({"devices": [{"allow": True, "access": "rwm"}]})
    assert unit.device_properties(everything)[0][1] == ("s", "auto")


@pytest.mark.parametrize("text", ["x", "1-", "3-1", "-1", "0-99999999", ""])
def test_bad_lists(text: str) -> None:
    with pytest.raises(OciError):
        unit.bits(text, "")


def test_scope_properties() -> None:
    found = dict(unit.base_properties(unit.unit("a.slice:p:n", "id", user=False), "id", 42, version=2))
    assert found["Slice"] == ("s", "a.slice") and found["PIDs"] == ("au", [42])
    assert found["Delegate"] == ("b", True) and found["IOAccounting"] == ("b", True)
    slice_ = dict(
        unit.base_properties(unit.unit("a.slice:p:a-n.slice", "id", user=False), "id", 42, version=2)
    )
    assert slice_["Wants"] == ("as", ["a.slice"]) and "PIDs" not in slice_ and "Delegate" not in slice_


@pytest.mark.parametrize(
    ("text", "signature", "value"),
    [
        ("true", "b", True),
        ("123", "i", 123),
        ("-1", "i", -1),
        ("uint64 123", "t", 123),
        ("byte 0x10", "y", 16),
        ("1.5", "d", 1.5),
        ("double 3", "d", 3.0),
        ("'a b'", "s", "a b"),
        (r'"a\"\u0041\n"', "s", 'a"A\n'),
        ("['a', 'b']", "as", ["a", "b"]),
        ("@as []", "as", []),
        ("@at [1, 2]", "at", [1, 2]),
        ("[('/dev/null', 'rw')]", "a(ss)", [("/dev/null", "rw")]),
        ("@a(st) [('x', 1)]", "a(st)", [("x", 1)]),
        (" objectpath '/a' ", "o", "/a"),
    ],
)
def test_gvariant_text(text: str, signature: str, value: Any) -> None:
    assert gvariant.parse(text) == (signature, value)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "'open", "[1, 'a']", "[]", "uint64", "1 2", "[1 2]", "@i [1]", "(1"]
)
def test_no_gvariant(text: str) -> None:
    with pytest.raises(ValueError):
        gvariant.parse(text)


def test_annotations() -> None:
    found = unit.annotated(
        {
            "org.systemd.property.TimeoutStopUSec": "uint64 5",
            "org.systemd.property.TimeoutStopSec": "2",
            "org.systemd.property.CollectMode": "'inactive'",
            "com.example.other": "x",
        }
    )
    assert found == [
        ("TimeoutStopUSec", ("t", 5)),
        ("TimeoutStopUSec", ("t", 2000000)),
        ("CollectMode", ("s", "inactive")),
    ]


@pytest.mark.parametrize(("name", "text"), [("X", "'"), ("TimeoutSec", "'a'"), ("X", "@z 1")])
def test_bad_annotations(name: str, text: str) -> None:
    with pytest.raises(OciError) as caught:
        unit.annotated({f"org.systemd.property.{name}": text})
    assert caught.value.code == "systemd-property" and caught.value.pointer.startswith("/annotations/")


def test_a_call_byte_by_byte() -> None:
    """The Hello call as every bus client sends it."""
    names = {
        "destination": "org.freedesktop.DBus",
        "path": "/org/freedesktop/DBus",
        "interface": "org.freedesktop.DBus",
    }
    message = wire.call(1, "", [], member="Hello", **names)
    assert message[:16] == b"l\1\0\1" + bytes(4) + b"\1\0\0\0" + b"\x6d\0\0\0"
    assert b"\1\1o\0\x15\0\0\0/org/freedesktop/DBus\0" in message
    assert b"\3\1s\0\5\0\0\0Hello\0" in message
    assert len(message) % 8 == 0 == wire.size_of(message[:16]) - len(message)


VALUES = st.one_of(
    st.tuples(st.just("t"), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("x"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("y"), st.integers(0, 255)),
    st.tuples(st.just("b"), st.booleans()),
    st.tuples(st.just("d"), st.floats(allow_nan=False)),
    st.tuples(st.just("s"), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))),
    st.tuples(st.just("as"), st.lists(st.text("abc"))),
    st.tuples(st.just("a(yt)"), st.lists(st.tuples(st.integers(0, 255), st.integers(0, 9)))),
    st.tuples(st.just("a{sv}"), st.lists(st.tuples(st.text("abc"), st.just(("au", [1, 2]))))),
    st.tuples(st.just("v"), st.just(("(sg)", ("a", "a(sv)")))),
)


@given(st.lists(VALUES, max_size=6))
def test_what_is_written_is_read(values: list[tuple[str, Any]]) -> None:
    signature = "".join(kind for kind, _ in values)
    message = wire.call(7, signature, [value for _, value in values], member="M", path="/p")
    assert wire.size_of(message[:16]) == len(message)
    parsed = wire.parse(message)
    assert parsed.kind == wire.METHOD_CALL and parsed.member == "M"
    assert parsed.body == [value for _, value in values]


@given(st.binary(max_size=80))
def test_hostile_messages_are_refused(tail: bytes) -> None:
    try:
        wire.parse(b"l\2\0\1" + tail)
    except (wire.WireError, ValueError, RecursionError):
        pass


@pytest.mark.parametrize(("signature", "value"), [("y", 256), ("u", -1), ("z", 1), ("(s", ("a",)), ("a", [])])
def test_values_that_do_not_fit(signature: str, value: Any) -> None:
    with pytest.raises(wire.WireError):
        wire.call(1, signature, [value], member="M")


def test_where_systemd_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "XDG_RUNTIME_DIR": "/run/user/7",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/tmp/a%20b,guid=1;tcp:host=x;unix:abstract=/x",
    }
    monkeypatch.setattr(bus, "_environment", lambda name: variables.get(name, ""))
    monkeypatch.setattr(posix, "geteuid", lambda: 0)
    assert bus._sockets(True) == [("/run/user/7/systemd/private", False), ("/tmp/a b", True), ("\0/x", True)]
    assert bus._sockets(False) == [("/run/systemd/private", False), ("/run/dbus/system_bus_socket", True)]
    variables["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/a%zz;unix:path=/b%"
    assert bus._sockets(True)[1:] == [("/a%zz", True), ("/b%", True)], "no address, but no crash either"
    variables.clear()
    monkeypatch.setattr(bus, "host_uid", lambda: 7)
    assert bus._sockets(True)[1] == ("/run/user/7/bus", True)


ENDLESS = [
    "[" * 5000,
    "(" * 5000,
    "@" + "a" * 5000 + "s []",
    "int16 " * 5000 + "1",
    "1e999",
    "double 1e999",
    "-1e308",
]


@pytest.mark.parametrize("text", ENDLESS, ids=lambda text: text[:12])
def test_a_property_that_has_no_end(text: str) -> None:
    with pytest.raises(OciError) as caught:
        unit.annotated({"org.systemd.property.TimeoutStopSec": text})
    assert caught.value.code == "systemd-property"
