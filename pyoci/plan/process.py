"""process -> ops: what the program may do, who it is, where it starts, and the program itself (config.md, Process).

The same ops serve the container's first process and those that `exec` adds.
"""

import _struct

from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.plan import hooks
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec import capabilities, defaults
from pyoci.spec.rlimits import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
_PERSONALITIES: dict[str, int] = {"LINUX": 0, "LINUX32": 8}


def add_terminal(plan: Plan, process: "dict[str, Any]", *, joined: bool) -> None:
    """The terminal, when one is asked for; /dev/console is made for the container's first process only."""
    if not process.get("terminal"):
        return
    size = process.get("consoleSize") or {}
    number = size.get("height", 0) << 16 | size.get("width", 0) & 0xFFFF
    flags = lib.OPF_JOINED if joined else 0
    plan.add(lib.OP_CONSOLE, "/process/terminal", "terminal", flags=flags, numbers=(number,))


def add_settings(plan: Plan, process: "dict[str, Any]") -> None:
    """Limits that only go up, scheduling: what may need privilege and harms no later step."""
    for index, limit in enumerate(process.get("rlimits") or ()):
        _add_rlimit(plan, limit, f"/process/rlimits/{index}", lib.OPF_RAISE)
    _add_scheduler(plan, process.get("scheduler"))
    priority = process.get("ioPriority")
    if priority:
        name = priority["class"]
        if name not in _IO_CLASSES:
            raise OciError(
                "config", f"io priority class {name!r} is unknown", pointer="/process/ioPriority/class"
            )
        number = _IO_CLASSES[name] << 13 | priority.get("priority", 0)
        plan.add(lib.OP_IO_PRIORITY, "/process/ioPriority", f"io priority {name}", numbers=(number,))


def add_personality(plan: Plan, spec: "dict[str, Any]") -> None:
    """linux.personality (personality(2))."""
    wanted = (spec.get("linux") or {}).get("personality")
    if not wanted:
        return
    domain = wanted.get("domain")
    if domain not in _PERSONALITIES:
        raise OciError(
            "config",
            f"personality {domain!r} is unknown",
            pointer="/linux/personality/domain",
            hint="LINUX or LINUX32",
        )
    plan.add(
        lib.OP_PERSONALITY, "/linux/personality", f"personality {domain}", numbers=(_PERSONALITIES[domain],)
    )


def _add_rlimit(plan: Plan, limit: "dict[str, Any]", pointer: str, flags: int) -> None:
    name = limit["type"]
    number = NUMBERS.get(name)
    if number is None:
        raise OciError("config", f"rlimit {name!r} is unknown", pointer=f"{pointer}/type")
    soft, hard = limit["soft"], limit["hard"]
    plan.add(lib.OP_RLIMIT, pointer, f"{name} {soft}:{hard}", flags=flags, numbers=(number, soft, hard))


def _add_scheduler(plan: Plan, wanted: "dict[str, Any] | None") -> None:
    """struct sched_attr of sched_setattr(2), its first version."""
    if not wanted:
        return
    policy = wanted["policy"]
    if policy not in _POLICIES:
        raise OciError(
            "config", f"scheduler policy {policy!r} is unknown", pointer="/process/scheduler/policy"
        )
    flags = 0
    for index, name in enumerate(wanted.get("flags") or ()):
        if name not in _SCHEDULER_FLAGS:
            raise OciError(
                "config", f"scheduler flag {name!r} is unknown", pointer=f"/process/scheduler/flags/{index}"
            )
        flags |= _SCHEDULER_FLAGS[name]
    attributes = _struct.pack(
        "=IIQiIQQQ",
        48,
        _POLICIES[policy],
        flags,
        wanted.get("nice") or 0,
        wanted.get("priority") or 0,
        wanted.get("runtime") or 0,
        wanted.get("deadline") or 0,
        wanted.get("period") or 0,
    )
    plan.add(
        lib.OP_SCHEDULER,
        "/process/scheduler",
        f"scheduler {policy}",
        texts=(attributes,),
        numbers=(len(attributes),),
    )


class Privileges:
    """The five sets of a process as bit masks, cut to what can be had, and what was cut: a warning each."""

    __slots__ = ("bounding", "effective", "permitted", "inheritable", "ambient", "warnings")

    def __init__(self, process: "dict[str, Any]", available: int) -> None:
        self.warnings: list[str] = []
        sets = process.get("capabilities") or {}
        masks = {}
        for name in capabilities.SETS:
            mask, unknown = capabilities.mask(sets.get(name) or [])
            missing = mask & ~available
            if unknown:
                self.warnings.append(
                    f"{name} capabilities that this version does not know: {', '.join(unknown)}"
                )
            if missing:
                self.warnings.append(
                    f"{name} capabilities that the runtime can't grant: {', '.join(capabilities.names(missing))}"
                )
            masks[name] = mask & available
        self.bounding: int = masks["bounding"]
        self.permitted: int = masks["permitted"]
        self.effective: int = masks["effective"] & self.permitted
        self.inheritable: int = masks["inheritable"]
        self.ambient: int = masks["ambient"] & self.permitted & self.inheritable


def add_identity(
    plan: Plan, process: "dict[str, Any]", privileges: Privileges, *, can_set_groups: bool, joined: bool
) -> None:
    """User, groups, umask, directory, capabilities; the order is the kernel's: each step needs what a later one gives up.

    A directory that is missing is made for the container's first process only.
    """
    user = process.get("user") or {}
    uid, gid = user.get("uid", 0), user.get("gid", 0)
    groups = user.get("additionalGids") or []
    cwd = process.get("cwd") or "/"
    there = lib.OPF_JOINED if joined else 0
    plan.add(lib.OP_CWD, "/process/cwd", f"directory {cwd}", flags=lib.OPF_EARLY | there, texts=(cwd,))
    plan.add(lib.OP_STDIO_OWNER, "/process/user", "owner of the standard files", numbers=(uid,))
    plan.add(
        lib.OP_BOUNDING, "/process/capabilities/bounding", "bounding set", numbers=(privileges.bounding,)
    )
    if groups and not can_set_groups:
        raise OciError(
            "groups",
            "additional groups can't be set where setgroups is denied",
            pointer="/process/user/additionalGids",
            hint="a user without subgid ranges can have none",
        )
    plan.add(
        lib.OP_USER,
        "/process/user",
        f"user {uid}:{gid}",
        flags=0 if can_set_groups else lib.OPF_NO_GROUPS,
        texts=(_struct.pack(f"={len(groups)}I", *groups),) if groups else (),
        numbers=(uid, gid, len(groups)),
    )
    plan.add(lib.OP_CWD, "/process/cwd", f"directory {cwd}", flags=there, texts=(cwd,))
    if user.get("umask") is not None:
        plan.add(lib.OP_UMASK, "/process/user/umask", f"umask {user['umask']:04o}", numbers=(user["umask"],))


def add_capabilities(plan: Plan, privileges: Privileges, more: int = 0) -> None:
    """The sets; `more` stays permitted and effective for a step that is still to come."""
    plan.add(
        lib.OP_CAPABILITIES,
        "/process/capabilities",
        "capabilities",
        numbers=(
            privileges.effective | more,
            privileges.permitted | more,
            privileges.inheritable,
            privileges.ambient,
        ),
    )


def add_program(
    plan: Plan,
    spec: "dict[str, Any]",
    process: "dict[str, Any]",
    privileges: Privileges,
    facts: Facts,
    *,
    wait: bool,
    first: bool,
) -> None:
    """From the capabilities to execve. The filter comes last: the fewer system calls under it, the fewer it has to allow.

    Without no_new_privs loading a filter takes CAP_SYS_ADMIN, which is kept for this and given up right behind it.
    """
    no_new_privileges = bool(process.get("noNewPrivileges"))
    more = _CAP_SYS_ADMIN & facts.capabilities if facts.seccomp is not None and not no_new_privileges else 0
    add_capabilities(plan, privileges, more)
    if no_new_privileges:
        plan.add(lib.OP_NO_NEW_PRIVS, "/process/noNewPrivileges", "no_new_privs")
    args, environment = process.get("args") or [], _environment(process, facts)
    _add_lookup(plan, process, args, environment)
    plan.add(lib.OP_READY, "", "ready", fd2=plan.carry("fifo", "failure") if wait else 0)
    if wait:
        plan.add(lib.OP_WAIT_START, "", "wait for start", fd=plan.carry("fifo", "start"))
    if first:
        hooks.add(plan, spec, "startContainer", facts.states)
    _add_labels(plan, process)
    for index, limit in enumerate(process.get("rlimits") or ()):
        _add_rlimit(plan, limit, f"/process/rlimits/{index}", 0)
    if facts.seccomp is not None:
        program, flags = facts.seccomp
        count = len(program) // 8
        plan.add(
            lib.OP_SECCOMP,
            "/linux/seccomp",
            f"filter of {count} instructions",
            texts=(program,),
            numbers=(count, flags),
        )
    if more:
        add_capabilities(plan, privileges)
    plan.add(
        lib.OP_EXEC,
        "/process/args",
        f"exec {args[0]}",
        texts=(args, environment),
        numbers=(len(args), len(environment)),
    )


def _environment(process: "dict[str, Any]", facts: Facts) -> list[str]:
    """Each variable once: the last of a name counts, as in runc and crun, while getenv(3) would find the first.

    An empty HOME counts as none.
    """
    entries = list(process.get("env") or [])
    if facts.listen_fds:
        entries += [f"LISTEN_FDS={facts.listen_fds}", "LISTEN_PID=1"]
        if facts.listen_names:
            entries.append(f"LISTEN_FDNAMES={facts.listen_names}")
    found = {entry.partition("=")[0]: entry for entry in entries}
    if found.get("HOME") == "HOME=":
        del found["HOME"]
    return list(found.values())


def _add_lookup(plan: Plan, process: "dict[str, Any]", args: list[str], environment: list[str]) -> None:
    """Find the program now, while a failure is still one of create; and a home directory for who has none."""
    path, home = defaults.PATH, False
    for entry in environment:
        if entry.startswith("PATH="):
            path = entry[5:]
        elif entry.startswith("HOME="):
            home = True
    if not args:
        raise OciError(
            "config", "process.args is empty", pointer="/process/args", hint="name a program to run"
        )
    if not home:
        plan.add(lib.OP_HOME, "/process/user", "HOME", numbers=((process.get("user") or {}).get("uid", 0),))
    plan.add(lib.OP_FIND_EXECUTABLE, "/process/args/0", f"program {args[0]}", texts=(args[0], path))


def _add_labels(plan: Plan, process: "dict[str, Any]") -> None:
    """AppArmor and SELinux labels take effect at execve and are written as late as can be, through a procfs of our own."""
    profile, label = process.get("apparmorProfile"), process.get("selinuxLabel")
    if profile:
        texts = ("self/attr/apparmor/exec", f"exec {profile}")
        plan.add(lib.OP_PROC_WRITE, "/process/apparmorProfile", f"AppArmor profile {profile}", texts=texts)
    if label:
        plan.add(
            lib.OP_PROC_WRITE,
            "/process/selinuxLabel",
            f"SELinux label {label}",
            texts=("self/attr/exec", label),
        )


def add_proc(plan: Plan, process: "dict[str, Any]") -> None:
    """What writing the labels needs, to be had while there is privilege for it: a procfs of our own, with processes only."""
    if process.get("apparmorProfile") or process.get("selinuxLabel"):
        plan.add(lib.OP_PROC_OPEN, "/process", "private procfs", numbers=(1,))
