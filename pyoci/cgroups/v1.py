"""cgroup v1, also beside a cgroup v2 tree without controllers ("hybrid"): one tree for each controller or
group of them.

cgroups(7); the kernel's Documentation/admin-guide/cgroup-v1/.
"""

import errno
import posix
import time

from pyoci.base import files
from pyoci.base.errors import OciError
from pyoci.cgroups import base, devices, freezer, paths, resources, tree, writer
from pyoci.spec.paths import components

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroups.base import Request, Step
    from pyoci.cgroups.devices import Rule
    from pyoci.cgroups.records import V1Record
    from pyoci.cgroups.resources import Held, Write
    from pyoci.plan.cgroup_facts import CgroupFacts, Hierarchy
    from pyoci.spec.spec_types import Resources

UNIFIED = "unified"  # the key of the v2 tree in the record
_SPEAKERS = ("freezer", "pids", "devices", "name=systemd", "memory")
_UNLIMITED = 1 << 62  # memory.limit_in_bytes without a limit is the largest page-aligned number


class V1(base.Manager):
    """The cgroups of one container on cgroup v1."""

    def __init__(
        self, directories: dict[str, str], request: "Request | None" = None, *, rootless: bool = False
    ) -> None:
        """`directories`: controller -> directory; controllers mounted together have the same one."""
        super().__init__(request, rootless=rootless)
        self._directories = directories
        self._hierarchies: list[paths.Hierarchy] | None = None
        self._shared = False  # systemd has made some of them, with the process in them

    @classmethod
    def plan(cls, request: "Request") -> "V1":
        """Where the cgroups of a new container will be: as runc, an absolute path counts from each tree's
        root, a relative one, or the id when there is none, from this process's own cgroup.
        """
        names = "/".join(components(request.path or request.id))
        own = {} if request.path.startswith("/") else paths.of_process()
        return cls._below(f"/{names}", own, request)

    @classmethod
    def from_record(cls, record: "V1Record") -> "V1":
        """The manager that gave this record."""
        found = cls(record["paths"], rootless=record["rootless"])
        found.recall(record)
        return found

    @classmethod
    def at(cls, path: str, request: "Request") -> "V1":
        """The same path in every tree, where systemd has put a unit into some of them. Raises OciError."""
        return cls._below(path, {}, request)

    @classmethod
    def _below(cls, path: str, own: dict[str, str], request: "Request") -> "V1":
        found = {}
        hierarchies = paths.hierarchies()
        for hierarchy in hierarchies:
            start = paths.own(hierarchy.mount, own.get(hierarchy.controllers[0], "/"))
            found.update(dict.fromkeys(hierarchy.controllers, start + path))
        if unified := paths.hybrid_mount():
            found[UNIFIED] = paths.own(unified, own.get("", "/")) + path
        if not found:
            raise _no_cgroups()
        manager = cls(found, request)
        manager._hierarchies = hierarchies
        return manager

    def record(self) -> "V1Record":
        found: V1Record = {
            "manager": "v1",
            "paths": self._directories,
            "rootless": self._rootless,
            "kept": self._kept,
        }
        if self._ids:
            found["ids"] = self._ids
        return found

    def paths(self) -> list[str]:
        return list(dict.fromkeys(self._directories.values()))

    def main_path(self) -> str:
        for name in _SPEAKERS:
            if name in self._directories:
                return self._directories[name]
        return next(iter(self._directories.values()), "")

    def create(self) -> None:
        try:
            for path in self.paths():
                self._made += self._make(path)
            self.identify()
        except BaseException:
            tree.unmake(self._made)
            raise

    def adopt(self, pid: int) -> None:
        """Make the directories that systemd has not made, and put the process into all. Raises OciError."""
        self._shared = True
        self.create()
        self.add(pid)

    def _make(self, path: str) -> list[str]:
        """Make one of the directories, ready to be joined. Raises OciError; then nothing is left."""
        mount = _mount_of(path)
        try:
            made = tree.make(path, mount)
        except OSError as error:
            self._do_without(path, error)
            return []
        try:
            if path not in made and not self._shared:
                self._refuse_busy(path)
            if path == self._directories.get("cpuset"):
                _inherit_cpuset(path, mount)
            if path == self._directories.get("freezer") and not self._shared:
                base.refuse_frozen(self.frozen(), path)
        except BaseException:
            tree.unmake(made)
            raise
        return made

    def foresee(self) -> None:
        for path in self.paths():
            if error := tree.refusal(path):
                self._do_without(path, error)

    def outline(self, resources_: "Resources") -> "list[Step]":
        steps: list[Step] = []
        for path in self.paths():
            above = tree.missing(path)
            steps += [("mkdir", made, "", paths.POINTER) for made in above]
            if path == self._directories.get("cpuset"):
                steps += _inherited_cpuset(path)
        return steps + self.outline_limits(resources_)

    def outline_limits(self, resources_: "Resources") -> "list[Step]":
        """The part of `apply`."""
        steps: list[Step] = []
        rules = devices.rules(resources_)
        if "devices" in self._directories:
            place = self._directories["devices"]
            steps += [
                ("write", f"{place}/{file}", line, devices.POINTER) for file, line in devices.v1_lines(rules)
            ]
        elif not (devices.allows_all(rules) or self._rootless):
            raise writer.no_controller("devices", devices.POINTER)
        for file, value, pointer in self._writes(resources_):
            place = self._directory(file.partition(".")[0], pointer)
            steps.append(("write", f"{place}/{file}", value, pointer))
        return steps

    def _do_without(self, path: str, error: OSError) -> None:
        """A directory can't be made: the container goes without where it may. Raises OciError."""
        if not (self._request and self._request.may_do_without(error)):
            raise base.not_made(
                path, error, self._request.pointer if self._request else paths.POINTER
            ) from None
        self._forget(path)

    def _refuse_busy(self, path: str) -> None:
        base.refuse_busy(V1({name: own for name, own in self._directories.items() if own == path}), path)

    def _forget(self, path: str) -> None:
        self._directories = {name: own for name, own in self._directories.items() if own != path}

    def apply(
        self, resources_: "Resources", *, update: bool = False, device_rules: "list[Rule] | None" = None
    ) -> None:
        if device_rules is None and not update:
            device_rules = devices.rules(resources_)
        if device_rules is not None:
            began = self._spans.now()
            self._apply_devices(device_rules)
            self._spans.within(began, "device rules", devices.POINTER, "cgroup")
        if update:
            self.require_own(*self.paths())
        try:
            writer.write_limits(self._writes(resources_), self._directory, undo=update, spans=self._spans)
        except OciError as error:
            if error.obj == "memory.limit_in_bytes" and error.errno == errno.EBUSY:
                used = base.number(f"{self._directories['memory']}/memory.usage_in_bytes")
                error.message += f" ({used} bytes are in use)"
            raise

    def _held(self, limit: "Held") -> int:
        file = {"quota": "cpu.cfs_quota_us", "period": "cpu.cfs_period_us"}.get(limit)
        return base.number(f"{self._directories['cpu']}/{file}") if file and "cpu" in self._directories else 0

    def _directory(self, controller: str, pointer: str) -> str:
        path = self._directories.get(controller)
        if path is None:
            raise writer.no_controller(controller, pointer, joined=not self._rootless)
        return path

    def _writes(self, resources_: "Resources") -> "list[Write]":
        """The limits. Where only BFQ has weights is seen in a cgroup that is there, so not before create()."""
        bfq = False
        if resources.wants_bfq(resources_):
            path = self._directories.get("blkio", "")
            bfq = posix.access(path, posix.F_OK) and not posix.access(f"{path}/blkio.weight", posix.F_OK)
        return resources.v1(resources_, bfq=bfq)

    def _apply_devices(self, rules: "list[Rule]") -> None:
        path = self._directories.get("devices")
        if path is None:
            if devices.allows_all(rules) or self._rootless:
                return
            raise writer.no_controller("devices", devices.POINTER)
        fds: dict[str, int] = {}
        try:
            for file, line in devices.v1_lines(rules):
                try:
                    if file not in fds:
                        fds[file] = posix.open(f"{path}/{file}", posix.O_WRONLY | posix.O_CLOEXEC)
                    posix.write(fds[file], line.encode())
                except OSError as error:
                    if self._rootless:
                        return
                    raise writer.refusal(file, line, devices.POINTER, error) from None
        finally:
            for fd in fds.values():
                files.close(fd)

    def spawn_fds(self) -> tuple[list[int], int]:
        return self._open(self._directories)

    def spawn_files(self) -> list[str]:
        return _tasks(self._directories)

    def _open(self, directories: dict[str, str]) -> tuple[list[int], int]:
        fds: list[int] = []
        path = unified = directories.get(UNIFIED, "")
        try:
            if unified:
                fds.append(posix.open(unified, files.DIRECTORY))
            for path in _tasks(directories):
                fds.append(posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC))
        except OSError as error:
            for fd in fds:
                files.close(fd)
            raise base.not_joined(path, error) from None
        return (fds[1:], fds[0]) if unified else (fds, -1)

    def add(self, pid: int) -> None:
        for path in self.paths():
            self._put(path, pid)

    def exec_fds(self, sub: dict[str, str] | None, init_pid: int) -> tuple[list[int], int]:
        chosen = self._joinable(init_pid)
        for controller in sub or ():
            if controller and controller not in self._directories:
                message = f"unknown controller {controller}: the container has no cgroup for it"
                raise OciError("cgroup-sub", message, obj=controller)
        if not sub:
            return self._open(chosen)
        for name, path in self._directories.items():
            below = base.sub_cgroup(path, sub.get(name, sub.get("", "")))
            if posix.access(below, posix.F_OK):
                chosen[name] = below
            elif below != path and name != UNIFIED:  # no controller's, so no sub-cgroup was made there
                raise base.no_sub_cgroup(below)
        return self._open(chosen)

    def _joinable(self, init_pid: int) -> dict[str, str]:
        """The directories that are there; in place of one that is gone, that of the first process."""
        found: dict[str, str] = {}
        moved: dict[str, str] | None = None
        for name, path in self._directories.items():
            if posix.access(path, posix.F_OK):
                found[name] = path
            elif not self._rootless:
                moved = base.cgroups_of(init_pid) if moved is None else moved
                mount = _mount_of(path)
                place = paths.own(mount, moved.get("" if name == UNIFIED else name, "/"))
                if place != mount:
                    found[name] = place
        return found

    def _set_frozen(self, wanted: bool) -> bool:
        path = self._freezer_state()
        deadline = time.monotonic() + base.FREEZE_SECONDS
        tries = 0
        while wanted and time.monotonic() < deadline:
            # A process forked meanwhile is missed: thaw and freeze again catches it.
            if tries and tries % 25 == 0:
                writer.put(path, "THAWED")
            writer.put(path, "FROZEN")
            if files.read(path) == b"FROZEN\n":
                return True
            tries += 1
            time.sleep(0.0001 if tries < 25 else 0.01)
        writer.put(path, "THAWED")
        return not wanted

    def frozen(self) -> bool:
        path = self._directories.get("freezer")
        return path is not None and freezer.frozen_v1(path)

    def freezer_path(self) -> str:
        return self._directories.get("freezer") or self.main_path()

    def _freezer_state(self) -> str:
        path = self._directories.get("freezer")
        if path is None:
            raise OciError(
                "cgroup-controller-missing", "cgroup controller freezer is not available", obj="freezer"
            )
        return f"{path}/freezer.state"

    def oom(self) -> tuple[int, int, int]:
        path = self._directories.get("memory")
        if path is None:
            return 0, 0, 0
        limit = base.number(f"{path}/memory.limit_in_bytes")
        kills = base.keyed(f"{path}/memory.oom_control").get("oom_kill", 0)
        return kills, -1 if limit > _UNLIMITED else limit, base.number(f"{path}/memory.max_usage_in_bytes")

    def mount_facts(self) -> "CgroupFacts":
        controllers: list[Hierarchy] = []
        links = []
        own: dict[str, str] = {}
        for hierarchy in self._hierarchies or paths.hierarchies():
            host = self._directories.get(hierarchy.controllers[0])
            if host is None:  # not made: the container stays where this process is
                own = own or paths.of_process()
                host = paths.own(hierarchy.mount, own.get(hierarchy.controllers[0], "/"))
            controllers.append(
                {
                    "name": hierarchy.options,
                    "dir": hierarchy.directory,
                    "host": host,
                    "root": hierarchy.mount,
                    "options": hierarchy.options,
                }
            )
            if len(hierarchy.controllers) > 1:
                links += [[name, hierarchy.directory] for name in hierarchy.controllers]
        return {"version": 1, "path": "", "controllers": controllers, "links": links}


def _tasks(directories: dict[str, str]) -> list[str]:
    """The files that a process writes itself into: one for each directory of a v1 tree."""
    unified = directories.get(UNIFIED)
    return [f"{path}/tasks" for path in dict.fromkeys(directories.values()) if path != unified]


def _mount_of(path: str) -> str:
    """The mount point of the tree that a directory is in."""
    return paths.MOUNT + "/" + path[len(paths.MOUNT) + 1 :].partition("/")[0]


def _inherit_cpuset(path: str, mount: str) -> None:
    """Give a cpuset without CPUs or memory nodes those of the one above; a process cannot join without."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        try:
            _inherit(path, file, mount)
        except OSError as error:
            raise base.not_made(path, error) from None


def _inherited_cpuset(path: str) -> "list[Step]":
    """What _inherit_cpuset() will write, without writing it: a new cpuset is empty."""
    steps: list[Step] = []
    for file in ("cpuset.cpus", "cpuset.mems"):
        empty: list[str] = []
        value, at = "", path
        while not value and len(at) > len(paths.MOUNT):
            if posix.access(f"{at}/{file}", posix.F_OK):
                value = files.read(f"{at}/{file}").decode().strip()
            if not value:
                empty.insert(0, at)
            at = at.rpartition("/")[0]
        steps += [("write", f"{place}/{file}", value, paths.POINTER) for place in empty]
    return steps


def _inherit(path: str, file: str, mount: str) -> str:
    """The value of a cpuset, after it was taken over from above where it was empty. Raises OSError."""
    value = files.read(f"{path}/{file}").decode().strip()
    if value or path == mount:
        return value
    value = _inherit(path.rpartition("/")[0], file, mount)
    if not value:
        raise OSError(errno.ENOSPC, "no CPUs or memory nodes to inherit")
    writer.put(f"{path}/{file}", value)
    return value


def _no_cgroups() -> OciError:
    hint = "mount cgroup2 there: mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    return OciError("cgroup-missing", f"no cgroups are mounted at {paths.MOUNT}", obj=paths.MOUNT, hint=hint)
