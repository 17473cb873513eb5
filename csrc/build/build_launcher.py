"""Builds the `pyoci` command: an ELF launcher of one of two kinds.

static  an image of a started Python (static_launcher.py)
exec    becomes the environment's interpreter (`python -I -S`); nothing but a C compiler is needed
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import build_shim
import parts
import static_launcher
from build_shim import BuildError

LAUNCHER = build_shim.CSRC / "launcher"
KINDS = ("static", "exec")
_EXEC = ["exec.c", "locate.c"]


def sources() -> list[Path]:
    """Every file the launcher is made of."""
    return sorted([*LAUNCHER.glob("*.c"), *LAUNCHER.glob("*.h")])


def build(
    directory: Path, kind: str = "", *, reason: str = "", package: Path | None = None, werror: bool = False
) -> Path:
    """Build the launcher below `directory`/launcher and return its path.

    kind     one of KINDS, or "": static where that can be built, else exec
    reason   why `kind` is exec, for `pyoci doctor`
    package  the package's directory in a development build, which runs the tree it was built from
    Raises BuildError.
    """
    if kind not in ("", *KINDS):
        raise BuildError(f"PYOCI_LAUNCHER={kind}: the kinds of launcher are {' and '.join(KINDS)}")
    static, simple = (directory / "launcher" / name / "pyoci" for name in KINDS)
    near = "" if package else package_near()
    flags = [*build_shim.STRICT, *(["-Werror"] if werror else []), *places(package, near)]
    flags += ["-I", str(LAUNCHER)]
    if kind != "exec":
        try:
            static_launcher.build(static, flags, sources(), near)
            return static
        except BuildError as error:
            if kind:
                raise
            reason = str(error)
            print(f"pyoci: no static launcher: {reason}", file=sys.stderr)
    build_exec(simple, flags, reason or "PYOCI_LAUNCHER=exec was set when pyoci was built")
    return simple


def package_near() -> str:
    """The place of the installed package, seen from that of the command."""
    if os.environ.get("PYOCI_PREFIX"):
        return "../lib/pyoci/pyoci"
    return os.path.relpath(Path(sysconfig.get_path("platlib"), "pyoci"), sysconfig.get_path("scripts"))


def places(package: Path | None, near: str) -> list[str]:
    """Compiler definitions of where things are; `package` is the tree of a development build.

    With PYOCI_PREFIX, for distributions, the command is in its bin, the package in its lib/pyoci, and the interpreter is the
    one that has its version in its name: another one could not run the extension modules.
    """
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefix = os.environ.get("PYOCI_PREFIX")
    python = f"{prefix}/bin/{name}" if prefix and not package else sys.executable
    library = f"{prefix}/lib/pyoci" if prefix else sysconfig.get_path("platlib")
    return build_shim.defines(
        PYOCI_PYTHON=python,
        PYOCI_PYTHON_NAME=name,
        PYOCI_PACKAGE=str(package or Path(library, "pyoci")),
        PYOCI_PACKAGE_NEAR=near,
    )


def build_exec(target: Path, flags: list[str], reason: str) -> None:
    """The kind that becomes the interpreter; static, because a dynamic program takes up to a millisecond more."""
    options = ["-static", "-O2", "-g", build_shim.PROTECTED, *build_shim.READ_ONLY]
    record = parts.record("exec", reason, [parts.musl(target.parent)])
    command = [*build_shim.init_compiler(""), *options, *flags, *build_shim.defines(PYOCI_BUILD=record)]
    build_shim.make_stripped(target, [*command, *(str(LAUNCHER / name) for name in _EXEC)], sources())
