"""Warnings: what a config.json may say and its author hardly meant. Hot verbs never come here."""

import os

from pyoci.plan.process import SHORTER, too_long
from pyoci.spec import annotations, capabilities, mount_options, unsupported
from pyoci.spec.check import OTHER_PLATFORMS
from pyoci.spec.json_pointer import escape
from pyoci.spec.mount_options import is_bind
from pyoci.spec.problem import Problem, Report
from pyoci.spec.resource_rules import UNSET
from pyoci.spec.seccomp_words import PERMISSIVE
from pyoci.spec.versions import semver_major
from pyoci.validate.hints import SYNONYMS, near

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from pyoci.spec.spec_types import (
        Capabilities,
        CapabilitySet,
        Device,
        Linux,
        Mount,
        Process,
        Resources,
        Seccomp,
        Spec,
        Syscall,
        SyscallArg,
    )


# tmpfs(5), and those of SELinux that all file systems have
_TMPFS = (
    *("size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "huge", "mpol", "inode32", "inode64", "noswap"),
    *("quota", "usrquota", "grpquota", "casefold", "strict_encoding"),
    *(f"{kind}_{name}_hardlimit" for kind in ("usrquota", "grpquota") for name in ("block", "inode")),
    *mount_options.CONTEXTS,
)

_MOST_TOGETHER, _POINTER = 6 << 20, 8  # of arguments and environment, execve(2)


def find(spec: "Spec", *, systemd: bool = False) -> list[Problem]:
    """The warnings for a config.json that the schema accepts."""
    report = Report(severity="warning")
    linux = spec.get("linux", {})
    if semver_major(spec["ociVersion"]) == 0:
        report("version-old", "/ociVersion", "this version is older than 1.0 and is read as 1.x")
    for name in OTHER_PLATFORMS:
        if name in spec:
            report(
                "platform-section", f"/{name}", f'the "{name}" section has no meaning for a Linux container'
            )
    _annotations(spec.get("annotations", {}), report)
    if "process" in spec:
        _process(spec["process"], report)
    else:
        text = "there is no process: the container can be created, but not started"
        report("process-missing", "/process", text, hint='add "process" with "args" and "cwd"')
    for index, mount in enumerate(spec.get("mounts", [])):
        _mount(mount, f"/mounts/{index}", report)
    _namespaces(linux, report, mounts=bool(spec.get("mounts")))
    _devices(linux.get("devices", []), report)
    if not systemd and linux.get("cgroupsPath", "").count(":") == 2:
        report(
            "cgroup-path-form",
            "/linux/cgroupsPath",
            "this is the form slice:prefix:name for systemd cgroups",
            hint="run with --systemd-cgroup, or write a path",
        )
    if linux.get("cgroupsPath", "").startswith("/sys/fs/cgroup"):
        report(
            "cgroup-path-form",
            "/linux/cgroupsPath",
            "this is a path below /sys/fs/cgroup, so the path is created again below it",
            hint='write the rest of the path, such as "/machine/box"',
        )
    _resources(linux.get("resources", {}), "/linux/resources", report)
    if "seccomp" in linux:
        _seccomp(linux["seccomp"], report)
    if linux.get("personality", {}).get("flags"):
        report("personality-flags", "/linux/personality/flags", "no flags are defined; they are ignored")
    schema = linux.get("intelRdt", {}).get("l3CacheSchema", "L3:")
    if not schema.startswith("L3:"):
        report("rdt-schema", "/linux/intelRdt/l3CacheSchema", "the schema should start with L3:")
    return report.found


def _annotations(given: dict[str, str], report: Report) -> None:
    for name in given:
        if name.startswith(annotations.CRUN) and name not in (*annotations.KNOWN, *unsupported.ANNOTATIONS):
            text = f'the annotation "{name}" has no effect on pyoci'
            at = f"/annotations/{escape(name)}"
            report("annotation-unknown", at, text, hint=near(name, annotations.KNOWN))
        elif name.startswith(annotations.OWN) and name not in annotations.KNOWN_OWN:
            text = f'pyoci has no annotation "{name}"'
            at = f"/annotations/{escape(name)}"
            report("annotation-unknown", at, text, hint=near(name, annotations.KNOWN_OWN))


def _process(process: "Process", report: Report) -> None:
    at = "/process"
    if process.get("args", ["x"])[:1] == [""]:
        report("process-args-empty", f"{at}/args/0", "no program has an empty name")
    if "consoleSize" in process and not process.get("terminal"):
        report("console-size-unused", f"{at}/consoleSize", "consoleSize is ignored without a terminal")
    if process.get("user", {}).get("umask", 0) > 0o777:
        report(
            "umask",
            f"{at}/user/umask",
            "only the lowest nine bits are used",
            hint="write it in decimal: 022 is 18",
        )
    seen: dict[str, int] = {}
    for index, entry in enumerate(process.get("env", [])):
        name = entry.partition("=")[0]
        if name in seen:
            report(
                "env-twice",
                f"{at}/env/{index}",
                f"{name} is also set at {at}/env/{seen[name]}; the last one counts",
            )
        seen[name] = index
    _lengths(process, at, report)
    _capabilities(process.get("capabilities", {}), f"{at}/capabilities", report)


def _lengths(process: "Process", at: str, report: Report) -> None:
    """What execve(2) takes: a length for each string, and one for all with their pointers."""
    longest = 32 * os.sysconf("SC_PAGE_SIZE")
    total = 0
    kind: Literal["args", "env"]
    for kind in ("args", "env"):
        for index, text in enumerate(process.get(kind) or ()):
            size = len(text.encode("utf-8", "surrogatepass")) + 1
            total += size + _POINTER
            if size > longest:
                message = too_long(kind, index, text, size, longest)
                report("exec-length", f"{at}/{kind}/{index}", message, hint=SHORTER)
    stack = [limit["soft"] // 4 for limit in process.get("rlimits") or () if limit["type"] == "RLIMIT_STACK"]
    most = max(min([_MOST_TOGETHER, *stack]), longest)
    if total > most:
        message = f"arguments and environment take {total} bytes together: the kernel takes {most} at most"
        hint = "shorten them, or raise RLIMIT_STACK" if most < _MOST_TOGETHER else "shorten them"
        report("exec-length", at, message, hint=hint)


def _capabilities(sets: "Capabilities", at: str, report: Report) -> None:
    kind: CapabilitySet
    for kind in capabilities.SETS:
        for index, name in enumerate(sets.get(kind, [])):
            if name not in capabilities.NAMES:
                report(
                    "capability-unknown",
                    f"{at}/{kind}/{index}",
                    f'unknown capability "{name}" is left out',
                    hint=near(
                        name.upper() if name.upper().startswith("CAP_") else f"CAP_{name.upper()}",
                        capabilities.NAMES,
                    ),
                )
    permitted = set(sets.get("permitted", []))
    for kind, needed, where in (
        ("effective", permitted, "permitted"),
        ("ambient", permitted & set(sets.get("inheritable", [])), "permitted and inheritable"),
    ):
        lost = [name for name in sets.get(kind, []) if name not in needed]
        if lost:
            report("capability-order", f"{at}/{kind}", f"not in {where}, so not given: {', '.join(lost)}")
    kept = {*sets.get("bounding", []), *sets.get("ambient", [])}
    lost = [name for name in sets.get("permitted", []) if name not in kept]
    if lost:
        text = f"not in bounding, so lost when the program is executed: {', '.join(lost)}"
        report("capability-order", f"{at}/permitted", text)


def _mount(mount: "Mount", at: str, report: Report) -> None:
    destination, options = mount["destination"], mount.get("options", [])
    if destination and destination[0] != "/":
        report(
            "mount-relative",
            f"{at}/destination",
            f'the destination "{destination}" is relative; it is resolved from the root',
            hint=f'write "/{destination}"',
        )
    for index, option in enumerate(options):
        name = option.partition("=")[0]
        if name in mount_options.KNOWN or not name:
            continue
        if mount.get("type") == "tmpfs" and not is_bind(mount):
            _tmpfs_option(option, f"{at}/options/{index}", report)
            continue
        hint = option_hint(name)
        if (
            hint
            and "=" not in option
            and not is_bind(mount)
            and not _is_option_of(mount.get("type", ""), name)
        ):
            text = f'"{option}" is not a generic mount option; it is passed to {mount.get("type", "the filesystem")}'
            report("mount-option", f"{at}/options/{index}", text, hint=hint)


def _tmpfs_option(option: str, at: str, report: Report) -> None:
    """An option may be several, with commas between them."""
    for name in [part.partition("=")[0] for part in mount_options.split(option)]:
        if name not in _TMPFS and name not in mount_options.KNOWN:
            hint = near(name, _TMPFS) or option_hint(name)
            report("mount-option", at, f'tmpfs has no option "{name}"', hint=hint)


def option_hint(option: str) -> str:
    """A hint for a mount option that is none of those that the runtime knows, or ""."""
    name = option.partition("=")[0]
    if name.lower() == "z":
        return "engines, not runtimes, relabel files for SELinux"
    same = SYNONYMS.get(name.lower())
    return f'did you mean "{same}"?' if same in mount_options.KNOWN else near(name, mount_options.KNOWN)


def _is_option_of(kind: str, name: str) -> bool:
    """Options of single filesystems that look like slips in common ones."""
    known = {
        "devpts": ("newinstance",),
        "cgroup": ("none", "xattr", "all"),
        "overlay": ("volatile", "userxattr"),
    }
    return name in known.get(kind, ()) or name in (
        "acl",
        "noacl",
        "user_xattr",
        "nodelalloc",
        "discard",
        "noswap",
    )


def _namespaces(linux: "Linux", report: Report, *, mounts: bool) -> None:
    found = {namespace["type"]: namespace.get("path", "") for namespace in linux.get("namespaces", [])}
    if "rootfsPropagation" in linux and "mount" not in found:
        report(
            "propagation-namespace",
            "/linux/rootfsPropagation",
            "this has no effect: there is no mount namespace",
        )
    if "mount" not in found and (found or mounts):
        report(
            "mount-namespace-host",
            "/linux/namespaces",
            "without a mount namespace all mounts of the container are made on the host, until it is deleted",
            hint='add {"type": "mount"} to linux.namespaces',
        )
    if "user" not in found:
        return
    name: Literal["uidMappings", "gidMappings"]
    for name in ("uidMappings", "gidMappings"):
        lines = linux.get(name)
        if lines and found["user"]:
            report(
                "mapping-joined", f"/linux/{name}", "the user namespace that is joined has its own mappings"
            )


def _devices(devices: "list[Device]", report: Report) -> None:
    paths: dict[str, int] = {}  # where they differ in anything else, the check refuses them
    numbers: dict[tuple[str, int | None, int | None], int] = {}
    for index, device in enumerate(devices):
        number = (device["type"], device.get("major"), device.get("minor"))
        if device["path"] in paths:
            text = f"{device['path']} is already listed at /linux/devices/{paths[device['path']]}"
            report("device-twice", f"/linux/devices/{index}/path", text)
        elif number[0] != "p" and number in numbers:
            text = f"the same device as /linux/devices/{numbers[number]}"
            report("device-number-twice", f"/linux/devices/{index}", text)
        paths.setdefault(device["path"], index)
        numbers.setdefault(number, index)


def _resources(resources: "Resources", at: str, report: Report) -> None:
    memory = resources.get("memory", {})
    if 0 < memory.get("limit", 0) < memory.get("reservation", 0):
        report("memory-reservation", f"{at}/memory/reservation", "the reservation is above the limit")
    name: Literal["kernel", "kernelTCP"]
    for name in ("kernel", "kernelTCP"):
        if memory.get(name, -1) not in (-1, 0):
            report(
                "memory-kernel",
                f"{at}/memory/{name}",
                "Linux no longer has kernel memory limits; it is ignored",
            )
    block_io = resources.get("blockIO", {})
    if 0 < block_io.get("weight", 0) < 10:
        report("block-weight-low", f"{at}/blockIO/weight", "some schedulers accept only 10 to 1000")
    for kind, throttled in (
        ("throttleReadBpsDevice", block_io.get("throttleReadBpsDevice", [])),
        ("throttleWriteBpsDevice", block_io.get("throttleWriteBpsDevice", [])),
        ("throttleReadIOPSDevice", block_io.get("throttleReadIOPSDevice", [])),
        ("throttleWriteIOPSDevice", block_io.get("throttleWriteIOPSDevice", [])),
    ):
        for index, device in enumerate(throttled):
            if "rate" not in device:
                report(
                    "block-rate",
                    f"{at}/blockIO/{kind}/{index}",
                    "without a rate nothing is limited",
                )
    sizes: set[str] = set()
    for index, limit in enumerate(resources.get("hugepageLimits", [])):
        if limit["pageSize"] in sizes:
            report(
                "hugepage-twice",
                f"{at}/hugepageLimits/{index}/pageSize",
                f"{limit['pageSize']} is limited twice",
            )
        sizes.add(limit["pageSize"])
    for index, rule in enumerate(resources.get("devices", [])):
        if rule.get("type", "a") in ("a", "") and {rule.get("major", -1), rule.get("minor", -1)} != {-1}:
            text = "a rule of type a matches every device: its numbers are ignored"
            report("device-rule-all", f"{at}/devices/{index}", text, hint='add "type": "c" or "b"')


def _seccomp(seccomp: "Seccomp", report: Report) -> None:
    at, default = "/linux/seccomp", seccomp["defaultAction"]
    rules = seccomp.get("syscalls", [])
    actions = {rule["action"] for rule in rules} | {default}
    if default not in PERMISSIVE and not rules:
        report("seccomp-empty", at, f"{default} for every system call: even execve would fail")
    if seccomp.get("listenerPath") and "SCMP_ACT_NOTIFY" not in actions:
        report("seccomp-listener-unused", f"{at}/listenerPath", "no rule uses SCMP_ACT_NOTIFY; it is ignored")
    if (
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" in seccomp.get("flags", [])
        and "SCMP_ACT_NOTIFY" not in actions
    ):
        report(
            "seccomp-flag-unused", f"{at}/flags", "WAIT_KILLABLE_RECV does nothing without SCMP_ACT_NOTIFY"
        )
    _execve(rules, default, at, report)
    decided: dict[str, tuple[tuple[str, int | None], int]] = {}
    for index, rule in enumerate(rules):
        here = f"{at}/syscalls/{index}"
        result = (rule["action"], rule.get("errnoRet"))
        if result == (default, seccomp.get("defaultErrnoRet")):
            report(
                "seccomp-same-action",
                f"{here}/action",
                "the default action does the same; the rule is left out",
            )
        _seccomp_args(rule.get("args", []), f"{here}/args", report)
        if rule.get("args"):
            continue
        for place, name in enumerate(rule["names"]):
            earlier, where = decided.setdefault(name, (result, index))
            if earlier != result:
                text = f"{name} has another action at {at}/syscalls/{where}"
                report("seccomp-contradiction", f"{here}/names/{place}", text)


def _execve(rules: "list[Syscall]", default: str, at: str, report: Report) -> None:
    """The filter is loaded before the container's program is executed, and holds for that, too."""
    found = [
        (f"{at}/syscalls/{index}", rule) for index, rule in enumerate(rules) if "execve" in rule["names"]
    ]
    if any(rule.get("args") for _, rule in found):
        return
    place, action = (found[0][0], found[0][1]["action"]) if found else (f"{at}/defaultAction", default)
    if rules and action.startswith(("SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_TRAP")):
        text = f"execve gets {action}: the container's program cannot be executed"
        report("seccomp-execve", place, text, hint="allow execve")


def _seccomp_args(args: "list[SyscallArg]", at: str, report: Report) -> None:
    for index, arg in enumerate(args):
        if arg["op"] == "SCMP_CMP_MASKED_EQ":
            if arg.get("valueTwo", 0) & ~arg["value"]:
                text = "never true: valueTwo has bits that the mask in value clears"
                report("seccomp-impossible", f"{at}/{index}", text)
        elif arg.get("valueTwo"):
            report("seccomp-value-two", f"{at}/{index}/valueTwo", f"{arg['op']} ignores valueTwo")
        elif arg["op"] == "SCMP_CMP_LT" and arg["value"] == 0:
            report("seccomp-impossible", f"{at}/{index}", "never true: no number is below 0")
        elif arg["op"] == "SCMP_CMP_GT" and arg["value"] == UNSET:
            report("seccomp-impossible", f"{at}/{index}", "never true: no number is above this")
