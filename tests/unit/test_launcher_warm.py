"""The warm-up of the static launcher's image computes what commands compute, and lets nothing of the machine into the image."""

from __future__ import annotations

import marshal
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import build_shim
import pytest
import static_launcher
import warm
from unit import hot
from unit.conftest import SECRET

CONFIGURATIONS = [path.read_bytes() for path in sorted(Path(warm.__file__).with_suffix("").glob("*.json"))]
MEMORY = {"mmap", "munmap", "mremap"}


def test_the_configurations_are_those_of_several_engines_and_small() -> None:
    assert len(CONFIGURATIONS) >= 3
    assert all(len(raw) < 8192 for raw in CONFIGURATIONS)


def test_functions_are_specialised_afterwards() -> None:
    """In a process of its own, in which nothing else has run."""
    script = "import sys; sys.path[:0] = sys.argv[1:3]; import warm; print(warm.main(eval(sys.stdin.read())))"
    paths = [str(Path(warm.__file__).parent), str(hot.PACKAGE.parent)]
    command = [sys.executable, "-c", script, *paths]
    done = subprocess.run(
        command, input=repr(CONFIGURATIONS), capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) > 150


def test_the_core_is_enough_for_it(tmp_path: Path) -> None:
    folder = str(Path(warm.__file__).parent)
    body = f"sys.path.insert(0, {folder!r})\nimport warm\nwarm.main({CONFIGURATIONS!r}, 1)"
    _, modules, _ = hot.run(body, tmp_path)
    assert hot.foreign(modules) == {"warm"}


def test_a_configuration_that_is_refused_ends_it() -> None:
    with pytest.raises(RuntimeError, match="configuration is refused"):
        warm.main([b'{"ociVersion": "1.0.0", "process": 1}'], 1)


def test_the_image_is_warm(static: Path, tmp_path: Path) -> None:
    made = subprocess.run(
        [static.with_name("cold"), tmp_path / "data", static.with_name("warm_up")],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(made.stdout.split()[0]) > 150, made.stdout


def calls(static: Path, folder: Path, warm_up: Path) -> list[str]:
    """The system calls of the program that makes the image."""
    log = folder / "calls"
    makes = [static.with_name("cold"), folder / "data", warm_up]
    command = ["strace", "-qq", "-o", str(log), "-E", "TZ=UTC0", *map(str, makes)]
    subprocess.run(command, env={"PATH": os.defpath}, check=True, capture_output=True)
    return log.read_text().splitlines()


def names(lines: list[str], warm_up: Path) -> Counter[str]:
    """The names of the system calls that follow the reading of the warm-up, but for those that are about memory."""
    opened = next(at for at, line in enumerate(lines) if str(warm_up) in line and line.startswith("open"))
    start = next(at for at in range(opened, len(lines)) if lines[at].startswith("close("))
    found = Counter(line.partition("(")[0] for line in lines[start + 1 :])
    return Counter({name: number for name, number in found.items() if name not in MEMORY})


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is missing")
def test_the_warm_up_asks_the_kernel_for_nothing_but_memory(static: Path, tmp_path: Path) -> None:
    found = {}
    for text in ("RESULT = 1", "import posix; RESULT = posix.getppid()"):
        code = tmp_path / "code"
        code.write_bytes(marshal.dumps(compile(text, "x", "exec")))
        found[text] = names(calls(static, tmp_path, code), code)
    nothing, curious = found.values()
    assert curious - nothing == Counter(getppid=1)
    warm_up = static.with_name("warm_up")
    assert names(calls(static, tmp_path, warm_up), warm_up) == nothing


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is missing")
def test_no_file_of_the_machine_is_read_for_the_image(static: Path, tmp_path: Path) -> None:
    warm_up = static.with_name("warm_up")
    lines = calls(static, tmp_path, warm_up)
    opened = {line.split('"')[1] for line in lines if line.startswith("open") and '"' in line}
    opened.discard("/proc/sys/vm/overcommit_memory")  # Python's mimalloc, from 3.13 on: how it maps memory
    assert opened == {str(warm_up), "/proc/self/maps", str(tmp_path / "data")}
    assert static_launcher.ENVIRONMENT == {"TZ": "UTC0"}


def test_nothing_of_the_environment_is_in_the_image(static: Path) -> None:
    """`static` was built with a secret in its environment."""
    assert SECRET.encode() not in static.read_bytes()


def test_nothing_tells_where_it_was_built(static: Path) -> None:
    """A development build knows the tree whose package it runs; what else would name it is not in it."""
    content = static.read_bytes()
    for place in (static.parents[2], build_shim.CSRC):
        assert str(place).encode() not in content


def test_every_file_of_the_warm_up_changes_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "warm.py"
    shutil.copy(warm.__file__, copy)
    shutil.copytree(Path(warm.__file__).with_suffix(""), tmp_path / "warm")
    monkeypatch.setattr(static_launcher, "_WARM", copy)
    before = static_launcher._warm_up(tmp_path).read_bytes()
    assert static_launcher._warm_up(tmp_path).read_bytes() == before
    (tmp_path / "warm" / "new.json").write_text("{}")
    assert static_launcher._warm_up(tmp_path).read_bytes() != before
