"""What the managers of cgroup v1, v2 and systemd have in common."""

import errno
import posix
import time

from pyoci.base import files, signal_numbers
from pyoci.base.errors import OciError
from pyoci.base.spans import Spans
from pyoci.cgroups import paths, resources, tree, writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.cgroups.devices import Rule
    from pyoci.cgroups.records import Record, TreeRecord
    from pyoci.cgroups.resources import Held
    from pyoci.plan.cgroup_facts import CgroupFacts
    from pyoci.spec.spec_types import Resources

    # What is done to a path ("mkdir", "write", "chown", "bpf" or "systemd"), the path, the value, the JSON pointer of the cause
    Step = tuple[str, str, str, str]

REMOVE_SECONDS = 3.0
FREEZE_SECONDS = 5.0

# How cgroup.procs of v2 lists a process that the reader's pid namespace does not see. For kill(2) it is the caller's own group.
_OUT_OF_SIGHT = 0


class Request:
    """What the configuration asks of cgroups; made by `pyoci.cgroups.manager`.

    path      linux.cgroupsPath, or "" when it is missing
    id        the container's id
    entry     ROOT/ID, which tells the container from others of this id; "" where there is none
    resources linux.resources
    rootless  cgroups may be out of reach, and that is no error as long as nothing depends on them
    owner     host uid that shall own a delegated cgroup of v2, or -1
    spans     where the times of what is written go
    """

    __slots__ = ("annotations", "entry", "id", "owner", "path", "resources", "rootless", "spans")

    def __init__(
        self,
        path: str,
        id: str,
        *,
        entry: str = "",
        resources: "Resources | None" = None,
        annotations: dict[str, str] | None = None,
        rootless: bool = False,
        owner: int = -1,
        spans: Spans | None = None,
    ) -> None:
        self.path = path
        self.id = id
        self.entry = entry
        self.resources = resources or {}
        self.annotations = annotations or {}
        self.rootless = rootless
        self.owner = owner
        self.spans = spans or Spans()

    @property
    def pointer(self) -> str:
        """What in the configuration makes a cgroup necessary."""
        return paths.POINTER if self.path else "/linux/resources"

    def may_do_without(self, error: OSError) -> bool:
        """Whether this failure to make a cgroup may pass: rootless, no path asked for, and no permission."""
        return self.rootless and not self.path and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)


class Manager:
    """The cgroups of one container.

    `late` says that the container's first process must be moved in by `add` when it exists, since a scope of
    systemd cannot be without a process; otherwise it joins by itself through `spawn_fds`.
    """

    late = False

    def __init__(self, request: "Request | None" = None, *, rootless: bool = False) -> None:
        """`request` for a new container; `rootless` for one that exists and was made by an ordinary user."""
        self._request = request
        self._spans = request.spans if request else Spans()
        self._rootless = request.rootless if request else rootless
        self._made: list[str] = []  # what `create` has made, also above the container's own
        self._kept: list[str] = []  # the container's own ones that were there before it
        self._ids: dict[str, list[int]] = {}  # device and inode of the container's own ones
        self._proven = True  # other ones in their place would have been noticed

    def record(self) -> "Record":
        """What `from_record` needs, made of JSON values; complete before `create`, and to be asked again
        after `add`.
        """
        raise NotImplementedError

    def keep_existing(self) -> None:
        """Before `create`: the cgroups that are there already will outlive the container (runtime.md, delete)."""
        self._kept = [path for path in self.paths() if posix.access(path, posix.F_OK)]

    def recall(self, record: "TreeRecord") -> None:
        """What `keep_existing` and `identify` found out when the container was made."""
        self._kept = record.get("kept", [])
        self._ids = record.get("ids", {})
        self._proven = bool(self._ids)

    def forget(self) -> None:
        """Take what is there under the names of the cgroups for somebody else's until `identify`."""
        self._proven = False

    @property
    def proven(self) -> bool:
        """Whether other cgroups in the place of the container's would be noticed."""
        return self._proven

    def identify(self) -> None:
        """Keep device and inode of the cgroups as they are now, to know them again. Raises OciError."""
        for path in self.paths():
            try:
                found = tree.identity(path)
            except OSError as error:
                raise not_made(path, error) from None
            if found:
                self._ids[path] = found
        self._proven = True

    def identify_by(self, pid: int) -> None:
        """For a record that has no ids, of pyoci 0.1: the cgroups that the container's first process is in are the container's.

        Raises OciError.
        """
        if self._proven:
            return
        try:
            within = set(paths.of_process(pid).values())
        except (FileNotFoundError, ProcessLookupError):
            return
        path = self.main_path()
        below = path[len(paths.MOUNT) :]
        # below the mount of v2, or that of a hierarchy of v1
        places = (below, "/" + below[1:].partition("/")[2])
        if any(f"{where}/".startswith(f"{place}/") for where in within for place in places if place != "/"):
            self.identify()

    def identify_by_entry(self) -> None:
        """Without a record: what says itself that it was made for our ROOT/ID is the container's. Only a systemd unit can."""

    def is_own(self, path: str) -> bool:
        """Whether a directory that is there is the one that was made for the container, and not another one of its name.

        Raises OciError.
        """
        try:
            found = tree.identity(path)
        except OSError as error:
            message = f"cannot read cgroup {path}"
            raise OciError("cgroup-changed", message, errno=error.errno or 0, obj=path) from None
        return found is None or (self._proven and self._agrees(path, found))

    def _agrees(self, path: str, found: "tree.Identity") -> bool:
        """Whether a directory has the device and inode that were kept, if any were: one without is then not the container's."""
        return not self._ids or found == self._ids.get(path)

    def require_own(self, *directories: str) -> None:
        """Raise OciError for a directory that is not the container's any more, before something is done to it."""
        for path in directories:
            if not self.is_own(path):
                hint = "it was removed and made again, by another container or by hand: pyoci leaves it alone"
                message = f"cgroup {path} is not the one that was made for the container"
                raise OciError("cgroup-changed", message, obj=path, hint=hint)

    def create(self) -> None:
        """Make the cgroups. Raises OciError; then nothing that was made is left."""
        raise NotImplementedError

    def foresee(self) -> None:
        """In place of `create`, to look without making anything: the cgroups that this user can't make are left out.

        Raises OciError where `create` would for lack of rights.
        """

    def outline(self, resources: "Resources") -> "list[Step]":
        """What `create` and `apply` make and write, in their order; nothing is made. Raises OciError as `apply`."""
        raise NotImplementedError

    def apply(
        self, resources: "Resources", *, update: bool = False, device_rules: "list[Rule] | None" = None
    ) -> None:
        """Set the limits of `linux.resources`, and unless it is an update the device rules.

        `device_rules` replaces the ones in `resources` and the default ones. Raises OciError naming file and
        value; an update that fails leaves the limits of the cgroup's files as they were, as far as the kernel
        takes them back.
        """
        raise NotImplementedError

    def completed(self, resources_: "Resources") -> "Resources":
        """The limits of an update, with those in force that have to be set again together with them."""
        return resources.completed(resources_, self._held)

    def _held(self, limit: "Held") -> int:
        """A limit in force, -1 for none, 0 for unknown."""
        raise NotImplementedError

    def spawn_fds(self) -> tuple[list[int], int]:
        """Close-on-exec descriptors for a new process to join with: files it writes "0" to, and a directory
        for CLONE_INTO_CGROUP or -1. The caller closes them.
        """
        raise NotImplementedError

    def spawn_files(self) -> list[str]:
        """The paths of the files whose descriptors `spawn_fds` returns."""
        return []

    def add(self, pid: int) -> None:
        """Move a process, with all its threads, into the cgroups.

        Raises OciError; but not when an ordinary user may not move a further process into an existing
        container's.
        """
        raise NotImplementedError

    def attach(self, pid: int, path: str) -> bool:
        """Have systemd move a further process to `path`, the container's cgroup or one below it, as the kernel refuses it to us.

        Returns False where no systemd manages the cgroup for this user. Raises OciError.
        """
        return False

    @property
    def may_stay_outside(self) -> bool:
        """Whether a further process that nobody may move runs all the same: it does without root, as in runc."""
        return self._rootless

    def _put(self, path: str, pid: int) -> bool:
        """Write a pid into a cgroup's process list; whether it was allowed. Raises OciError."""
        try:
            writer.put(f"{path}/cgroup.procs", str(pid))
            return True
        except OSError as error:
            if self._rootless and self._request is None and error.errno in (errno.EACCES, errno.EPERM):
                return False
            raise not_joined(path, error) from None

    def exec_fds(self, sub: dict[str, str] | None, init_pid: int) -> tuple[list[int], int]:
        """As `spawn_fds` for a further process; `sub` maps controllers ("" for all) to existing sub-cgroups.

        Without `sub` a cgroup of the container's that is gone, or takes no processes, is replaced by the one that the
        container's first process is in now. Raises OciError.
        """
        raise NotImplementedError

    def main_path(self) -> str:
        """The cgroup whose process list speaks for all, or "" when there is none."""
        raise NotImplementedError

    def paths(self) -> list[str]:
        """All directories of the container's cgroups."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Stop every process; returns when all have stopped. Raises OciError."""
        self.require_own(self.freezer_path())
        self._freezer(True)

    def thaw(self) -> None:
        """Let the processes run again. Raises OciError."""
        self.require_own(self.freezer_path())
        self._freezer(False)

    def freezer_path(self) -> str:
        """The directory whose freezer holds the processes; the main one where there is none."""
        return self.main_path()

    def _freezer(self, wanted: bool) -> None:
        try:
            done = self._set_frozen(wanted)
        except OSError as error:
            if not wanted and error.errno in (errno.ENOENT, errno.ENODEV):
                return  # systemd removes a scope as soon as its last process is dead
            word = "freeze" if wanted else "thaw"
            message = f"cannot {word} cgroup {self.main_path()}"
            raise OciError("cgroup-freeze", message, errno=error.errno or 0, obj=self.main_path()) from None
        if not done:
            message = f"cannot freeze cgroup {self.main_path()}: a process is still running"
            hint = "a process in uninterruptible sleep (state D) may be the cause: try again"
            raise OciError("cgroup-freeze", message, obj=self.main_path(), hint=hint)

    def _set_frozen(self, wanted: bool) -> bool:
        """Freeze or thaw and wait for it; False when it takes too long, then all run. Raises OSError, OciError."""
        raise NotImplementedError

    def frozen(self) -> bool:
        """Whether the processes are stopped."""
        raise NotImplementedError

    def oom(self) -> tuple[int, int, int]:
        """Processes killed for lack of memory, the limit (-1 for none) and the peak in bytes; 0 for what is
        unknown.
        """
        raise NotImplementedError

    def mount_facts(self) -> "CgroupFacts":
        """What the mounts of type cgroup in the container need to know."""
        raise NotImplementedError

    def exists(self) -> bool:
        """Whether the cgroup is there."""
        path = self.main_path()
        return bool(path) and posix.access(path, posix.F_OK)

    def pids(self, recursive: bool = True) -> list[int]:
        """The processes in the cgroup and, when asked, below it. Raises OSError."""
        path = self.main_path()
        return tree.pids(path, recursive) if path else []

    def signal_all(self, signal: int) -> bool:
        """Send a signal to every process; whether there was a cgroup to find them by. Raises OciError."""
        path = self.main_path()
        if not path or not posix.access(path, posix.F_OK):
            return False
        if not self._proven:
            return False
        self.require_own(path)
        stopped = self.frozen()
        held = stopped or self._try(self.freeze)
        try:
            # Without the freezer new processes can appear meanwhile, so look again until there is none that is new.
            seen: set[int] = set()
            for _ in range(100):
                found = set(self.pids()) - seen
                for pid in found - {_OUT_OF_SIGHT}:
                    _kill(pid, signal)
                seen |= found
                if held or not found:
                    break
            if _OUT_OF_SIGHT in seen:
                raise _not_seen(path, signal)
        finally:
            # In a frozen cgroup of v1 even SIGKILL waits. A freeze that failed may have come half way.
            if (held or self.frozen()) and (not stopped or signal == signal_numbers.KILL):
                self._thaw_after_signal(signal)
        return True

    def _thaw_after_signal(self, signal: int) -> None:
        try:
            self.thaw()
        except OciError as error:
            error.message += f": its processes got signal {signal} and stay stopped"
            error.hint = "the container is paused now: `pyoci resume` lets it run on"
            raise

    def _try(self, action: "Callable[[], None]") -> bool:
        try:
            action()
        except OciError:
            return False
        return True

    def destroy(self) -> list[str]:
        """Remove the cgroups with all below them, and what this manager made above them. Kills nothing.

        Returns what is left alone because it is not what was made for the container, in words. A record that does not tell
        gets only empty cgroups removed. Raises OciError when processes keep them busy.
        """
        deadline = time.monotonic() + REMOVE_SECONDS
        failure: OciError | None = None
        strange: list[str] = []
        for path in self.paths():
            if path in self._kept:
                continue
            try:
                found = tree.identity(path)
                if found is None:
                    continue
                if not self._agrees(path, found):
                    strange.append(f"cgroup {path} is not the one that was made for the container")
                    continue
                tree.remove(path, deadline, below=self._proven)
            except OSError as error:
                failure = failure or _not_removed(path, error, certain=self._proven)
        tree.unmake(self._made)
        if failure:
            raise failure
        return strange


def refuse_busy(manager: Manager, path: str) -> None:
    """Raise OciError when a cgroup that was there already has processes."""
    try:
        found = manager.pids()
    except OSError as error:
        raise not_made(path, error) from None
    if found:
        raise OciError(
            "cgroup-not-empty",
            f"container's cgroup is not empty: {len(found)} process(es) found in {path}",
            pointer=paths.POINTER,
            obj=path,
            hint="another container or a leftover process uses it; give each container its own cgroupsPath",
        )


def refuse_frozen(frozen: bool, path: str) -> None:
    """Raise OciError when a process would stop for ever as soon as it is in this cgroup."""
    if frozen:
        message = f"container's cgroup {path} is unexpectedly frozen"
        hint = "thaw this cgroup, or the frozen one above it"
        raise OciError("cgroup-frozen", message, pointer=paths.POINTER, obj=path, hint=hint)


def not_made(path: str, error: OSError, pointer: str = paths.POINTER) -> OciError:
    """The error for a cgroup that could not be made."""
    number = error.errno or 0
    hints = {
        errno.EROFS: "the cgroup file system is mounted read-only here",
        errno.EACCES: "have the cgroup delegated to this user, or use --systemd-cgroup",
        errno.EPERM: "have the cgroup delegated to this user, or use --systemd-cgroup",
        errno.EAGAIN: "a cgroup above it has reached its cgroup.max.descendants or cgroup.max.depth: raise that limit",
        errno.ENOSPC: "the kernel's limit of cgroups is reached, or a cgroup above has no CPUs or memory nodes",
        errno.ENOTDIR: "a component of the path is a file, not a cgroup: correct linux.cgroupsPath",
        errno.ENOMEM: "the kernel has no memory for another cgroup: remove unused ones",
    }
    return OciError(
        "cgroup-create",
        f"cannot make cgroup {path}",
        pointer=pointer,
        errno=number,
        obj=path,
        hint=hints.get(number, ""),
    )


def not_joined(path: str, error: OSError) -> OciError:
    """The error for a process that cannot go into a cgroup."""
    number = error.errno or 0
    hints = {
        errno.EACCES: "it belongs to another user",
        errno.EPERM: "it belongs to another user",
        errno.EBUSY: "it has controllers enabled for its children, so it cannot hold processes itself (cgroups(7))",
        errno.EOPNOTSUPP: "it is threaded and takes threads only, not processes",
        errno.ENOSPC: "it has no CPUs or memory nodes: set cpuset.cpus and cpuset.mems",
        errno.ENOENT: "the cgroup was removed meanwhile",
    }
    hint = hints.get(number, "")
    return OciError(
        "cgroup-join", f"cannot join cgroup {path}", pointer=paths.POINTER, errno=number, obj=path, hint=hint
    )


def sub_cgroup(path: str, below: str) -> str:
    """The cgroup that `exec --cgroup` names below the container's. Raises OciError for one that is not below it."""
    names: list[str] = []
    for name in below.split("/"):
        if name == ".." and not names:
            hint = "name a cgroup below the container's own"
            raise OciError("cgroup-sub", f"bad sub cgroup path: {below}", obj=below, hint=hint)
        if name == "..":
            names.pop()
        elif name and name != ".":
            names.append(name)
    return "/".join([path, *names])


def no_sub_cgroup(path: str) -> OciError:
    """The error for `exec --cgroup` with a cgroup that is not there, in runc's words."""
    hint = "exec --cgroup does not create cgroups: create it first"
    return OciError(
        "cgroup-sub", f"error adding pid to cgroup {path}", errno=errno.ENOENT, obj=path, hint=hint
    )


def cgroups_of(pid: int) -> dict[str, str]:
    """Where a container's first process is (paths.of_process), nothing when that can't be told any more."""
    try:
        return paths.of_process(pid)
    except OSError:
        return {}


def keyed(path: str) -> dict[str, int]:
    """A file of lines "name number", such as memory.events; empty when it cannot be read."""
    found = {}
    try:
        for line in files.read(path).decode().splitlines():
            name, _, value = line.partition(" ")
            if value.isdigit():
                found[name] = int(value)
    except OSError:
        pass
    return found


def number(path: str) -> int:
    """A file with one number, -1 for "max", 0 when it cannot be read."""
    try:
        text = files.read(path).decode().strip()
    except OSError:
        return 0
    return -1 if text == "max" else int(text)


def _not_seen(path: str, signal: int) -> OciError:
    message = f"cannot send signal {signal} to all processes of cgroup {path}: this pid namespace does not see some of them"
    return OciError("kill", message, obj=path, hint="run the command in the pid namespace of the host")


def _kill(pid: int, signal: int) -> None:
    try:
        posix.kill(pid, signal)
    except ProcessLookupError:
        pass


def _not_removed(path: str, error: OSError, *, certain: bool) -> OciError:
    try:
        left = len(tree.pids(path))
    except OSError:
        left = 0
    hint = f"{left} process(es) are still in it" if left else ""
    if left and not certain:
        hint += (
            ", and nothing tells whether they are the container's: "
            f"kill those of {path}/cgroup.procs that are, then delete again"
        )
    return OciError(
        "cgroup-remove", f"cannot remove cgroup {path}", errno=error.errno or 0, obj=path, hint=hint
    )
