"""Builds the static launcher: Python, cffi and the shim in one program with musl, started once and kept as it then was."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

import build_shim
import image
from build_shim import BuildError

LAUNCHER = build_shim.CSRC / "launcher"
_SOURCES = ["image.c", "heap.c", "glibc.c", "embed.c", "imports.c", "api.c", "locate.c"]
_LIBRARIES = {"libffi.a": "libffi-dev", "libseccomp.a": "libseccomp-dev"}
# Functions that glibc has under a second name, for files larger than 2 GiB and for the rules of C23; musl under the first
# alone. (launcher/glibc.c has what is more than another name.)
_LARGE_FILE = """
fopen fstat fstatat fstatvfs ftruncate getrlimit lockf lseek lstat mmap open openat posix_fadvise posix_fallocate pread preadv
pwrite pwritev readdir sendfile setrlimit stat statvfs truncate
""".split()
_C23 = "sscanf strtol strtoul wcstol".split()
_NAMES = {f"{name}64": name for name in _LARGE_FILE} | {f"__isoc23_{name}": name for name in _C23}


def archive() -> Path:
    """Python's static library. Raises BuildError."""
    found = Path(str(sysconfig.get_config_var("LIBPL")), str(sysconfig.get_config_var("LIBRARY")))
    if not found.is_file():
        raise BuildError(f"{found} is missing (Debian: python3-dev)")
    return found


def build(target: Path, flags: list[str], inputs: list[Path], near: str) -> None:
    """Build the launcher. Raises BuildError.

    flags   for the compiler
    inputs  what else it is made of
    near    the package's place, seen from the launcher's; "" where the launcher has the absolute one alone
    """
    directory = target.parent
    build_shim.write_if_changed(directory / "error_texts.h", _error_texts())
    objects = [
        _launcher_object(directory, flags, inputs),
        _shim_object(directory),
        _cffi_object(directory),
    ]
    libraries = [archive(), *(_library(name, package) for name, package in _LIBRARIES.items())]
    cold = directory / "cold"
    command = [*build_shim.init_compiler(""), "-static", "-no-pie", "-s"]
    command += [f"-Wl,--defsym={new}={name}" for new, name in _NAMES.items()]
    build_shim.make(cold, [*command, *map(str, [*objects, *libraries]), "-lm"], [*objects, *libraries])
    if build_shim.newer(target, [cold]):
        _make_image(cold, target, near)


def _make_image(cold: Path, target: Path, near: str) -> None:
    """Run the program until it is ready for a command, and keep it so. Raises BuildError."""
    data = target.with_name("data")
    made = subprocess.run([cold, data], check=False, capture_output=True, text=True)
    if made.returncode:
        raise BuildError(
            f"the image of the launcher cannot be made: {made.returncode}: {made.stderr.strip()}"
        )
    with tempfile.TemporaryDirectory(dir=target.parent) as environment:
        new = _stand_in_environment(Path(environment), near) / "pyoci"
        image.put(cold, data, new)
        data.unlink()
        shown = subprocess.run([new, "--version"], check=False, capture_output=True, text=True)
        if shown.returncode or shown.stderr or not shown.stdout.startswith("pyoci version "):
            raise BuildError(f"the launcher's image does not run: {shown.returncode}: {shown.stderr.strip()}")
        os.replace(new, target)


def _stand_in_environment(root: Path, near: str) -> Path:
    """What the launcher looks for before it runs: it is built before the package is installed. Returns the scripts' place."""
    scripts = root / "a" / "b" / "c" / "bin"  # as deep as any `../..` of `near` may go up
    scripts.mkdir(parents=True)
    if near:
        package = Path(os.path.normpath(scripts / near))
        package.mkdir(parents=True)
        (package / "__main__.py").touch()
    return scripts


def _error_texts() -> str:
    """Rows of a C table: what the C library of this Python says of each errno."""
    texts = {number: os.strerror(number) for number in [0, *errno.errorcode]}
    return "".join(f'[{number}] = "{text}",\n' for number, text in sorted(texts.items()))


def compiler() -> list[str]:
    """The C compiler that Python was built with, or CC; Python's archive is not position-independent, as Debian's python3."""
    found = shlex.split(os.environ.get("CC") or str(sysconfig.get_config_var("CC")))
    return [*found, "-O2", "-fno-pie", "-U_FORTIFY_SOURCE", "-I", sysconfig.get_path("include")]


def _launcher_object(directory: Path, flags: list[str], inputs: list[Path]) -> Path:
    sources = [*(LAUNCHER / name for name in _SOURCES), build_shim.CSRC / "json" / "json.c"]
    target = directory / "launcher.o"
    command = [*compiler(), "-r", "-nostdlib", *flags, *map(str, sources)]
    build_shim.make(target, command, [*inputs, *sources, directory / "error_texts.h"])
    return target


def _shim_object(directory: Path) -> Path:
    """pyoci._shim; its sources are compiled strictly where the extension is built (setup.py), so without warnings here."""
    module, init = build_shim.generate(directory.parent)
    inputs = [module, init, *build_shim.shim_sources()]
    target = directory / "shim.o"
    command = [*compiler(), "-r", "-nostdlib", "-w", *build_shim.STRICT, "-DPYOCI_LIBSECCOMP_LINKED"]
    command += ["-I", str(build_shim.CSRC), "-I", str(build_shim.CSRC / "shim"), *map(str, inputs)]
    build_shim.make(target, command, [*inputs, *build_shim.headers()])
    return target


def _cffi_object(directory: Path) -> Path:
    """The module _cffi_backend, from the source of the cffi that is installed. Raises BuildError."""
    sources = cffi_source(directory) / "src" / "c"
    target = directory / "cffi.o"
    command = [*compiler(), "-r", "-nostdlib", "-w", "-DUSE__THREAD", "-DHAVE_SYNC_SYNCHRONIZE"]
    build_shim.make(
        target, [*command, "-I", str(sources), str(sources / "_cffi_backend.c")], [*sources.iterdir()]
    )
    return target


def cffi_source(directory: Path) -> Path:
    """The folder of cffi's source package: PYOCI_CFFI_SOURCE, or it is fetched from the package index. Raises BuildError."""
    given = os.environ.get("PYOCI_CFFI_SOURCE")
    if given:
        return Path(given)
    version = importlib.metadata.version("cffi")
    folder = directory / f"cffi-{version}"
    if not folder.is_dir():
        packed = _fetch(directory, "cffi", version)
        with tarfile.open(packed) as package:
            _unpack(package, f"cffi-{version}", folder)
        packed.unlink()
    return folder


def _fetch(directory: Path, name: str, version: str) -> Path:
    """The source package of a release, from the index that pip uses. Raises BuildError."""
    command = [sys.executable, "-I", "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
    command += ["--no-deps", "--no-binary", name, "--dest", str(directory), f"{name}=={version}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    packed = directory / f"{name}-{version}.tar.gz"
    if done.returncode or not packed.is_file():
        reason = "".join(done.stderr.strip().splitlines()[-1:])
        raise BuildError(
            f"the source of {name} cannot be fetched (PYOCI_CFFI_SOURCE names its folder): {reason}"
        )
    return packed


def _unpack(package: tarfile.TarFile, top: str, folder: Path) -> None:
    """Write the C files of a source package into a folder, which is complete once it has its name."""
    new = folder.with_name(f"{folder.name}.new")
    for part in ("c", "cffi"):
        (new / "src" / part).mkdir(parents=True, exist_ok=True)
    for member in package:
        directory, _, name = member.name.rpartition("/")
        if directory in (f"{top}/src/c", f"{top}/src/cffi") and name.endswith((".c", ".h")):
            content = package.extractfile(member)
            if content is not None:
                (new / member.name.removeprefix(f"{top}/")).write_bytes(content.read())
    new.rename(folder)


def _library(name: str, package: str) -> Path:
    """A static library, as the compiler finds it. Raises BuildError."""
    found = subprocess.run(
        [*compiler(), f"-print-file-name={name}"], check=False, capture_output=True, text=True
    )
    path = Path(found.stdout.strip())
    if not path.is_absolute():
        raise BuildError(f"{name} is missing (Debian: {package})")
    return path
