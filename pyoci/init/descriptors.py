"""Descriptors that travel with a plan: what the init can't open itself, because it may not or must not look for it."""

import posix

from pyoci._shim import lib
from pyoci.base import files
from pyoci.base.errors import OciError, from_os_error
from pyoci.spec import namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.host.mountinfo import Mount
    from pyoci.plan.ops import Plan

_ALL = 0xFFFFFFFF


def open_passed(
    plan: "Plan",
    ready: "dict[str, list[int]]",
    *,
    directory: int = -1,
    pidfd: int = -1,
    rootfs: str = "",
) -> list[int]:
    """The descriptors that travel with a plan, in their order.

    ready      those that are open already, by their kind ("cgroup", "fifo", "pidfd", "userns"), in the order of the plan
    directory  a descriptor of the bundle, which relative sources of bind mounts start from
    pidfd      of the init, whose mount namespace has the container's tree
    rootfs     host path of that tree

    All of them are the caller's to close. Raises OciError; then none is left open.
    """
    found: list[int] = []
    mounts: list[Mount] = []  # of the host, once an op asks for them
    try:
        for what in plan.passed:
            if what[0] == "namespace":
                found.append(open_namespace(str(what[1]), str(what[2]), str(what[3])))
            elif what[0] == "hook-output":
                from pyoci.host.hooks import open_output

                found.append(open_output(str(what[1]), str(what[2]), directory))
            elif str(what[0]).endswith("tree"):
                inside = str(what[0]).startswith("inner-")
                found.append(
                    _open_inside(what, pidfd, rootfs) if inside else _open_tree(what, directory, mounts)
                )
                if str(what[0]).endswith("idmapped-tree"):
                    _map_ids(found[-1], ready["userns"].pop(0), what)
            else:
                found.append(ready[str(what[0])].pop(0))
    except BaseException:
        for fds in (found, *ready.values()):
            files.close_all(fds)
        raise
    return found


def open_namespace(kind: str, path: str, pointer: str) -> int:
    """A descriptor of a namespace file, whose type is checked (ioctl_ns(2)). Raises OciError."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise from_os_error(
            "namespace", f"{kind} namespace {path}", error, pointer=pointer, obj=path
        ) from None
    found = lib.pyoci_namespace_type(fd) & _ALL
    if found != namespaces.FLAGS[kind]:
        files.close(fd)
        names = [name for name, flag in namespaces.FLAGS.items() if flag == found]
        what = f"a {names[0]} namespace" if names else "no namespace"
        raise OciError("namespace", f"{kind} namespace {path} is {what}", pointer=pointer, obj=path)
    return fd


def _open_tree(what: tuple[str | int | bool, ...], directory: int, mounts: "list[Mount]") -> int:
    _, path, recursive, pointer, about, *deep = what
    nofollow = str(what[0]).startswith("link-")
    if deep:
        from pyoci.host import locked_flags, mountinfo

        mounts += () if mounts else mountinfo.read()
        set_, clear = int(deep[0]), int(deep[1])
        locked_flags.check(
            mounts,
            str(path),
            directory,
            recursive=bool(recursive),
            set=set_,
            clear=clear,
            about=str(about),
            pointer=str(pointer),
        )
    name = str(path).encode("utf-8", "surrogateescape")
    fd = lib.pyoci_open_tree(directory, name, bool(recursive), nofollow)
    if fd < 0:
        raise OciError(
            "mount",
            f"{about}: source {path}",
            errno=-fd,
            pointer=f"{pointer}/source" if pointer else "",
            obj=str(path),
        )
    return fd


def _open_inside(what: tuple[str | int | bool, ...], pidfd: int, rootfs: str) -> int:
    """A path of the container's tree, which the init has mounted on by now."""
    _, path, recursive, pointer, about = what
    root, below = (text.encode("utf-8", "surrogateescape") for text in (rootfs, str(path)))
    nofollow = str(what[0]).startswith("inner-link-")
    fd = lib.pyoci_open_tree_inside(pidfd, root, below, bool(recursive), nofollow)
    if fd < 0:
        message = f"{about}: source {path} in the rootfs"
        raise OciError("mount", message, errno=-fd, pointer=f"{pointer}/source", obj=str(path))
    return fd


def _map_ids(tree: int, user_namespace: int, what: tuple[str | int | bool, ...]) -> None:
    kind, path, _, pointer, about, *_ = what
    result = lib.pyoci_idmap_mount(tree, user_namespace, str(kind).endswith("deep-idmapped-tree"))
    files.close(user_namespace)
    if result < 0:
        hint = "the file system may not support id-mapped mounts" if result == -22 else ""
        raise OciError(
            "mount",
            f"{about}: id map",
            errno=-result,
            pointer=f"{pointer}/uidMappings",
            obj=str(path),
            hint=hint,
        )
