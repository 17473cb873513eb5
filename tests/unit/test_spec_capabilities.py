"""Capability names and masks."""

import re
from pathlib import Path

import pytest

from pyoci.spec import capabilities


def test_numbers_are_those_of_the_kernel() -> None:
    header = Path("/usr/include/linux/capability.h")
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")
    defined = re.findall(r"^#define\s+(CAP_\w+)\s+(\d+)\s*$", header.read_text(), re.MULTILINE)
    numbers = {name: int(number) for name, number in defined}
    assert len(numbers) >= 38
    for name, number in numbers.items():
        if number < len(capabilities.NAMES):
            assert capabilities.NAMES[number] == name


def test_mask_and_names_are_inverse() -> None:
    bits, unknown = capabilities.mask(list(capabilities.NAMES))
    assert (bits, unknown) == ((1 << 41) - 1, [])
    assert capabilities.names(bits) == list(capabilities.NAMES)
    assert capabilities.mask(["CAP_KILL", "CAP_KILL", "CAP_CHOWN"]) == (0x21, [])
    assert capabilities.mask([]) == (0, [])


def test_unknown_names_are_told_once() -> None:
    names = ["CAP_X", "CAP_KILL", "cap_kill", "CAP_X", "KILL"]
    assert capabilities.mask(names) == (0x20, ["CAP_X", "cap_kill", "KILL"])


def test_bits_without_a_name() -> None:
    assert capabilities.names(1 << 41 | 1) == ["CAP_CHOWN", "CAP_41"]
    assert capabilities.names(0) == []


def test_all_of_the_kernel() -> None:
    bits = capabilities.all_of_kernel()
    assert bits & (bits + 1) == 0
    assert bits.bit_length() >= 41  # Linux 5.9
