"""`validate --strict`: a security review of a config.json; every piece of advice says what could happen."""

from pyoci.spec import capabilities
from pyoci.spec.linux_rules import dotted
from pyoci.spec.mount_options import is_bind
from pyoci.spec.paths import clean, is_within
from pyoci.spec.problem import Problem, Report
from pyoci.spec.seccomp_words import PASSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Linux, Mount, Process, Resources, Spec


POWERFUL = {
    "CAP_SYS_ADMIN": "mounts, namespaces, quotas and much more: close to being root on the host",
    "CAP_SYS_MODULE": "loads kernel modules: full control of the host",
    "CAP_SYS_RAWIO": "reads and writes I/O ports and physical memory",
    "CAP_SYS_PTRACE": "reads the memory of every process that it sees",
    "CAP_SYS_BOOT": "restarts the host, or loads another kernel",
    "CAP_SYS_TIME": "sets the clock of the host",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at reaches every file of a mounted filesystem, the host's too",
    "CAP_NET_ADMIN": "reconfigures the network it is in, and reaches old kernel code",
    "CAP_BPF": "loads programs into the kernel",
    "CAP_PERFMON": "observes other processes through performance counters",
    "CAP_MAC_ADMIN": "changes the policy of the security module",
    "CAP_MAC_OVERRIDE": "ignores the policy of the security module",
    "CAP_SYSLOG": "reads kernel addresses",
    "CAP_AUDIT_CONTROL": "disables auditing",
    "CAP_CHECKPOINT_RESTORE": "chooses process ids and reads others' mapped files",
}
MASKED = {
    "/proc/kcore": "the memory of the host",
    "/proc/keys": "the kernel's keys of all users",
    "/proc/timer_list": "kernel addresses",
    "/proc/sched_debug": "the processes of the host",
    "/proc/acpi": "switches of the hardware",
    "/proc/scsi": "removal of disks",
    "/sys/firmware": "tables of the firmware",
    "/sys/devices/virtual/powercap": "power readings, which give away secrets (CVE-2020-8694)",
}
READ_ONLY = {
    "/proc/sys": "settings of the kernel, such as core_pattern, which runs programs on the host",
    "/proc/sysrq-trigger": "restarts or halts the host",
    "/proc/bus": "settings of devices",
    "/proc/fs": "settings of filesystems",
    "/proc/irq": "routing of interrupts",
}
NAMESPACES = {
    "mount": "it works in the mounts of the host",
    "pid": "it sees, and may signal, the processes of the host",
    "network": "it uses the network of the host, abstract sockets included",
    "ipc": "it shares the memory segments and queues of the host",
    "uts": "it can change the name of the host",
    "cgroup": "it sees the control groups of the host",
}
SOCKETS = ("docker.sock", "containerd.sock", "crio.sock", "podman.sock", "dockershim.sock")
TREES = {
    "/": "the whole host",
    "/etc": "passwords and settings of the host",
    "/root": "root's keys and files",
    "/home": "the users' keys and files",
    "/boot": "the kernel of the host",
    "/usr": "the programs of the host",
    "/var": "the data of the host",
    "/run": "the sockets of the host's services",
    "/var/run": "the sockets of the host's services",
    "/proc": "the processes and settings of the host",
    "/sys": "the devices of the host",
    "/dev": "the devices of the host",
    "/var/lib/docker": "all containers of docker",
    "/var/lib/kubelet": "the pods' secrets",
}
SECRETS = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY", "CREDENTIAL")


def review(spec: "Spec") -> list[Problem]:
    """What a security review would remark on a config.json that schema and rules accept."""
    report = Report(severity="advice")
    linux = spec.get("linux", {})
    namespaces: dict[str, str] = {item["type"]: item.get("path", "") for item in linux.get("namespaces", [])}
    if "process" in spec:
        _process(spec["process"], namespaces, report)
    _isolation(spec, linux, namespaces, report)
    _limits(linux.get("resources", {}), report)
    _devices(linux, report)
    _seccomp(linux, report)
    _hidden(spec, linux, report)
    for index, mount in enumerate(spec.get("mounts", [])):
        _mount(mount, f"/mounts/{index}", namespaces, report)
    return report.found


def _process(process: "Process", namespaces: dict[str, str], report: Report) -> None:
    user = process.get("user", {})
    if not user.get("uid") and "user" not in namespaces:
        text = "the process is root, and root of the host if it escapes"
        hint = "set process.user, or add a user namespace with mappings"
        report("root-user", "/process/user", text, hint=hint)
    if not process.get("noNewPrivileges"):
        text = "set-user-ID programs in the container can raise its privileges"
        report("new-privileges", "/process/noNewPrivileges", text, hint="set it to true")
    granted: dict[str, str] = {}
    sets = process.get("capabilities", {})
    for kind in capabilities.SETS:
        for index, name in enumerate(sets.get(kind, [])):
            granted.setdefault(name, f"/process/capabilities/{kind}/{index}")
    for name, at in granted.items():
        if name in POWERFUL:
            report(
                "capability-powerful", at, f"{name}: {POWERFUL[name]}", hint="leave it out of all five sets"
            )
    if not process.get("apparmorProfile") and not process.get("selinuxLabel"):
        text = "neither apparmorProfile nor selinuxLabel: no second line of defence after namespaces and capabilities"
        report("no-lsm", "/process", text)
    for index, entry in enumerate(process.get("env", [])):
        name, _, value = entry.partition("=")
        if value and any(word in name.upper() for word in SECRETS):
            text = f"{name} looks like a secret: config.json and /proc/PID/environ show it"
            report("env-secret", f"/process/env/{index}", text, hint="give it as a file in a mount")


def _isolation(spec: "Spec", linux: "Linux", namespaces: dict[str, str], report: Report) -> None:
    for kind, reason in NAMESPACES.items():
        if kind not in namespaces:
            text = f"no {kind} namespace: {reason}"
            report("host-namespace", "/linux/namespaces", text, hint=f'add {{"type": "{kind}"}}')
    if not spec.get("root", {}).get("readonly"):
        text = "the root filesystem is writable: an intruder can persist"
        report("root-writable", "/root/readonly", text, hint="set it to true and mount what must be written")
    if linux.get("rootfsPropagation") in ("shared", "rshared"):
        text = "mounts made in the container can appear on the host"
        report("propagation-shared", "/linux/rootfsPropagation", text, hint="use rslave or rprivate")
    for name in linux.get("sysctl", {}):
        if dotted(name) == "net.ipv4.ip_forward" and namespaces.get("network"):
            text = "this is set in a network namespace that others share"
            report("sysctl-shared", f"/linux/sysctl/{name}", text)


def _limits(resources: "Resources", report: Report) -> None:
    at = "/linux/resources"
    if resources.get("memory", {}).get("limit", -1) <= 0 and "memory.max" not in resources.get("unified", {}):
        text = "no memory limit: it can use up the memory of the host"
        report("no-memory-limit", f"{at}/memory/limit", text)
    if resources.get("pids", {}).get("limit", -1) < 0 and "pids.max" not in resources.get("unified", {}):
        report("no-pids-limit", f"{at}/pids/limit", "no limit of processes: a fork bomb halts the host")


def _devices(linux: "Linux", report: Report) -> None:
    everything = {"a", ""}
    for index, rule in enumerate(linux.get("resources", {}).get("devices", [])):
        number = (rule.get("major", -1), rule.get("minor", -1))
        if rule["allow"] and rule.get("type", "a") in everything and number == (-1, -1):
            text = "every device of the host may be used, disks included"
            report("devices-all", f"/linux/resources/devices/{index}", text)
    for index, device in enumerate(linux.get("devices", [])):
        at = f"/linux/devices/{index}"
        if device["type"] == "b":
            text = f"{device['path']} is a block device: its filesystem can be read past all permissions"
            report("device-block", at, text)
        elif device["type"] in "cu" and (device.get("major"), device.get("minor")) in (
            (1, 1),
            (1, 2),
            (1, 4),
        ):
            report("device-memory", at, f"{device['path']} gives access to memory or ports of the host")


def _seccomp(linux: "Linux", report: Report) -> None:
    if "seccomp" not in linux:
        text = "no seccomp filter: all of the kernel's system calls can be attacked"
        report("no-seccomp", "/linux/seccomp", text)
    elif linux["seccomp"]["defaultAction"] in PASSING:
        text = "what the filter does not name is allowed, system calls of later kernels too"
        report(
            "seccomp-open",
            "/linux/seccomp/defaultAction",
            text,
            hint="use SCMP_ACT_ERRNO and a list of calls",
        )


def _hidden(spec: "Spec", linux: "Linux", report: Report) -> None:
    kinds = {clean(mount["destination"]): mount for mount in spec.get("mounts", [])}
    masked = [clean(path) for path in linux.get("maskedPaths", [])]
    fixed = masked + [clean(path) for path in linux.get("readonlyPaths", [])]
    for wanted, have, name, code, verb in (
        (MASKED, masked, "maskedPaths", "path-not-masked", "can be read"),
        (READ_ONLY, fixed, "readonlyPaths", "path-writable", "can be written"),
    ):
        for path, reason in wanted.items():
            top = "/" + path.split("/")[1]
            if top not in kinds or ("ro" in kinds[top].get("options", []) and code == "path-writable"):
                continue
            if not any(is_within(path, other) for other in have):
                report(code, f"/linux/{name}", f"{path} {verb}: {reason}", hint=f"add it to linux.{name}")


def _mount(mount: "Mount", at: str, namespaces: dict[str, str], report: Report) -> None:
    options, kind = mount.get("options", []), mount.get("type", "")
    writable = not {"ro", "rro"} & set(options)
    if (
        kind in ("sysfs", "cgroup", "cgroup2")
        and writable
        and not (kind != "sysfs" and "cgroup" in namespaces)
    ):
        report(
            "mount-writable",
            at,
            f"{mount['destination']} ({kind}) is writable",
            hint='add "ro" to its options',
        )
    for index, option in enumerate(options):
        if option in ("shared", "rshared"):
            text = "mounts made in the container below it appear on the host"
            report("mount-shared", f"{at}/options/{index}", text, hint="use rslave or rprivate")
    if is_bind(mount):
        _bind(clean(mount.get("source", "")), writable, at, report)
    elif kind == "tmpfs" and not {"nosuid", "nodev"} <= set(options):
        text = f"{mount['destination']} takes set-user-ID programs or device nodes"
        report("mount-open", at, text, hint='add "nosuid" and "nodev" to its options')


def _bind(source: str, writable: bool, at: str, report: Report) -> None:
    if source.endswith(SOCKETS):
        text = f"{source} controls the container engine: this is root on the host"
        report("engine-socket", f"{at}/source", text)
    elif source in TREES:
        text = f"{source} of the host: {TREES[source]}"
        hint = "mount only what is needed" + (", and read-only" if writable else "")
        report("host-tree", f"{at}/source", text, hint=hint)
