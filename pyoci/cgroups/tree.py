"""Walking and removing cgroup trees.

Below a container's cgroup the names and the depth are the container's own when it has been delegated: so
nothing here recurses, builds long paths or keeps a descriptor for each level. cgroup file systems have no
links and no renames from one directory to another, so `..` leads back to where the walk came from; that it did is
compared all the same. A walk starts in a directory of a cgroup file system only, and does not leave it: what is
to be removed may come from a record that is damaged.
"""

import errno
import posix
import stat
import time

from pyoci._shim import lib
from pyoci.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Visit = Callable[[int, str, int], None]
    Identity = list[int]

_OPEN = files.DIRECTORY | posix.O_NOFOLLOW
_GONE = (errno.ENOENT, errno.ENODEV)


def identity(path: str) -> "Identity | None":
    """Device and inode of a cgroup's directory, None where there is none. Raises OSError, EXDEV outside of cgroup file systems.

    The kernel gives no inode number of a cgroup file system out twice: it is the 64-bit id of the file handle.
    """
    try:
        facts = posix.lstat(path)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    if not stat.S_ISDIR(facts.st_mode) or lib.pyoci_is_cgroup(os_path(path)) != 1:
        raise _outside(path)
    return [facts.st_dev, facts.st_ino]


def _outside(path: str) -> OSError:
    return OSError(errno.EXDEV, "not a cgroup", path)


def open_cgroup(path: str, directory: int = -1) -> int:
    """A descriptor of a cgroup's directory, by its whole path or by its name in the directory of another one.

    Raises OSError, EXDEV where the directory is outside of cgroup file systems.
    """
    fd = lib.pyoci_open_cgroup(directory, os_path(path))
    if fd < 0:
        raise OSError(-fd, path)
    return int(fd)


def os_path(path: str) -> bytes:
    """The bytes of a path, for a function of C."""
    return path.encode("utf-8", "surrogateescape")


def has_children(path: str) -> bool:
    """Whether a cgroup has sub-cgroups: the link count of its directory tells without a listing."""
    return posix.stat(path).st_nlink > 2


def walk(path: str, visit: "Visit") -> None:
    """Call `visit(parent_fd, name, fd)` for every cgroup below `path`, the deepest first, not for `path`
    itself.

    A cgroup that vanishes meanwhile is skipped. Raises OSError of `visit`, or when `path` cannot be opened.
    """
    fd = open_cgroup(path)
    names: list[str] = []
    waiting = [_children(fd)]
    passed: list[tuple[int, int]] = []  # the directories that the walk came through
    try:
        while True:
            if waiting[-1]:
                name = waiting[-1].pop()
                below = _open_child(fd, name)
                if below >= 0:
                    passed.append(_key(fd))
                    files.close(fd)
                    fd = below
                    names.append(name)
                    waiting.append(_children(fd))
                continue
            if not names:
                return
            above = posix.open("..", _OPEN, dir_fd=fd)
            below, fd = fd, above
            try:
                if _key(fd) != passed.pop():
                    raise _outside(path)
                visit(fd, names.pop(), below)
            finally:
                files.close(below)
            waiting.pop()
    finally:
        files.close(fd)


def _open_child(fd: int, name: str) -> int:
    try:
        return open_cgroup(name, fd)
    except OSError as error:
        if error.errno in _GONE:
            return -1
        raise


def _key(fd: int) -> tuple[int, int]:
    facts = posix.fstat(fd)
    return facts.st_dev, facts.st_ino


def _children(fd: int) -> list[str]:
    """The names of sub-cgroups: the directories in a cgroup's directory."""
    if posix.fstat(fd).st_nlink <= 2:
        return []
    try:
        with posix.scandir(fd) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in _GONE:
            return []
        raise


def children(path: str) -> set[str]:
    """The names of the sub-cgroups of a cgroup. Raises OSError."""
    fd = open_cgroup(path)
    try:
        return set(_children(fd))
    finally:
        files.close(fd)


def pids(path: str, recursive: bool = True) -> list[int]:
    """The processes of a cgroup, and of those below it; none when it does not exist. Raises OSError."""
    found: list[int] = []
    try:
        found += _procs(f"{path}/cgroup.procs")
        if recursive and has_children(path):
            walk(path, lambda _above, _name, fd: found.extend(_procs("cgroup.procs", fd)))
    except OSError as error:
        if error.errno not in _GONE:
            raise
    return found


def _procs(name: str, dir_fd: int | None = None) -> list[int]:
    try:
        return [int(line) for line in files.read(name, dir_fd=dir_fd).split()]
    except OSError as error:
        # A threaded cgroup does not answer; its processes are listed in the domain above it.
        if error.errno in (errno.EOPNOTSUPP, errno.ENOENT, errno.ENODEV):
            return []
        raise


def make(path: str, stop: str) -> list[str]:
    """Make a cgroup and what is missing above it, not above `stop`. Gives what was made, the topmost first.

    Raises OSError; then nothing that was made is left. An existing cgroup is no error, and returns an empty
    list.
    """
    try:
        posix.mkdir(path, 0o755)
        return [path]
    except FileExistsError:
        return []
    except FileNotFoundError:
        above = path.rpartition("/")[0]
        if stop in (path, above):
            raise
    made: list[str] = []
    tries = 4
    while True:
        tries -= 1
        made += make(above, stop)
        try:
            return made + make(path, path)
        except OSError as error:
            # Another container that made the one above may just have removed it again.
            if tries == 0 or error.errno != errno.ENOENT:
                unmake(made)
                raise


def missing(path: str) -> list[str]:
    """What `make` would make: the cgroup and those above it that are not there, the topmost first."""
    found: list[str] = []
    while path and not posix.access(path, posix.F_OK):
        found.insert(0, path)
        path = path.rpartition("/")[0]
    return found


def refusal(path: str) -> OSError | None:
    """Why the kernel would not let us `make` a cgroup, as far as the rights on what is there tell; nothing is made."""
    found = missing(path)
    if not found:
        return None
    above = found[0].rpartition("/")[0] or "/"
    if posix.access(above, posix.W_OK | posix.X_OK, effective_ids=True):
        return None
    return PermissionError(errno.EACCES, above)


def unmake(made: list[str]) -> None:
    """Remove what `make` made, as far as it is not in use."""
    for path in reversed(made):
        try:
            posix.rmdir(path)
        except OSError:
            continue


def remove(path: str, deadline: float, *, below: bool = True) -> None:
    """Remove a cgroup, with all below it unless told otherwise, trying again while the kernel says it is busy until `deadline`
    (monotonic).

    A process that has ended keeps its cgroup busy for a moment. Raises OSError, EBUSY when the time is over.
    """
    pause = 0.001
    while True:
        try:
            posix.rmdir(path)
            return
        except OSError as error:
            if error.errno in _GONE:
                return
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY) or time.monotonic() > deadline:
                raise
        if not (below and _remove_children(path)):
            time.sleep(pause)
            pause = min(pause * 2, 0.05)


def _remove_children(path: str) -> bool:
    """Try to remove the sub-cgroups; whether any went."""
    removed: list[str] = []

    def rmdir(above: int, name: str, _fd: int) -> None:
        try:
            posix.rmdir(name, dir_fd=above)
            removed.append(name)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT, errno.ENODEV):
                raise

    try:
        if has_children(path):
            walk(path, rmdir)
    except FileNotFoundError:
        return True
    return bool(removed)
