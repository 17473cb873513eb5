"""Adds our settings to a configuration file that an administrator keeps: everything else stays as it is written."""

import errno
import json
import os
import tomllib
from pathlib import Path

from pyoci.base.errors import OciError


def merged(form: str, there: str, wanted: str, file: str) -> str:
    """The text of the file with our settings in it. Raises OciError `engine-config` when it has to be done by hand.

    form     "drop-in" (the file is ours), "json" or "toml"
    there    what the file has now, "" for none          wanted   what `Engine.text` says
    """
    if form == "drop-in" or not there.strip():
        return wanted
    return _json(there, wanted, file) if form == "json" else _toml(there, wanted, file)


def _json(there: str, wanted: str, file: str) -> str:
    """Objects are merged member by member; every other value of ours takes the place of what was there."""
    try:
        old = json.loads(there)
    except ValueError as error:
        raise refused(file, f"it is not JSON ({error})") from None
    if not isinstance(old, dict):
        raise refused(file, "it is not a JSON object")
    new = _joined(old, json.loads(wanted))
    return there if new == old else json.dumps(new, indent=4, ensure_ascii=False) + "\n"


def _joined(old: dict[str, object], new: dict[str, object]) -> dict[str, object]:
    found = dict(old)
    for key, value in new.items():
        there = found.get(key)
        found[key] = _joined(there, value) if isinstance(value, dict) and isinstance(there, dict) else value
    return found


def _toml(there: str, wanted: str, file: str) -> str:
    """A table that the file has gets our lines in place of its own for the same keys, any other goes to the end; comments and
    order stay. The result is read back: it must say what the file said and what we say, and no more.
    """
    try:
        old = tomllib.loads(there)
    except tomllib.TOMLDecodeError as error:
        raise refused(file, f"it is not TOML ({error})") from None
    ours = tomllib.loads(wanted)
    if ours.get("version", old.get("version")) != old.get("version"):
        raise refused(
            file, f"it lacks the line `version = {ours['version']}`, so that its tables are of another form"
        )
    expected = _joined(old, ours)
    if expected == old:
        return there
    lines = there.rstrip("\n").split("\n")
    for header, rows in _tables(wanted):
        lines = _with_table(lines, header, rows)
    text = "\n".join(lines) + "\n"
    try:
        same = tomllib.loads(text) == expected
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise refused(file, "what it has of ours is written in another way")
    return text


def _tables(text: str) -> list[tuple[str, list[str]]]:
    """The tables of a text of ours: a header each, and the lines below it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        if line.startswith("["):
            found.append((line, []))
        elif line and found:
            found[-1][1].append(line)
    return found


def _with_table(lines: list[str], header: str, rows: list[str]) -> list[str]:
    """The lines of a file with a table's rows in it."""
    bare = [line.strip() for line in lines]
    if header not in bare:
        return [*lines, "", header, *rows]
    start = bare.index(header) + 1
    end = next((at for at in range(start, len(bare)) if bare[at].startswith("[")), len(bare))
    keys = {row.partition("=")[0].strip() for row in rows}
    kept = [line for line in lines[start:end] if line.partition("=")[0].strip() not in keys]
    indent = lines[start - 1][: len(lines[start - 1]) - len(lines[start - 1].lstrip())]
    return [*lines[:start], *[indent + row for row in rows], *kept, *lines[end:]]


def refused(file: str, why: str) -> OciError:
    """The error of a file that has to be changed by hand."""
    hint = "put the settings in by hand: engine-config without --write prints them"
    return OciError("engine-config", f"{file} can't be changed: {why}", obj=file, hint=hint)


def write(file: str, text: str) -> str:
    """Put the text in place of the file; returns the path of the backup, "" when there was nothing to keep. Raises OciError."""
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        backup = _backup(Path(file))
        _replace(
            Path(os.path.realpath(file)), text
        )  # a link stays: it leads to where the administrator keeps the file
    except OSError as error:
        raise OciError(
            "engine-config", f"{file} can't be written", obj=file, errno=error.errno or 0
        ) from None
    return backup


def _replace(path: Path, text: str) -> None:
    """Make the file anew in the same directory, so that the name changes at once, with the mode and the owner that it had."""
    there = path.stat() if path.exists() else None
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        if there and (there.st_uid, there.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(temporary, there.st_uid, there.st_gid)
        temporary.chmod(there.st_mode & 0o7777 if there else 0o644)
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _backup(path: Path) -> str:
    """A copy of the file beside it, of a free name; of a drop-in one directory up, as CRI-O reads all files of its own."""
    if not path.exists():
        return ""
    directory = path.parent.parent if path.parent.suffix == ".d" else path.parent
    for number in range(1000):
        copy = directory / (f"{path.name}.before-pyoci" + (f".{number}" if number else ""))
        try:
            fd = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, path.stat().st_mode & 0o777)
        except FileExistsError:
            continue
        with os.fdopen(fd, "wb") as file:
            file.write(path.read_bytes())
        return str(copy)
    raise OSError(errno.EEXIST, "too many backups")
