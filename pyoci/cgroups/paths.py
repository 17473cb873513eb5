"""Where cgroups are: the layout of /sys/fs/cgroup, this process's own place in it, and the container's.

cgroups(7). Nothing here has side effects. The trees are the host's; only `linux.cgroupsPath` comes from the
configuration, and no `..` in it leads out of the place it starts from.
"""

import posix

from pyoci.base import files
from pyoci.base.errors import unreadable_proc
from pyoci.host import mountinfo

MOUNT = "/sys/fs/cgroup"
POINTER = "/linux/cgroupsPath"

# Controllers of cgroup v1 that a container joins, in the order in which it does. cpuset is first: joining one
# without CPUs fails, and then nothing else has been changed.
V1_CONTROLLERS = (
    "cpuset",
    "devices",
    "memory",
    "cpu",
    "cpuacct",
    "pids",
    "blkio",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "freezer",
    "rdma",
    "misc",
    "name=systemd",
)


class Hierarchy:
    """One mounted tree of cgroup v1: directory below `MOUNT`, and the controllers it carries."""

    __slots__ = ("controllers", "directory")

    def __init__(self, directory: str, controllers: list[str]) -> None:
        self.directory = directory
        self.controllers = controllers

    @property
    def mount(self) -> str:
        """Where it is mounted."""
        return f"{MOUNT}/{self.directory}"

    @property
    def options(self) -> str:
        """The options with which mount(2) mounts this tree once more."""
        return ",".join(self.controllers)


def is_v2() -> bool:
    """Whether the whole of `MOUNT` is cgroup v2."""
    return posix.access(f"{MOUNT}/cgroup.controllers", posix.F_OK)


def hierarchies() -> list[Hierarchy]:
    """The trees of cgroup v1 that are mounted, in the order in which they are to be joined."""
    try:
        names = posix.listdir(MOUNT)
        outside = posix.stat(MOUNT).st_dev
    except OSError:
        return []
    mounted_together = {part for name in names if "," in name for part in name.split(",")}
    found = []
    for name in names:
        if name in mounted_together:
            continue  # a link to the tree that carries several
        controllers = ["name=systemd"] if name == "systemd" else name.split(",")
        if controllers[0] in V1_CONTROLLERS and _device(f"{MOUNT}/{name}") not in (None, outside):
            found.append(Hierarchy(name, controllers))
    found.sort(key=_join_order)
    return found


def hybrid_mount() -> str:
    """The place of the cgroup v2 tree beside those of v1, or ""."""
    mount = f"{MOUNT}/unified"
    return mount if posix.access(f"{mount}/cgroup.procs", posix.F_OK) else ""


def _join_order(tree: Hierarchy) -> int:
    return V1_CONTROLLERS.index(tree.controllers[0])


def _device(path: str) -> int | None:
    try:
        return posix.stat(path).st_dev
    except OSError:
        return None


def of_process(pid: int | str = "self") -> dict[str, str]:
    """Controller -> cgroup path of a process, from /proc/PID/cgroup; that of v2 has the key "".

    Raises ProcessLookupError or FileNotFoundError for a process that is gone, OciError where procfs fails.
    """
    path = f"/proc/{pid}/cgroup"
    try:
        text = files.read(path).decode("utf-8", "surrogateescape")
    except (FileNotFoundError, ProcessLookupError):
        raise
    except OSError as error:
        raise unreadable_proc(path, error) from None
    found: dict[str, str] = {}
    # a name holds no newline, but may hold what splitlines() takes for one
    for line in text.split("\n")[:-1]:
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            found[name] = path
    return found


def own(mount: str, path: str) -> str:
    """The directory below `mount` that is the cgroup `path` of /proc/self/cgroup.

    Inside a container without a cgroup namespace the mount shows only a part of the tree, and the path counts
    from the tree's root: then mountinfo tells which part it is.
    """
    if path == "/" or ".." in path.split("/"):
        return mount  # with "..", the place is above the root of our cgroup namespace
    if posix.access(mount + path, posix.F_OK):
        return mount + path
    root = _mount_root(mount)
    if root and (path == root or path.startswith(root + "/")):
        return mount + path[len(root) :]
    return mount


def _mount_root(mount: str) -> str:
    """Which directory of its file system is mounted at `mount`; "" for all of it, or when unknown."""
    roots = [found.root for found in mountinfo.read() if found.point == mount]
    root = roots[-1] if roots else ""  # the last one is on top
    return "" if root == "/" else root
