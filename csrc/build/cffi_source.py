"""Finds the source of cffi for the static launcher: its wheel is a shared library. The build fetches nothing.

cffi.txt names the version and the hash of the source package. It is looked for

    where PYOCI_CFFI_SOURCE says: the file, or a directory into which a source package, also of another version, was unpacked
    in the directories of PIP_FIND_LINKS, which pip and its builds look into (the option --find-links is for pip alone)
    in build/sources/ of the tree, into which scripts/set-up downloads it
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from pathlib import Path

import build_shim
from build_shim import BuildError

REQUIREMENT = Path(__file__).with_name("cffi.txt")
DOWNLOADED = build_shim.CSRC.parent / "build" / "sources"


def folder(directory: Path) -> tuple[str, Path]:
    """cffi's version and the folder of its source; a source package is unpacked into `directory`. Raises BuildError."""
    given = os.environ.get("PYOCI_CFFI_SOURCE")
    if given and Path(given).is_dir():
        return _version(Path(given)), Path(given)
    version, _ = pinned()
    unpacked = directory / f"cffi-{version}"
    found = package() if given or not unpacked.is_dir() else None
    if found and not unpacked.is_dir():
        _unpack(found, unpacked)
    return version, unpacked


def package() -> Path:
    """The file of the source package that cffi.txt names. Raises BuildError."""
    version, digest = pinned()
    given = os.environ.get("PYOCI_CFFI_SOURCE")
    found = Path(given) if given else _found(f"cffi-{version}.tar.gz")
    try:
        content = found.read_bytes()
    except OSError as error:
        raise BuildError(f"the source of cffi: {found}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise BuildError(f"{found} is not the source of cffi {version}: {REQUIREMENT} has another sha256")
    return found


def pinned() -> tuple[str, str]:
    """Version and sha256 of the source package that cffi.txt names."""
    text = REQUIREMENT.read_text(encoding="utf-8")
    found = re.search(r"^cffi==(\S+) --hash=sha256:([0-9a-f]{64})$", text, re.MULTILINE)
    if not found:
        raise BuildError(f"{REQUIREMENT} has no line cffi==VERSION --hash=sha256:HASH")
    return found[1], found[2]


def _found(name: str) -> Path:
    """The source package in one of the directories. Raises BuildError."""
    places = [Path(place.removeprefix("file://")) for place in os.environ.get("PIP_FIND_LINKS", "").split()]
    for place in [*places, DOWNLOADED]:
        if (place / name).is_file():
            return place / name
    raise BuildError(
        f"the source of cffi is missing: name {name} or its unpacked directory in PYOCI_CFFI_SOURCE, or put it into a "
        "directory of PIP_FIND_LINKS (get it with: "
        "pip download --no-deps --no-binary cffi --require-hashes -r csrc/build/cffi.txt)"
    )


def _version(unpacked: Path) -> str:
    """The version of an unpacked source package. Raises BuildError."""
    if not (unpacked / "src" / "c" / "_cffi_backend.c").is_file():
        raise BuildError(f"PYOCI_CFFI_SOURCE: {unpacked} has no src/c/_cffi_backend.c")
    facts = unpacked / "PKG-INFO"
    text = facts.read_text(encoding="utf-8") if facts.is_file() else ""
    found = re.search(r"^Version: (\S+)$", text, re.MULTILINE)
    return found[1] if found else "unknown"


def _unpack(package: Path, folder: Path) -> None:
    """Write the C files of a source package into a folder, which is complete once it has its name."""
    new = folder.with_name(f"{folder.name}.new")
    for part in ("c", "cffi"):
        (new / "src" / part).mkdir(parents=True, exist_ok=True)
    with tarfile.open(package) as members:
        for member in members:
            directory, _, name = member.name.rpartition("/")
            content = members.extractfile(member) if member.isfile() else None
            wanted = directory in (f"{folder.name}/src/c", f"{folder.name}/src/cffi")
            if wanted and name.endswith((".c", ".h")) and content is not None:
                (new / member.name.removeprefix(f"{folder.name}/")).write_bytes(content.read())
    new.rename(folder)
