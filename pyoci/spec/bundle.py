"""The bundle: a directory with config.json and the root file system (bundle.md)."""

import errno
import posix
import stat

from pyoci.base import boot, files, spans
from pyoci.base.errors import OciError, from_os_error
from pyoci.spec import LARGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from pyoci.spec.problem import Problem

    Reader = Callable[[dict[str, Any]], None]

_caller = ""  # the working directory that we were called in


class Bundle:
    """A loaded and checked bundle.

    path    the bundle's directory, absolute, links resolved
    rootfs  the root file system's directory, absolute
    raw     config.json as it was read
    spec    the same as Python values
    """

    __slots__ = ("path", "rootfs", "raw", "spec")

    def __init__(self, path: str, rootfs: str, raw: bytes, spec: "dict[str, Any]") -> None:
        self.path = path
        self.rootfs = rootfs
        self.raw = raw
        self.spec = spec


def load(
    directory: str, name: str = "config.json", *, systemd: bool = False, readable: "Reader | None" = None
) -> Bundle:
    """Read and check a bundle. Raises OciError that says what is wrong and where.

    `readable` is called with a spec that its schema accepts, before the rest of the check.
    """
    path = _enter(directory)
    raw = _read_config(path, name)
    spec = parse(raw, name, systemd=systemd, readable=readable)
    return Bundle(path, _find_rootfs(path, spec), raw, spec)


def _enter(directory: str) -> str:
    """Make the bundle the current directory, as runc does: paths in it may be relative to it. Gives its real path."""
    global _caller
    try:
        _caller = posix.getcwd()
    except OSError:  # removed meanwhile
        _caller = ""
    try:
        posix.chdir(directory)
        return posix.getcwd()
    except OSError as error:
        hint = "name the bundle's directory with --bundle"
        raise from_os_error("bundle", f"bundle {directory}", error, obj=directory, hint=hint) from None


def _read_config(path: str, name: str) -> bytes:
    try:
        raw = files.read(name, limit=LARGEST)
    except OSError as error:
        hint = "make one with `pyoci spec`" if error.errno == errno.ENOENT else ""
        where = name if name.startswith("/") else f"{path}/{name}"
        raise from_os_error("config-file", f"configuration {where}", error, obj=where, hint=hint) from None
    if len(raw) > LARGEST:
        raise OciError("config-file", f"{name} is larger than {LARGEST >> 20} MiB", obj=name)
    return raw


def parse(
    raw: bytes, name: str, *, systemd: bool = False, readable: "Reader | None" = None
) -> "dict[str, Any]":
    """The checked spec; `readable` as for load(). What is refused is explained by the full checker. Raises OciError."""
    from pyoci.spec import check, fast

    spec = fast.load(raw)
    if spec is None:
        refuse(raw, name, "config")
    spans.lap("load")
    if readable:
        readable(spec)
    problems = check.problems(spec, first=True, systemd=systemd, rootless=posix.geteuid() != 0)
    if problems:
        raise refused(name, problems[0])
    spans.lap("check")
    return spec


def refused(name: str, problem: "Problem") -> OciError:
    """The error for a document that a rule refuses; line and column, and the rest, are what `validate` is for."""
    hints = [problem.hint, f"expected {problem.expected}" if problem.expected else ""]
    return OciError(
        problem.code,
        f"{name}: {problem.pointer}: {problem.message}",
        pointer=problem.pointer,
        obj=name,
        hint="; ".join([hint for hint in hints if hint])
        or "`pyoci validate` shows the place and all other problems",
    )


def refuse(raw: bytes, name: str, kind: str) -> "NoReturn":
    """Say what is wrong with a document that the quick check refused. Raises OciError."""
    if _caller:
        posix.chdir(_caller)  # the command line, which may have to be read once more, has paths from there
    boot.explain()
    from pyoci.validate import explain

    raise explain.refusal(raw, name, kind=kind)


def _find_rootfs(path: str, spec: "dict[str, Any]") -> str:
    """root.path, absolute; it must be a directory (config.md, Root)."""
    root = spec.get("root")
    if not root:
        raise OciError(
            "config", "root is missing", pointer="/root", hint="a Linux container needs a root file system"
        )
    given = root["path"]
    rootfs: str = given if given.startswith("/") else f"{path}/{given}"
    try:
        mode = posix.stat(rootfs).st_mode
    except OSError as error:
        hint = "a relative root.path starts at the bundle; put the container's files there"
        raise from_os_error(
            "rootfs", f"rootfs {rootfs}", error, pointer="/root/path", obj=rootfs, hint=hint
        ) from None
    if not stat.S_ISDIR(mode):
        raise OciError("rootfs", f"rootfs {rootfs}", errno=errno.ENOTDIR, pointer="/root/path", obj=rootfs)
    return rootfs
