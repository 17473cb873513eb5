"""Device rules: the lines for cgroup v1 and the program for v2."""

from __future__ import annotations

import sys

import pytest
from harness.ebpf import BLOCK, CHAR, MKNOD, READ, WRITE, DeviceProgram
from hypothesis import given
from hypothesis import strategies as st

from pyoci.base.errors import OciError
from pyoci.cgroups import devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import DeviceCgroup


DENY_ALL: DeviceCgroup = {"allow": False, "access": "rwm"}
ALLOW_ALL: DeviceCgroup = {"allow": True, "access": "rwm"}
KINDS = {"b": BLOCK, "c": CHAR}
pytestmark = pytest.mark.skipif(
    sys.byteorder != "little", reason="the interpreter reads little-endian programs"
)


def ask(entries: list[DeviceCgroup], kind: int, access: int, major: int, minor: int) -> bool:
    return bool(DeviceProgram(devices.program(devices.parse(entries)))(kind, access, major, minor))


def test_default_rules_allow_what_every_container_needs() -> None:
    program = DeviceProgram(devices.program(devices.rules({"devices": [DENY_ALL]})))
    for major, minor in (
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 2),
        (136, 0),
        (136, 77),
        (10, 200),
    ):
        assert program(CHAR, READ | WRITE, major, minor)
    assert program(CHAR, MKNOD, 42, 7) and program(BLOCK, MKNOD, 8, 0)
    assert not program(BLOCK, READ, 8, 0)
    assert not program(CHAR, READ, 1, 1)
    assert not program(CHAR, READ | MKNOD, 1, 1)
    assert not program(CHAR, WRITE, 10, 229)


def test_without_rules_for_everything_the_default_is_to_deny() -> None:
    program = DeviceProgram(devices.program(devices.rules({})))
    assert not program(CHAR, READ, 1, 1)
    assert program(CHAR, READ, 1, 3)


def test_the_last_rule_wins_also_inside_a_wildcard() -> None:
    entries: list[DeviceCgroup] = [
        DENY_ALL,
        {"allow": True, "type": "c", "major": 10, "access": "rwm"},
        {"allow": False, "type": "c", "major": 10, "minor": 3, "access": "rwm"},
    ]
    assert ask(entries, CHAR, READ, 10, 4)
    assert not ask(entries, CHAR, READ, 10, 3)
    assert ask(
        [*entries, {"allow": True, "type": "c", "major": 10, "minor": 3, "access": "r"}], CHAR, READ, 10, 3
    )
    assert not ask(
        [*entries, {"allow": True, "type": "c", "major": 10, "minor": 3, "access": "r"}], CHAR, WRITE, 10, 3
    )


def test_access_may_be_collected_from_several_rules() -> None:
    entries: list[DeviceCgroup] = [
        DENY_ALL,
        {"allow": True, "type": "b", "major": 8, "minor": 0, "access": "r"},
        {"allow": True, "type": "b", "major": 8, "access": "w"},
    ]
    assert ask(entries, BLOCK, READ | WRITE, 8, 0)
    assert not ask(entries, BLOCK, READ | WRITE, 8, 1)
    assert not ask(entries, CHAR, READ, 8, 0)


def test_a_rule_for_everything_makes_the_earlier_ones_void() -> None:
    assert devices.parse(
        [{"allow": True, "type": "c", "major": 1, "minor": 1, "access": "rwm"}, DENY_ALL]
    ) == [(False, "a", -1, -1, devices.FULL)]
    assert ask([DENY_ALL, ALLOW_ALL], BLOCK, WRITE, 8, 0)


def test_type_a_with_a_number_means_both_kinds() -> None:
    entries: list[DeviceCgroup] = [
        DENY_ALL,
        {"allow": True, "type": "a", "major": 5, "minor": 1, "access": "r"},
    ]
    assert ask(entries, CHAR, READ, 5, 1) and ask(entries, BLOCK, READ, 5, 1)
    assert not ask(entries, CHAR, READ, 5, 2)


def test_large_numbers() -> None:
    entries: list[DeviceCgroup] = [
        DENY_ALL,
        {"allow": True, "type": "c", "major": 511, "minor": 1048575, "access": "rwm"},
    ]
    assert ask(entries, CHAR, READ, 511, 1048575)
    assert not ask(entries, CHAR, READ, 511, 1048574)


def test_nothing_to_watch() -> None:
    assert devices.allows_all(devices.rules({"devices": [ALLOW_ALL]}))
    assert not devices.allows_all(
        devices.rules({"devices": [ALLOW_ALL, {"allow": False, "type": "b", "access": "rwm"}]})
    )
    assert not devices.allows_all(devices.rules({}))


def test_v1_lines_of_the_default() -> None:
    lines = devices.v1_lines(devices.rules({"devices": [DENY_ALL]}))
    assert lines[0] == ("devices.deny", "a *:* rwm")
    assert {line for file, line in lines[1:] if file == "devices.allow"} == {
        "c *:* m",
        "b *:* m",
        "c 1:3 rwm",
        "c 1:5 rwm",
        "c 1:7 rwm",
        "c 1:8 rwm",
        "c 1:9 rwm",
        "c 5:0 rwm",
        "c 5:2 rwm",
        "c 10:200 rwm",
        "c 136:* rwm",
    }


def test_v1_lines_of_a_privileged_container() -> None:
    assert devices.v1_lines(devices.rules({"devices": [ALLOW_ALL]})) == [("devices.allow", "a *:* rwm")]
    denied = devices.parse([ALLOW_ALL, {"allow": False, "type": "b", "major": 8, "access": "w"}])
    assert devices.v1_lines(denied) == [("devices.allow", "a *:* rwm"), ("devices.deny", "b 8:* w")]


def test_v1_merges_and_takes_back() -> None:
    def rule(allow: bool, access: str) -> DeviceCgroup:
        return {"allow": allow, "access": access, "type": "c", "major": 4, "minor": 1}

    rules = devices.parse([DENY_ALL, rule(True, "r"), rule(True, "wm"), rule(False, "m")])
    assert devices.v1_lines(rules)[1:] == [("devices.allow", "c 4:1 rw")]


def test_v1_refuses_an_exception_from_an_exception() -> None:
    rules = devices.parse(
        [
            DENY_ALL,
            {"allow": True, "type": "c", "major": 4, "access": "rwm"},
            {"allow": False, "type": "c", "major": 4, "minor": 1, "access": "rwm"},
        ]
    )
    with pytest.raises(OciError) as caught:
        devices.v1_lines(rules)
    assert caught.value.code == "cgroup-devices" and "c 4:1 rwm" in caught.value.message


RULES = st.lists(
    st.fixed_dictionaries(
        {
            "allow": st.booleans(),
            "access": st.sampled_from(["r", "w", "m", "rw", "rwm"]),
        },
        optional={
            "type": st.sampled_from(["a", "b", "c"]),
            "major": st.sampled_from([-1, 1, 2]),
            "minor": st.sampled_from([-1, 1, 2]),
        },
    ),
    max_size=8,
)


def decide(entries: list[DeviceCgroup], kind: str, access: int, major: int, minor: int) -> bool:
    """The same by the words of the specification: for each kind of access the last rule that matches."""
    for letter, bit in (("r", READ), ("w", WRITE), ("m", MKNOD)):
        if not access & bit:
            continue
        allowed = False
        for entry in entries:
            if (
                entry.get("type", "a") in ("a", kind)
                and entry.get("major", -1) in (-1, major)
                and entry.get("minor", -1) in (-1, minor)
                and letter in entry["access"]
            ):
                allowed = entry["allow"]
        if not allowed:
            return False
    return True


@given(RULES)
def test_the_program_decides_as_the_rules_say(entries: list[DeviceCgroup]) -> None:
    program = DeviceProgram(devices.program(devices.parse(entries)))
    for kind, code in KINDS.items():
        for access in range(1, 8):
            for major in (1, 2, 3):
                for minor in (1, 2, 3):
                    assert bool(program(code, access, major, minor)) == decide(
                        entries, kind, access, major, minor
                    )


@given(RULES)
def test_v1_agrees_where_it_can_say_it(entries: list[DeviceCgroup]) -> None:
    """The kernel's matching (security/device_cgroup.c) decides as the rules do, for single accesses."""
    try:
        lines = devices.v1_lines(devices.parse(entries))
    except OciError:
        return
    default = lines[0][0] == "devices.allow"
    for kind in "bc":
        for letter, bit in (("r", READ), ("w", WRITE), ("m", MKNOD)):
            for major in (1, 2, 3):
                for minor in (1, 2, 3):
                    hit = any(_matches(line, kind, letter, major, minor) for _, line in lines[1:])
                    assert (hit != default) == decide(entries, kind, bit, major, minor)


def _matches(line: str, kind: str, letter: str, major: int, minor: int) -> bool:
    kinds, node, letters = line.split()
    majors, minors = node.split(":")
    return kinds == kind and majors in ("*", str(major)) and minors in ("*", str(minor)) and letter in letters
