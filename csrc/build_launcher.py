"""Builds the `pyoci` command: an ELF launcher of one of the kinds that csrc/launcher/ knows."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import build_shim

LAUNCHER = build_shim.CSRC / "launcher"


def sources() -> list[Path]:
    """Every file the launcher is made of."""
    return sorted([*LAUNCHER.glob("*.c"), *LAUNCHER.glob("*.h")])


def places(package: Path | None) -> list[str]:
    """Compiler definitions of where things are; `package` is the tree of a development build."""
    scripts, library = Path(sysconfig.get_path("scripts")), Path(sysconfig.get_path("platlib"))
    near = "" if package else os.path.relpath(library / "pyoci", scripts)
    values = {
        "PYOCI_PYTHON": sys.executable,
        "PYOCI_PYTHON_NAME": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "PYOCI_PACKAGE": str(package or library / "pyoci"),
        "PYOCI_PACKAGE_NEAR": near,
    }
    return [f'-D{name}="{value}"' for name, value in values.items()]


def build(directory: Path, *, package: Path | None = None, werror: bool = False) -> Path:
    """Build the launcher in `directory` and return its path. Raises BuildError."""
    target = directory / "launcher" / "pyoci"
    target.parent.mkdir(parents=True, exist_ok=True)
    build_exec(target, places(package), werror=werror)
    return target


def build_exec(target: Path, definitions: list[str], *, werror: bool) -> None:
    """The kind that execs the interpreter; static, because a dynamic one costs 0.3 ms more."""
    command = [*build_shim.init_compiler(""), *build_shim.STRICT, "-static", "-O2", "-s", *definitions]
    command += ["-Werror"] if werror else []
    command += [str(LAUNCHER / "exec.c"), str(LAUNCHER / "locate.c"), "-o", str(target) + ".new"]
    stamp = target.with_name("pyoci.command")
    unchanged = stamp.exists() and stamp.read_text(encoding="utf-8") == "\n".join(command)
    if unchanged and not build_shim.newer(target, sources()):
        return
    build_shim.run(command)
    os.replace(str(target) + ".new", target)
    stamp.write_text("\n".join(command), encoding="utf-8")
