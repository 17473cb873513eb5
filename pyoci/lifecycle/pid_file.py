"""The file of --pid-file: the pid in decimal digits, whole or not there.

Whenever the runtime is killed, it leaves no other name beside this one. The file is written before it has a name (O_TMPFILE) and
then linked, so there is no temporary that nobody knows of. linkat(2) replaces nothing: an older file goes first, and for that
moment there is none.
"""

import errno
import posix

from pyoci.base import files
from pyoci.base.errors import from_os_error

# what file systems without O_TMPFILE say
_NOT_HERE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS)
_MODE = 0o644


def write(path: str, pid: int) -> None:
    """Write the pid file, in the place of an older one. Raises OciError."""
    data = str(pid).encode()
    try:
        while True:
            try:
                _make(path, data)
                return
            except FileExistsError:
                posix.unlink(path)
    except OSError as error:
        raise from_os_error("pid-file", f"pid file {path}", error, obj=path) from None


def remove(path: str, pid: int) -> None:
    """Remove the pid file of a process that failed, unless another one is there by now. Raises nothing."""
    try:
        if files.read(path, limit=16) == str(pid).encode():
            posix.unlink(path)
    except OSError:
        pass


def _make(path: str, data: bytes) -> None:
    """Make the file whole. Raises OSError, FileExistsError for one that is there."""
    try:
        fd = posix.open(
            path.rpartition("/")[0] or "/", posix.O_WRONLY | posix.O_TMPFILE | posix.O_CLOEXEC, _MODE
        )
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        return _make_by_name(path, data)
    try:
        files.write_all(fd, data)
        # not by AT_EMPTY_PATH, which wants CAP_DAC_READ_SEARCH; the directory makes Python call linkat(2), which follows
        posix.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)
    except FileNotFoundError:  # no procfs
        _make_by_name(path, data)
    finally:
        files.close(fd)


def _make_by_name(path: str, data: bytes) -> None:
    """The same where a file can't be without a name: for a moment it is empty, as with crun. Raises OSError."""
    try:
        files.create(path, data, _MODE)
    except FileExistsError:
        raise
    except BaseException:  # a signal that ends the command, too
        try:
            posix.unlink(path)
        except OSError:
            pass
        raise
