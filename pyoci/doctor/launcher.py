"""The launcher: its kind, why it is not the static one, and whether what is embedded in it is older than the machine's own."""

import json
import platform
import re
import subprocess
from importlib import metadata
from typing import NamedTuple

from pyoci.base import boot
from pyoci.doctor.check import NO, UNKNOWN, YES, Check

AREA = "launcher"
_SECONDS = 20


class Part(NamedTuple):
    """Something embedded in the launcher; `source`, `source_version`: its Debian source package, "" where it has none."""

    name: str
    version: str
    source: str
    source_version: str


class Launcher(NamedTuple):
    """What started this process: kind "static", "exec" or "none"; reason: why not "static"; parts: what is embedded."""

    kind: str
    reason: str
    parts: list[Part]


def running() -> Launcher:
    """The launcher of this process."""
    text = boot.build()
    if not text:
        return Launcher("none", "the interpreter was started by hand", [])
    found = json.loads(text)
    return Launcher(found["kind"], found["reason"], [Part(*part) for part in found["parts"]])


def checks() -> list[Check]:
    """All checks of the launcher."""
    launcher = running()
    sources = installed_sources()
    return [_kind(launcher), *(_part(part, sources) for part in launcher.parts)]


def _kind(launcher: Launcher) -> Check:
    name = "static launcher"
    if launcher.kind == "static":
        return Check(AREA, name, YES)
    cost = "every command takes some milliseconds more to start Python"
    hint = "install pyoci again with PYOCI_LAUNCHER=static, which fails and says so as long as something is missing"
    return Check(AREA, name, NO, launcher.reason, cost, hint)


def _part(part: Part, sources: dict[str, list[str]]) -> Check:
    name = f"{part.name} {part.version}, embedded"
    own = own_version(part, sources)
    if not own:
        return Check(AREA, name, UNKNOWN, "this machine has no package of it to compare with")
    if not is_newer(own, part, sources):
        return Check(AREA, name, YES, f"this machine has {own}")
    return Check(AREA, name, NO, f"this machine has {own}", "the fixes made since", rebuild(part))


def rebuild(part: Part) -> str:
    """What to do about a part that is older than the machine's own."""
    if part.name == "cffi":  # the build takes the one that it names
        return "rebuild with its source: install pyoci again with PYOCI_CFFI_SOURCE=DIRECTORY"
    return "for its security fixes, install a newer package of pyoci, or build pyoci again"


def own_version(part: Part, sources: dict[str, list[str]]) -> str:
    """The version that this machine has of a part: of its Debian source package, else of itself; "" for none."""
    if part.source in sources:
        return _newest(sources[part.source])
    if part.name == "Python":
        return platform.python_version()
    try:
        return "" if part.source else metadata.version(part.name)
    except metadata.PackageNotFoundError:
        return ""


def is_newer(own: str, part: Part, sources: dict[str, list[str]]) -> bool:
    """Whether a version, as own_version returns it, is newer than the embedded one."""
    if part.source in sources:
        return _debian_newer(own, part.source_version)
    return _numbers(own) > _numbers(part.version)


def installed_sources() -> dict[str, list[str]]:
    """Debian source package -> versions of what is installed of it; nothing where there is no dpkg."""
    form = "${db:Status-Status} ${source:Package} ${source:Version}\n"
    found: dict[str, list[str]] = {}
    for line in dpkg("dpkg-query", "--show", "--showformat", form)[1].splitlines():
        state, name, version = line.split(" ")
        if state == "installed" and version not in found.setdefault(name, []):
            found[name].append(version)
    return found


def _newest(versions: list[str]) -> str:
    newest = ""
    for version in versions:
        if not newest or _debian_newer(version, newest):
            newest = version
    return newest


def _debian_newer(one: str, other: str) -> bool:
    return dpkg("dpkg", "--compare-versions", one, "gt", other)[0] == 0


def dpkg(*command: str) -> tuple[int, str]:
    """Exit status and output of a program of dpkg's; 127 where there is none."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 127, ""
    return done.returncode, done.stdout


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
