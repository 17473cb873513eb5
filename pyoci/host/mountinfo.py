"""/proc/self/mountinfo: the mounts of our mount namespace (proc_pid_mountinfo(5))."""

from pyoci.base import files
from pyoci.spec import paths


class Mount:
    """One mount.

    id, parent  its id, and that of the mount that it is mounted on
    device      of its file system, "MAJOR:MINOR"
    root        the directory of the file system that it shows
    point       where it is mounted
    options     of the mount itself
    type        of its file system
    """

    __slots__ = ("id", "parent", "device", "root", "point", "options", "type")

    def __init__(self, line: str) -> None:
        fields, _, system = line.partition(" - ")  # any number of fields may stand before it
        id, parent, self.device, root, point, options = fields.split(" ", 6)[:6]
        self.id, self.parent = int(id), int(parent)
        self.root, self.point = _unescaped(root), _unescaped(point)
        self.options = options.split(",")
        self.type = system.partition(" ")[0]


def read() -> list[Mount]:
    """The mounts, each after those below it in a stack. Raises OSError."""
    return parse(files.read("/proc/self/mountinfo").decode("utf-8", "surrogateescape"))


def parse(text: str) -> list[Mount]:
    """The mounts of such a text. Only a newline ends a line: the kernel escapes it in names, but nothing else that is like it."""
    return [Mount(line) for line in text.split("\n") if line]


def holding(mounts: list[Mount], place: str) -> Mount | None:
    """The mount that an absolute path without links is in."""
    found = None
    for mount in mounts:
        if paths.is_within(place, mount.point) and (not found or len(mount.point) >= len(found.point)):
            found = mount  # a later one lies on top
    return found


def _unescaped(text: str) -> str:
    """A name, in which blanks and the like are a backslash and three octal digits."""
    first, *parts = text.split("\\")
    return first + "".join([chr(int(part[:3], 8)) + part[3:] for part in parts])
