"""The bundle: a directory with config.json and the root file system (bundle.md)."""

import errno
import posix
import stat

from pyoci.base import files
from pyoci.base.errors import OciError, from_os_error
from pyoci.spec import check, documents, fast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Spec


class Bundle:
    """A bundle whose config.json the schema accepts.

    path       the bundle's directory, absolute, links resolved
    directory  a descriptor of it: relative paths in config.json start there
    name       the name of config.json for messages
    raw        config.json as it was read
    spec       the same as Python values
    rootfs     the root file system's directory, absolute; "" until find_rootfs()
    """

    __slots__ = ("path", "directory", "name", "raw", "spec", "rootfs")

    def __init__(self, path: str, directory: int, name: str, raw: bytes, spec: "Spec") -> None:
        self.path = path
        self.directory = directory
        self.name = name
        self.raw = raw
        self.spec = spec
        self.rootfs = ""

    def check(self, *, systemd: bool = False) -> None:
        """Apply the rules that no schema can express. Raises OciError."""
        problems = check.problems(self.spec, first=True, systemd=systemd, rootless=posix.geteuid() != 0)
        documents.raise_first(self.name, problems)

    def below(self, path: str) -> str:
        """A path that starts from the bundle where it is relative, absolute."""
        return path if path.startswith("/") else f"{self.path}/{path}"

    def close(self) -> None:
        """Close the directory."""
        if self.directory >= 0:
            files.close(self.directory)
            self.directory = -1

    def find_rootfs(self) -> None:
        """Find root.path, which must be a directory (config.md, Root). Raises OciError."""
        root = self.spec["root"]
        rootfs = self.below(root["path"])
        try:
            mode = posix.stat(root["path"], dir_fd=self.directory).st_mode
        except OSError as error:
            hint = "a relative root.path starts at the bundle; put the root file system there"
            raise from_os_error(
                "rootfs", f"rootfs {rootfs}", error, pointer="/root/path", obj=rootfs, hint=hint
            ) from None
        if not stat.S_ISDIR(mode):
            raise OciError(
                "rootfs", f"rootfs {rootfs}", errno=errno.ENOTDIR, pointer="/root/path", obj=rootfs
            )
        self.rootfs = rootfs


def load(directory: str, name: str = "config.json", handed_over: bytes = b"") -> Bundle:
    """Read a bundle as far as its schema goes; check() and find_rootfs() have the rest. The caller closes it.

    directory  the bundle
    name       the configuration: a name within the bundle, or an absolute path
    handed_over   the configuration, where it has been read already

    Raises RefusedDocument where the schema refuses it, ManyMembers, else OciError.
    """
    fd, path = _open(directory)
    try:
        where = name if name.startswith("/") else f"{path}/{name}"
        hint = "make one with `pyoci spec`"
        raw = handed_over or documents.read_document(
            "config-file", f"configuration {where}", name, dir_fd=fd, where=where, missing=hint
        )
        spec = documents.accepted(fast.load, raw, name, "config")
        return Bundle(path, fd, name, raw, spec)
    except BaseException:
        files.close(fd)
        raise


def _open(directory: str) -> tuple[int, str]:
    """A descriptor of the bundle's directory, and its path without links."""
    try:
        fd = posix.open(directory, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        hint = "name the bundle's directory: create and run have --bundle for it"
        raise from_os_error("bundle", f"bundle {directory}", error, obj=directory, hint=hint) from None
    try:
        return fd, posix.readlink(f"/proc/self/fd/{fd}")
    except OSError as error:
        files.close(fd)
        hint = "procfs must be mounted on /proc"
        raise from_os_error("bundle", f"bundle {directory}", error, obj=directory, hint=hint) from None
