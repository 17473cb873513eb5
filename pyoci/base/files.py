"""Files and output by plain system calls: the same code runs with and without Python's io layer."""

import errno
import posix

from pyoci.base import printable
from pyoci.base.errors import from_os_error

DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC
_CHUNK = 1 << 16
# what file systems without O_TMPFILE say
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS)


def close(fd: int) -> None:
    """Give up a descriptor. An error is ignored: the descriptor is gone all the same, and what matters was written before."""
    try:
        posix.close(fd)
    except OSError:
        pass


def close_all(fds: list[int]) -> None:
    """Give up descriptors, and empty the list of them."""
    for fd in fds:
        close(fd)
    fds.clear()


def read_fd(fd: int, limit: int = 0) -> bytes:
    """All bytes up to the end of file; with `limit`, at most limit + 1 of them (so that "too long" shows)."""
    chunks: list[bytes] = []
    total = 0
    while True:
        chunk = posix.read(fd, _CHUNK)
        if not chunk:
            break
        chunks.append(chunk)
        total += len(chunk)
        if limit and total > limit:
            break
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def read(path: str, *, dir_fd: int | None = None, limit: int = 0) -> bytes:
    """The content of a file. Raises OSError."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=dir_fd)
    try:
        return read_fd(fd, limit)
    finally:
        close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, however many calls it takes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[posix.write(fd, view) :]


def write(path: str, data: bytes, *, dir_fd: int | None = None) -> None:
    """Write into an existing file in one go, as kernel interface files want it. Raises OSError."""
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC, dir_fd=dir_fd)
    try:
        write_all(fd, data)
    finally:
        close(fd)


def create(
    path: str, data: bytes, mode: int = 0o600, *, dir_fd: int | None = None, sync: bool = False
) -> None:
    """Make a new file; it must not exist. Raises OSError."""
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC | posix.O_NOFOLLOW
    fd = posix.open(path, flags, mode, dir_fd=dir_fd)
    try:
        write_all(fd, data)
        if sync:
            posix.fsync(fd)
    finally:
        close(fd)


def replace(
    name: str, data: bytes, mode: int = 0o600, *, dir_fd: int | None = None, sync: bool = False
) -> None:
    """Put a file in place atomically: a reader sees the old content or the new one. Raises OSError."""
    temporary = f"{name}.{posix.getpid()}.tmp"
    try:
        posix.unlink(temporary, dir_fd=dir_fd)
    except FileNotFoundError:
        pass
    try:
        create(temporary, data, mode, dir_fd=dir_fd, sync=sync)
        posix.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except BaseException:  # a signal that ends the command, too
        try:
            posix.unlink(temporary, dir_fd=dir_fd)
        except OSError:
            pass
        raise


def put(path: str, data: bytes, mode: int) -> None:
    """Make a file in the place of an older one, whole or not there, and with no other name beside it. Raises OSError.

    Whenever the runtime is killed, nothing is left that nobody knows of: the file is written before it has a name (O_TMPFILE)
    and then linked. linkat(2) replaces nothing: an older file goes first, and for that moment there is none.
    """
    while True:
        try:
            _link_new(path, data, mode)
            return
        except FileExistsError:
            posix.unlink(path)


def _link_new(path: str, data: bytes, mode: int) -> None:
    """Make the file whole. Raises OSError, FileExistsError for one that is there."""
    directory = path.rpartition("/")[0] or "/"
    try:
        fd = posix.open(directory, posix.O_WRONLY | posix.O_TMPFILE | posix.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
        return _create_or_remove(path, data, mode)
    try:
        write_all(fd, data)
        # not by AT_EMPTY_PATH, which wants CAP_DAC_READ_SEARCH; the directory makes Python call linkat(2), which follows
        posix.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)
    except FileNotFoundError:  # no procfs
        _create_or_remove(path, data, mode)
    finally:
        close(fd)


def _create_or_remove(path: str, data: bytes, mode: int) -> None:
    """The same where a file can't be without a name: for a moment it is empty, as with crun. Raises OSError."""
    try:
        create(path, data, mode)
    except FileExistsError:
        raise
    except BaseException:  # a signal that ends the command, too
        try:
            posix.unlink(path)
        except OSError:
            pass
        raise


def out(text: str) -> None:
    """Print to standard output, with nothing in it that a terminal obeys. Raises OciError "output"."""
    try:
        write_all(1, printable.lines(text).encode())
    except OSError as error:
        raise from_os_error("output", "write to standard output", error) from None


def err(text: str) -> None:
    """Print to standard error in the same way; a closed one is no reason to fail."""
    try:
        write_all(2, printable.lines(text).encode())
    except OSError:
        pass
