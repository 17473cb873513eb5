"""creation: how a container comes to be, step by step, and how a failed attempt is taken back.

    entry (intent record) -> cgroup -> init in new namespaces -> id maps -> plan "prepare" -> prestart, createRuntime hooks
    -> plan "finish" -> READY -> record, pid file

Whatever fails, `undo` leaves the machine as if nothing had been tried; after SIGKILL at any step, `delete` can do the same from
the record, and the init, which notices the end of its socket, ends by itself.
"""

import posix

from pyoci import userns
from pyoci.base import files, log, spans, termination, timestamps
from pyoci.base.errors import OciError, from_os_error
from pyoci.host import inherited
from pyoci.init import launch
from pyoci.lifecycle import cleanup, store
from pyoci.lifecycle.state_document import document, halves
from pyoci.plan import compiler
from pyoci.plan import namespaces as namespace_ops
from pyoci.plan.facts import Facts, filter_of
from pyoci.spec import bundle as bundles
from pyoci.spec import namespaces, rlimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.cgroups.base import Manager
    from pyoci.lifecycle.requests import CreateRequest
    from pyoci.plan.ops import Plan
    from pyoci.trace.recorder import Trace

_ALL_CAPABILITIES = (1 << 64) - 1


class Creation:
    """One attempt at `create` or `run`.

    wait_start   the init shall wait for `start` (create) instead of going on (run)
    """

    def __init__(self, request: "CreateRequest", *, wait_start: bool) -> None:
        self.request = request
        self.wait_start = wait_start
        self.inherited = inherited.take(request.preserve_fds)
        self.trace: Trace | None = None
        if request.trace:
            from pyoci.trace import recorder

            self.trace = recorder.begin(request.trace, "create" if wait_start else "run", request.id)
        self.rootless = posix.geteuid() != 0 if request.rootless is None else request.rootless
        self.init = launch.Init(self.trace)
        systemd = request.cgroup_manager == "systemd"
        try:
            self.bundle = bundles.load(
                request.bundle, request.config, systemd=systemd, readable=self._prepare
            )
        except BaseException:
            self.init.kill()
            raise
        self.spec = self.bundle.spec
        spans.lap("bundle")
        self.entry = store.Entry(request.root, request.id, -1, {})
        self.manager: Manager | None = None
        self._fds: list[int] = []
        self._nested = userns.is_nested()
        new_user = namespaces.is_new(self.spec, "user")
        self._can_set_groups = new_user or not self._nested or userns.may_set_groups("self")
        self._early = False

    def make(self) -> None:
        """Everything up to READY. Raises OciError; the caller then calls undo()."""
        self._write_intent()
        self._make_cgroup()
        self._start_init()
        self._adjust_oom_score()
        self._run_plans()

    def _prepare(self, spec: "dict[str, Any]") -> None:
        """The namespaces are known: the kernel may begin with them while the rest is being checked."""
        birth = namespaces.birth(spec)
        if birth.unshared and not birth.forks and not namespaces.has(spec, "user"):
            self.init.prepare(birth.unshared)
        spans.lap("prepare namespaces", "/linux/namespaces")

    # -- the steps ---------------------------------------------------------------------------------------------------

    def _write_intent(self) -> None:
        """Before anything else is made, what is going to be made is written down."""
        request = self.request
        before = termination.hold()
        try:
            self.entry = store.create(request.root, request.id)
        finally:
            termination.release(before)
        if request.cgroup_manager != "disabled":
            from pyoci import cgroups

            systemd = request.cgroup_manager == "systemd"
            # root of a user namespace is not root of the cgroups
            rootless = self.rootless or (request.rootless is None and not systemd and self._nested)
            self.manager = cgroups.manager(self.spec, request.id, systemd=systemd, rootless=rootless)
            self.manager.keep_existing()
            self.init.oom = self.manager.oom
        record = store.new_record(request.id, self.bundle.path, self.bundle.rootfs, posix.getpid())
        record["created"] = timestamps.now(9)
        record["annotations"] = self.spec.get("annotations") or {}
        record["cgroup"] = self.manager.record() if self.manager else None
        hooks = self.spec.get("hooks") or {}
        record["hooks"] = {name: hooks[name] for name in ("poststart", "poststop") if hooks.get(name)}
        record["flags"] = {
            "no_new_keyring": request.no_new_keyring,
            "rootless": self.rootless,
            "host_pid": not namespaces.is_new(self.spec, "pid"),
        }
        self.entry.record = record
        try:
            files.create("config.json", self.bundle.raw, dir_fd=self.entry.directory)
        except OSError as error:
            raise store.unwritable(f"{request.root}/{request.id}", error) from None
        self.entry.save(sync=True)
        spans.lap("intent record")

    def _make_cgroup(self) -> None:
        if self.manager is None:
            return
        try:
            self.manager.create()
        except OciError as error:
            # Nothing is left of it, what is there under its name is somebody else's; but a signal may have come right behind a
            # mkdir that nobody knows of then.
            if error.code != "interrupted":
                self.manager = None
                self.entry.record["cgroup"] = None
            raise
        spans.lap("cgroup create", "/linux/cgroupsPath")
        self.manager.apply((self.spec.get("linux") or {}).get("resources") or {})
        spans.lap("cgroup limits", "/linux/resources")

    def _start_init(self) -> None:
        """The init is born; its first plan, the namespaces that take the kernel longest, runs while we go on."""
        birth = namespaces.birth(self.spec)
        cgroup_fd = -1
        try:
            if self.manager is not None and not self.manager.late:
                self._fds, cgroup_fd = self.manager.spawn_fds()
            born = 0 if birth.forks else birth.born
            new_user = bool(born & namespaces.NEWUSER)
            self.init.spawn(
                born,
                cgroup_fd=cgroup_fd,
                wait_for_maps=new_user,
                become_root=new_user,
                preserved=self.inherited.count,
            )
        finally:
            if cgroup_fd >= 0:
                posix.close(cgroup_fd)
        spans.lap("spawn", "/linux/namespaces")
        if self.manager is not None and self.manager.late:
            # before the maps make it a process of another user
            self.manager.add(self.init.pid)
            self.entry.record["cgroup"] = self.manager.record()
            spans.lap("cgroup join", "/linux/cgroupsPath")
        if namespaces.has(self.spec, "user"):
            rlimits.raise_hard(self.init.pid, self.spec.get("process") or {})
        if new_user:
            self._write_maps()
        self._send_early(birth)

    def _send_early(self, birth: namespaces.Birth) -> None:
        early = namespace_ops.early(self.spec, self.init.prepared, len(self._fds) if birth.forks else 0)
        self._early = bool(early.ops)
        if self._early:
            self._send("early", early)
        if birth.forks:
            self.init.follow()
            spans.lap("wait for fork", "/linux/namespaces")
            if birth.born & namespaces.NEWUSER:
                self._write_maps()
            else:
                self.init.go()
        if any(kind == "user" for kind, _, _ in birth.joined) and not birth.born & namespaces.NEWUSER:
            if not birth.forks:  # then it has joined only when the plan is done
                self._wait_early()
            self._can_set_groups = userns.may_set_groups(self.init.pid)

    def _wait_early(self) -> None:
        from pyoci._shim import lib

        self.init.expect(lib.REPLY_DONE)
        self._early = False

    def _write_maps(self) -> None:
        from pyoci.userns import idmap

        linux = self.spec["linux"]
        uids, gids = linux.get("uidMappings") or [], linux.get("gidMappings") or []
        self._can_set_groups = idmap.write_maps(self.init.pid, uids, gids, rootless=self.rootless)
        self.init.go()
        spans.lap("id maps", "/linux/uidMappings")

    def _adjust_oom_score(self) -> None:
        value = (self.spec.get("process") or {}).get("oomScoreAdj")
        if value is not None:
            set_oom_score(self.init.pid, value, self.rootless)
            spans.lap("oom score", "/process/oomScoreAdj")

    def _run_plans(self) -> None:
        from pyoci._shim import lib

        facts = self._facts()
        spans.lap("facts")
        compiled = compiler.compile_container(self.spec, facts)
        spans.lap("compile")
        for warning in compiled.warnings:
            log.warning(warning, pointer="/process/capabilities")
        hooks = self.spec.get("hooks") or {}
        between = hooks.get("prestart") or hooks.get("createRuntime")
        self._send("prepare", compiled.prepare)
        if not between:
            self._send("finish", compiled.finish)
        for _ in range(1 + self._early):
            self.init.expect(lib.REPLY_DONE)
        spans.lap("wait for prepare")
        if between:
            self._run_hooks(hooks)
            spans.lap("hooks", "/hooks")
            self._send("finish", compiled.finish)
        if self.wait_start:
            self.entry.record["late"] = launch.late_ops(compiled.finish)
        self.init.expect(lib.REPLY_READY)
        spans.lap("wait for finish")

    def _send(self, name: str, plan: "Plan") -> None:
        ready: dict[str, list[int]] = {"cgroup": self._fds}
        if any(what[0] == "fifo" for what in plan.passed):
            ready["fifo"] = _make_fifos(self.entry.directory, plan)
        if any(str(what[0]).endswith("idmapped-tree") for what in plan.passed):
            from pyoci.userns import idmapped_mounts

            ready["userns"] = idmapped_mounts.namespaces_of(self.spec, plan, self.init.pid, self.rootless)
        fds = launch.open_passed(plan, ready)
        try:
            self.init.send(name, plan, fds)
        finally:
            launch.close_all(fds)
        spans.lap(f"send {name}")

    def _facts(self) -> Facts:
        from pyoci._shim import lib

        facts = Facts(self.bundle.rootfs, self.request.id)
        in_user_namespace = namespaces.has(self.spec, "user")
        facts.open_sources = in_user_namespace and namespaces.has(self.spec, "mount") and posix.geteuid() == 0
        facts.capabilities = _ALL_CAPABILITIES if in_user_namespace else lib.pyoci_permitted_capabilities()
        facts.nested = self._nested
        facts.can_set_groups = self._can_set_groups
        if self.manager is not None:
            facts.cgroup = self.manager.mount_facts()
        facts.cgroup_fds = len(self._fds)
        facts.wait_start = self.wait_start
        facts.no_pivot = self.request.no_pivot
        facts.no_new_keyring = self.request.no_new_keyring
        facts.listen_fds = self.inherited.listen_fds
        facts.listen_names = self.inherited.listen_names
        facts.kcore = posix.access("/proc/kcore", posix.F_OK)
        hooks = self.spec.get("hooks") or {}
        if hooks.get("createContainer") or hooks.get("startContainer"):
            facts.states = {
                "createContainer": halves(self.entry, "creating"),
                "startContainer": halves(self.entry, "created"),
            }
        began = spans.now()
        facts.seccomp = filter_of(self.spec)
        if facts.seccomp:
            spans.within(began, "seccomp filter", "/linux/seccomp")
        return facts

    def _run_hooks(self, hooks: "dict[str, Any]") -> None:
        from pyoci.host import hooks as runner

        text = document(self.entry, "creating", self.init.pid)
        for name in ("prestart", "createRuntime"):
            if hooks.get(name):
                runner.run(hooks[name], text, name=name, pointer=f"/hooks/{name}")

    # -- afterwards --------------------------------------------------------------------------------------------------

    def commit(self, status: str) -> None:
        """READY came: write down what is there now, and only then let the init go on. Raises OciError."""
        record = self.entry.record
        record["status"] = status
        record["pid"] = self.init.pid
        record["start"] = store.start_time(self.init.pid)
        if self.wait_start and self.trace:
            record["trace"] = self.trace.path
        self.entry.save()
        spans.lap("record")
        if self.request.pidfd_socket:
            send_descriptor("pidfd-socket", self.request.pidfd_socket, self.init.pidfd, "pidfd")
        if self.request.pid_file:
            write_pid_file(self.request.pid_file, self.init.pid)
            spans.lap("pid file")
        self.init.go()

    def undo(self) -> None:
        """Take back whatever was made: the process, the cgroup, the entry. Raises nothing."""
        self.init.kill()
        launch.close_all(self._fds)
        self._fds = []
        if self.entry.directory >= 0:
            cleanup.destroy_anyway(self.entry, self.manager)
        spans.lap("undo")


def set_oom_score(pid: int, value: int, rootless: bool) -> None:
    """process.oomScoreAdj; without privilege it can only be raised, and runc lets that pass. Raises OciError."""
    try:
        files.write(f"/proc/{pid}/oom_score_adj", str(value).encode())
    except OSError as error:
        if not rootless:
            hint = "values below the runtime's own need CAP_SYS_RESOURCE"
            pointer = "/process/oomScoreAdj"
            raise from_os_error(
                "oom-score", f"oom_score_adj {value}", error, pointer=pointer, hint=hint
            ) from None


def write_pid_file(path: str, pid: int) -> None:
    """Write a pid in decimal digits, atomically. Raises OciError."""
    try:
        files.replace(path, str(pid).encode(), 0o644)
    except OSError as error:
        raise from_os_error("pid-file", f"pid file {path}", error, obj=path) from None


def send_terminal(socket_path: str, master: int) -> None:
    """Hand the terminal's master to whoever listens at the console socket. Raises OciError."""
    from pyoci.terminal import console

    console.send_master(socket_path, master, "/dev/ptmx")


def send_descriptor(kind: str, socket_path: str, fd: int, name: str) -> None:
    """Hand a descriptor to whoever listens at a socket; `kind` is the error code and what it is called. Raises OciError."""
    from pyoci._shim import lib

    text = name.encode()
    result = lib.pyoci_send_fd(socket_path.encode("utf-8", "surrogateescape"), fd, text, len(text))
    if result < 0:
        hint = "a program must listen on it before the runtime is called"
        raise OciError(
            kind, f"{kind.replace('-', ' ')} {socket_path}", errno=-result, obj=socket_path, hint=hint
        )


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
        launch.close_all(found)
        raise from_os_error("state-write", "cannot make the start fifo", error) from None
    return found
