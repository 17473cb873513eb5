"""The mount that a container without a mount namespace has for a root.

What such a container mounts is mounted on the host, where nothing takes it away when the container ends. So its rootfs is copied
as a mount onto its own place before anything else is mounted: all that follows lies below that copy, and one unmount removes it.

The ids of the copy are written down before it is attached, and it is unmounted by nothing but them: what is on the path by then
may be another mount, and a record may be forged.
"""

import errno
import posix

from pyoci._shim import lib
from pyoci.base import files
from pyoci.base.errors import OciError, from_os_error
from pyoci.host import mountinfo
from pyoci.host.mountinfo import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    class Record(TypedDict):
        """The mount as it is written down."""

        rootfs: str  # its place
        unique: int  # its id that no other mount ever gets, 0 before Linux 6.8
        id: int  # its id in mountinfo, which another mount may get later
        parent: int  # id of the mount that it is mounted on


_LARGEST = 1 << 64


class RootMount:
    """A copy of a rootfs (descriptor `tree`), detached at first, and its place."""

    __slots__ = ("rootfs", "tree", "place")

    def __init__(self, rootfs: str, tree: int, place: int) -> None:
        self.rootfs = rootfs
        self.tree = tree
        self.place = place

    def record(self) -> "Record":
        """What remove() wants to know."""
        ids = [lib.pyoci_mount_id(self.tree, 1), lib.pyoci_mount_id(self.tree, 0)]
        parent = lib.pyoci_mount_id(self.place, 0)
        return {"rootfs": self.rootfs, "unique": max(ids[0], 0), "id": ids[1], "parent": parent}

    def attach(self) -> None:
        """Attach it. Raises OciError."""
        result = lib.pyoci_attach_mount(self.tree, self.place)
        if result < 0:
            raise _failed(self.rootfs, -result)

    def close(self) -> None:
        """Close the descriptors; the mount stays."""
        files.close(self.tree)
        files.close(self.place)


def copy(rootfs: str, *, needed: bool) -> RootMount | None:
    """A copy of a rootfs with what is mounted in it; None for a caller who may not mount, and for the host's "/".

    needed  something will be mounted in the rootfs, or it becomes read-only

    Raises OciError.
    """
    try:
        place = posix.open(rootfs, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        raise _failed(rootfs, error.errno or 0) from None
    host = posix.readlink(f"/proc/self/fd/{place}") == "/"
    tree = -errno.EPERM if host else lib.pyoci_open_tree(place, b".", 1, 0)
    if tree >= 0:
        return RootMount(rootfs, tree, place)
    files.close(place)
    if host and needed:
        message = f"rootfs {rootfs} is the host's root, and there is no mount namespace: mounts would hide the host's"
        hint = 'add {"type": "mount"} to linux.namespaces, or remove mounts and root.readonly'
        raise OciError("rootfs", message, pointer="/root/path", obj=rootfs, hint=hint)
    if tree != -errno.EPERM:
        raise _failed(rootfs, -tree)
    return None


def is_record(value: object) -> bool:
    """Whether a value may be what RootMount.record() returns."""
    if type(value) is not dict or type(value.get("rootfs")) is not str:
        return False
    rootfs, numbers = value["rootfs"], [value.get(name) for name in ("unique", "id", "parent")]
    return rootfs[:1] == "/" and "\0" not in rootfs and all(map(_is_id, numbers))


def _is_id(value: object) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def remove(record: "Record") -> None:
    """Unmount the mount, with what is mounted below it; one that is gone is no failure.

    Raises OciError where it is still there and cannot be unmounted.
    """
    rootfs = record["rootfs"]
    try:
        fd = posix.open(rootfs, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError:
        fd = -1
    try:
        if not is_copy_of_its_place(mountinfo.read(), record["id"], record["parent"]):
            return
        if fd >= 0 and _is_it(fd, record):
            result = lib.pyoci_unmount(fd)
            if result < 0:
                raise _stays(rootfs, "", -result)
        elif fd < 0 or lib.pyoci_mount_id(fd, 0) != record["id"]:
            raise _stays(rootfs, ": another mount lies over it", 0)
    except OSError as error:
        raise from_os_error("root-unmount", "cannot read /proc/self/mountinfo", error) from None
    finally:
        if fd >= 0:
            files.close(fd)


def _is_it(fd: int, record: "Record") -> bool:
    """Whether a descriptor is in the mount of a record."""
    unique = record["unique"]
    return lib.pyoci_mount_id(fd, 0) == record["id"] and unique in (0, lib.pyoci_mount_id(fd, 1))


def is_copy_of_its_place(mounts: list[Mount], id: int, parent: int) -> bool:
    """Whether the mount of an id shows the very directory that it is mounted on, as a copy of the rootfs does.

    So a forged record takes away no file system of the host's: on "/", /proc or /home there is another directory than below.
    """
    by_id = {mount.id: mount for mount in mounts}
    mount, below = by_id.get(id), by_id.get(parent)
    if not mount or not below or mount.parent != below.id or mount.device != below.device:
        return False
    place = mount.point
    if below.point != "/":
        if place != below.point and not place.startswith(f"{below.point}/"):
            return False
        place = place[len(below.point) :]
    return mount.root == (below.root + place if below.root != "/" else place or "/")


def _failed(rootfs: str, number: int) -> OciError:
    return OciError("rootfs", f"rootfs {rootfs}", errno=number, pointer="/root/path", obj=rootfs)


def _stays(rootfs: str, why: str, number: int) -> OciError:
    message = f"cannot unmount the container's root {rootfs}{why}"
    hint = f"see what is mounted with `findmnt --submounts {rootfs}`, unmount it, and delete again"
    return OciError("root-unmount", message, errno=number, obj=rootfs, hint=hint)
