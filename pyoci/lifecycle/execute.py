"""exec: one more process in a running container; the same ops as for its first one, in joined namespaces."""

import errno
import posix

from pyoci import cgroups, userns
from pyoci.base import files, log, spans, termination
from pyoci.base.errors import OciError, from_os_error
from pyoci.base.numbers import decimal
from pyoci.host import inherited
from pyoci.init import launch
from pyoci.lifecycle import container, creation, store
from pyoci.plan import compiler
from pyoci.plan.facts import Facts, filter_of
from pyoci.spec import bundle, namespaces, rlimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.host.signals import Signals
    from pyoci.lifecycle.requests import ExecRequest
    from pyoci.trace.recorder import Trace

_ALL_CAPABILITIES = (1 << 64) - 1
_LARGEST = 16 << 20
# What a process file that leaves it out takes from the container's own process, as with runc.
_INHERITED = ("capabilities", "rlimits", "apparmorProfile", "selinuxLabel", "oomScoreAdj")
# Why the kernel refuses CLONE_INTO_CGROUP where moving a process may still be granted, by systemd for one.
_MAY_NOT_BE_BORN_IN = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.EOPNOTSUPP)


def execute(request: "ExecRequest") -> int:
    """`exec`: returns the exit status of the process, 0 when detached. Raises OciError; then no process is left."""
    termination.heed()
    kept = inherited.take(request.preserve_fds)
    trace = _trace(request)
    entry = store.open(request.root, request.id, lock=False)
    status = entry.status()
    if status == "paused" and not request.ignore_paused:
        message = "cannot exec in a paused container (use --ignore-paused to override)"
        raise OciError("paused", message, obj=request.id, hint=f"`pyoci resume {request.id}` lets it go on")
    if status not in ("created", "running", "paused"):
        raise OciError("not-running", f"cannot exec in a {status} container", obj=request.id)
    spec = entry.config()
    process = _process(request, spec)
    spans.lap("load")
    container.check_terminal(bool(process.get("terminal")), request.console_socket, detached=request.detach)
    init = launch.Init(trace)
    init.oom = lambda: container.memory(entry)
    try:
        signals = _launch(request, entry, spec, process, init, kept)
        if request.detach:
            termination.ignore()
    except BaseException:
        termination.ignore()
        init.kill()
        raise
    finally:
        entry.close()
        if trace:
            trace.save()
    if request.detach:
        init.close()
        return 0
    from pyoci.terminal import console

    master = None if request.console_socket or init.terminal < 0 else init.terminal
    try:
        return console.foreground(init.pid, init.pidfd, master, signals=signals)
    finally:
        init.close()


def _trace(request: "ExecRequest") -> "Trace | None":
    if not request.trace:
        return None
    from pyoci.trace import recorder

    return recorder.begin(request.trace, "exec", request.id)


def _launch(
    request: "ExecRequest",
    entry: store.Entry,
    spec: "dict[str, Any]",
    process: "dict[str, Any]",
    init: launch.Init,
    kept: inherited.Inherited,
) -> "Signals | None":
    """From the spawn to the program's execve; in the foreground signals are the process's from then on."""
    from pyoci._shim import lib

    _join(request, entry, spec, process, init, kept)
    init.expect(lib.REPLY_READY)
    spans.lap("wait for ready")
    if init.terminal >= 0 and request.console_socket:
        creation.send_terminal(request.console_socket, init.terminal)
    if request.pidfd_socket:
        creation.send_descriptor("pidfd-socket", request.pidfd_socket, init.pidfd, "pidfd")
    if request.pid_file:
        creation.write_pid_file(request.pid_file, init.pid)
        spans.lap("pid file")
    signals = None if request.detach else container.stand_in(init.terminal)
    init.go()
    init.wait_exec()
    spans.lap("wait for the program's start")
    return signals


def _join(
    request: "ExecRequest",
    entry: store.Entry,
    spec: "dict[str, Any]",
    process: "dict[str, Any]",
    init: launch.Init,
    kept: inherited.Inherited,
) -> None:
    """The init is born in the container's cgroup and told to join its namespaces and to become the process."""
    pid = entry.record["pid"]
    tasks: list[int] = []
    cgroup_fd = -1
    pidfd = _open_process(entry)
    try:
        joined = _joined(spec, pid)
        tasks, cgroup_fd = _cgroup_fds(request, entry, pid)
        spans.lap("cgroup", "/linux/cgroupsPath")
        facts = _facts(entry, spec, pid, kept)
        facts.cgroup_fds = len(tasks)
        spans.lap("facts")
        compiled = compiler.compile_exec(spec, process, facts, joined)
        spans.lap("compile")
        for warning in compiled.warnings:
            log.warning(warning, pointer="/process/capabilities")
        _spawn(init, entry, kept, cgroup_fd)
        spans.lap("spawn", "/linux/namespaces")
        score = process.get("oomScoreAdj")
        if score is not None:
            creation.set_oom_score(init.pid, score, entry.record["flags"].get("rootless", False))
        if joined & namespaces.NEWUSER:
            rlimits.raise_hard(init.pid, process)
        fds = launch.open_passed(compiled.finish, {"cgroup": list(tasks), "pidfd": [pidfd]})
        init.send("exec", compiled.finish, fds)
    finally:
        launch.close_all([*tasks, pidfd])
        if cgroup_fd >= 0:
            posix.close(cgroup_fd)
    if joined & namespaces.NEWPID:
        init.follow()
        init.go()
    spans.lap("send exec")


def _open_process(entry: store.Entry) -> int:
    """A pidfd of the container's process. Raises OciError."""
    pidfd = entry.open_process()
    if pidfd < 0:
        raise container.not_running(entry.id)
    return pidfd


def _joined(spec: "dict[str, Any]", pid: int) -> int:
    """CLONE_NEW* of the namespaces to join: the container's, but for a user namespace that we are in already."""
    flags = 0
    for item in namespaces.entries(spec):
        if item["type"] != "user" or not _is_ours("user", pid):
            flags |= namespaces.FLAGS[item["type"]]
    return flags


def _spawn(init: launch.Init, entry: store.Entry, kept: inherited.Inherited, cgroup_fd: int) -> None:
    """The init is born in the container's cgroup, or moved there."""
    try:
        init.spawn(0, cgroup_fd=cgroup_fd, preserved=kept.count)
    except OciError as error:
        if cgroup_fd < 0 or error.errno not in _MAY_NOT_BE_BORN_IN:
            raise
        init.spawn(0, preserved=kept.count)
        cgroups.from_record(entry.record["cgroup"]).add(init.pid)


def _is_ours(kind: str, pid: int) -> bool:
    """Whether a process shares a namespace with us."""
    try:
        return posix.stat(f"/proc/{pid}/ns/{kind}").st_ino == posix.stat(f"/proc/self/ns/{kind}").st_ino
    except OSError as error:
        raise from_os_error("namespace", f"{kind} namespace of process {pid}", error) from None


def _facts(entry: store.Entry, spec: "dict[str, Any]", pid: int, kept: inherited.Inherited) -> Facts:
    from pyoci._shim import lib

    facts = Facts(entry.record["rootfs"], entry.id)
    if namespaces.has(spec, "user"):
        facts.capabilities = _ALL_CAPABILITIES
        facts.can_set_groups = _may_set_groups(entry.id, pid)
    else:
        facts.capabilities = lib.pyoci_permitted_capabilities()
        facts.can_set_groups = userns.may_set_groups("self")
    facts.no_new_keyring = entry.record["flags"].get("no_new_keyring", False)
    facts.listen_fds = kept.listen_fds
    facts.listen_names = kept.listen_names
    began = spans.now()
    facts.seccomp = filter_of(spec)
    if facts.seccomp:
        spans.within(began, "seccomp filter", "/linux/seccomp")
    return facts


def _may_set_groups(id: str, pid: int) -> bool:
    """Whether the user namespace of the container's process allows setgroups(2). Raises OciError when it has just ended."""
    try:
        return userns.may_set_groups(pid)
    except (FileNotFoundError, ProcessLookupError):
        raise container.not_running(id) from None


def _cgroup_fds(request: "ExecRequest", entry: store.Entry, pid: int) -> tuple[list[int], int]:
    if not entry.record["cgroup"]:
        return [], -1
    sub: dict[str, str] = {}
    for text in request.cgroups:
        names, colon, path = text.partition(":")
        for name in names.split(",") if colon else [""]:
            sub[name] = path if colon else text
    return cgroups.from_record(entry.record["cgroup"]).exec_fds(sub or None, pid)


def _process(request: "ExecRequest", spec: "dict[str, Any]") -> "dict[str, Any]":
    """The process object: from the file, or the container's own with the options laid over it. Raises OciError."""
    own = spec.get("process") or {}
    if request.process:
        process = _read_process(request.process)
        for name in _INHERITED:
            # no capabilities at all and a score of 0 are wishes, an empty list or text is none
            if name in own and process.get(name) in (None, [], ""):
                process[name] = own[name]
        return process
    process = dict(own)
    process["args"] = request.args
    process["terminal"] = request.tty
    process["env"] = [*(own.get("env") or []), *request.env]
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
    _check(process, "the command line")
    return process


def _check(process: "dict[str, Any]", name: str) -> None:
    """Raise OciError for what the rules of config.json refuse; `name` is where it comes from."""
    from pyoci.spec import check

    problems = check.process_problems(process, first=True)
    if problems:
        raise bundle.refused(name, problems[0])


def _read_process(path: str) -> "dict[str, Any]":
    from pyoci.spec import fast

    try:
        raw = files.read(path, limit=_LARGEST)
    except OSError as error:
        raise from_os_error("process-file", f"process file {path}", error, obj=path) from None
    if len(raw) > _LARGEST:
        raise OciError("process-file", f"process file {path} is larger than {_LARGEST >> 20} MiB", obj=path)
    process = fast.load_process(raw)
    if process is None:
        bundle.refuse(raw, path, "process")
    _check(process, path)
    return process


def _override_user(process: "dict[str, Any]", request: "ExecRequest") -> None:
    """--user UID[:GID], --additional-gids."""
    user = dict(process.get("user") or {})
    if request.user:
        uid, colon, gid = request.user.partition(":")
        user["uid"] = _id(uid, request.user)
        if colon:
            user["gid"] = _id(gid, request.user)
    if request.additional_gids:
        user["additionalGids"] = [*(user.get("additionalGids") or []), *request.additional_gids]
    process["user"] = user


def _id(text: str, given: str) -> int:
    number = decimal(text, (1 << 32) - 2)
    if number >= 0:
        return number
    hint = "UID or UID:GID in decimal digits; names are not looked up"
    raise OciError("usage", f'invalid value "{given}" for flag -user', obj="user", hint=hint)


def _add_capabilities(process: "dict[str, Any]", names: list[str]) -> None:
    """--cap: into bounding, effective and permitted, never into inheritable or ambient (CVE-2022-29162 and its kin)."""
    if not names:
        return
    sets = dict(process.get("capabilities") or {})
    for kind in ("bounding", "effective", "permitted"):
        sets[kind] = [*(sets.get(kind) or []), *names]
    process["capabilities"] = sets
