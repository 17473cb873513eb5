"""Walking and removing cgroup trees.

Below a container's cgroup the names and the depth are the container's own when it has been delegated: so
nothing here recurses, builds long paths or keeps a descriptor for each level. cgroup file systems have no
links and no renames from one directory to another, so `..` leads back to where the walk came from.
"""

import errno
import posix
import time

from pyoci.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Visit = Callable[[int, str, int], None]

_OPEN = files.DIRECTORY | posix.O_NOFOLLOW


def has_children(path: str) -> bool:
    """Whether a cgroup has sub-cgroups: the link count of its directory tells without a listing."""
    return posix.stat(path).st_nlink > 2


def walk(path: str, visit: "Visit") -> None:
    """Call `visit(parent_fd, name, fd)` for every cgroup below `path`, the deepest first, not for `path`
    itself.

    A cgroup that vanishes meanwhile is skipped. Raises OSError of `visit`, or when `path` cannot be opened.
    """
    fd = posix.open(path, _OPEN)
    names: list[str] = []
    waiting = [_children(fd)]
    try:
        while True:
            if waiting[-1]:
                name = waiting[-1].pop()
                below = _open_child(fd, name)
                if below >= 0:
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
                visit(fd, names.pop(), below)
            finally:
                files.close(below)
            waiting.pop()
    finally:
        files.close(fd)


def _open_child(fd: int, name: str) -> int:
    try:
        return posix.open(name, _OPEN, dir_fd=fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return -1
        raise


def _children(fd: int) -> list[str]:
    """The names of sub-cgroups: the directories in a cgroup's directory."""
    if posix.fstat(fd).st_nlink <= 2:
        return []
    try:
        with posix.scandir(fd) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return []
        raise


def pids(path: str, recursive: bool = True) -> list[int]:
    """The processes of a cgroup, and of those below it; none when it does not exist. Raises OSError."""
    found: list[int] = []
    try:
        found += _procs(f"{path}/cgroup.procs")
        if recursive and has_children(path):
            walk(path, lambda _above, _name, fd: found.extend(_procs("cgroup.procs", fd)))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
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
    """Remove what `make` made, as far as nobody uses it."""
    for path in reversed(made):
        try:
            posix.rmdir(path)
        except OSError:
            continue


def remove(path: str, deadline: float) -> None:
    """Remove a cgroup with all below it, trying again while the kernel says it is busy until `deadline`
    (monotonic).

    A process that has ended keeps its cgroup busy for a moment. Raises OSError, EBUSY when the time is over.
    """
    pause = 0.001
    while True:
        try:
            posix.rmdir(path)
            return
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                return
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY) or time.monotonic() > deadline:
                raise
        if not _remove_children(path):
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
