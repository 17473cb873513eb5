"""The file of --pid-file: the pid in decimal digits, whole or not there."""

import posix

from pyoci.base import files
from pyoci.base.errors import from_os_error

_MODE = 0o644


def write(path: str, pid: int) -> None:
    """Write the pid file, in the place of an older one. Raises OciError."""
    try:
        files.put(path, str(pid).encode(), _MODE)
    except OSError as error:
        raise from_os_error("pid-file", f"pid file {path}", error, obj=path) from None


def remove(path: str, pid: int) -> None:
    """Remove the pid file of a process that failed, unless another one is there by now. Raises nothing."""
    try:
        if files.read(path, limit=16) == str(pid).encode():
            posix.unlink(path)
    except OSError:
        pass
