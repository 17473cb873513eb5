"""create: how a container comes to be, step by step.

    bundle -> entry (intent record) -> cgroup -> init in new namespaces -> id maps -> plan "prepare" -> prestart, createRuntime
    hooks -> plan "finish" -> READY -> record, pid file

Whatever fails, undo() leaves the machine as if nothing had been tried; after SIGKILL at any step, `delete` can do the same from
the record, and the init, which notices the end of its socket, ends by itself.
"""

import errno
import posix

from pyoci import userns
from pyoci._shim import lib
from pyoci.base import files, termination, timestamps
from pyoci.base.errors import OciError, from_os_error
from pyoci.init import start_answer
from pyoci.lifecycle import cleanup, facts, store
from pyoci.lifecycle.record import Record
from pyoci.lifecycle.session import ContainerProcess
from pyoci.lifecycle.start import process_missing
from pyoci.lifecycle.state_document import document
from pyoci.plan import compiler
from pyoci.plan.namespaces import early as early_plan
from pyoci.spec import bundle as bundles
from pyoci.spec import defaults, namespaces
from pyoci.spec.annotations import PIDFD_RECEIVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cgroups.base import Manager
    from pyoci.cgroups.resctrl import Group
    from pyoci.host.net_devices import NetDevices
    from pyoci.lifecycle.requests import CreateRequest
    from pyoci.plan.facts import Facts
    from pyoci.plan.ops import Plan
    from pyoci.spec.spec_types import HookName, Hooks, Process, Spec


def create(context: "Context", request: "CreateRequest") -> int:
    """`create`: the container is set up and its init waits for `start`. Raises OciError; then nothing is left of it."""
    with NewContainer(context, request, waits=True) as container:
        container.make()
        container.record("created")
        container.hand_over()
        container.init.send_byte()
        termination.ignore()
    container.close()
    return 0


class NewContainer(ContainerProcess):
    """The first process of a container, and all that is made for it: `create` and `run`.

    waits  the init shall wait for `start` (create) instead of going on (run)
    """

    request: "CreateRequest"
    bundle: bundles.Bundle
    spec: "Spec"
    process: "Process"
    entry: store.Entry

    def __init__(self, context: "Context", request: "CreateRequest", *, waits: bool) -> None:
        super().__init__(context, request, detached=waits or request.detach)
        self.waits = waits
        self.rootless = facts.is_rootless(request)
        self.manager: Manager | None = None
        self.rdt: Group | None = None
        self._loaded = self._entered = False
        self._waits_for_early = False
        self._can_set_groups = True
        self._net_devices: NetDevices | None = None

    def __enter__(self) -> "NewContainer":
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        """Where AppArmor leaves no capability in the user namespace of a user's container, that is why an op has failed."""
        if isinstance(error, OciError) and self._is_denied(error):
            from pyoci.host import restrictions

            error.hint = restrictions.apparmor() or error.hint
        super().__exit__(kind, error, traceback)

    def _is_denied(self, error: OciError) -> bool:
        """Whether an op has failed for lack of rights in a new user namespace that an ordinary user has made."""
        denied = error.op and error.errno in (errno.EPERM, errno.EACCES)
        return bool(denied) and posix.geteuid() != 0 and namespaces.is_new(self.spec, "user")

    def make(self) -> None:
        """Everything up to READY. Raises OciError."""
        self._load()
        self._write_intent()
        if self.entry.record.flags["host_mounts"]:
            self._mount_root()
        self._make_cgroup()
        if self.rdt:
            self._make_resctrl_group(self.rdt)
        self._start_init()
        if self.rdt:
            self.rdt.add(self.init.pid)
        self._move_net_devices()
        self._run_plans()

    # -- the steps -----------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Read and check the bundle. As soon as the namespaces are known the kernel begins with them: it takes its time."""
        request, spans = self.request, self.context.spans
        self.bundle = bundles.load(request.bundle, request.config, self.context.document)
        self._loaded = True
        self.spec = self.bundle.spec
        spans.lap("load")
        self._namespaces = namespaces.sort(self.spec)
        if self._namespaces.ahead:
            self.init.prepare(self._namespaces.ahead, directory=self.bundle.directory)
        spans.lap("prepare namespaces", "/linux/namespaces")
        self.bundle.check(systemd=request.cgroup_manager == "systemd")
        if request.supervisor:
            request.supervisor.check(self.spec)
        spans.lap("check")
        self.bundle.find_rootfs()
        if "process" not in self.spec and not self.waits:
            raise process_missing()
        self.process = defaults.process(self.spec)
        self.check_terminal(self.process)
        request.console_socket = request.console_socket and self.bundle.below(request.console_socket)
        request.pidfd_socket = request.pidfd_socket or (self.spec.get("annotations") or {}).get(
            PIDFD_RECEIVER, ""
        )
        request.pidfd_socket = request.pidfd_socket and self.bundle.below(request.pidfd_socket)
        spans.lap("bundle")

    def _write_intent(self) -> None:
        """Before anything else is made, what is going to be made is written down."""
        request = self.request
        before = termination.block()
        try:
            self.entry = store.create(self.context, request.root, request.id)
            self._entered = True
        finally:
            termination.unblock(before)
        self.rdt = facts.resctrl_of(self.spec, request.id)
        self.manager = facts.manager_of(request, self.spec, self.context.spans)
        if self.manager:
            self.manager.keep_existing()
            self.init.oom = self.manager.oom
        self.entry.record = intent(request, self.bundle, self.manager)
        self.entry.record.rdt = self.rdt.record() if self.rdt else None
        self.entry.spec = self.spec
        self.entry.save(sync=True)
        try:
            files.create("config.json", self.bundle.raw, dir_fd=self.entry.directory)
            if facts.notify_directory(request, self.spec):
                from pyoci.host import notify

                notify.make_directory(self.entry.directory)
        except OSError as error:
            raise store.unwritable(f"{request.root}/{request.id}", error) from None
        self.context.spans.lap("intent record")

    def _mount_root(self) -> None:
        """Without a mount namespace the rootfs becomes a mount of its own, which takes along all that is mounted below it."""
        from pyoci.host import root_mount

        needed = bool(self.spec.get("mounts") or self.spec["root"].get("readonly"))
        mount = root_mount.copy(self.bundle.rootfs, needed=needed)
        if mount is None:
            return
        try:
            self.entry.save_root_mount(mount.record())
            mount.attach()
        finally:
            mount.close()
        self.context.spans.lap("root mount", "/root/path")

    def _make_cgroup(self) -> None:
        if self.manager is None:
            return
        try:
            self.manager.create()
        except OciError as error:
            # Nothing is left of it: what is there under its name is not ours. But a signal may have come right after a
            # mkdir that was not noted yet.
            if error.code != "interrupted":
                self.manager = None
                self.entry.record.cgroup = None
            raise
        self.context.spans.lap("cgroup create", "/linux/cgroupsPath")
        if not self.manager.late:
            self._record_cgroup(self.manager)
        self.manager.apply(self.spec.get("linux", {}).get("resources", {}))
        self.context.spans.lap("cgroup limits", "/linux/resources")

    def _make_resctrl_group(self, group: "Group") -> None:
        try:
            group.create()
        finally:
            self.entry.record.rdt = group.record()
        self.entry.save()
        self.context.spans.lap("resctrl group", "/linux/intelRdt")

    def _record_cgroup(self, manager: "Manager") -> None:
        """The cgroups are there: write down which they are."""
        self.entry.record.cgroup = manager.record()
        self.entry.save_cgroup()
        self.context.spans.lap("cgroup record")

    def _start_init(self) -> None:
        """The init is cloned; its first plan, the namespaces that take the kernel longest, runs while we go on."""
        sorted_ = self._namespaces
        cgroup_fd = -1
        clone_flags = 0 if sorted_.forks else sorted_.clone_flags
        new_user = bool(clone_flags & namespaces.NEWUSER)
        try:
            if self.manager is not None and not self.manager.late:
                self._cgroup_fds, cgroup_fd = self.manager.spawn_fds()
            self.init.spawn(
                clone_flags,
                cgroup_fd=cgroup_fd,
                directory=self.bundle.directory,
                wait_for_maps=new_user,
                become_root=new_user,
                preserved=self.inherited.count,
                store=self.entry.directory,
            )
        finally:
            if cgroup_fd >= 0:
                files.close(cgroup_fd)
        self.context.spans.lap("spawn", "/linux/namespaces")
        if self.manager is not None and self.manager.late:
            # before the maps make it a process of another user
            self.manager.add(self.init.pid)
            self.context.spans.lap("cgroup join", "/linux/cgroupsPath")
            self._record_cgroup(self.manager)
        self.raise_limits(self.process, user_namespace=namespaces.has(self.spec, "user"))
        if new_user:
            self._write_maps()
        self._enter_namespaces()

    def _enter_namespaces(self) -> None:
        """The first plan. An init that forks in it, to be in what it joined, goes on as its child."""
        sorted_ = self._namespaces
        forks_into_new_user = sorted_.forks and sorted_.clone_flags & namespaces.NEWUSER
        early = early_plan(self.spec, sorted_, len(self._cgroup_fds))
        self._waits_for_early = bool(early.ops)
        if self._waits_for_early:
            self._send("early", early)
        if sorted_.forks:
            self.init.expect_fork()
            self.context.spans.lap("wait for fork", "/linux/namespaces")
            if forks_into_new_user:
                self._write_maps()
            else:
                self.init.send_byte()
        if sorted_.joins_user:
            if not sorted_.forks:  # then it has joined only when the plan is done
                self.init.expect(lib.REPLY_DONE)
                self._waits_for_early = False
            try:
                self._can_set_groups = userns.may_set_groups(self.init.pid)
            except (FileNotFoundError, ProcessLookupError):
                raise self.init.explain_death() from None
        else:
            self._can_set_groups = facts.may_set_groups(self.spec, rootless=self.rootless)

    def _write_maps(self) -> None:
        from pyoci.userns import idmap

        linux = self.spec["linux"]
        uids, gids = linux.get("uidMappings") or [], linux.get("gidMappings") or []
        idmap.write_maps(self.init.pid, uids, gids, rootless=self.rootless)
        self.init.send_byte()
        self.context.spans.lap("id maps", "/linux/uidMappings")

    def _move_net_devices(self) -> None:
        """linux.netDevices. The init is in its network namespace as soon as its first plan is done."""
        devices = (self.spec.get("linux") or {}).get("netDevices")
        if not devices:
            return
        from pyoci.host.net_devices import NetDevices

        if self._waits_for_early:
            self.init.expect(lib.REPLY_DONE)
            self._waits_for_early = False
        self._net_devices = NetDevices(self.init.pid)
        for name, device in devices.items():
            self._net_devices.move(name, device)
        self.context.spans.lap("network devices", "/linux/netDevices")

    def _run_plans(self) -> None:
        compiled = compiler.compile_container(self.spec, self._gather_facts())
        self.context.spans.lap("compile")
        self.warn(compiled)
        hooks = self.spec.get("hooks", {})
        between = hooks.get("prestart") or hooks.get("createRuntime")
        undone = int(self._waits_for_early)
        for index, piece in enumerate(compiled.prepare.pieces()):
            if index:
                self._expect_done(undone)
                undone = 0
            self._send("prepare", piece)
            undone += 1
        if not between:
            self._send("finish", compiled.finish)
        self._expect_done(undone)
        self.context.spans.lap("wait for prepare")
        if between:
            self._run_hooks(hooks)
            self.context.spans.lap("hooks", "/hooks")
            self._send("finish", compiled.finish)
        if self.waits:
            self.entry.record.late = start_answer.late_ops(compiled.finish)
        self.expect_ready(self.process)

    def _expect_done(self, plans: int) -> None:
        for _ in range(plans):
            self.init.expect(lib.REPLY_DONE)

    def _send(self, name: str, plan: "Plan") -> None:
        ready: dict[str, list[int]] = {"cgroup": self._cgroup_fds}
        if any(what[0] == "fifo" for what in plan.passed):
            ready["fifo"] = _make_fifos(self.entry.directory, plan)
        if any(str(what[0]).endswith("idmapped-tree") for what in plan.passed):
            from pyoci.userns import idmapped_mounts

            ready["userns"] = idmapped_mounts.namespaces_of(self.spec, plan, self.init.pid, self.rootless)
        self.send_plan(name, plan, ready, directory=self.bundle.directory, rootfs=self.bundle.rootfs)

    def _gather_facts(self) -> "Facts":
        known = facts.Known(self.spec, self.bundle.rootfs, self.inherited)
        known.cgroup_fds = len(self._cgroup_fds)  # none where the plan "early" has taken them
        known.can_set_groups = self._can_set_groups
        found = facts.gather_new(
            self.request,
            known,
            self.context.spans,
            manager=self.manager,
            record=self.entry.record,
            waits=self.waits,
        )
        if self.request.supervisor:
            found.seccomp = self.request.supervisor.filter(found.seccomp)
            found.supervised = found.seccomp is not None
            self.init.supervisor = self.request.supervisor
        self.tell_agent(found, self.spec, self.entry.record, "creating")
        self.context.spans.lap("facts")
        return found

    def _run_hooks(self, hooks: "Hooks") -> None:
        from pyoci.host.hooks import run

        text = document(self.entry.record, "creating", self.init.pid)
        name: HookName
        for name in ("prestart", "createRuntime"):
            if hooks.get(name):
                run(self.spec, name, text, spans=self.context.spans, directory=self.bundle.directory)

    # -- afterwards ----------------------------------------------------------------------------------------------------

    def record(self, status: str) -> None:
        """READY came: write down what is there now, before the init may go on. Raises OciError."""
        record = self.entry.record
        record.status = status
        record.pid = self.init.pid
        record.start = store.start_time(self.init.pid)
        if record.start < 0:
            raise self.init.explain_end()  # a filter that notifies is in force already, and may have ended it
        if self.waits and self.request.trace:
            record.trace = self.request.trace.path
        self.entry.save()
        self.context.spans.lap("record")

    def undo(self) -> None:
        """Take back whatever was made. Raises nothing.

        In this order: network devices come back, before their namespace ends; the init is killed and reaped, so that the cgroup
        is empty; the cgroup is removed, the poststop hooks run and the entry with its record is removed (`cleanup.destroy`);
        last the descriptors are closed, the lock with them. What can't be removed is a warning: the first failure is the one to
        report, and the entry stays for `delete`.
        """
        for error in self._net_devices.take_back() if self._net_devices else ():
            self.context.log.warning(error.text(), pointer=error.pointer)
        self.kill()
        try:
            if self._entered and self.entry.directory >= 0:
                cleanup.destroy_anyway(self.context, self.entry, self.manager, self.bundle.directory)
        finally:
            self.close()
        self.context.spans.lap("undo")

    def close(self) -> None:
        """Close what we hold of the container, its lock included; it lives on."""
        super().close()
        if self._net_devices:
            self._net_devices.close()
        if self._loaded:
            self.bundle.close()
        if self._entered:
            self.entry.close()


def intent(request: "CreateRequest", bundle: bundles.Bundle, manager: "Manager | None") -> Record:
    """What is written down of a container before anything is made for it."""
    spec = bundle.spec
    pid = posix.getpid()
    creator = (pid, store.start_time(pid))
    record = Record(request.id, bundle=bundle.path, rootfs=bundle.rootfs, creator=creator)
    record.created = timestamps.now(9)
    record.annotations = spec.get("annotations") or {}
    record.cgroup = manager.record() if manager else None
    hooks = spec.get("hooks") or {}
    record.hooks = [name for name in ("poststart", "poststop") if hooks.get(name)]
    record.flags = {
        "no_new_keyring": request.no_new_keyring,
        "rootless": facts.is_rootless(request),
        "host_pid": not namespaces.is_new(spec, "pid"),
        "host_mounts": not namespaces.has(spec, "mount"),
    }
    return record


def _make_fifos(directory: int, plan: "Plan") -> list[int]:
    """The fifos that connect the waiting init with `start`, open in the order of the plan."""
    found = []
    try:
        for what in plan.passed:
            if what[0] == "fifo":
                name = str(what[1])
                posix.mkfifo(name, 0o600, dir_fd=directory)
                found.append(posix.open(name, posix.O_RDWR | posix.O_CLOEXEC, dir_fd=directory))
    except OSError as error:
        files.close_all(found)
        raise from_os_error("state-write", "cannot make the start fifo", error) from None
    return found
