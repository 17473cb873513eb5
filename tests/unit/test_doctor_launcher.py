"""What doctor and --version --verbose say of the launcher, on machines with and without newer packages."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable
from importlib import metadata

import pytest

from pyoci.base import boot
from pyoci.cli import version
from pyoci.doctor import launcher
from pyoci.doctor.check import NO, UNKNOWN, YES, Check

PARTS = [
    ["Python", "3.11.2", "python3.11", "3.11.2-6+deb12u6"],
    ["cffi", "2.1.1", "", ""],
    ["libffi", "3.4.4", "libffi", "3.4.4-1"],
    ["musl", "1.2.3", "musl", "1.2.3-1"],
]
INSTALLED = """installed python3.11 3.11.2-6+deb12u6
installed libffi 3.4.4-1
config-files musl 1.2.9-1
installed musl 1.2.3-1
installed bash 5.2.15-2
"""
REBUILD = "for its security fixes, install a newer package of pyoci, or build pyoci again"
Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Makes this process one of a static launcher, on a machine with these packages and this cffi; real dpkg compares."""

    def make(installed: str = INSTALLED, *, cffi: str = "2.1.1", build: str | None = None) -> None:
        real = launcher.dpkg

        def answer(*command: str) -> tuple[int, str]:
            if command[0] == "dpkg-query":
                return (0, installed) if installed else (127, "")
            return real(*command)

        text = json.dumps({"kind": "static", "reason": "", "parts": PARTS}) if build is None else build
        monkeypatch.setattr(boot, "build", lambda: text)
        monkeypatch.setattr(launcher, "dpkg", answer)
        monkeypatch.setattr(metadata, "version", lambda name: {"cffi": cffi}[name])

    return make


def rows() -> dict[str, Check]:
    return {check.name.partition(" ")[0]: check for check in launcher.checks()}


needs_dpkg = pytest.mark.skipif(
    not shutil.which("dpkg"), reason="this machine has no dpkg to compare versions"
)


@needs_dpkg
def test_what_is_as_old_as_the_machine_s_own_is_well(machine: Machine) -> None:
    machine()
    assert {name: row.result for name, row in rows().items()} == dict.fromkeys(
        ("static", "Python", "cffi", "libffi", "musl"), YES
    )
    assert "embedded: musl 1.2.3" in version.verbose() and "launcher: static" in version.verbose()


@needs_dpkg
@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("Python", "python3.11 3.11.2-6+deb12u6", "3.11.2-6+deb12u10"),
        ("libffi", "libffi 3.4.4-1", "3.4.4-1+deb12u1"),
        ("musl", "installed musl 1.2.3-1", "1.2.3-2"),
    ],
)
def test_what_is_older_than_the_machine_s_own_is_named(
    machine: Machine, part: str, old: str, new: str
) -> None:
    machine(INSTALLED.replace(old, f"{old.rpartition(' ')[0]} {new}"))
    found = rows()
    assert [name for name, row in found.items() if row.result != YES] == [part]
    assert found[part].result == NO and found[part].why == f"this machine has {new}"
    assert found[part].hint == REBUILD and found[part].cost
    (line,) = (line for line in version.verbose() if line.startswith(f"embedded: {part} "))
    assert line.endswith(f" (this machine has {new}: {REBUILD})")


@needs_dpkg
def test_the_newest_of_several_installed_versions_counts(machine: Machine) -> None:
    machine(INSTALLED + "installed libffi 3.4.10-1\ninstalled libffi 3.4.3-1\n")
    assert rows()["libffi"].why == "this machine has 3.4.10-1"


@needs_dpkg
def test_a_newer_cffi_has_advice_of_its_own(machine: Machine) -> None:
    machine(cffi="2.10.0")
    assert rows()["cffi"].result == NO and "PYOCI_CFFI_SOURCE" in rows()["cffi"].hint


def test_without_packages_nothing_is_claimed_but_of_what_runs(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("")
    monkeypatch.setattr(platform, "python_version", lambda: "3.11.2")
    found = rows()
    assert {name: row.result for name, row in found.items()} == {
        "static": YES, "Python": YES, "cffi": YES, "libffi": UNKNOWN, "musl": UNKNOWN
    }  # fmt: skip
    assert "embedded: libffi 3.4.4" in version.verbose()


@pytest.mark.parametrize("source", [("", ""), ("python3.13", "3.13.9-1")])
def test_a_python_without_a_package_is_compared_with_the_interpreter(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, source: tuple[str, str]
) -> None:
    part = json.dumps({"kind": "static", "reason": "", "parts": [["Python", "3.13.9", *source]]})
    machine("", build=part)
    monkeypatch.setattr(platform, "python_version", lambda: "3.13.10")
    assert rows()["Python"].result == NO
    monkeypatch.setattr(platform, "python_version", lambda: "3.13.9")
    assert rows()["Python"].result == YES


def test_the_reason_for_the_kind_exec_is_shown(machine: Machine) -> None:
    machine(build=json.dumps({"kind": "exec", "reason": "libffi.a is missing", "parts": []}))
    (row,) = launcher.checks()
    assert row == Check("launcher", "static launcher", NO, "libffi.a is missing", row.cost, row.hint)
    assert row.cost and "PYOCI_LAUNCHER=static" in row.hint and not row.fatal
    assert version.verbose()[:2] == ["launcher: exec", "no static launcher: libffi.a is missing"]


def test_an_interpreter_that_was_started_by_hand_has_no_launcher(machine: Machine) -> None:
    machine(build="")
    assert launcher.running() == ("none", "the interpreter was started by hand", [])
    assert "no static launcher: the interpreter was started by hand" in version.verbose()


def test_no_line_but_the_first_has_the_word_that_engines_look_for(machine: Machine) -> None:
    machine()
    assert not [line for line in version.verbose() if "version" in line]
