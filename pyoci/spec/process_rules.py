"""Rules on the process, and on the mounts."""

from pyoci.base.suggest import closest
from pyoci.spec import rlimits as rlimit
from pyoci.spec.linux_rules import NO_ID, mappings
from pyoci.spec.mount_options import FSTAB, LINKS, inline_maps, is_bind, is_known
from pyoci.spec.paths import clean, without_dots
from pyoci.spec.problem import Report
from pyoci.spec.resource_rules import is_cpu_list
from pyoci.spec.seccomp_words import notifies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import AffinityName, Linux, Mount, Process, Rlimit, Scheduler, Spec, User


# lxcfs and the like put files over these; anything else inside /proc would feed the container false facts
# what the kernel fills has no program in it
_WITHOUT_PROGRAMS = ("proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue")
PROC_FILES = {
    "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
    "/proc/loadavg", "/proc/slabinfo", "/proc/net/dev", "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
}  # fmt: skip


def process(process: "Process", at: str, report: Report) -> None:
    """The process object; `at` is its pointer."""
    args = process.get("args")
    if not args:
        report("process-args", f"{at}/args", "args must not be empty", expected="the command to run")
    else:
        report.nul(args, f"{at}/args")
    cwd = process["cwd"]
    if cwd[:1] != "/":
        report(
            "process-cwd", f"{at}/cwd", f'cwd "{cwd}" is not an absolute path', expected="an absolute path"
        )
    report.nul((cwd, process.get("apparmorProfile", ""), process.get("selinuxLabel", "")), at)
    if "env" in process:
        _environment(process["env"], f"{at}/env", report)
    if "rlimits" in process:
        _rlimits(process["rlimits"], f"{at}/rlimits", report)
    adjustment = process.get("oomScoreAdj", 0)
    if not -1000 <= adjustment <= 1000:
        report("oom-score", f"{at}/oomScoreAdj", f"{adjustment} is out of range", expected="-1000 to 1000")
    size = process.get("consoleSize")
    if size and (size["height"] > 65535 or size["width"] > 65535):
        report(
            "console-size",
            f"{at}/consoleSize",
            "the size of the terminal is out of range",
            expected="65535 at most",
        )
    if "scheduler" in process:
        _scheduler(process["scheduler"], f"{at}/scheduler", report)
    if "ioPriority" in process and not 0 <= process["ioPriority"].get("priority", 0) <= 7:
        report("io-priority", f"{at}/ioPriority/priority", "the priority is out of range", expected="0 to 7")
    affinity = process.get("execCPUAffinity", {})
    name: AffinityName
    for name in ("initial", "final"):
        cpus = affinity.get(name, "")
        if not is_cpu_list(cpus):
            report(
                "cpu-list",
                f"{at}/execCPUAffinity/{name}",
                f'"{cpus}" is not a list of CPUs',
                expected="0-3,7",
            )
    _user(process.get("user", {}), f"{at}/user", report)


def _environment(env: list[str], at: str, report: Report) -> None:
    for index, entry in enumerate(env):
        if "=" not in entry[1:]:
            report(
                "env-form",
                f"{at}/{index}",
                f'"{entry}" is not of the form NAME=value',
                expected="NAME=value",
                hint=f'for an empty value write "{entry}="' if entry and entry[0] != "=" else "",
            )
    report.nul(env, at)


def _rlimits(rlimits: "list[Rlimit]", at: str, report: Report) -> None:
    seen = set()
    for index, limit in enumerate(rlimits):
        kind = limit["type"]
        if kind in seen:
            report("rlimit-twice", f"{at}/{index}/type", f"{kind} is set a second time")
        seen.add(kind)
        if kind not in rlimit.NUMBERS:
            near = closest(kind, rlimit.NUMBERS)
            report(
                "rlimit-unknown",
                f"{at}/{index}/type",
                f"Linux has no resource limit {kind}",
                hint=f'did you mean "{near}"?' if near else "",
            )
        if limit["soft"] > limit["hard"]:
            report(
                "rlimit-order",
                f"{at}/{index}/soft",
                f"the soft limit {limit['soft']} is above the hard limit {limit['hard']}",
            )


def _scheduler(scheduler: "Scheduler", at: str, report: Report) -> None:
    policy = scheduler["policy"]
    if not -20 <= scheduler.get("nice", 0) <= 19:
        report(
            "scheduler-nice", f"{at}/nice", f"nice {scheduler['nice']} is out of range", expected="-20 to 19"
        )
    priority = scheduler.get("priority", 0)
    realtime = policy in ("SCHED_FIFO", "SCHED_RR")
    if priority and not realtime:
        report(
            "scheduler-priority",
            f"{at}/priority",
            f"{policy} does not take a priority",
            hint="use SCHED_FIFO or SCHED_RR",
        )
    elif realtime and not 1 <= priority <= 99:
        report("scheduler-priority", f"{at}/priority", f"{policy} needs a priority", expected="1 to 99")
    runtime, deadline = scheduler.get("runtime", 0), scheduler.get("deadline", 0)
    period = scheduler.get("period", 0)
    if policy != "SCHED_DEADLINE":
        if runtime or deadline or period:
            report("scheduler-deadline", at, f"{policy} does not take runtime, deadline and period")
    elif not 1024 <= runtime <= deadline <= (period or deadline):
        report(
            "scheduler-deadline",
            at,
            "runtime, deadline and period do not fit each other",
            expected="1024 ns <= runtime <= deadline <= period",
        )


def deadline(spec: "Spec", report: Report) -> None:
    """SCHED_DEADLINE: the kernel lets such a process fork only where the child has another policy (sched(7))."""
    scheduler = spec.get("process", {}).get("scheduler")
    if not scheduler or scheduler["policy"] != "SCHED_DEADLINE":
        return
    if "SCHED_FLAG_RESET_ON_FORK" in scheduler.get("flags", ()):
        return
    linux = spec.get("linux", {})
    for what, is_there in (
        ("a startContainer hook", bool(spec.get("hooks", {}).get("startContainer"))),
        ("the listener of SCMP_ACT_NOTIFY", "seccomp" in linux and notifies(linux["seccomp"])),
    ):
        if is_there:
            text = f"SCHED_DEADLINE does not allow a fork, which {what} takes"
            report("scheduler-fork", "/process/scheduler", text, hint="add the flag SCHED_FLAG_RESET_ON_FORK")


def _user(user: "User", at: str, report: Report) -> None:
    for name in ("uid", "gid"):
        if user.get(name) == NO_ID:
            report(
                "user-id",
                f"{at}/{name}",
                f"{NO_ID} is the invalid id and cannot be used",
                expected=f"0 to {NO_ID - 1}",
            )
    if NO_ID in user.get("additionalGids", ()):
        index = user["additionalGids"].index(NO_ID)
        report(
            "user-id", f"{at}/additionalGids/{index}", f"{NO_ID} means no id", expected=f"0 to {NO_ID - 1}"
        )


def mounts(mounts: "list[Mount]", linux: "Linux", namespaces: dict[str, str], report: Report) -> None:
    """The list of mounts."""
    for index, mount in enumerate(mounts):
        destination = mount["destination"]
        if not destination:
            report("mount-destination", f"/mounts/{index}/destination", "the destination is empty")
        options = mount.get("options", ())
        source, kind = mount.get("source", ""), mount.get("type", "")
        if is_bind(mount):
            if not source:
                report("mount-source", f"/mounts/{index}", f"the bind mount on {destination} has no source")
        elif not kind and "remount" not in options:
            report(
                "mount-type",
                f"/mounts/{index}",
                f"the mount on {destination} has no type",
                hint='add a "type", or "bind" or "rbind" to the options',
            )
        if "\0" in "".join((destination, source, kind, *options)):
            report.nul(("\0",), f"/mounts/{index}")
        _options(options, is_bind(mount), f"/mounts/{index}/options", report)
        if "proc" in destination and kind != "proc":
            _inside_proc(destination, index, report)
        if destination and without_dots(destination) == "/" and "remount" not in options:
            _on_root(mount, index, namespaces, report)
        if "uidMappings" in mount or "gidMappings" in mount or "idmap" in "".join(options):
            _id_mapped(mount, index, linux, namespaces, report)


def _options(options: "list[str] | tuple[()]", bind: bool, at: str, report: Report) -> None:
    for place, word in enumerate(options):
        if word in LINKS and not bind:
            text = f'the option "{word}" is for bind mounts'
            report("mount-option-link", f"{at}/{place}", text, hint='add "bind" or "rbind", or leave it out')
        if is_known(word):
            continue
        if word in FSTAB:
            text = f'the option "{word}" is for fstab(5), not for a container'
            report("mount-option-fstab", f"{at}/{place}", text, hint="leave it out")
        elif bind:
            report(
                "mount-option-bind",
                f"{at}/{place}",
                f'bind mounts do not take the option "{word}"',
                hint="file system options have no effect on a bind mount: remove it",
            )


def _inside_proc(destination: str, index: int, report: Report) -> None:
    path = clean(destination)
    if path.startswith("/proc/") and path not in PROC_FILES:
        report(
            "mount-inside-proc",
            f"/mounts/{index}/destination",
            f"{destination} cannot be mounted because it is inside /proc",
            hint="to hide something there, list it in linux.maskedPaths",
        )


def _on_root(mount: "Mount", index: int, namespaces: dict[str, str], report: Report) -> None:
    """A mount on the root hides all that was mounted before; and in what the kernel fills there is no program.

    Without a mount namespace it would hide the mount by which the host gets rid of all others.
    """
    if "mount" not in namespaces:
        report(
            "mount-on-root",
            f"/mounts/{index}/destination",
            f'mountpoint "{mount["destination"]}" is on the top of rootfs, and there is no mount namespace',
            hint='add {"type": "mount"} to linux.namespaces',
        )
    elif index or (not is_bind(mount) and mount.get("type") in _WITHOUT_PROGRAMS):
        report(
            "mount-on-root",
            f"/mounts/{index}/destination",
            f'mountpoint "{mount["destination"]}" is on the top of rootfs',
            hint="only the first of mounts, a bind mount or a file system with programs, may be mounted on /",
        )


def _id_mapped(
    mount: "Mount", index: int, linux: "Linux", namespaces: dict[str, str], report: Report
) -> None:
    at = f"/mounts/{index}"
    own = {"uids": linux.get("uidMappings") or [], "gids": linux.get("gidMappings") or []}
    inline = None
    try:
        inline = inline_maps(mount.get("options") or [], own)
    except ValueError as error:
        report(
            "mount-idmap-option",
            f"{at}/options",
            f'the mappings of the option "idmap" are malformed: "{error}"',
            expected="idmap=uids=0-100000-65536;gids=0-100000-65536 (first id, host's id, count; ranges separated by #)",
        )
        return
    if not is_bind(mount):
        report("mount-idmap-bind", at, "only bind mounts take uidMappings and gidMappings")
    uids, gids = inline or (mount.get("uidMappings"), mount.get("gidMappings"))
    if bool(uids) != bool(gids):
        report("mount-idmap-pair", at, "uidMappings and gidMappings must be given together")
    if uids and gids:
        mappings(uids, f"{at}/uidMappings", report)
        mappings(gids, f"{at}/gidMappings", report)
    elif "user" not in namespaces:
        report(
            "mount-idmap-none",
            at,
            "an id-mapped mount without mappings of its own needs a user namespace",
            hint='add "uidMappings" and "gidMappings" to the mount',
        )
