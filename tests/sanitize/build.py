"""A runtime of its own for this suite: shim and init with AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SOURCES = ("csrc", "pyoci", "schemas", "setup.py", "pyproject.toml", "README.md", "LICENSE")
BUILT = shutil.ignore_patterns("*.so", "__pycache__")
FINDINGS = ("AddressSanitizer", "runtime error:")


def missing() -> str:
    """What the build lacks here, or ""."""
    if shutil.which("gcc") is None:
        return "gcc is not installed"
    for name in libraries():
        if not name.is_absolute():
            return f"gcc has no {name}"
    try:
        import cffi  # noqa: F401
        import setuptools  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed"
    return ""


def libraries() -> list[Path]:
    """The sanitizers' libraries: Python is not built with them, so they are loaded before everything else."""
    found = []
    for name in ("libasan.so", "libubsan.so"):
        command = ["gcc", f"-print-file-name={name}"]
        found.append(Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()))
    return found


def runtime(directory: Path) -> Path:
    """Copy the sources, build them there, and give the path of the command."""
    for name in SOURCES:
        source = TOP / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=BUILT)
        else:
            shutil.copy(source, directory / name)
    environment = {
        **os.environ,
        "PYOCI_SANITIZE": "address,undefined",
        "PYOCI_SANITIZE_INIT": "address,undefined",
        "PYOCI_LAUNCHER": "exec",
        "PYOCI_WERROR": "1",
    }
    (directory / "bin").mkdir()
    command = [sys.executable, "-W", "ignore", "setup.py", "--quiet", "dev_build", "--bin-dir", "bin"]
    found = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    wrapper = directory / "bin/sanitized"
    wrapper.write_text(
        "#!/bin/sh\n"
        f"export LD_PRELOAD={':'.join(map(str, libraries()))}\n"
        "export ASAN_OPTIONS=detect_leaks=0:exitcode=99\n"
        f'exec {directory}/bin/pyoci "$@"\n'
    )
    wrapper.chmod(0o755)
    return wrapper


def needed_by(program: Path) -> list[Path]:
    """The libraries a dynamic program needs, and its interpreter."""
    listing = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    return [Path(word) for line in listing.splitlines() for word in line.split() if word.startswith("/")]
