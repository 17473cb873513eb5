"""systemd's cgroups: a transient scope for each container, delegated, with the limits set in the scope and in
its files.

runc and crun do the same; engines ask for it with --systemd-cgroup and a cgroupsPath slice:prefix:name.
"""

import posix

from pyoci.base import signal_numbers, termination
from pyoci.base.errors import OciError, errno_text
from pyoci.cgroups import base, devices, freezer, paths, resources, tree, unit
from pyoci.cgroups.dbus.bus import NO_UNIT, UNIT_EXISTS, BusError, Connection, not_the_systems
from pyoci.cgroups.v1 import V1
from pyoci.cgroups.v2 import V2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroups.base import Request, Step
    from pyoci.cgroups.devices import Rule
    from pyoci.cgroups.records import SystemdRecord
    from pyoci.cgroups.unit import Property, Unit
    from pyoci.plan.cgroup_facts import CgroupFacts
    from pyoci.spec.spec_types import Resources

_LINGER_TRIES = 50  # a unit of the same name may be about to vanish
_IN_USE = ("active", "activating", "reloading")


class Systemd(base.Manager):
    """The scope of one container, and below it cgroup v1 or v2 for what systemd does not do."""

    late = True

    def __init__(
        self, unit_name: str, *, user: bool, inner: "V1 | V2", request: "Request | None" = None
    ) -> None:
        super().__init__(request, rootless=user)
        self._name = unit_name
        self._user = user
        self._inner = inner
        self._unit: Unit | None = None
        self._started = request is None
        self._invocation = ""  # which of all units that have or had this name is the container's
        self._entry = request.entry if request else ""
        self._limits: tuple[Resources, list[Rule]] | None = None

    @classmethod
    def plan(cls, request: "Request") -> "Systemd":
        """The scope of a new container; nothing is asked of systemd yet. Raises OciError."""
        which = unit.unit(request.path, request.id, user=request.rootless)
        start = _own_start() if request.rootless else ""
        inner = _inner(start + which.path, request)
        manager = cls(which.name, user=request.rootless, inner=inner, request=request)
        manager._unit = which
        inner.forget()  # whatever is there before the unit is started is not ours
        return manager

    @classmethod
    def from_record(cls, record: "SystemdRecord", entry: str = "") -> "Systemd":
        """The manager that gave this record, of the container whose ROOT/ID is `entry`."""
        kept = record["inner"]
        inner = V1.from_record(kept) if kept["manager"] == "v1" else V2.from_record(kept)
        found = cls(record["unit"], user=record["user"], inner=inner)
        found._invocation = record.get("invocation", "")
        found._entry = entry
        return found

    def record(self) -> "SystemdRecord":
        inner = self._inner.record()
        found: SystemdRecord = {"manager": "systemd", "unit": self._name, "user": self._user, "inner": inner}
        if self._invocation:
            found["invocation"] = self._invocation
        return found

    def create(self) -> None:
        """Nothing is made before there is a process to start the unit with; what would go wrong then is found out now."""
        if self.exists():
            base.refuse_busy(self, self.main_path())
        path = self._inner.freezer_path()
        missing = tree.missing(path)
        nearest = missing[0].rpartition("/")[0] if missing else path
        is_frozen = freezer.frozen_v1 if isinstance(self._inner, V1) else freezer.frozen_v2
        base.refuse_frozen(is_frozen(nearest), nearest)

    def outline(self, resources_: "Resources") -> "list[Step]":
        assert self._unit
        what = f"StartTransientUnit in {self._unit.slice}"
        return [("systemd", self._name, what, paths.POINTER), *self._inner.outline_limits(resources_)]

    def apply(
        self, resources_: "Resources", *, update: bool = False, device_rules: "list[Rule] | None" = None
    ) -> None:
        """As in the base class; before the scope exists the limits are kept for `add`."""
        if not self._started:
            self._limits = (resources_, devices.rules(resources_) if device_rules is None else device_rules)
            return
        if update:
            resources_ = self._inner.completed(resources_)
        with Connection(user=self._user) as bus:
            properties = self._limit_properties(resources_, bus)
            if properties:
                self._require_own_unit(bus)
                self._call(bus, "SetUnitProperties", "sba(sv)", self._name, True, properties)
        self._inner.apply(resources_, update=update, device_rules=device_rules)

    def spawn_fds(self) -> tuple[list[int], int]:
        return self._inner.spawn_fds() if self._started else ([], -1)

    def add(self, pid: int) -> None:
        """For a new container: start the scope with this process and set the limits.

        Later: move a process into it.
        """
        if self._started:
            self._join(pid)
            return
        try:
            self._start(pid)
            self._find(pid)
            self._inner.adopt(pid)
            if self._limits:
                self._inner.apply(self._limits[0], device_rules=self._limits[1])
        except BaseException:
            self._stop_after_failure(pid)
            raise

    def _join(self, pid: int) -> None:
        if not self._user:
            self._inner.add(pid)
        elif not self._put(self.main_path(), pid):
            self.attach(pid, self.main_path())

    def attach(self, pid: int, path: str) -> bool:
        """As in the base class: the user's systemd does it, or asks the system's, which may move what is this user's."""
        if not self._user:
            return False
        # what systemd calls the sub-cgroup; a path from elsewhere it does not find there
        below = path.removeprefix(self.main_path()) if isinstance(self._inner, V2) else ""
        with Connection(user=True) as bus:
            self._require_own_unit(bus)
            self._call(bus, "AttachProcessesToUnit", "ssau", self._name, below, [pid])
        self._require_attached(pid, path)
        return True

    def _require_attached(self, pid: int, path: str) -> None:
        """Raise OciError where systemd, which may be in another pid namespace, has not moved what is process `pid` for us."""
        within = base.cgroups_of(pid).get("", "/")
        if isinstance(self._inner, V2) and paths.own(paths.MOUNT, within) != path:
            raise self._failure(f"systemd did not move process {pid} to {path}")

    @property
    def may_stay_outside(self) -> bool:
        return False

    def _start(self, pid: int) -> None:
        assert self._unit and self._request
        version = 2 if isinstance(self._inner, V2) else 1
        properties = unit.base_properties(
            self._unit, self._request.id, pid, version=version, entry=self._entry
        )
        with Connection(user=self._user) as bus:
            if self._limits:
                properties += self._limit_properties(self._limits[0], bus)
                properties += unit.device_properties(self._limits[1]) if version == 1 else []
            properties += unit.annotated(self._request.annotations)
            result = self._start_unit(bus, properties)
        if result != "done":
            raise self._failure(f"job ended as {result}")
        if self._unit.is_slice:
            self._inner.add(pid)  # only scopes and services are started with processes

    def _start_unit(self, bus: Connection, properties: "list[Property]") -> str:
        """Start the unit and wait for it; one of the same name that has failed, or is just going, is out of
        the way first.
        """
        import time

        if self._name.endswith(".slice") and self._state(bus) in _IN_USE:
            # systemd takes a slice for new that nobody has configured, even where units are in it
            raise self._taken("the slice exists already")
        for _ in range(_LINGER_TRIES):
            before = termination.block()
            try:
                signature = "ssa(sv)a(sa(sv))"
                job = str(bus.call("StartTransientUnit", signature, self._name, "replace", properties, [])[0])
                self._started = True  # systemd starts none where there is one: from now on the name is ours
            except BusError as error:
                refused = error
            except OSError as error:
                raise self._failure(errno_text(error.errno or 0)) from None
            finally:
                termination.unblock(before)
            if self._started:
                return self._wait_for_start(bus, job)
            if refused.name != UNIT_EXISTS:
                raise self._failure(refused.text, "" if self._user else not_the_systems())
            if self.pids() or self._state(bus) in _IN_USE:
                break
            self._reset_failed(bus)
            time.sleep(0.01)
        raise self._taken(refused.text)

    def _wait_for_start(self, bus: Connection, job: str) -> str:
        """The result of the unit's job, after noting which unit it has made. Raises OciError."""
        try:
            result = bus.wait(job)
            self._invocation = self._current_invocation(bus)
            return result
        except (BusError, OSError) as error:
            try:
                bus.call("StopUnit", "ss", self._name, "replace")
            except (BusError, OSError):
                pass  # the connection is broken
            text = error.text if isinstance(error, BusError) else errno_text(error.errno or 0)
            raise self._failure(text) from None

    def _state(self, bus: Connection) -> str:
        """The ActiveState of the unit of our name, "" where there is none."""
        try:
            return str(bus.unit_property(self._name, "ActiveState"))
        except (BusError, OSError):
            return ""

    def _current_invocation(self, bus: Connection) -> str:
        """The InvocationID of the unit that has our name now, "" where there is none. Raises BusError, OSError."""
        try:
            found = bus.unit_property(self._name, "InvocationID")
        except BusError as error:
            if error.name == NO_UNIT:
                return ""
            raise
        return bytes(found).hex() if isinstance(found, list) else ""

    def _is_own_unit(self, bus: Connection) -> bool:
        """Whether the unit that has our name now is the one that was started for the container. Raises OciError."""
        try:
            return bool(self._invocation) and self._current_invocation(bus) == self._invocation
        except BusError as error:
            raise self._failure(error.text) from None
        except OSError as error:
            raise self._failure(errno_text(error.errno or 0)) from None

    def _require_own_unit(self, bus: Connection) -> None:
        """Raise OciError where the unit of our name is not the container's, before something is done to it."""
        if not self._is_own_unit(bus):
            message = f"systemd: unit {self._name} is not the one that was started for the container"
            hint = "it has ended, and another unit may have taken its name: pyoci leaves that one alone"
            raise OciError("cgroup-changed", message, obj=self._name, hint=hint)

    def _find(self, pid: int) -> None:
        """Correct the path when systemd's own cgroup is not where we took it to be."""
        if isinstance(self._inner, V1) or posix.access(f"{self.main_path()}/cgroup.procs", posix.F_OK):
            return
        place = paths.own(paths.MOUNT, paths.of_process(pid).get("", "/"))
        self._inner = V2(place, self._request)

    def _limit_properties(self, resources_: "Resources", bus: Connection) -> "list[Property]":
        if isinstance(self._inner, V1):
            return unit.limits_v1(resources.v1(resources_))
        writes = resources.v2(resources_)
        if any(file == "cpu.idle" for file, _, _ in writes):
            return unit.limits_v2(writes, systemd_version=_version(bus))
        return unit.limits_v2(writes)

    def exec_fds(self, sub: dict[str, str] | None, init_pid: int) -> tuple[list[int], int]:
        return self._inner.exec_fds(sub, init_pid)

    def main_path(self) -> str:
        return self._inner.main_path()

    def paths(self) -> list[str]:
        return self._inner.paths()

    def signal_all(self, signal: int) -> bool:
        return self._inner.signal_all(signal)

    def freeze(self) -> None:
        self._inner.freeze()

    def thaw(self) -> None:
        self._inner.thaw()

    def frozen(self) -> bool:
        return self._inner.frozen()

    def oom(self) -> tuple[int, int, int]:
        return self._inner.oom()

    def mount_facts(self) -> "CgroupFacts":
        return self._inner.mount_facts()

    def identify_by(self, pid: int) -> None:
        self._inner.identify_by(pid)
        if self._invocation or not self._inner.proven:
            return
        try:
            with Connection(user=self._user) as bus:
                self._invocation = self._current_invocation(bus)
        except (OciError, BusError, OSError):
            pass  # what needs to know will say that systemd does not answer

    def identify_by_entry(self) -> None:
        try:
            with Connection(user=self._user) as bus:
                if self._says_our_entry(bus):
                    self._invocation = self._current_invocation(bus)
                    self._inner.identify()
        except (OciError, BusError, OSError):
            pass  # nothing is proven then

    def require_own(self, *directories: str) -> None:
        self._inner.require_own(*directories)

    def destroy(self) -> list[str]:
        """Stop the unit, which is gone already when its processes are, and remove what is left.

        A unit of that name which was not started for the container is left alone.
        """
        if not self._started:
            return []
        left: list[str] = []
        try:
            if self._invocation:
                self._stop()
            else:
                left = self._stop_unrecorded()
        except OciError:
            if self.exists():
                raise
        return left + self._inner.destroy()

    def _stop(self) -> None:
        with Connection(user=self._user) as bus:
            if self._is_own_unit(bus):
                self._stop_unit(bus)

    def _stop_unrecorded(self) -> list[str]:
        """Stop what a create has started that was killed before it could note which unit that is; what may be left, in words.

        A scope ends with its processes, but a slice stays. It is ours if it has our ROOT/ID as its documentation, which no
        other container's unit has; those of pyoci 0.1 have none. And it is left over only if nothing is in it.
        """
        with Connection(user=self._user) as bus:
            if self._state(bus) not in _IN_USE:
                return []
            try:
                if self._says_our_entry(bus) and self._is_empty(bus):
                    self._stop_unit(bus)
                    return []
                description = str(bus.unit_property(self._name, "Description"))
            except (BusError, OSError):
                return []
        if not description.startswith(unit.DESCRIPTION):
            return []
        stop = f"systemctl {'--user ' if self._user else ''}stop {self._name}"
        return [f"systemd unit {self._name} may be of this container (`{stop}` stops it)"]

    def _says_our_entry(self, bus: Connection) -> bool:
        """Whether the unit was started for the container of our ROOT/ID, by what it says of itself. Raises BusError, OSError."""
        documentation = bus.unit_property(self._name, "Documentation")
        return bool(self._entry) and documentation == [unit.of_entry(self._entry)]

    def _is_empty(self, bus: Connection) -> bool:
        """Whether no process and no other unit is in the unit. Raises BusError, OSError."""
        kind = "Slice" if self._name.endswith(".slice") else "Scope"
        place = str(bus.unit_property(self._name, "ControlGroup", kind) or "")
        if not place:
            return True  # it has no cgroup as long as nothing is in it
        mount = paths.MOUNT if isinstance(self._inner, V2) else f"{paths.MOUNT}/systemd"
        return not tree.children(mount + place) and not tree.pids(mount + place)

    def _stop_unit(self, bus: Connection) -> None:
        try:
            bus.wait(str(bus.call("StopUnit", "ss", self._name, "replace")[0]))
        except BusError as error:
            if error.name != NO_UNIT:
                raise self._failure(error.text) from None
        except OSError as error:
            raise self._failure(errno_text(error.errno or 0)) from None
        self._reset_failed(bus)

    def _stop_after_failure(self, pid: int) -> None:
        """Leave no unit that was started with this process; the failure itself is what counts.

        Killed, because stopping a unit asks first, and the container's first process would not answer.
        """
        if not self._started:
            return
        try:
            posix.kill(pid, signal_numbers.KILL)
            self._stop()
        except (OciError, OSError):
            pass

    def _reset_failed(self, bus: Connection) -> None:
        try:
            bus.call("ResetFailedUnit", "s", self._name)
        except (BusError, OSError):
            pass  # it is not there, or has not failed

    def _call(self, bus: Connection, member: str, signature: str, *arguments: object) -> None:
        try:
            bus.call(member, signature, *arguments)
        except BusError as error:
            raise self._failure(error.text) from None
        except OSError as error:
            raise self._failure(errno_text(error.errno or 0)) from None

    def _taken(self, text: str) -> OciError:
        hint = (
            "another container or service has a unit of this name: choose another name in linux.cgroupsPath"
        )
        return self._failure(text, hint)

    def _failure(self, text: str, hint: str = "") -> OciError:
        pointer = paths.POINTER if self._request and self._request.path else ""
        message = f"systemd: unit {self._name}: {text.rstrip('.')}"
        return OciError("systemd", message, pointer=pointer, obj=self._name, hint=hint)


def _inner(path: str, request: "Request") -> "V1 | V2":
    if paths.is_v2():
        return V2(paths.MOUNT + path, request)
    return V1.at(path, request)


def _own_start() -> str:
    """The cgroup of the user's systemd: what we are in below, or where logind puts it."""
    from pyoci.cgroups.dbus.bus import host_uid

    name = f"user@{host_uid()}.service"
    own = paths.of_process().get("", "")
    before, found, _ = own.partition(f"/{name}")
    if found:
        return before + found
    uid = host_uid()
    return f"/user.slice/user-{uid}.slice/{name}"


def _version(bus: Connection) -> int:
    """The major version of systemd, from such as "252.39-1~deb12u1" or "v258.1"."""
    try:
        text = str(bus.manager_property("Version"))
    except (BusError, OSError):
        return 0
    digits = ""
    for character in text.lstrip("v"):
        if not character.isdigit():
            break
        digits += character
    return int(digits or 0)
