"""process -> ops: what the program may do, who it is, where it starts, and the program itself (config.md, Process).

The same ops serve the container's first process and those that `exec` adds.
"""

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.base.numbers import bit_mask, ranges
from pyoci.plan import hooks
from pyoci.plan.facts import Facts
from pyoci.plan.mounts import NOTIFY_DIRECTORY, NOTIFY_SOCKET
from pyoci.plan.ops import Plan
from pyoci.spec import capabilities, defaults
from pyoci.spec.annotations import KEEP_GROUPS, asks_for
from pyoci.spec.resource_rules import MOST_NODES
from pyoci.spec.rlimits import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from pyoci.spec.landlock import Rules
    from pyoci.spec.spec_types import (
        ExecCPUAffinity,
        MemoryPolicyFlag,
        MemoryPolicyMode,
        Process,
        Rlimit,
        Scheduler,
        Spec,
    )


_CAP_SYS_ADMIN = capabilities.mask(["CAP_SYS_ADMIN"])[0]

_POLICIES: dict[str, int] = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
_SCHEDULER_FLAGS: dict[str, int] = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
_IO_CLASSES: dict[str, int] = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
MEMORY_MODES: "dict[MemoryPolicyMode, int]" = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
MEMORY_FLAGS: "dict[MemoryPolicyFlag, int]" = {
    "MPOL_F_STATIC_NODES": 1 << 15,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_NUMA_BALANCING": 1 << 13,
}
_PERSONALITIES: dict[str, int] = {"LINUX": 0, "LINUX32": 8}


def add_terminal(plan: Plan, process: "Process", *, joined: bool) -> None:
    """The terminal, when one is asked for; /dev/console is made for the container's first process only."""
    if not process.get("terminal"):
        return
    size = process.get("consoleSize")
    rows, columns = (size["height"] & 0xFFFF, size["width"] & 0xFFFF) if size else (0, 0)
    console = ops.console(rows=rows, columns=columns, dev_console=not joined)
    plan.add(console, "/process/terminal", "terminal")


def add_settings(plan: Plan, spec: "Spec", process: "Process") -> None:
    """Limits that only go up, scheduling: what may need privilege and harms no later step."""
    for index, limit in enumerate(process.get("rlimits") or ()):
        _add_rlimit(plan, limit, f"/process/rlimits/{index}", raise_only=True)
    cpu = ((spec.get("linux") or {}).get("resources") or {}).get("cpu") or {}
    _add_scheduler(plan, process.get("scheduler"), cpu.get("cpus") or "")
    priority = process.get("ioPriority")
    if priority:
        name = priority["class"]
        number = _IO_CLASSES[name] << 13 | priority.get("priority", 0)
        plan.add(ops.ioprio_set(priority=number), "/process/ioPriority", f"io priority {name}")


def add_affinity(plan: Plan, wanted: "ExecCPUAffinity | None") -> None:
    """The processors of a process: those of execCPUAffinity, which is for exec alone, else all of the cpuset.

    Our caller's affinity never gets into the container, nor does ours unless it is execCPUAffinity.initial, which we had when the
    process was made (lifecycle/exec.py).
    """
    wanted = wanted or {}
    final = wanted.get("final")
    if final:
        mask = bit_mask(ranges(final, MOST_NODES) or [])
        pointer, about = "/process/execCPUAffinity/final", f"final CPU affinity {final}"
        plan.add(ops.sched_setaffinity(mask=mask), pointer, about)
    elif not wanted.get("initial"):
        plan.add(ops.sched_setaffinity(), "", "all processors of the cpuset")


def add_memory_policy(plan: Plan, spec: "Spec") -> None:
    """linux.memoryPolicy, for exec, too. After the cpuset was joined: the kernel holds the nodes against it, set_mempolicy(2)."""
    wanted = (spec.get("linux") or {}).get("memoryPolicy") or {}
    mode = wanted.get("mode")
    if mode is None:
        return
    number, text = MEMORY_MODES[mode], wanted.get("nodes") or ""
    for flag in wanted.get("flags") or ():
        number |= MEMORY_FLAGS[flag]
    op = ops.set_mempolicy(mode=number, nodes=bit_mask(ranges(text, MOST_NODES) or []))
    plan.add(op, "/linux/memoryPolicy", f"memory policy {mode} {text}".rstrip())


def add_personality(plan: Plan, spec: "Spec") -> None:
    """linux.personality (personality(2))."""
    wanted = (spec.get("linux") or {}).get("personality")
    if not wanted:
        return
    domain = wanted["domain"]
    op = ops.personality(persona=_PERSONALITIES[domain])
    plan.add(op, "/linux/personality", f"personality {domain}")


def _add_rlimit(plan: Plan, limit: "Rlimit", pointer: str, *, raise_only: bool) -> None:
    name = limit["type"]
    soft, hard = limit["soft"], limit["hard"]
    op = ops.setrlimit(resource=NUMBERS[name], soft=soft, hard=hard, raise_only=raise_only)
    plan.add(op, pointer, f"{name} {soft}:{hard}")


def _add_scheduler(plan: Plan, wanted: "Scheduler | None", cpus: str) -> None:
    """process.scheduler (sched_setattr(2)); `cpus` of the cpuset, which do not go together with a deadline."""
    if not wanted:
        return
    policy = wanted["policy"]
    flags = 0
    for name in wanted.get("flags") or ():
        flags |= _SCHEDULER_FLAGS[name]
    op = ops.sched_setattr(
        policy=_POLICIES[policy],
        flags=flags,
        nice=wanted.get("nice") or 0,
        priority=wanted.get("priority") or 0,
        runtime=wanted.get("runtime") or 0,
        deadline=wanted.get("deadline") or 0,
        period=wanted.get("period") or 0,
    )
    on = f" on CPUs {cpus}" if cpus and policy == "SCHED_DEADLINE" else ""
    plan.add(op, "/process/scheduler", f"scheduler {policy}{on}")


class Privileges:
    """The five sets of a process as bit masks, cut to what can be had, and what was cut: a warning each.

    warnings  what is left out and why, each with its JSON pointer; other parts of the process add theirs
    """

    __slots__ = ("bounding", "effective", "permitted", "inheritable", "ambient", "warnings")

    def __init__(self, process: "Process", available: int) -> None:
        self.warnings: dict[str, str] = {}
        sets = process.get("capabilities") or {}
        masks = {}
        for name in capabilities.SETS:
            mask, unknown = capabilities.mask(sets.get(name) or [])
            missing = mask & ~available
            if unknown:
                self.warn(f"{name} capabilities that this version does not know: {', '.join(unknown)}")
            if missing:
                self.warn(
                    f"{name} capabilities that the runtime can't grant: {', '.join(capabilities.names(missing))}"
                )
            masks[name] = mask & available
        self.bounding: int = masks["bounding"]
        self.permitted: int = masks["permitted"]
        self.effective: int = masks["effective"] & self.permitted
        self.inheritable: int = masks["inheritable"]
        self.ambient: int = masks["ambient"] & self.permitted & self.inheritable
        # The kernel's rule, capabilities(7). Older engines make every capability ambient and none inheritable. For a program of
        # uid 0 the ambient set changes nothing, so their containers start without a word about it.
        denied = capabilities.names(masks["ambient"] & ~self.ambient)
        if denied and (sets.get("inheritable") or (process.get("user") or {}).get("uid")):
            self.warn(f"can't raise ambient capability {', '.join(denied)}: operation not permitted")

    def warn(self, text: str, pointer: str = "/process/capabilities") -> None:
        """Note what is left out."""
        self.warnings[text] = pointer


def add_identity(
    plan: Plan, spec: "Spec", process: "Process", privileges: Privileges, facts: Facts, *, joined: bool
) -> None:
    """User, groups, umask, directory, capabilities; the order is the kernel's: each step needs what a later one gives up.

    A directory that is missing is made for the container's first process only. With crun's annotation the groups are those of
    our caller, whatever the configuration lists: a user without root can then reach what only a group of theirs may. An
    ordinary user's groups stay without it, too, as in runc, unless the configuration lists others.

    Root of a user namespace of one id, in which an engine of a user without subordinate ids runs us, may not set groups either.
    There the list is left out, as in runc and crun: buildah lists the process's own group in each of its containers.
    """
    user = process.get("user") or {}
    uid, gid = user.get("uid", 0), user.get("gid", 0)
    groups = user.get("additionalGids") or []
    cwd = process.get("cwd") or "/"
    early = ops.chdir(path=cwd, create=not joined, tentative=True)
    plan.add(early, "/process/cwd", f"directory {cwd}")
    owner = ops.stdio_owner(uid=uid, console=bool(process.get("terminal")))
    plan.add(owner, "/process/user", "owner of the standard files")
    bounding = ops.bounding_set(capabilities=privileges.bounding)
    plan.add(bounding, "/process/capabilities/bounding", "bounding set")
    keep_groups = asks_for(spec, KEEP_GROUPS)
    if groups and facts.ordinary_user and not keep_groups and not facts.can_set_groups:
        raise OciError(
            "groups",
            "additional groups can't be set: setgroups is denied in this user namespace",
            pointer="/process/user/additionalGids",
            hint="omit process.user.additionalGids, or give the user a range in /etc/subgid",
        )
    if not keep_groups and not facts.can_set_groups and set(groups) - {gid}:
        text = "additional groups are left out: setgroups is denied in this user namespace"
        privileges.warn(text, "/process/user/additionalGids")
    stay = keep_groups or not facts.can_set_groups or (facts.ordinary_user and not groups)
    ids = ops.user(uid=uid, gid=gid, groups=groups, keep_groups=stay)
    plan.add(ids, "/process/user", f"user {uid}:{gid}")
    plan.add(ops.chdir(path=cwd, create=not joined), "/process/cwd", f"directory {cwd}")
    mask = user.get("umask")
    if mask is not None:
        plan.add(ops.umask(mask=mask), "/process/user/umask", f"umask {mask:04o}")


def add_capabilities(plan: Plan, privileges: Privileges, more: int = 0) -> None:
    """The sets; `more` stays permitted and effective for a step that is still to come."""
    sets = ops.capset(
        effective=privileges.effective | more,
        permitted=privileges.permitted | more,
        inheritable=privileges.inheritable,
        ambient=privileges.ambient,
    )
    plan.add(sets, "/process/capabilities", "capabilities")


def add_program(
    plan: Plan,
    spec: "Spec",
    process: "Process",
    privileges: Privileges,
    facts: Facts,
    rules: "Rules | None",
    *,
    wait: bool,
    first: bool,
) -> None:
    """From the capabilities to execve. The filter comes last: the fewer system calls under it, the fewer it has to allow.

    One that notifies an agent comes before the wait, as in runc: the agent must have its listener when `create` ends. So do the
    rules of Landlock: what they deny is a failure of `create`, and startContainer hooks inherit them. Without no_new_privs both
    take CAP_SYS_ADMIN, which is kept for this and given up right after the later one. A container without a process only waits:
    `start` refuses it.
    """
    args, environment = process.get("args") or [], _environment(process, facts)
    no_new_privileges = bool(process.get("noNewPrivileges"))
    filters = facts.seccomp is not None and bool(args)
    restricted = filters or rules is not None
    more = _CAP_SYS_ADMIN & facts.capabilities if restricted and not no_new_privileges else 0
    _refuse_long(process, facts.longest_string)
    add_capabilities(plan, privileges, more)
    if no_new_privileges:
        plan.add(ops.no_new_privs(), "/process/noNewPrivileges", "no_new_privs")
    if args:
        _add_lookup(plan, process, args, environment)
        _add_labels(plan, process)
    if rules:
        from pyoci.plan import landlock

        landlock.add_restriction(plan, rules)
        if more and not filters:
            add_capabilities(plan, privileges)
            more = 0
    notifies = facts.notifies and bool(args)
    failure = plan.carry("fifo", "failure") if wait else lib.REG_NONE
    if notifies:
        _add_filter(plan, facts, failure)
    else:
        plan.add(ops.ready(failure=failure), "", "ready")
    if wait:
        plan.add(ops.wait_start(fifo=plan.carry("fifo", "start")), "", "wait for start")
    if not args:
        return
    if first:
        hooks.add(plan, spec, "startContainer", facts.states)
    for index, limit in enumerate(process.get("rlimits") or ()):
        _add_rlimit(plan, limit, f"/process/rlimits/{index}", raise_only=False)
    if not notifies:
        _add_filter(plan, facts, lib.REG_NONE)
    if more:
        add_capabilities(plan, privileges)
    plan.add(ops.execve(args=args, env=environment), "/process/args", f"exec {args[0]}")


def _add_filter(plan: Plan, facts: Facts, failure: int) -> None:
    """linux.seccomp; `failure` is for one that notifies, with which the init waits."""
    if facts.seccomp is None:
        return
    program, flags = facts.seccomp
    about = f"filter of {len(program) // 8} instructions"
    if facts.notifies:
        op = ops.seccomp_notify(filter=program, flags=flags, failure=failure)
        plan.add(op, "/linux/seccomp", f"{about}, its listener for the agent")
    elif facts.supervised:
        op = ops.seccomp_listener(filter=program, flags=flags)
        plan.add(op, "/linux/seccomp", f"{about}, its listener for the runtime")
    else:
        plan.add(ops.seccomp(filter=program, flags=flags), "/linux/seccomp", about)


def _refuse_long(process: "Process", longest: int) -> None:
    """Raise OciError for an argument or a variable that execve(2) takes from nobody: a container could never start."""
    kind: Literal["args", "env"]
    for kind in ("args", "env"):
        for index, text in enumerate(process.get(kind) or ()):
            if len(text) < longest // 4:  # whatever its characters take
                continue
            size = len(text.encode("utf-8", "surrogateescape")) + 1
            if size > longest:
                message = too_long(kind, index, text, size, longest)
                raise OciError("program", message, pointer=f"/process/{kind}/{index}", hint=SHORTER)


SHORTER = "pass it in a file, or on standard input"


def too_long(kind: str, index: int, text: str, size: int, longest: int) -> str:
    """What to say of an argument or a variable that takes more bytes than the kernel allows."""
    what = f"the variable {text.partition('=')[0][:100]}" if kind == "env" else f"argument {index}"
    return f"{what} takes {size} bytes: the kernel takes {longest} at most"


def _environment(process: "Process", facts: Facts) -> list[str]:
    """Each variable once: the last of a name counts, as in runc and crun, while getenv(3) would find the first.

    An empty HOME counts as none.
    """
    entries = list(process.get("env") or [])
    if facts.listen_fds:
        entries += [f"LISTEN_FDS={facts.listen_fds}", "LISTEN_PID=1"]
        if facts.listen_names:
            entries.append(f"LISTEN_FDNAMES={facts.listen_names}")
    if facts.notify:
        entries.append(f"NOTIFY_SOCKET={NOTIFY_DIRECTORY}/{NOTIFY_SOCKET}")
    found = {entry.partition("=")[0]: entry for entry in entries}
    if found.get("HOME") == "HOME=":
        del found["HOME"]
    return list(found.values())


def _add_lookup(plan: Plan, process: "Process", args: list[str], environment: list[str]) -> None:
    """Find the program now, while a failure is still one of create; and a home directory when the environment has none."""
    path, home = defaults.PATH, False
    for entry in environment:
        if entry.startswith("PATH="):
            path = entry[5:]
        elif entry.startswith("HOME="):
            home = True
    if not home:
        plan.add(ops.home(uid=(process.get("user") or {}).get("uid", 0)), "/process/user", "HOME")
    plan.add(ops.find_executable(program=args[0], path=path), "/process/args/0", f"program {args[0]}")


def _add_labels(plan: Plan, process: "Process") -> None:
    """AppArmor and SELinux labels take effect at execve(2), of startContainer hooks, too: what a fork makes inherits them.

    They are written through a procfs of our own, while a profile that is not loaded is still a failure of create.
    """
    profile, label = process.get("apparmorProfile"), process.get("selinuxLabel")
    if profile:
        op = ops.write_procfs(path="self/attr/apparmor/exec", content=f"exec {profile}")
        plan.add(op, "/process/apparmorProfile", f"AppArmor profile {profile}")
    if label:
        op = ops.write_procfs(path="self/attr/exec", content=label)
        plan.add(op, "/process/selinuxLabel", f"SELinux label {label}")


def labels_keys(process: "Process", facts: Facts) -> bool:
    """Whether add_key_label() has something to write."""
    return bool(process.get("selinuxLabel")) and not facts.no_new_keyring


def add_key_label(plan: Plan, process: "Process") -> None:
    """The session keyring has the label of the program, which could not look into it otherwise; execve(2) takes this back."""
    label = process.get("selinuxLabel")
    if label:
        op = ops.write_procfs(path="self/attr/keycreate", content=label)
        plan.add(op, "/process/selinuxLabel", f"SELinux label {label} of keys")


def _has_label(process: "Process") -> bool:
    return bool(process.get("apparmorProfile") or process.get("selinuxLabel"))


def add_proc(plan: Plan, process: "Process") -> None:
    """What writing the labels needs, to be had while there is privilege for it: a procfs of our own, with processes only."""
    if _has_label(process):
        plan.add(ops.open_procfs(pid_only=True), "/process", "private procfs")
