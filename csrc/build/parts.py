"""What is embedded in a launcher, with versions: `pyoci doctor` compares them with what the machine has meanwhile.

A part is [name, version, source, source version]: the last two are those of the Debian source package that the part was
taken from, "" where no Debian package has it. pyoci/doctor/launcher.py reads them.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import build_shim

Part = tuple[str, str, str, str]
_PROGRAM = """
#include <stdio.h>
extern const char __libc_version[];
int main(void) { return puts(__libc_version) < 0; }
"""


def record(kind: str, reason: str, embedded: list[Part]) -> str:
    """The JSON text that a launcher carries: its kind, why it is not the static one, what is embedded in it, the commit."""
    values = {"kind": kind, "reason": reason, "parts": embedded, "commit": commit()}
    return json.dumps(values, separators=(",", ":"))


def commit() -> str:
    """The commit of the tree, with "-dirty" where files differ from it; "" where that is not known.

    PYOCI_COMMIT says it for a tree without git's directory, such as that of a source package.
    """
    given = os.environ.get("PYOCI_COMMIT", "")
    tree = build_shim.CSRC.parent
    if given or not (tree / ".git").exists() or not shutil.which("git"):
        return given
    # A tree of another user is none of git's business otherwise; and a build as root leaves no index of root's in it.
    command = ["git", "-c", f"safe.directory={tree}", "--no-optional-locks", "-C", str(tree)]
    command += ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def python(archive: Path) -> Part:
    """Python, from its static library."""
    return ("Python", platform.python_version(), *debian_source(archive))


def library(archive: Path) -> Part:
    """A static library that comes with a file for pkg-config."""
    name = archive.stem
    file = archive.resolve().parent / "pkgconfig" / f"{name}.pc"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = re.search(r"^Version:\s*(\S+)", text, re.MULTILINE)
    return (name, found.group(1) if found else "unknown", *debian_source(archive))


def musl(directory: Path) -> Part:
    """The C library, which a program that is linked with it tells."""
    source, program = directory / "musl.c", directory / "musl"
    build_shim.write_if_changed(source, _PROGRAM)
    command = [*build_shim.init_compiler(""), "-static", "-Wl,--trace", str(source), "-o", str(program)]
    linked = subprocess.run(command, check=False, capture_output=True, text=True)
    if linked.returncode:
        return ("C library", "unknown", "", "")
    version = subprocess.run([program], check=True, capture_output=True, text=True).stdout.strip()
    archive = next((Path(line) for line in linked.stdout.splitlines() if line.endswith("/libc.a")), None)
    return ("musl", version, *(debian_source(archive) if archive else ("", "")))


def debian_source(file: Path) -> tuple[str, str]:
    """Name and version of the Debian source package that a file is from, or two empty texts."""
    if not shutil.which("dpkg-query"):
        return "", ""
    owner = _dpkg_query("-S", str(file.resolve())).partition(": ")[0]
    if not owner:
        return "", ""
    name, _, version = _dpkg_query("-W", "-f", "${source:Package} ${source:Version}", owner).partition(" ")
    return name, version


def _dpkg_query(*arguments: str) -> str:
    done = subprocess.run(["dpkg-query", *arguments], check=False, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""
