"""exec: one more process in a running container; the same ops as for its first one, in joined namespaces."""

import errno
import posix

from pyoci import userns
from pyoci._shim import lib
from pyoci.base import files, termination
from pyoci.base.errors import OciError, from_os_error
from pyoci.base.numbers import decimal, ranges
from pyoci.init.process import InitProcess
from pyoci.lifecycle import facts, store
from pyoci.lifecycle.processes import not_running
from pyoci.lifecycle.session import ContainerProcess
from pyoci.plan import compiler
from pyoci.plan.facts import Facts
from pyoci.spec import check, defaults, documents, fast, namespaces
from pyoci.spec.linux_rules import NO_ID
from pyoci.spec.resource_rules import MOST_NODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from pyoci.base.context import Context
    from pyoci.cgroups.records import GroupRecord
    from pyoci.lifecycle.requests import ExecRequest
    from pyoci.spec.spec_types import CapabilitySet, Process, Spec

# Why the kernel refuses CLONE_INTO_CGROUP where moving a process may still be granted, by systemd for one.
_NOT_CLONED_INTO_CGROUP = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.EOPNOTSUPP)


def exec_process(context: "Context", request: "ExecRequest") -> int:
    """`exec`: returns the exit status of the process, 0 when detached. Raises OciError; then no process is left.

    In the foreground the signals of our process are the new one's, and stay so.
    """
    with JoiningProcess(context, request) as process:
        process.make()
        process.hand_over()
        signals = process.take_signals()
        process.run_program()
        if request.detach:
            termination.ignore()
    if request.detach:
        process.close()
        return 0
    return process.wait(signals)


class JoiningProcess(ContainerProcess):
    """A process that joins a container which is created, running or, on request, paused."""

    request: "ExecRequest"
    entry: store.Entry
    spec: "Spec"
    process: "Process"

    def __init__(self, context: "Context", request: "ExecRequest") -> None:
        super().__init__(context, request, detached=request.detach)
        self._entered = False
        self._given: set[str] = set()  # properties of the process that are not the configuration's
        self._status = ""  # of the container

    def __enter__(self) -> "JoiningProcess":
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        """A failure because of a value that is not config.json's must not send people there."""
        if isinstance(error, OciError):
            first, _, name = error.pointer[1:].partition("/")
            if first == "process" and name.partition("/")[0] in self._given:
                error.pointer = ""
        super().__exit__(kind, error, traceback)

    def make(self) -> None:
        """Everything up to READY. Raises OciError."""
        self._load()
        try:
            self._join(moved=False)
        except OciError as error:
            if error.errno != errno.EAGAIN or error.code == "seccomp-agent":
                raise
            # No more processes: the container may be at its pids.limit, where somebody has to look into it all the more.
            self.init.kill()
            self.init.close()
            files.close_all(self._cgroup_fds)
            self.init = InitProcess(self.request.trace, self.context.log)
            self._join(moved=True)
        self.entry.close()

    def _load(self) -> None:
        """The container, and the process object. Raises OciError."""
        request = self.request
        self.entry = store.open(self.context, request.root, request.id, lock=False)
        self._entered = True
        status = self.entry.status()
        if status == "paused" and not request.ignore_paused:
            message = "cannot exec in a paused container (use --ignore-paused to override)"
            raise OciError("paused", message, obj=request.id, hint=f"`pyoci resume {request.id}` resumes it")
        if status not in ("created", "running", "paused"):
            raise OciError("not-running", f"cannot exec in a {status} container", obj=request.id)
        self._status = status
        flags = self.entry.record.flags
        self.rootless = flags.get("rootless", False)
        request.no_new_keyring = flags.get("no_new_keyring", False)
        self.spec = self.entry.config()
        own = defaults.process(self.spec)
        self.process = _process(request, own, self.context.document)
        self._given = {name for name, value in self.process.items() if value is not own.get(name)}
        self.context.spans.lap("load")
        self.check_terminal(self.process)

    def _join(self, *, moved: bool) -> None:
        """The init starts in the container's cgroup; its plan joins the namespaces and makes all ready. Raises OciError.

        moved  it starts in our cgroup instead, and we move it after its last fork: pids.max refuses forks, but nothing moved.
               A thread that sends the listener of a filter is a fork, too, and the last one.
        """
        pidfd = self.entry.open_process()
        if pidfd < 0:
            raise not_running(self.entry.id)
        passed = [pidfd]  # empty once it has travelled
        pid = self.entry.record.pid
        cgroup_fd = -1
        try:
            self.init.oom = self.entry.memory
            if "cwd" in self._given:
                file = self.request.process
                self.init.cwd_from = f"set in {file}" if file else "set by --cwd"
            joined = _joined(self.spec, pid)
            self._cgroup_fds, cgroup_fd = self._open_cgroup(pid)
            self.context.spans.lap("cgroup", "/linux/cgroupsPath")
            self._start(pid, joined, passed, cgroup_fd, moved=moved)
            self.expect_ready(self.process)
            if moved and self.init.agent:
                self._move(cgroup_fd, self._cgroup_fds)
                self._set_affinity(self.init.pid, "final")  # which the cpuset of the cgroup may have changed
        finally:
            files.close_all(passed)
            if cgroup_fd >= 0:
                files.close(cgroup_fd)

    def _start(self, pid: int, joined: int, pidfd: list[int], cgroup_fd: int, *, moved: bool) -> None:
        """Start the init and send it its plan, until it is the process that stays."""
        spans = self.context.spans
        found = self._gather_facts(pid, cgroup_fds=0 if moved else len(self._cgroup_fds))
        compiled = compiler.compile_exec(self.spec, self.process, found, joined)
        spans.lap("compile")
        self.warn(compiled)
        self._spawn_with_affinity(-1 if moved else cgroup_fd)
        spans.lap("spawn", "/linux/namespaces")
        self.raise_limits(self.process, user_namespace=bool(joined & namespaces.NEWUSER))
        forks, moved_now = bool(joined & namespaces.NEWPID), moved and not found.notifies
        if moved_now and not forks:
            self._move(cgroup_fd, self._cgroup_fds)
        ready = {"cgroup": [] if moved else self._cgroup_fds, "pidfd": pidfd}
        if not namespaces.has(self.spec, "mount"):
            ready["root"] = [_open_root(pid, pidfd[0])]
        self.send_plan("exec", compiled.finish, ready)
        if forks:
            self.init.expect_fork()
            if moved_now:
                self._move(cgroup_fd, self._cgroup_fds)
        if self.entry.record.rdt:
            self._join_resctrl_group(self.entry.record.rdt)
        if forks:
            self.init.send_byte()

    def _move(self, directory: int, tasks: list[int]) -> None:
        """Move the init into the cgroup of v2, a directory or -1, and those of v1. Raises OciError.

        It costs milliseconds for each hierarchy: the kernel waits until no process forks (op_join_cgroup of csrc/init).
        """
        opened = []
        try:
            if directory >= 0:
                opened.append(posix.open("cgroup.procs", posix.O_WRONLY | posix.O_CLOEXEC, dir_fd=directory))
            for fd in (*opened, *tasks):
                posix.write(fd, str(self.init.pid).encode())
        except OSError as error:
            self._move_otherwise(directory, error)
        finally:
            files.close_all(opened)
        files.close_all(tasks)
        self.context.spans.lap("moved into the cgroup", "/linux/cgroupsPath")

    def _move_otherwise(self, directory: int, refused: OSError) -> None:
        """The kernel has refused to move the init: systemd may, or it stays where it is. Raises OciError.

        To move a process out of a login session into the user's own systemd takes the right to write to the cgroup above
        both, which is root's.
        """
        manager = self.entry.manager()
        path = posix.readlink(f"/proc/self/fd/{directory}") if directory >= 0 else ""
        if manager and path and refused.errno in (errno.EACCES, errno.EPERM):
            if manager.attach(self.init.pid, path):
                return
            if manager.may_stay_outside and not self.request.cgroups:
                return
        from pyoci.cgroups.base import not_joined

        found = not_joined(path or (manager.main_path() if manager else ""), refused)
        found.message = f"error adding pid {self.init.pid} to cgroups: {found.message}"  # as runc has it
        raise found

    def _join_resctrl_group(self, record: "GroupRecord") -> None:
        """A group that is gone, as resctrl was mounted anew, is no reason to leave a container without exec."""
        from pyoci.cgroups import resctrl

        try:
            resctrl.add(record, self.init.pid)
        except OciError as error:
            if error.errno != errno.ENOENT:
                raise
            self.context.log.warning(error.text(), code=error.code, pointer="/linux/intelRdt")

    def _spawn_with_affinity(self, cgroup_fd: int) -> None:
        """With process.execCPUAffinity.initial: on its processors from the start, before the cgroup is joined.

        A process starts with the affinity of the one that makes it, so it is ours meanwhile.
        """
        if not (self.process.get("execCPUAffinity") or {}).get("initial"):
            self._spawn(cgroup_fd)
            return
        before = posix.sched_getaffinity(0)
        self._set_affinity(0, "initial")
        try:
            self._spawn(cgroup_fd)
        finally:
            posix.sched_setaffinity(0, before)

    def _set_affinity(self, pid: int, place: "Literal['initial', 'final']") -> None:
        """Put a process on the processors of process.execCPUAffinity. Raises OciError."""
        text = (self.process.get("execCPUAffinity") or {}).get(place)
        if not text:
            return
        found = ranges(text, MOST_NODES) or []
        try:
            posix.sched_setaffinity(pid, [number for low, high in found for number in range(low, high + 1)])
        except OSError as error:
            message = f"error setting {place} CPU affinity: sched_setaffinity"
            pointer, hint = f"/process/execCPUAffinity/{place}", ""
            if error.errno == errno.EINVAL:
                cpuset = "pyoci's caller" if place == "initial" else "the container"
                hint = f"none of these processors is both online and in the cpuset of {cpuset}"
            raise from_os_error("cpu-affinity", message, error, pointer=pointer, hint=hint) from None

    def _spawn(self, cgroup_fd: int) -> None:
        """Into the container's cgroup by clone or, where that is refused, by moving the process there."""
        preserved, store = self.inherited.count, self.entry.directory
        try:
            self.init.spawn(0, cgroup_fd=cgroup_fd, preserved=preserved, store=store)
        except OciError as error:
            if cgroup_fd < 0 or error.errno not in _NOT_CLONED_INTO_CGROUP:
                raise
            self.init.spawn(0, preserved=preserved, store=store)
            self._move(cgroup_fd, [])

    def _open_cgroup(self, pid: int) -> tuple[list[int], int]:
        """What the init joins the cgroup by, as Manager.exec_fds() has it. Raises OciError."""
        manager = self.entry.manager()
        if manager is None:
            return [], -1
        manager.require_own(*manager.paths())
        return manager.exec_fds(_sub_cgroups(self.request.cgroups) or None, pid)

    def _gather_facts(self, pid: int, *, cgroup_fds: int) -> Facts:
        try:
            in_user_namespace = namespaces.has(self.spec, "user")
            can_set_groups = userns.may_set_groups(pid if in_user_namespace else "self")
        except (FileNotFoundError, ProcessLookupError):
            raise not_running(self.entry.id) from None
        known = facts.Known(self.spec, self.entry.record.rootfs, self.inherited)
        known.cgroup_fds = cgroup_fds
        known.can_set_groups = can_set_groups
        found = facts.gather(self.request, known, self.context.spans)
        self.tell_agent(found, self.spec, self.entry.record, self._status)
        self.context.spans.lap("facts")
        return found

    def close(self) -> None:
        """Close what we hold of the process and of its container; both live on."""
        super().close()
        if self._entered:
            self.entry.close()


def _sub_cgroups(given: list[str]) -> dict[str, str]:
    """--cgroup PATH, or CONTROLLER[,CONTROLLER]:PATH for some: controller, "" for all, -> path. Raises OciError."""
    found: dict[str, str] = {}
    for text in given:
        names, colon, path = text.partition(":")
        for name in names.split(",") if colon else [""]:
            if colon and not name:
                why = "there is no controller before the colon"
            elif not colon and len(given) > 1:
                why = "with several of them each needs its controllers, as in cpu,cpuacct:PATH"
            elif name in found:
                why = f"controller {name} is there more than once"
            else:
                found[name] = path if colon else text
                continue
            raise OciError("usage", f'invalid value "{text}" for flag -cgroup: {why}', obj="cgroup")
    return found


def _open_root(pid: int, pidfd: int) -> int:
    """The root directory of the container's process. Raises OciError."""
    try:
        root = posix.open(f"/proc/{pid}/root", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        raise from_os_error("not-running", f"root directory of process {pid}", error) from None
    if lib.pyoci_pidfd_signal(pidfd, 0) < 0:  # the number may be another process's by now
        files.close(root)
        raise OciError("not-running", "container not running", hint="its process has just ended")
    return root


def _joined(spec: "Spec", pid: int) -> int:
    """CLONE_NEW* of the namespaces to join: the container's, but for a user namespace that we are in already."""
    flags = 0
    for item in namespaces.entries(spec):
        if item["type"] != "user" or not _is_ours("user", pid):
            flags |= namespaces.FLAGS[item["type"]]
    return flags


def _is_ours(kind: str, pid: int) -> bool:
    """Whether a process shares a namespace with us. Raises OciError."""
    try:
        return posix.stat(f"/proc/{pid}/ns/{kind}").st_ino == posix.stat(f"/proc/self/ns/{kind}").st_ino
    except OSError as error:
        raise from_os_error("namespace", f"{kind} namespace of process {pid}", error) from None


def _process(request: "ExecRequest", own: "Process", handed_over: bytes) -> "Process":
    """The process object: from the file, or the container's own with the options laid over it. Raises OciError."""
    if request.process:
        process = _read_process(request.process, handed_over)
        _inherit(process, own)
        return process
    process = own.copy()
    process["args"] = request.args
    process["terminal"] = request.tty
    process["env"] = [*own.get("env", []), *request.env]
    if request.cwd:
        process["cwd"] = request.cwd
    if request.apparmor:
        process["apparmorProfile"] = request.apparmor
    if request.process_label:
        process["selinuxLabel"] = request.process_label
    if request.no_new_privs:
        process["noNewPrivileges"] = True
    _override_user(process, request)
    _add_capabilities(process, request.caps)
    documents.raise_first("the command line", check.process_problems(process, first=True))
    return process


def _inherit(process: "Process", own: "Process") -> None:
    """What a process file that leaves it out takes from the container's own process, as with runc."""
    # no capabilities at all and a score of 0 are wishes, an empty list or text is none
    if "capabilities" in own and "capabilities" not in process:
        process["capabilities"] = own["capabilities"]
    if "rlimits" in own and not process.get("rlimits"):
        process["rlimits"] = own["rlimits"]
    if "apparmorProfile" in own and not process.get("apparmorProfile"):
        process["apparmorProfile"] = own["apparmorProfile"]
    if "selinuxLabel" in own and not process.get("selinuxLabel"):
        process["selinuxLabel"] = own["selinuxLabel"]
    if "scheduler" in own and "scheduler" not in process:
        process["scheduler"] = own["scheduler"]
    if "ioPriority" in own and "ioPriority" not in process:
        process["ioPriority"] = own["ioPriority"]
    if "execCPUAffinity" in own and not _has_affinity(process):
        process["execCPUAffinity"] = own["execCPUAffinity"]
    if "oomScoreAdj" in own and "oomScoreAdj" not in process:
        process["oomScoreAdj"] = own["oomScoreAdj"]


def _has_affinity(process: "Process") -> bool:
    """Whether a process says on which processors; an empty text says nothing."""
    affinity = process.get("execCPUAffinity") or {}
    return bool(affinity.get("initial") or affinity.get("final"))


def _read_process(path: str, handed_over: bytes) -> "Process":
    raw = handed_over or documents.read_document("process-file", f"process file {path}", path)
    process = documents.accepted(fast.load_process, raw, path, "process")
    documents.raise_first(path, check.process_problems(process, first=True))
    return process


def _override_user(process: "Process", request: "ExecRequest") -> None:
    """--user UID[:GID], --additional-gids."""
    user = process.get("user", {}).copy()
    if request.user:
        uid, colon, gid = request.user.partition(":")
        user["uid"] = _id(uid, request.user)
        if colon:
            user["gid"] = _id(gid, request.user)
    if request.additional_gids:
        user["additionalGids"] = [*user.get("additionalGids", []), *request.additional_gids]
    process["user"] = user


def _id(text: str, given: str) -> int:
    number = decimal(text, NO_ID - 1)
    if number >= 0:
        return number
    hint = "UID or UID:GID in decimal digits; names are not looked up"
    raise OciError("usage", f'invalid value "{given}" for flag -user', obj="user", hint=hint)


def _add_capabilities(process: "Process", names: list[str]) -> None:
    """--cap: into bounding, effective and permitted, never into inheritable (CVE-2022-29162 and its kin).

    A user other than root keeps only what is ambient, and that must be inheritable: it becomes so where the configuration has
    it there.
    """
    if not names:
        return
    sets = process.get("capabilities", {}).copy()
    inheritable = sets.get("inheritable") or []
    raised = [name for name in names if name in inheritable]
    if raised:
        sets["ambient"] = [*sets.get("ambient", []), *raised]
    kind: CapabilitySet
    for kind in ("bounding", "effective", "permitted"):
        sets[kind] = [*sets.get(kind, []), *names]
    process["capabilities"] = sets
