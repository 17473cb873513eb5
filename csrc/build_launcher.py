"""Builds the `pyoci` command: an ELF launcher of one of the kinds that csrc/launcher/ knows.

exec          becomes the environment's interpreter (`python -I -S`); nothing but a C compiler is needed
embed-static  Python's core inside, linked from libpython3.X.a
embed-shared  Python's core inside, libpython3.X.so opened at run time
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import build_shim
import deepfreeze
import freeze
from build_shim import BuildError

LAUNCHER = build_shim.CSRC / "launcher"
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
EXTENSION_SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
_EXEC = ["exec.c", "locate.c"]
_EMBED = ["embed.c", "imports.c", "api.c", "locate.c"]
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
    flags = [*build_shim.STRICT, *(["-Werror"] if werror else []), *places(package), "-I", str(LAUNCHER)]
    builders = {"embed-static": build_static, "embed-shared": build_shared, "exec": build_exec}
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


def places(package: Path | None) -> list[str]:
    """Compiler definitions of where things are; `package` is the tree of a development build."""
    scripts, library = Path(sysconfig.get_path("scripts")), Path(sysconfig.get_path("platlib"))
    near = "" if package else os.path.relpath(library / "pyoci", scripts)
    return defines(
        PYOCI_PYTHON=sys.executable,
        PYOCI_PYTHON_NAME=f"python{MINOR}",
        PYOCI_PACKAGE=str(package or library / "pyoci"),
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


def build_static(target: Path, flags: list[str]) -> None:
    """The kind with Python linked in. Raises BuildError."""
    archive = Path(str(sysconfig.get_config_var("LIBPL")), str(sysconfig.get_config_var("LIBRARY")))
    if not archive.is_file():
        raise BuildError(f"{archive} is missing (Debian: python3-dev)")
    symbols = defined_symbols(archive, ["-g", "--defined-only"])
    shim = build_shim_object(target.parent)
    deep = target.parent / "deep_frozen.c" if deepfreeze.SUPPORTED else None
    extensions = write_tables(target.parent, symbols | {"PyInit__shim"}, {}, deep)
    # Extension modules take Python's functions from this program: all of the API is linked in and exported.
    wanted = {name for name in symbols if name.startswith("Py") and not name.startswith("PyInit_")}
    for extension in extensions:
        wanted |= undefined_symbols(extension) & symbols
    options = target.parent / "exports"
    build_shim.write_if_changed(options, "".join(f"-Wl,-u,{name}\n" for name in sorted(wanted)))
    wraps = ["_PyGC_InitState", *(["_Py_Deepfreeze_Init"] if sys.version_info < (3, 13) else [])]
    command = [*compiler(), *flags, *embed_flags(target.parent, "static")]
    command += [str(LAUNCHER / name) for name in [*_EMBED, "trim.c"]]
    if deep is not None:
        command += ["-DPYOCI_DEEP_FROZEN", str(deep)]
    # Not position-independent, as Debian's own python3: its archive is compiled so, and relocating costs.
    command += ["-no-pie", "-Wl,--export-dynamic", f"@{options}", *(f"-Wl,--wrap={name}" for name in wraps)]
    command += [str(shim), str(archive), "-lm", "-ldl", "-lpthread", "-lutil"]
    inputs = [*sources(), *embedded_files(target.parent), *([deep] if deep else []), shim, archive]
    build_shim.make(target, command, inputs)
    unresolved = set.union(set(), *map(undefined_symbols, extensions)) & symbols
    lost = unresolved - defined_symbols(target, ["-D", "--defined-only"])
    if lost:
        target.unlink()
        raise BuildError(f"extension modules would miss {', '.join(sorted(lost))}")


def build_shared(target: Path, flags: list[str]) -> None:
    """The kind that opens libpython at run time. Raises BuildError."""
    library = Path(str(sysconfig.get_config_var("LIBDIR")), str(sysconfig.get_config_var("INSTSONAME")))
    if not sysconfig.get_config_var("Py_ENABLE_SHARED") or not library.is_file():
        raise BuildError(f"{library} is missing")
    write_tables(target.parent, defined_symbols(library, ["-D", "--defined-only"]), freeze.encodings(), None)
    command = [*compiler(), *flags, *embed_flags(target.parent, "shared")]
    command += defines(PYOCI_LIBPYTHON=str(library), PYOCI_PYTHON_MINOR=MINOR)
    command += [*(str(LAUNCHER / name) for name in _EMBED), "-ldl"]
    build_shim.make(target, command, [*sources(), *embedded_files(target.parent)])


def build_shim_object(directory: Path) -> Path:
    """pyoci._shim as one object file, for linking it in: 45 microseconds less than opening it as a library.

    Its sources are compiled strictly where the extension is built (setup.py), so without warnings here.
    """
    module, image = build_shim.generate(directory.parent)
    inputs = [module, image, *build_shim.shim_sources()]
    target = directory / "shim.o"
    command = [
        *compiler(),
        "-r",
        "-w",
        *build_shim.STRICT,
        "-fvisibility=hidden",
        "-I",
        sysconfig.get_path("include"),
    ]
    command += ["-I", str(build_shim.CSRC), "-I", str(build_shim.CSRC / "shim"), *map(str, inputs)]
    build_shim.make(target, command, [*inputs, *build_shim.headers()])
    return target


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


def write_tables(directory: Path, symbols: set[str], more: dict[str, Path], deep: Path | None) -> list[Path]:
    """Write the frozen code, of `more` modules too, and the tables of imports.c; deep-frozen into `deep` where given.

    `symbols` are what libpython defines. Returns the files of the extension modules that Python and cffi
    have now. Raises BuildError.
    """
    freeze.write(directory / "frozen_code", directory / "frozen_table.h", more, deep)
    package_places = ["", ".", *dict.fromkeys([sysconfig.get_path("platlib"), sysconfig.get_path("purelib")])]
    cffi = extension_file("_cffi_backend")
    found = [cffi]
    rows = [extension_row("_cffi_backend", cffi.name, package_places[1:])]
    built_in = []
    for name in ["pyoci._shim", *freeze.built_in_modules()]:
        function = _OTHER_INITS.get(name, f"PyInit_{name.rpartition('.')[2]}")
        if function in symbols:
            built_in.append(f'MODULE("{name}", {function})\n')
        elif name == "pyoci._shim":
            rows.append(extension_row(name, f"_shim{EXTENSION_SUFFIX}", [""]))
        elif name not in ("sys", "builtins"):
            file = extension_file(name)
            found.append(file)
            rows.append(extension_row(name, file.name, [str(file.parent)]))
    build_shim.write_if_changed(directory / "extension_table.h", "".join(rows))
    build_shim.write_if_changed(directory / "builtin_table.h", "".join(built_in))
    return found


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


def undefined_symbols(file: Path) -> set[str]:
    """Names that a shared library takes from others. Raises BuildError."""
    return {line.split()[-1].partition("@")[0] for line in nm(file, ["-D", "--undefined-only"])}


def nm(file: Path, options: list[str]) -> list[str]:
    """The lines of nm(1). Raises BuildError."""
    try:
        result = subprocess.run(["nm", *options, str(file)], check=False, capture_output=True, text=True)
    except OSError as error:
        raise BuildError(f"nm: {error.strerror} (Debian: binutils)") from error
    if result.returncode:
        raise BuildError(f"nm {file}: {result.stderr.strip()}")
    return [line for line in result.stdout.splitlines() if line and not line.endswith(":")]
