"""Builds the `pyoci` command: an ELF launcher of one of the kinds that csrc/launcher/ knows.

exec          becomes the environment's interpreter (`python -I -S`); nothing but a C compiler is needed
embed-static  Python's core inside, linked from libpython3.X.a, initialised when it is built (static_launcher.py)
embed-shared  Python's core inside, libpython3.X.so opened at run time
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from functools import partial
from pathlib import Path

import build_shim
import freeze
import static_launcher
from build_shim import BuildError

LAUNCHER = build_shim.CSRC / "launcher"
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
EXTENSION_SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
_EXEC = ["exec.c", "locate.c"]
_SHARED = ["shared.c", "embed.c", "imports.c", "api.c", "locate.c"]
_SECOND_HALF = "_Py_InitializeMain"  # of Python's start, which _signal wants
# stat.py is a wrapper of _stat, which has all of it that is used here
_OTHER_INITS = {"marshal": "PyMarshal_Init", "_warnings": "_PyWarnings_Init", "stat": "PyInit__stat"}


def sources() -> list[Path]:
    """Every file the launcher is made of."""
    return sorted([*LAUNCHER.glob("*.c"), *LAUNCHER.glob("*.h")])


def build(directory: Path, kind: str, *, package: Path | None = None, werror: bool = False) -> Path:
    """Build the launcher in `directory`/launcher and return its path.

    kind is one of this page's, or "embed": static, else shared, else exec, whichever can be built first.
    `package` is the package's directory in a development build, which runs the tree it was built from.
    Raises BuildError.
    """
    target = directory / "launcher" / "pyoci"
    target.parent.mkdir(parents=True, exist_ok=True)
    near = "" if package else package_near()
    flags = [
        *build_shim.STRICT,
        *(["-Werror"] if werror else []),
        *places(package, near),
        "-I",
        str(LAUNCHER),
    ]
    builders: dict[str, Callable[[Path, list[str]], None]] = {
        "embed-static": partial(build_static, near=near),
        "embed-shared": build_shared,
        "exec": build_exec,
    }
    if kind != "embed":
        if kind not in builders:
            raise BuildError(f"PYOCI_LAUNCHER: {kind} is none of embed, {', '.join(builders)}")
        builders[kind](target, flags)
        return target
    for name, builder in builders.items():
        try:
            builder(target, flags)
            break
        except BuildError as error:
            if name == "exec":
                raise
            print(f"pyoci: no {name} launcher: {error}", file=sys.stderr)
    return target


def package_near() -> str:
    """The place of the installed package, seen from that of the command."""
    return os.path.relpath(Path(sysconfig.get_path("platlib"), "pyoci"), sysconfig.get_path("scripts"))


def places(package: Path | None, near: str) -> list[str]:
    """Compiler definitions of where things are; `package` is the tree of a development build."""
    return defines(
        PYOCI_PYTHON=sys.executable,
        PYOCI_PYTHON_NAME=f"python{MINOR}",
        PYOCI_PACKAGE=str(package or Path(sysconfig.get_path("platlib"), "pyoci")),
        PYOCI_PACKAGE_NEAR=near,
    )


def defines(**values: str) -> list[str]:
    """Compiler definitions of string constants."""
    return [f'-D{name}="{value}"' for name, value in values.items()]


def build_exec(target: Path, flags: list[str]) -> None:
    """The kind that execs the interpreter; static, because a dynamic one costs up to a millisecond more."""
    compiler = [*build_shim.init_compiler(""), "-static", "-O2", "-s"]
    command = [*compiler, *flags, *(str(LAUNCHER / name) for name in _EXEC)]
    build_shim.make(target, command, sources())


def build_static(target: Path, flags: list[str], *, near: str) -> None:
    """The kind with Python linked in; `near` is the package's place, seen from the launcher's. Raises BuildError."""
    write_tables(
        target.parent, defined_symbols(static_launcher.archive(), ["-g", "--defined-only"]), {}, linked=True
    )
    inputs = [*sources(), *embedded_files(target.parent)]
    static_launcher.build(target, [*flags, *embed_flags(target.parent, "static")], inputs, near)


def build_shared(target: Path, flags: list[str]) -> None:
    """The kind that opens libpython at run time. Raises BuildError."""
    library = Path(str(sysconfig.get_config_var("LIBDIR")), str(sysconfig.get_config_var("INSTSONAME")))
    if not sysconfig.get_config_var("Py_ENABLE_SHARED") or not library.is_file():
        raise BuildError(f"{library} is missing")
    symbols = defined_symbols(library, ["-D", "--defined-only"])
    if _SECOND_HALF not in symbols:  # Python 3.14
        raise BuildError(f"{library} begins with Python's core alone only for good: it has no {_SECOND_HALF}")
    write_tables(target.parent, symbols, freeze.encodings(), linked=False)
    command = [*compiler(), *flags, *embed_flags(target.parent, "shared")]
    command += defines(PYOCI_LIBPYTHON=str(library), PYOCI_PYTHON_MINOR=MINOR)
    command += [*(str(LAUNCHER / name) for name in _SHARED), "-ldl"]
    build_shim.make(target, command, [*sources(), *embedded_files(target.parent)])


def compiler() -> list[str]:
    """The C compiler for the embedded kinds: Python's own, or CC."""
    return [*shlex.split(os.environ.get("CC") or str(sysconfig.get_config_var("CC"))), "-O2", "-s"]


def embed_flags(directory: Path, linkage: str) -> list[str]:
    """Compiler options common to both embedded kinds."""
    return [
        *("-I", sysconfig.get_path("include"), "-I", str(directory)),
        *defines(PYOCI_LINKAGE=linkage, PYOCI_FROZEN_CODE=str(directory / "frozen_code")),
    ]


def embedded_files(directory: Path) -> list[Path]:
    """The generated files that are compiled in."""
    names = ("frozen_code", "frozen_table.h", "extension_table.h", "builtin_table.h")
    return [directory / name for name in names]


def write_tables(directory: Path, symbols: set[str], more: dict[str, Path], *, linked: bool) -> None:
    """Write the frozen code, of `more` modules too, and the tables of imports.c. Raises BuildError.

    symbols  what libpython defines
    linked   our extension modules and cffi's are part of the launcher, else they are files
    """
    freeze.write(directory / "frozen_code", directory / "frozen_table.h", more)
    package_places = ["", ".", *dict.fromkeys([sysconfig.get_path("platlib"), sysconfig.get_path("purelib")])]
    rows = []
    built_in = []
    for name in ["_cffi_backend", *freeze.OWN, *freeze.built_in_modules()]:
        function = _OTHER_INITS.get(name, f"PyInit_{name.rpartition('.')[2]}")
        if function in symbols or (linked and name in ("_cffi_backend", *freeze.OWN)):
            built_in.append(f'MODULE("{name}", {function})\n')
        elif name in freeze.OWN:
            rows.append(extension_row(name, f"{name.rpartition('.')[2]}{EXTENSION_SUFFIX}", [""]))
        elif name == "_cffi_backend":
            rows.append(extension_row(name, extension_file(name).name, package_places[1:]))
        elif name not in ("sys", "builtins"):
            file = extension_file(name)
            if linked:
                raise BuildError(f"Python's module {name} is not in libpython, but a file")
            rows.append(extension_row(name, file.name, [str(file.parent)]))
    build_shim.write_if_changed(directory / "extension_table.h", "".join(rows))
    build_shim.write_if_changed(directory / "builtin_table.h", "".join(built_in))


def extension_row(name: str, file: str, directories: list[str]) -> str:
    """A row of extension_table.h."""
    places = ", ".join(f'"{directory}"' for directory in directories)
    return f'{{"{name}", "{file}", {{{places}}}}},\n'


def extension_file(name: str) -> Path:
    """The file of an extension module of the Python that builds. Raises BuildError."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin or not spec.origin.endswith(".so"):
        raise BuildError(f"Python's module {name} is neither in libpython nor a file")
    return Path(spec.origin)


def defined_symbols(file: Path, options: list[str]) -> set[str]:
    """Names that an object file, archive or shared library defines. Raises BuildError."""
    return {line.split()[-1].partition("@")[0] for line in nm(file, options) if len(line.split()) == 3}


def nm(file: Path, options: list[str]) -> list[str]:
    """The lines of nm(1). Raises BuildError."""
    try:
        result = subprocess.run(["nm", *options, str(file)], check=False, capture_output=True, text=True)
    except OSError as error:
        raise BuildError(f"nm: {error.strerror} (Debian: binutils)") from error
    if result.returncode:
        raise BuildError(f"nm {file}: {result.stderr.strip()}")
    return [line for line in result.stdout.splitlines() if line and not line.endswith(":")]
