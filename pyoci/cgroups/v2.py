"""cgroup v2: one tree for everything.

cgroups(7); the kernel's Documentation/admin-guide/cgroup-v2.rst.
"""

import errno
import posix
import select
import time

from pyoci import userns
from pyoci.base import files, signal_numbers
from pyoci.base.errors import OciError
from pyoci.cgroups import base, devices, freezer, paths, resources, tree, writer
from pyoci.spec.paths import components

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroups.base import Request, Step
    from pyoci.cgroups.devices import Rule
    from pyoci.cgroups.records import V2Record
    from pyoci.cgroups.resources import Held, Write
    from pyoci.plan.cgroup_facts import CgroupFacts
    from pyoci.spec.spec_types import Memory, Resources

_USUAL = ("cpu", "cpuset", "io", "memory", "pids")  # enabled also without limits, for the numbers they keep
_THREADED = frozenset(("cpu", "cpuset", "perf_event", "pids"))  # those that can account for single threads
_DELEGATED = "/sys/kernel/cgroup/delegate"
_LOW_MEMORY = 1 << 20  # bytes: what an execve(2) takes, many times over
_MAY_NOT = (errno.EACCES, errno.EPERM, errno.EROFS)


class V2(base.Manager):
    """The cgroup of one container on cgroup v2."""

    def __init__(self, path: str, request: "Request | None" = None, *, rootless: bool = False) -> None:
        super().__init__(request, rootless=rootless)
        self._path = path
        self._enabled: list[Enabled] = []  # what `create` has enabled above the container's own cgroup

    @classmethod
    def plan(cls, request: "Request") -> "V2":
        """Where the cgroup of a new container will be: as runc, an absolute path counts from the root, a
        relative one, or the id when there is none, from the cgroup *above* this process's own, since a
        cgroup with processes cannot give controllers to those below it.
        """
        start = paths.MOUNT
        if not request.path.startswith("/"):
            own = paths.of_process().get("", "/")
            start = paths.own(paths.MOUNT, own.rpartition("/")[0] or "/")
        return cls("/".join([start, *components(request.path or request.id)]), request)

    @classmethod
    def from_record(cls, record: "V2Record") -> "V2":
        """The manager that gave this record."""
        found = cls(record["path"], rootless=record["rootless"])
        found.recall(record)
        return found

    def record(self) -> "V2Record":
        found: V2Record = {
            "manager": "v2",
            "path": self._path,
            "rootless": self._rootless,
            "kept": self._kept,
        }
        if self._ids:
            found["ids"] = self._ids
        return found

    def paths(self) -> list[str]:
        return [self._path] if self._path else []

    def main_path(self) -> str:
        return self._path

    def create(self) -> None:
        request = self._request
        try:
            self._made = tree.make(self._path, paths.MOUNT)
        except OSError as error:
            self._do_without(error)
            return
        try:
            if not self._is_new():
                base.refuse_busy(self, self._path)
            base.refuse_frozen(self.frozen(), self._path)
            needed = _controllers_of(request.resources) if request else set()
            self._provide(needed)
            if request and request.owner >= 0:
                delegate(self._path, request.owner)
            self.identify()
        except BaseException:
            tree.unmake(self._made)
            _disable(self._enabled)
            raise
        self._keep_enabled()

    def _keep_enabled(self) -> None:
        """From here on others may count on the controllers; only a cgroup that they made a threaded one is given back."""
        self._enabled = [entry for entry in self._enabled if _kind(entry.path) == "domain threaded"]

    def destroy(self) -> list[str]:
        found = super().destroy()
        _disable(self._enabled)
        return found

    def foresee(self) -> None:
        if error := tree.refusal(self._path):
            self._do_without(error)

    def outline(self, resources_: "Resources") -> "list[Step]":
        if not self._path:
            return []
        steps: list[Step] = [("mkdir", path, "", paths.POINTER) for path in tree.missing(self._path)]
        needed = _controllers_of(resources_)
        for path, controllers in _enabling(self._path, needed)[0]:
            steps.append(("write", f"{path}/cgroup.subtree_control", _plus(controllers), paths.POINTER))
        if self._request and self._request.owner >= 0:
            steps.append(("chown", self._path, str(self._request.owner), paths.POINTER))
        return steps + self.outline_limits(resources_)

    def outline_limits(self, resources_: "Resources") -> "list[Step]":
        """The part of `apply`."""
        if not self._path:
            return []
        steps: list[Step] = []
        rules = devices.rules(resources_)
        if not devices.allows_all(rules):
            steps.append(("bpf", self._path, "; ".join(devices.in_words(rules)), devices.POINTER))
        for file, value, pointer in self._writes(resources_):
            steps.append(("write", f"{self._path}/{file}", value, pointer))
        return steps

    def _do_without(self, error: OSError) -> None:
        """The directory can't be made: the container goes without where it may. Raises OciError."""
        request = self._request
        if not (request and request.may_do_without(error)):
            raise base.not_made(self._path, error, request.pointer if request else paths.POINTER) from None
        if resources.v2(request.resources):
            raise needs_permission(self._path, error) from None
        self._path = ""

    def _is_new(self) -> bool:
        return self._path in self._made

    def adopt(self, pid: int) -> None:
        """Take over a cgroup that systemd has made and put this process into: the rest of `create`.

        Raises OciError.
        """
        request = self._request
        self._provide(_controllers_of(request.resources) if request else set())
        if request and request.owner >= 0:
            delegate(self._path, request.owner)
        self.identify()
        self._keep_enabled()

    def _provide(self, needed: set[str]) -> None:
        """Have the controllers enabled from above, and see that processes can be put here.

        Raises OciError.
        """
        present = _ensure(self._path, needed, self._enabled)
        missing = needed - present
        if not missing and "memory" in present:
            return  # not in a threaded tree: those do not have memory
        kind = _kind(self._path)
        if missing and (occupied := _occupied_above(self._path, missing)):
            raise _internal_processes(self._path, occupied, missing)
        if kind == "domain invalid" and not missing - {"cpu", "cpuset", "pids"}:
            # Below a cgroup of threads only this kind can hold processes.
            writer.put(f"{self._path}/cgroup.type", "threaded")
        elif kind in ("domain invalid", "threaded", "domain threaded") and missing:
            raise OciError(
                "cgroup-create",
                f'cgroup {self._path} is of type "{kind}" and cannot have {", ".join(sorted(missing))}',
                pointer=paths.POINTER,
                obj=self._path,
                hint="a cgroup above it is threaded; choose another cgroupsPath",
            )

    def apply(
        self, resources_: "Resources", *, update: bool = False, device_rules: "list[Rule] | None" = None
    ) -> None:
        if not self._path:
            # create() has made sure that nothing is asked for
            for file, _, pointer in resources.v2(resources_) if update else []:
                raise writer.no_controller(file.partition(".")[0], pointer, joined=False)
            return
        if device_rules is None and not update:
            device_rules = devices.rules(resources_)
        if device_rules is not None:
            began = self._spans.now()
            self._apply_devices(device_rules)
            self._spans.within(began, "device rules", devices.POINTER, "cgroup")
        if update:
            self.require_own(self._path)
            resources_ = self.completed(resources_)
            self._check_usage(resources_.get("memory", {}))
            _ensure(self._path, _controllers_of(resources_), [])
        writes = self._writes(resources_)
        try:
            writer.write_limits(
                writes, lambda _controller, _pointer: self._path, undo=update, spans=self._spans
            )
        except OciError as error:
            raise self._explained(error) from None

    def _writes(self, resources_: "Resources") -> "list[Write]":
        """The limits. Whether BFQ has weights of its own is seen in a cgroup that is there, so not before create()."""
        bfq = resources.wants_bfq(resources_) and posix.access(f"{self._path}/io.bfq.weight", posix.F_OK)
        return resources.v2(resources_, bfq=bfq)

    def _explained(self, error: OciError) -> OciError:
        """A missing file is a missing controller, if that is missing too."""
        controller = error.obj.partition(".")[0]
        if error.code == "cgroup-file-missing" and controller not in ("cgroup", *self._present()):
            return writer.no_controller(controller, error.pointer)
        return error

    def _present(self) -> set[str]:
        return set(_read(f"{self._path}/cgroup.controllers").split())

    def _apply_devices(self, rules: "list[Rule]") -> None:
        try:
            devices.attach(self._path, rules, fresh=self._is_new())
        except OciError as error:
            # In a user namespace the kernel loads no programs. There, and for rules that deny nothing, it is
            # no loss: what can be opened is what the host's own rules leave open.
            if (
                self._rootless
                or devices.allows_all(rules)
                or (error.errno == errno.EPERM and userns.is_nested())
            ):
                return
            raise

    def _held(self, limit: "Held") -> int:
        if limit == "limit":
            return base.number(f"{self._path}/memory.max")
        quota, _, period = _read(f"{self._path}/cpu.max").partition(" ")
        text = quota if limit == "quota" else period
        return resources.UNLIMITED if text == "max" else int(text or 0)

    def _check_usage(self, memory: "Memory") -> None:
        """Where v1 refuses a limit below what is in use, v2 kills: memory.checkBeforeUpdate asks for a refusal."""
        if not memory.get("checkBeforeUpdate"):
            return
        usage = base.number(f"{self._path}/memory.current")
        for name, rejecting, limit in (
            ("swap", "rejecting memory+swap limit", memory.get("swap", 0)),
            ("limit", "rejecting memory limit", memory.get("limit", 0)),
        ):
            if 0 < limit <= usage:
                raise OciError(
                    "cgroup-limit",
                    f"{rejecting} {limit}: {usage} bytes are in use (memory.checkBeforeUpdate)",
                    pointer=f"{resources.BASE}/memory/{name}",
                    obj="memory.max",
                )

    def spawn_fds(self) -> tuple[list[int], int]:
        for path in self.spawn_files():
            try:
                return [posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)], -1
            except OSError as error:
                raise base.not_joined(path, error) from None
        return self._open(self._path)

    def spawn_files(self) -> list[str]:
        """Until its execve(2) a new process shares our memory: if the kernel kills it for lack of memory, it kills us, too. Where
        the limit may be too low for an execve, it joins after that.
        """
        memory = self._request.resources.get("memory") if self._request and self._path else None
        low = memory is not None and 0 <= memory.get("limit", -1) < _LOW_MEMORY
        return [f"{self._path}/cgroup.procs"] if low else []

    def _open(self, path: str) -> tuple[list[int], int]:
        if not path:
            return [], -1
        try:
            return [], posix.open(path, files.DIRECTORY)
        except OSError as error:
            raise base.not_joined(path, error) from None

    def add(self, pid: int) -> None:
        if self._path:
            self._put(self._path, pid)

    def exec_fds(self, sub: dict[str, str] | None, init_pid: int) -> tuple[list[int], int]:
        if not sub:
            return self._open(self._where_init_is(init_pid))
        if list(sub) != [""]:
            message = "exec --cgroup: cgroup v2 has one tree for all controllers: give the path without a controller"
            raise OciError("cgroup-sub", message, obj=",".join(name for name in sub if name))
        path = base.sub_cgroup(self._path, sub[""])
        if not posix.access(path, posix.F_OK):
            raise base.no_sub_cgroup(path)
        return self._open(path)

    def _where_init_is(self, init_pid: int) -> str:
        """The cgroup a further process goes to. When the container has given controllers to cgroups below its
        own, its own takes no processes any more: then the one that its first process has moved to. So it is when
        its own is gone.
        """
        own = self._path if self.exists() else ""
        if not self._path or (own and not _read(f"{own}/cgroup.subtree_control")):
            return own
        moved = paths.own(paths.MOUNT, base.cgroups_of(init_pid).get("", "/"))
        return own if moved == paths.MOUNT else moved

    def signal_all(self, signal: int) -> bool:
        if signal == signal_numbers.KILL and self._path and self._proven:
            self.require_own(self._path)
            try:
                writer.put(f"{self._path}/cgroup.kill", "1")
                return True
            except FileNotFoundError:
                return False
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:  # a threaded cgroup
                    raise OciError(
                        "cgroup-kill", f"cannot kill cgroup {self._path}", errno=error.errno or 0
                    ) from None
        return super().signal_all(signal)

    def frozen(self) -> bool:
        return freezer.frozen_v2(self._path)

    def _set_frozen(self, wanted: bool) -> bool:
        """The kernel wakes those who poll cgroup.events when the state has been reached."""
        fd = posix.open(f"{self._path}/cgroup.events", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLPRI)
            writer.put(f"{self._path}/cgroup.freeze", "1" if wanted else "0")
            deadline = time.monotonic() + base.FREEZE_SECONDS
            while (b"frozen 1" in posix.pread(fd, 4096, 0)) != wanted:
                left = deadline - time.monotonic()
                if left <= 0:
                    writer.put(f"{self._path}/cgroup.freeze", "0")
                    return not wanted
                poll.poll(left * 1000)
            return True
        finally:
            files.close(fd)

    def oom(self) -> tuple[int, int, int]:
        if not self._path:
            return 0, 0, 0
        kills = base.keyed(f"{self._path}/memory.events").get("oom_kill", 0)
        return kills, base.number(f"{self._path}/memory.max"), base.number(f"{self._path}/memory.peak")

    def mount_facts(self) -> "CgroupFacts":
        # the whole tree: without a cgroup namespace /proc/self/cgroup has paths from its root on
        return {"version": 2, "path": paths.MOUNT, "controllers": [], "links": []}


def delegate(path: str, owner: int) -> None:
    """Give a cgroup to a user: the directory, and the files that the kernel lists as those to delegate.

    Raises OciError.
    """
    try:
        posix.chown(path, owner, -1)
        for name in _read(_DELEGATED).split() or ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]:
            try:
                posix.chown(f"{path}/{name}", owner, -1)
            except FileNotFoundError:
                continue  # belongs to a controller that is not enabled here
    except OSError as error:
        raise OciError(
            "cgroup-delegate",
            f"cannot change the owner of cgroup {path} to uid {owner}",
            errno=error.errno or 0,
            obj=path,
        ) from None


def needs_permission(path: str, error: OSError) -> OciError:
    """The error for a cgroup that a user without privileges may not make although limits need it."""
    return OciError(
        "cgroup-create",
        f"rootless needs no limits + no cgrouppath when no permission is granted for cgroups: cannot make {path}",
        pointer=resources.BASE,
        errno=error.errno or 0,
        obj=path,
        hint="have the cgroup delegated to this user, use --systemd-cgroup, or omit linux.resources",
    )


def _controllers_of(resources_: "Resources") -> set[str]:
    """The controllers that the limits of `linux.resources` belong to."""
    return {file.partition(".")[0] for file, _, _ in resources.v2(resources_)} - {"cgroup"}


class Enabled:
    """Controllers that were enabled for the children of a cgroup, and which children it had then."""

    __slots__ = ("children", "controllers", "path")

    def __init__(self, path: str, controllers: set[str], children: set[str]) -> None:
        self.path = path
        self.controllers = controllers
        self.children = children


def _ensure(path: str, needed: set[str], enabled: list[Enabled]) -> set[str]:
    """Enable what is `needed` of the controllers for a cgroup, and the usual ones, from as far above as necessary; the
    controllers it then has.

    What cannot be had is not an error here: it is one when its limit is set. What was enabled is added to `enabled`.
    """
    present = set(_read(f"{path}/cgroup.controllers").split())
    missing = needed.union(_USUAL) - present
    if not missing or path == paths.MOUNT:
        return present
    above = path.rpartition("/")[0]
    available = missing & _ensure(above, needed, enabled)
    if available:
        available = _to_enable(above, available, needed)
    if not available:
        return present
    before = set(_read(f"{above}/cgroup.subtree_control").split())
    children = tree.children(above)
    _enable(above, available)
    now = set(_read(f"{above}/cgroup.subtree_control").split())
    if now - before:
        enabled.append(Enabled(above, now - before, children))
    return set(_read(f"{path}/cgroup.controllers").split())


def _to_enable(above: str, available: set[str], needed: set[str]) -> set[str]:
    """Which of the controllers that a cgroup has are to be enabled for its children.

    A cgroup with processes of its own is special (cgroups(7), "no internal processes"). The kernel refuses to enable controllers
    there that account for whole processes, and at the others makes a threaded cgroup of it. In that one no cgroup with the
    first kind can be made any more, not even to move the processes into, and only a process that is in it already can enter
    one below it. So nothing is done to it for a container that can't be there anyway, or that asks for no limit.
    """
    if not _is_occupied(above):
        return available
    wanted = available & needed
    own = paths.own(paths.MOUNT, paths.of_process().get("", "/"))
    return wanted if needed <= _THREADED and f"{own}/".startswith(f"{above}/") else set()


def _is_occupied(path: str) -> bool:
    """Whether a cgroup has processes of its own; those in the root of the tree, which has no type, are in nobody's way."""
    try:
        return bool(_kind(path)) and bool(tree.pids(path, recursive=False))
    except OSError:
        return False


def _occupied_above(path: str, missing: set[str]) -> str:
    """The cgroup above that has what is missing, and processes that keep it from enabling it; "" where that is not the cause."""
    while path != paths.MOUNT:
        path = path.rpartition("/")[0]
        if missing & set(_read(f"{path}/cgroup.controllers").split()):
            return path if _is_occupied(path) else ""
    return ""


def _internal_processes(path: str, above: str, missing: set[str]) -> OciError:
    message = f"cgroup {path} cannot have {', '.join(sorted(missing))}: {above} has processes of its own"
    hint = f"move the processes of {above} into a sub-cgroup: a cgroup with processes gives no controllers to others (cgroups(7))"
    return OciError("cgroup-create", message, pointer=paths.POINTER, errno=errno.EBUSY, obj=path, hint=hint)


def _disable(enabled: list[Enabled]) -> None:
    """Take back what _ensure() has enabled, as far as no other container counts on it: none that has come since."""
    while enabled:
        entry = enabled.pop()
        try:
            if tree.children(entry.path) <= entry.children:
                text = " ".join(f"-{name}" for name in sorted(entry.controllers))
                writer.put(f"{entry.path}/cgroup.subtree_control", text)
        except OSError:
            continue  # it is gone, or in use


def _enabling(path: str, needed: set[str]) -> tuple[list[tuple[str, set[str]]], set[str]]:
    """What _ensure() will enable, as (cgroup, controllers) from above to below, and the controllers that `path` has then."""
    above = path.rpartition("/")[0]
    if posix.access(path, posix.F_OK):
        present = set(_read(f"{path}/cgroup.controllers").split())
    else:
        present = set(_read(f"{above}/cgroup.subtree_control").split())
    missing = needed.union(_USUAL) - present
    if not missing or path == paths.MOUNT:
        return [], present
    found, available = _enabling(above, needed)
    available &= missing
    if available:
        available = _to_enable(above, available, needed)
    if available:
        found.append((above, available))
    return found, present | available


def _plus(controllers: set[str]) -> str:
    return " ".join(f"+{name}" for name in sorted(controllers))


def _enable(path: str, controllers: set[str]) -> None:
    try:
        writer.put(f"{path}/cgroup.subtree_control", _plus(controllers))
    except OSError as error:
        if error.errno in _MAY_NOT or len(controllers) == 1:
            return
        for name in controllers:  # one that is refused takes the others with it
            _enable(path, {name})


def _kind(path: str) -> str:
    return _read(f"{path}/cgroup.type")


def _read(path: str) -> str:
    try:
        return files.read(path).decode().strip()
    except OSError:
        return ""
