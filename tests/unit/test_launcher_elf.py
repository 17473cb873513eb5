"""What protects the programs that the build makes: read from the programs, and from a running one."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import time
from pathlib import Path

import build_shim
import pytest
from harness import elf
from harness.elf import Elf

import pyoci._json
import pyoci._shim

PAGE = 4096


@pytest.fixture(params=["static", "exec", "init", "shim", "json"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Each program and library of ours."""
    if request.param == "static":
        return Path(request.getfixturevalue("static"))
    if request.param == "exec":
        return Path(request.getfixturevalue("simple"))
    if request.param == "init":
        return build_shim.build_init(tmp_path)
    return Path(str((pyoci._shim if request.param == "shim" else pyoci._json).__file__))


def test_nothing_is_writable_and_executable(program: Path) -> None:
    segments = Elf(program).of(elf.LOAD)
    assert any(segment.flags & elf.EXECUTE for segment in segments)
    assert any(segment.flags & elf.WRITE for segment in segments)
    assert not [segment for segment in segments if segment.flags & elf.WRITE and segment.flags & elf.EXECUTE]


def test_it_gives_nobody_privileges(program: Path) -> None:
    """SECURITY.md: without root, nothing is done that the caller could not do."""
    assert not program.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)
    assert "security.capability" not in os.listxattr(program)


def test_the_stack_is_not_executable(program: Path) -> None:
    (stack,) = Elf(program).of(elf.GNU_STACK)
    assert stack.flags == elf.READ | elf.WRITE


def test_a_part_is_to_be_read_only_after_the_start(program: Path) -> None:
    (part,) = Elf(program).of(elf.GNU_RELRO)
    assert part.flags == elf.READ and part.size > 0


def test_launchers_are_static_and_stay_where_they_were_linked_to(static: Path, simple: Path) -> None:
    """SECURITY.md says so: addresses in the image are those of the build."""
    for launcher in (static, simple):
        read = Elf(launcher)
        assert read.kind == elf.FIXED_ADDRESS
        assert not read.of(elf.INTERPRETER) and not read.of(elf.DYNAMIC)


def guarded(symbols: Path) -> set[str]:
    """The functions of a program that check their stack before they return."""
    listing = subprocess.run(["objdump", "-d", symbols], check=True, capture_output=True, text=True).stdout
    found, function = set(), ""
    for line in listing.splitlines():
        if head := re.fullmatch(r"[0-9a-f]+ <(\S+)>:", line):
            function = head[1]
        elif "<__stack_chk_fail" in line:  # or its other name, __stack_chk_fail_local
            found.add(function)
    return found


def defined(directory: str) -> set[str]:
    """The functions that the C files of a directory of csrc/ define."""
    sources = (build_shim.CSRC / directory).glob("*.c")
    return {
        name
        for source in sources
        for name in re.findall(r"^\w[\w *]*?\b\**(\w+)\([^;{]*\{$", source.read_text(), re.MULTILINE)
    }


def test_our_own_c_has_stack_protectors(static: Path, simple: Path, tmp_path: Path) -> None:
    init = build_shim.build_init(tmp_path)
    in_static = guarded(static.with_name("pyoci.debug"))
    assert "pyoci_locate" in in_static & guarded(simple.with_name("pyoci.debug"))
    assert defined("shim") & in_static and defined("json") & in_static
    assert defined("init") & guarded(init.with_name("init.debug"))


def modes(pid: int) -> dict[range, str]:
    """The mapped addresses of a process, and what may be done with them."""
    found = {}
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        places, kind = line.split()[:2]
        start, _, stop = places.partition("-")
        found[range(int(start, 16), int(stop, 16))] = kind
    return found


def mode(found: dict[range, str], address: int) -> str:
    return next((kind for places, kind in found.items() if address in places), "")


def test_what_is_to_be_read_only_is_so_in_a_running_static_launcher(static: Path, tmp_path: Path) -> None:
    (part,) = Elf(static).of(elf.GNU_RELRO)
    first, end = part.address & -PAGE, (part.address + part.size) & -PAGE
    assert end > first
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    process = subprocess.Popen([static, "--log", fifo, "state", "nobody"], stderr=subprocess.DEVNULL)
    try:  # it waits for a reader of the fifo
        deadline = time.monotonic() + 20
        while mode(found := modes(process.pid), first) != "r--p" and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert mode(found, first) == "r--p" and mode(found, end) == "rw-p", found
    assert not [kind for kind in found.values() if "w" in kind and "x" in kind]


def test_the_symbols_are_those_of_the_program(static: Path) -> None:
    """Same segments at the same addresses, so a debugger can take the names from the one for the other."""
    symbols = static.with_name("pyoci.debug")
    named, bare = Elf(symbols), Elf(static)
    for one, other in zip(named.of(elf.LOAD), bare.of(elf.LOAD), strict=True):
        assert (one.address, one.flags, one.size) == (other.address, other.flags, other.size)
    listing = subprocess.run(["nm", symbols], check=True, capture_output=True, text=True).stdout
    assert " T pyoci_run\n" in listing and " T _PyEval_EvalFrameDefault\n" in listing
