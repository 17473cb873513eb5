"""The rule for hot modules (CONTRIBUTING.md): what they may import, and a Python in which nothing else works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import _cffi_backend

import pyoci

PACKAGE = Path(pyoci.__file__).resolve().parent
VERBS = ("create", "start", "state", "kill", "delete", "run", "exec")

# Built into the interpreter, or into the launcher: importing them costs next to nothing.
ALLOWED = {
    *(
        "_posixsubprocess",
        "_signal",
        "_struct",
        "builtins",
        "errno",
        "fcntl",
        "gc",
        "grp",
        "marshal",
        "mmap",
    ),
    *("posix", "pwd", "resource", "select", "stat", "sys", "time"),
    *("_imp", "_pyoci_launcher"),
}
# What comes along with those, and with the shim.
COMPANIONS = {"_stat", "_cffi_backend"}

# A Python as the launcher's: core only. What the ordinary start brings along anyway is made unusable, so that its use shows.
_CORE = """
import sys
sys.path[:0] = {paths!r}
for name in ("io", "abc", "codecs", "zipimport"):
    sys.modules[name] = None
import builtins, posix
builtins.open = builtins.print = builtins.input = None
del sys.stdin, sys.stdout, sys.stderr
argv, sys.argv = {argv!r}, None
before = set(sys.modules)
status = 0
{body}
from pyoci.base import jsontext, files
found = jsontext.dumps([status, sorted(set(sys.modules) - before)])
files.write_all(posix.open({report!r}, posix.O_WRONLY | posix.O_CREAT), found.encode())
"""


def run(
    body: str, folder: Path, argv: list[str] | None = None
) -> tuple[int, set[str], subprocess.CompletedProcess[bytes]]:
    """Run code in such a Python: its `status`, the modules that it imported, and the ended process."""
    report = folder / "modules.json"
    report.unlink(missing_ok=True)
    script = _CORE.format(paths=paths(), argv=argv or [], body=body, report=str(report))
    call = [sys.executable, "-I", "-S", "-X", "utf8", "-c", script]
    with open(folder / "out", "wb") as out, open(folder / "err", "wb") as err:
        ended = subprocess.run(
            call, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=60, check=False
        )
    ended.stdout, ended.stderr = (folder / "out").read_bytes(), (folder / "err").read_bytes()
    assert ended.returncode == 0, ended.stderr.decode("utf-8", "replace")
    status, modules = json.loads(report.read_text())
    return status, set(modules), ended


def paths() -> list[str]:
    """Where the package and cffi's C half are found."""
    backend = str(Path(str(_cffi_backend.__file__)).parent)
    return list(dict.fromkeys([str(PACKAGE.parent), backend]))


def foreign(modules: set[str]) -> set[str]:
    """Those that a hot verb must not have imported."""
    return {name for name in modules if name.partition(".")[0] != "pyoci"} - ALLOWED - COMPANIONS
