"""The C code for the other architecture, aarch64: it compiles and links without a warning. No program of it is run."""

from __future__ import annotations

import platform
import re
import shutil
import sysconfig
from pathlib import Path

import build_launcher
import build_shim
import pytest
import static_launcher
from harness.elf import Elf
from unit.documents import TOP, document, table

COMPILER = "aarch64-linux-gnu-gcc"
STRICT = [
    *build_shim.STRICT,
    "-Werror",
    "-Os",
    "-I",
    str(build_shim.CSRC),
    "-I",
    str(build_shim.CSRC / "init"),
]
AARCH64 = 183  # elf.h: EM_AARCH64


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The compiler, with this machine's pyconfig.h where it looks for its own: both architectures have the same types."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"{COMPILER} is not installed (Debian: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross)")
    if platform.machine() == "aarch64":
        pytest.skip("this machine is the other architecture")
    python = Path(sysconfig.get_path("include")).name
    place = tmp_path / "include/aarch64-linux-gnu"
    place.mkdir(parents=True)
    (place / python).symlink_to(Path("/usr/include", sysconfig.get_config_var("MULTIARCH") or "", python))
    monkeypatch.setenv("CC", f"{COMPILER} -I {place.parent}")


@pytest.mark.usefixtures("other")
def test_the_init(tmp_path: Path) -> None:
    program = tmp_path / "init"
    build_shim.run([COMPILER, *STRICT, "-static", *map(str, build_shim.init_sources()), "-o", str(program)])
    assert Elf(program).machine == AARCH64


@pytest.mark.usefixtures("other")
def test_the_shim(tmp_path: Path) -> None:
    made = tmp_path / "shim.o"
    build_shim.run(
        [COMPILER, *STRICT, "-r", "-nostdlib", *map(str, build_shim.shim_sources()), "-o", str(made)]
    )
    assert Elf(made).machine == AARCH64


@pytest.mark.usefixtures("other")
def test_the_launchers(tmp_path: Path) -> None:
    """The simple one, and the part of the static one that is ours, with our extension modules."""
    flags = [*STRICT, *build_launcher.places(tmp_path, ""), *build_shim.defines(PYOCI_BUILD="{}")]
    flags += ["-I", str(build_launcher.LAUNCHER)]
    sources = [str(build_launcher.LAUNCHER / name) for name in build_launcher._EXEC]
    simple = tmp_path / "exec"
    build_shim.run([COMPILER, *flags, "-static", *sources, "-o", str(simple)])
    folder = tmp_path / "launcher/static"
    folder.mkdir(parents=True)
    ours = static_launcher._launcher_object(folder, flags, [])
    assert Elf(simple).machine == Elf(ours).machine == AARCH64


def test_what_is_written_for_each_architecture_is_listed() -> None:
    rows = table(document("CONTRIBUTING.md"), "what is of the architecture")
    listed = {name for row in rows for name in re.findall(r"`([^`]+)`", row[1])}
    assert all((TOP / name).is_file() for name in listed)
    code = [*build_shim.CSRC.rglob("*.[ch]"), *(TOP / "pyoci").rglob("*.py")]
    written = {
        str(path.relative_to(TOP))
        for path in code
        if re.search(r"__x86_64__|__aarch64__|ARCH_X86_64 =|\"aarch64\": \{", path.read_text())
    }
    assert listed == written
