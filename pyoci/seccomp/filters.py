"""Seccomp filters: linux.seccomp of config.json as a BPF program, compiled once and then kept in a cache."""

import marshal
import posix
import stat

from pyoci.base import files
from pyoci.base.files import read_fd, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.spec.spec_types import Seccomp


# Bump the number whenever the same profile has to give another program than before.
_MAGIC = b"pyoci-seccomp-1\n"
_HEADER = len(_MAGIC) + 4 + 4 + 4 + 4 + 8
_LARGEST = 1 << 20  # bytes of a cache file
_KEPT = 64  # programs in the cache
_PRIME = (1 << 30) - 35  # one digit of a Python integer: the remainder is then a matter of microseconds


def program(
    seccomp: "Seccomp", *, pointer: str = "/linux/seccomp", keep: bool = True, fail_unknown: bool = False
) -> tuple[bytes, int]:
    """The filter of a profile: an array of struct sock_filter, and the flags for seccomp(2).

    An empty array means that there is nothing to filter. Names of system calls that libseccomp has not heard
    of are left out; those newer than the whole profile give ENOSYS where the default action denies them.

    keep          a filter that had to be compiled goes into the cache
    fail_unknown  no name is left out: one that libseccomp has not heard of is an error

    Raises OciError "seccomp" whose pointer names the part of the profile (config-linux.md, Seccomp).
    """
    if seccomp["defaultAction"] == "SCMP_ACT_ALLOW" and not seccomp.get("syscalls"):
        return b"", 0
    profile: Any = seccomp  # marshal knows no TypedDicts
    if "listenerPath" in profile or "listenerMetadata" in profile:
        # they are the agent's, and the metadata often those of one container
        profile = {name: profile[name] for name in profile if not name.startswith("listener")}
    machine = posix.uname().machine.encode()
    key = machine + (b"\nfail-unknown\n" if fail_unknown else b"\n") + marshal.dumps(profile, 2)
    found = _fetch(key)
    if found:
        return found
    from pyoci.seccomp import compiler

    instructions, flags, library = compiler.compile_profile(seccomp, pointer, fail_unknown)
    if keep:
        _store(key, instructions, flags, library)
    return instructions, flags


def _fetch(key: bytes) -> tuple[bytes, int] | None:
    """The cached program of a profile; trouble of any kind means that there is none."""
    try:
        directory = _open_directory(make=False)
    except OSError:
        return None
    try:
        content = _read_trusted(_name(key), directory)
        return _unpack(content, key)
    except OSError:
        return None
    finally:
        files.close(directory)


def _store(key: bytes, instructions: bytes, flags: int, library: str) -> None:
    """Keep a program; the cache is a convenience, so trouble of any kind is no failure."""
    try:
        content = _pack(key, instructions, flags, library)
        directory = _open_directory(make=True)
    except OSError:
        return
    try:
        replace(_name(key), content, dir_fd=directory)
        _prune(directory)
    except OSError:
        pass
    finally:
        files.close(directory)


def _name(key: bytes) -> str:
    return f"{_digest(key):08x}"


def _digest(data: bytes) -> int:
    """A cheap number that tells most texts apart; what it finds is still compared in full."""
    return int.from_bytes(data, "little") % _PRIME


def _identity(library: str) -> bytes:
    """What changes when another libseccomp is installed. Raises OSError."""
    facts = posix.stat(library)
    return f"{library}\n{facts.st_dev}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}".encode()


def _pack(key: bytes, instructions: bytes, flags: int, library: str) -> bytes:
    """A cache file: lengths and flags, the key, the library that compiled it, the program. Raises OSError."""
    identity = _identity(library)
    numbers = (len(key), len(identity), len(instructions), flags)
    header = b"".join(number.to_bytes(4, "little") for number in numbers)
    return _MAGIC + header + _digest(instructions).to_bytes(8, "little") + key + identity + instructions


def _unpack(content: bytes, key: bytes) -> tuple[bytes, int] | None:
    """What `_pack` packed, if it is whole, of this very profile and of the installed libseccomp."""
    start = len(_MAGIC)
    if len(content) < _HEADER or content[:start] != _MAGIC:
        return None
    key_size, identity_size, size, flags = (
        int.from_bytes(content[at : at + 4], "little") for at in range(start, start + 16, 4)
    )
    digest = int.from_bytes(content[start + 16 : _HEADER], "little")
    identity_at = _HEADER + key_size
    program_at = identity_at + identity_size
    if len(content) != program_at + size or content[_HEADER:identity_at] != key:
        return None
    identity, instructions = content[identity_at:program_at], content[program_at:]
    library = identity.partition(b"\n")[0].decode()
    if _digest(instructions) != digest or _identity(library) != identity:
        return None
    return instructions, flags


def _read_trusted(name: str, directory: int) -> bytes:
    """A cache file that only we can have written. Raises OSError."""
    flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_NONBLOCK
    fd = posix.open(name, flags, dir_fd=directory)
    try:
        facts = posix.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or not _ours(facts) or facts.st_size > _LARGEST:
            raise PermissionError
        return read_fd(fd, _LARGEST)
    finally:
        files.close(fd)


def _ours(facts: posix.stat_result) -> bool:
    return facts.st_uid == posix.geteuid() and not facts.st_mode & 0o022


def places() -> list[tuple[str, str]]:
    """Where the cache may be, best first: a directory that must be there, and ours below it."""
    places = [("/var/cache", "pyoci/seccomp")] if posix.geteuid() == 0 else []
    for variable, below in ((b"XDG_CACHE_HOME", ""), (b"HOME", ".cache/"), (b"XDG_RUNTIME_DIR", "")):
        base = posix.environ.get(variable, b"").decode("utf-8", "surrogateescape")
        if base[:1] == "/":
            places.append((base, below + "pyoci/seccomp"))
    return places


def _open_directory(make: bool) -> int:
    """The first place of the cache that is there, or can be made. Raises OSError when there is none."""
    flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
    for base, below in places():
        try:
            if not _ours(posix.stat(base)):
                continue  # its owner chooses what the names below lead to
            if make:
                _make_directory(base, below)
            fd = posix.open(f"{base}/{below}", flags)
        except OSError:
            continue
        if _ours(posix.fstat(fd)):
            return fd
        files.close(fd)
    raise FileNotFoundError


def _make_directory(base: str, below: str) -> None:
    path = base
    for name in below.split("/"):
        path += "/" + name
        try:
            posix.mkdir(path, 0o700)
        except FileExistsError:
            pass


def _prune(directory: int) -> None:
    """Keep the cache small: the oldest programs go. Raises OSError."""
    names = posix.listdir(directory)
    if len(names) <= _KEPT:
        return
    names.sort(key=lambda name: posix.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime)
    for name in names[:-_KEPT]:
        posix.unlink(name, dir_fd=directory)
