"""Builds the static launcher: Python, cffi and the shim in one program with musl, started once and kept as it then was."""

from __future__ import annotations

import contextlib
import errno
import marshal
import os
import shlex
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import build_shim
import cffi_source
import freeze
import image
import parts
from build_shim import BuildError

LAUNCHER = build_shim.CSRC / "launcher"
_WARM = Path(__file__).with_name("warm.py")
# Of the program that makes the image: without TZ, Python's module time reads the time zone of this machine.
ENVIRONMENT = {"TZ": "UTC0"}
_SOURCES = ["image.c", "heap.c", "glibc.c", "python.c", "imports.c", "locate.c"]
_LIBRARIES = {"libffi.a": "libffi-dev", "libseccomp.a": "libseccomp-dev"}
# Functions that glibc has under a second name, for files larger than 2 GiB and for the rules of C23; musl under the first
# alone. (launcher/glibc.c has what is more than another name.)
_LARGE_FILE = """
fopen fstat fstatat fstatvfs ftruncate getrlimit lockf lseek lstat mmap open openat posix_fadvise posix_fallocate pread preadv
pwrite pwritev readdir sendfile setrlimit stat statvfs truncate
""".split()
_C23 = "sscanf strtol strtoul wcstol".split()
_NAMES = {f"{name}64": name for name in _LARGE_FILE} | {f"__isoc23_{name}": name for name in _C23}
# Modules whose function is not PyInit_NAME; stat.py is a wrapper of _stat, which has all of it that is used here.
_OTHER_INITS = {"marshal": "PyMarshal_Init", "_warnings": "_PyWarnings_Init", "stat": "PyInit__stat"}


def archive() -> Path:
    """Python's static library. Raises BuildError."""
    found = Path(str(sysconfig.get_config_var("LIBPL")), str(sysconfig.get_config_var("LIBRARY")))
    if not found.is_file():
        raise BuildError(f"{found} is missing (Debian: python3-dev)")
    return found


def build(target: Path, flags: list[str], inputs: list[Path], near: str) -> None:
    """Build the launcher; `NAME.debug` beside it has the symbols. Raises BuildError.

    flags   for the compiler
    inputs  what else it is made of
    near    the package's place, seen from the launcher's; "" where the launcher has the absolute one alone
    """
    directory = target.parent
    directory.mkdir(parents=True, exist_ok=True)
    libraries = [archive(), *(_library(name, package) for name, package in _LIBRARIES.items())]
    cffi, sources = cffi_source.folder(directory)
    embedded = [
        parts.python(libraries[0]),
        ("cffi", cffi, "", ""),
        *map(parts.library, libraries[1:]),
        parts.musl(directory),
    ]
    flags = [*flags, *build_shim.defines(PYOCI_BUILD=parts.record("static", "", embedded))]
    with _step("compiling the launcher"):
        ours = _launcher_object(directory, flags, inputs)
    with _step("compiling the shim"):
        shim = _shim_object(directory)
    with _step(f"compiling cffi {cffi}"):
        objects = [ours, shim, _cffi_object(directory, sources)]
    debug, cold = target.with_name(f"{target.name}.debug"), directory / "cold"
    command = [*build_shim.init_compiler(""), "-static", "-no-pie", *build_shim.READ_ONLY]
    command += [f"-Wl,--defsym={new}={name}" for new, name in _NAMES.items()]
    with _step("linking"):
        build_shim.make(debug, [*command, *map(str, [*objects, *libraries]), "-lm"], [*objects, *libraries])
        build_shim.make(cold, ["strip", "--strip-all", str(debug)], [debug])
    warm_up = _warm_up(directory)
    if build_shim.newer(target, [cold, warm_up]):
        with _step("making the image"):
            _make_image(cold, warm_up, target, near)


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    """Put the name of a step before what a BuildError says."""
    try:
        yield
    except BuildError as error:
        raise BuildError(f"{name}: {error}") from error


def _make_image(cold: Path, warm_up: Path, target: Path, near: str) -> None:
    """Run the program until it is ready for a command, and warmed up, and keep it so. Raises BuildError.

    It gets hardly any environment: what it knows of this machine would be in the image.
    """
    data = target.with_name("data")
    made = subprocess.run([cold, data, warm_up], check=False, capture_output=True, text=True, env=ENVIRONMENT)
    if made.returncode:
        raise BuildError(f"status {made.returncode}: {made.stderr.strip()}")
    if made.stdout.startswith("0 "):
        raise BuildError("it is not warm: this Python specialises no function")
    with tempfile.TemporaryDirectory(dir=target.parent) as environment:
        new = _stand_in_environment(Path(environment), near) / "pyoci"
        image.put(cold, data, new)
        data.unlink()
        shown = subprocess.run([new, "--version"], check=False, capture_output=True, text=True)
        if shown.returncode or shown.stderr or not shown.stdout.startswith("pyoci version "):
            raise BuildError(f"it does not run: status {shown.returncode}: {shown.stderr.strip()}")
        os.replace(new, target)


def _warm_up(directory: Path) -> Path:
    """The file with the marshalled code of warm.py and a call of its main, whose result is RESULT."""
    configurations = [path.read_bytes() for path in sorted(_WARM.with_suffix("").glob("*.json"))]
    text = f"{_WARM.read_text(encoding='utf-8')}\nRESULT = main({configurations!r})\n"
    code = marshal.dumps(compile(text, _WARM.name, "exec", dont_inherit=True))
    target = directory / "warm_up"
    if not target.is_file() or target.read_bytes() != code:
        target.write_bytes(code)
    return target


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
    options = ["-O2", "-g", "-fno-pie", "-U_FORTIFY_SOURCE", build_shim.PROTECTED]
    return [*found, *options, "-I", sysconfig.get_path("include")]


def _object(target: Path, arguments: list[str], inputs: list[Path]) -> None:
    """Compile into one object. Assertions name files: those of the tree and of the build's directory get short names."""
    maps = [f"-fmacro-prefix-map={place}/=" for place in (build_shim.CSRC.parent, target.parents[2])]
    build_shim.make(target, [*compiler(), "-r", "-nostdlib", *maps, *arguments], inputs)


def _launcher_object(directory: Path, flags: list[str], inputs: list[Path]) -> Path:
    build_shim.write_if_changed(directory / "error_texts.h", _error_texts())
    build_shim.write_if_changed(directory / "builtin_table.h", _builtin_table())
    freeze.write(directory / "frozen_code", directory / "frozen_table.h")
    generated = [
        directory / name for name in ("error_texts.h", "builtin_table.h", "frozen_code", "frozen_table.h")
    ]
    sources = [*(LAUNCHER / name for name in _SOURCES), *build_shim.module_sources()]
    target = directory / "launcher.o"
    arguments = [*flags, "-I", str(directory)]
    arguments += build_shim.defines(PYOCI_FROZEN_CODE=str(directory / "frozen_code"))
    inputs = [*inputs, *sources, *build_shim.all_headers(), *generated]
    _object(target, [*arguments, *map(str, sources)], inputs)
    return target


def _builtin_table() -> str:
    """Rows of a C table: Python's modules that hot code imports, cffi's and our own, with their functions. Raises BuildError."""
    symbols = _defined_symbols(archive())
    rows = []
    for name in ["_cffi_backend", *freeze.OWN, *freeze.built_in_modules()]:
        function = _OTHER_INITS.get(name, f"PyInit_{name.rpartition('.')[2]}")
        if function in symbols or name in ("_cffi_backend", *freeze.OWN):
            rows.append(f'MODULE("{name}", {function})\n')
        elif name not in ("sys", "builtins"):
            raise BuildError(f"Python's module {name} is not in {archive()}: it is a file of its own")
    return "".join(rows)


def _defined_symbols(library: Path) -> set[str]:
    """The symbols that a library defines for others. Raises BuildError."""
    listed = subprocess.run(
        ["nm", "-g", "--defined-only", str(library)], check=False, capture_output=True, text=True
    )
    if listed.returncode:
        raise BuildError(f"nm {library}: {listed.stderr.strip()}")
    return {line.split()[-1].partition("@")[0] for line in listed.stdout.splitlines() if line.count(" ") == 2}


def _shim_object(directory: Path) -> Path:
    """pyoci._shim; its sources are compiled strictly where the extension is built (setup.py), so without warnings here."""
    module, init = build_shim.generate(directory.parents[1])
    inputs = [module, init, *build_shim.shim_sources()]
    target = directory / "shim.o"
    arguments = ["-w", *build_shim.STRICT, "-DPYOCI_LIBSECCOMP_LINKED"]
    arguments += ["-I", str(build_shim.CSRC), "-I", str(build_shim.CSRC / "shim"), *map(str, inputs)]
    _object(target, arguments, [*inputs, *build_shim.headers()])
    return target


def _cffi_object(directory: Path, sources: Path) -> Path:
    """The module _cffi_backend."""
    folder = sources / "src" / "c"
    target = directory / "cffi.o"
    arguments = ["-w", "-DUSE__THREAD", "-DHAVE_SYNC_SYNCHRONIZE"]
    arguments += ["-I", str(folder), str(folder / "_cffi_backend.c")]
    _object(target, arguments, [*folder.iterdir()])
    return target


def _library(name: str, package: str) -> Path:
    """A static library, as the compiler finds it. Raises BuildError."""
    found = subprocess.run(
        [*compiler(), f"-print-file-name={name}"], check=False, capture_output=True, text=True
    )
    path = Path(found.stdout.strip())
    if not path.is_absolute():
        raise BuildError(f"{name} is missing (Debian: {package})")
    return path
