"""Numbers in texts from elsewhere, and the places that read them: no text may end in a traceback."""

from __future__ import annotations

import os
import posix
from collections.abc import Callable

import pytest
from unit.check_cases import BASE, spoil

from pyoci.base import signal_numbers
from pyoci.base.errors import OciError
from pyoci.base.numbers import bit_mask, decimal, ranges
from pyoci.cgroups import unit
from pyoci.cli import update
from pyoci.host import inherited
from pyoci.lifecycle import exec as joining
from pyoci.spec import check, linux_rules
from pyoci.spec.problem import Report
from pyoci.spec.resource_rules import is_cpu_list
from pyoci.validate import documents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Features, Mount


LONG = "1" * 5000  # Python converts no more than 4300 digits
ARABIC, SQUARE = "\u0661", "\u00b2"  # both count as digits to str.isdigit()


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("64", 64), ("65", -1), ("0" * 5000 + "64", 64), (LONG, -1), ("", -1), ("-1", -1)]
    + [(text, -1) for text in (ARABIC, SQUARE, "1_0", " 1", "1\n", "+1", "0x1")],
)
def test_decimal(text: str, number: int) -> None:
    assert decimal(text, 64) == number


@pytest.mark.parametrize("text", [LONG, SQUARE, f"RTMIN+{LONG}", f"SIGRTMAX-{SQUARE}"])
@pytest.mark.parametrize(
    "reader",
    [
        signal_numbers.number,
        lambda text: update.number("pids_limit", text, True),
        lambda text: update.size("memory", text),
        lambda text: update.size("memory", f"{text}.5g"),
        lambda text: joining._id(text, text),
        lambda text: unit._count(text, "/x"),
    ],
    ids=["kill", "number", "size", "fraction", "exec", "unified"],
)
def test_what_is_no_number_is_an_error_with_a_code(reader: Callable[[str], int], text: str) -> None:
    with pytest.raises(OciError):
        reader(text)


def test_what_is_one_is_read() -> None:
    assert signal_numbers.number("15") == 15 and signal_numbers.number("RTMAX-1") == 63
    assert [update.number("x", text, True) for text in ("5", "-1", "-0")] == [5, -1, 0]
    assert update.size("memory", "1.5g") == 3 << 29 and update.size("memory", "-1") == -1
    with pytest.raises(OciError):
        update.number("x", "-1", False)
    with pytest.raises(OciError):
        update.number("x", "--1", True)


def test_bit_masks() -> None:
    """In words of 64 bits, as the kernel has them; no number, no word."""
    for text, numbers in (
        ("", []),
        ("0", [0]),
        ("3,1-2", [1, 2, 3]),
        ("63-64", [63, 64]),
        ("65536", [65536]),
    ):
        found = ranges(text, 65536)
        assert found is not None
        mask = bit_mask(found)
        assert len(mask) % 8 == 0
        assert [bit for bit in range(len(mask) * 8) if mask[bit // 8] >> bit % 8 & 1] == numbers
        assert len(mask) == (numbers[-1] // 64 * 8 + 8 if numbers else 0)


def test_configurations() -> None:
    """The quick check is behind the schema, which knows no length."""
    assert not is_cpu_list(LONG) and not is_cpu_list(f"0-{LONG}") and is_cpu_list("0-3, 7")
    assert [found.code for found in check.problems(spoil({"/ociVersion": f"{LONG}.0.0"}), first=True)] == [
        "version-unsupported"
    ]
    versions: Features = {"ociVersionMin": f"{LONG}.0.0", "ociVersionMax": f"9{LONG}.0.0"}
    assert documents.features_problems(versions) == []
    assert documents.features_problems({"ociVersionMin": "1.10.0", "ociVersionMax": "1.9.0"})
    report = Report()
    mount: Mount = {"destination": "/x", "type": "tmpfs", "options": [f"uid={LONG}", f"gid={ARABIC}"]}
    linux_rules.mount_ids(BASE | {"mounts": [mount]}, {}, report)
    assert [found.code for found in report.found] == ["mount-id-unmapped"] * 2


@pytest.mark.parametrize(("text", "count"), [("2", 2), ("", 0), ("-1", 0), (LONG, 0), (SQUARE, 0)])
def test_descriptors_of_socket_activation(text: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", text)
    monkeypatch.setattr(posix, "environ", dict(os.environb))
    assert inherited.Inherited(0).listen_fds == count
