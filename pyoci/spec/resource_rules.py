"""Rules on what the kernel is to limit: cgroup resources, seccomp, memory policy, resctrl."""

from pyoci.base.numbers import decimal, ranges
from pyoci.spec.annotations import SECCOMP_RECEIVER
from pyoci.spec.json_pointer import escape
from pyoci.spec.problem import Report
from pyoci.spec.seccomp_words import ARGUMENTS, LARGEST_DATA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from pyoci.spec.spec_types import (
        CPU,
        BlockIO,
        DeviceCgroup,
        IntelRdt,
        Linux,
        Memory,
        MemoryPolicy,
        Resources,
        Seccomp,
        Syscall,
    )

MOST_NODES = 1 << 16  # CPUs or memory nodes: more than any kernel is built for
UNSET = (1 << 64) - 1  # what Go writes for -1 in an unsigned field


def is_cpu_list(text: str) -> bool:
    """Whether a text is a list of CPUs or memory nodes, such as "0-3,7", cpuset(7); the empty text is one, "," is not."""
    return not text or bool(ranges(text, MOST_NODES))


def resources(resources: "Resources", at: str, report: Report) -> None:
    """The cgroup limits."""
    if "memory" in resources:
        _memory(resources["memory"], f"{at}/memory", report)
    if "cpu" in resources:
        _cpu(resources["cpu"], f"{at}/cpu", report)
    if "blockIO" in resources:
        _block_io(resources["blockIO"], f"{at}/blockIO", report)
    if "devices" in resources:
        _device_rules(resources["devices"], f"{at}/devices", report)
    for name in resources.get("unified", ()):
        if "." not in name[1:-1] or "/" in name or "\0" in name:
            report(
                "unified-name", f"{at}/unified/{escape(name)}", f'"{name}" is not the name of a cgroup file'
            )
    for name, limits in resources.get("rdma", {}).items():
        if "hcaHandles" not in limits and "hcaObjects" not in limits:
            report("rdma-empty", f"{at}/rdma/{escape(name)}", "neither hcaHandles nor hcaObjects is set")


def _memory(memory: "Memory", at: str, report: Report) -> None:
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    name: Literal["limit", "swap", "reservation"]
    for name in ("limit", "swap", "reservation"):
        if memory.get(name, 0) < -1:
            report(
                "memory-negative", f"{at}/{name}", f"{memory[name]} bytes", expected="-1 (no limit) or more"
            )
    if swap > 0:
        if limit in (0, -1):
            report(
                "memory-swap",
                f"{at}/swap",
                "unable to set swap limit without memory limit",
                hint="swap is the limit of memory and swap together; set limit too",
            )
        elif swap < limit:
            report(
                "memory-swap",
                f"{at}/swap",
                f"memory+swap limit {swap} is below the memory limit {limit}",
                hint="swap is the limit of memory and swap together",
            )
    if memory.get("swappiness", 0) not in range(101) and memory["swappiness"] != UNSET:
        report(
            "memory-swappiness",
            f"{at}/swappiness",
            f"{memory['swappiness']} is out of range",
            expected="0 to 100",
        )


def _cpu(cpu: "CPU", at: str, report: Report) -> None:
    quota, period = cpu.get("quota", 0), cpu.get("period", 0)
    if period and not 1000 <= period <= 1_000_000:
        report(
            "cpu-period",
            f"{at}/period",
            f"{period} us is out of range",
            expected="1000 to 1000000 (microseconds)",
        )
    if 0 < quota < 1000:
        report(
            "cpu-quota",
            f"{at}/quota",
            f"{quota} us is too short",
            expected="1000 or more (microseconds), or -1",
        )
    if 0 < quota < cpu.get("burst", 0):
        report("cpu-burst", f"{at}/burst", f"the burst {cpu['burst']} is above the quota {quota}")
    if cpu.get("idle", 0) not in (0, 1):
        report("cpu-idle", f"{at}/idle", f"{cpu['idle']} is out of range", expected="0 or 1")
    if 0 < cpu.get("realtimePeriod", 0) < cpu.get("realtimeRuntime", 0):
        report("cpu-realtime", f"{at}/realtimeRuntime", "the realtime runtime is above the realtime period")
    name: Literal["cpus", "mems"]
    for name in ("cpus", "mems"):
        # the kernel knows more forms than cpuset(7) tells: "0-15:2/4", "N", "all"
        text = cpu.get(name, "")
        if text.strip("0123456789,-:/ \nalN") or any(map(_goes_down, text.split(","))):
            report("cpu-list", f"{at}/{name}", f'"{text}" is not a list of numbers', expected="0-3,7")


def _goes_down(part: str) -> bool:
    """Whether a range of CPUs or memory nodes ends before it begins."""
    low, _, high = part.partition("-")
    return 0 <= decimal(high.partition(":")[0].strip(), MOST_NODES) < decimal(low.strip(), MOST_NODES)


def _block_io(block_io: "BlockIO", at: str, report: Report) -> None:
    name: Literal["weight", "leafWeight"]
    for name in ("weight", "leafWeight"):
        if block_io.get(name, 0) > 1000:
            report("block-weight", f"{at}/{name}", f"{block_io[name]} is out of range", expected="10 to 1000")
    for index, device in enumerate(block_io.get("weightDevice", ())):
        if "weight" not in device and "leafWeight" not in device:
            report("block-weight", f"{at}/weightDevice/{index}", "neither weight nor leafWeight is set")
        for name in ("weight", "leafWeight"):
            if device.get(name, 0) > 1000:
                report(
                    "block-weight", f"{at}/weightDevice/{index}/{name}", "out of range", expected="10 to 1000"
                )


def _device_rules(rules: "list[DeviceCgroup]", at: str, report: Report) -> None:
    for index, rule in enumerate(rules):
        if rule.get("type", "a") not in ("c", "b", "a", ""):
            report(
                "device-rule-type",
                f"{at}/{index}/type",
                f'invalid cgroup device type "{rule["type"]}"',
                expected="a, b, c",
            )
        access = rule.get("access")
        if not access or access.strip("rwm"):
            report(
                "device-rule-access",
                f"{at}/{index}",
                f'access "{access or ""}" is not valid',
                expected="letters of rwm",
            )
        if rule.get("major", 0) < -1 or rule.get("minor", 0) < -1:
            report(
                "device-rule-number", f"{at}/{index}", "a negative device number", expected="-1 (all) or more"
            )


def linux(linux: "Linux", report: Report, annotations: dict[str, str]) -> None:
    """The other limits of the linux section."""
    if "seccomp" in linux:
        _seccomp(linux["seccomp"], report, annotations.get(SECCOMP_RECEIVER, ""))
    if "intelRdt" in linux:
        _intel_rdt(linux["intelRdt"], report)
    if "memoryPolicy" in linux:
        _memory_policy(linux["memoryPolicy"], report)
    if "personality" in linux and "domain" not in linux["personality"]:
        expected = '"domain": "LINUX" or "LINUX32"'
        report("personality-domain", "/linux/personality", "the domain is missing", expected=expected)


def _seccomp(seccomp: "Seccomp", report: Report, receiver: str) -> None:
    at = "/linux/seccomp"
    default, listener = seccomp["defaultAction"], seccomp.get("listenerPath") or receiver
    if "defaultErrnoRet" in seccomp:
        _errno_fits(default, seccomp["defaultErrnoRet"], f"{at}/defaultErrnoRet", report)
    if default == "SCMP_ACT_NOTIFY":
        report(
            "seccomp-notify-default",
            f"{at}/defaultAction",
            "SCMP_ACT_NOTIFY cannot be used as default action",
        )
    if receiver and receiver[:1] != "/":
        where = f"/annotations/{SECCOMP_RECEIVER}"
        text = f'the path "{receiver}" of the seccomp agent is not absolute'
        report("seccomp-receiver", where, text, expected="an absolute path on the host")
    report.nul((listener,), f"{at}/listenerPath")
    if not listener and seccomp.get("listenerMetadata"):
        report("seccomp-metadata", f"{at}/listenerMetadata", "listenerMetadata needs a listenerPath")
    for index, rule in enumerate(seccomp.get("syscalls", ())):
        action = rule["action"]
        if "errnoRet" in rule:
            _errno_fits(action, rule["errnoRet"], f"{at}/syscalls/{index}/errnoRet", report)
        if "" in rule["names"]:
            place = rule["names"].index("")
            report(
                "seccomp-name", f"{at}/syscalls/{index}/names/{place}", "the name of a system call is empty"
            )
        report.nul(rule["names"], f"{at}/syscalls/{index}/names")
        if action == "SCMP_ACT_NOTIFY":
            _notify(rule, f"{at}/syscalls/{index}", listener, report)
        for place, arg in enumerate(rule.get("args", ())):
            if arg["index"] >= ARGUMENTS:
                report(
                    "seccomp-arg-index",
                    f"{at}/syscalls/{index}/args/{place}/index",
                    f"system calls have no argument {arg['index']}",
                    expected=f"0 to {ARGUMENTS - 1}",
                )


def _errno_fits(action: str, number: int, at: str, report: Report) -> None:
    largest = LARGEST_DATA.get(action)
    if largest is None:
        report(
            "seccomp-errno", at, f"{action} returns no errno", hint="remove errnoRet, or use SCMP_ACT_ERRNO"
        )
    elif number > largest:
        report("seccomp-errno", at, f"{number} is out of range for {action}", expected=f"0 to {largest}")


def _notify(rule: "Syscall", at: str, listener: str, report: Report) -> None:
    if not listener:
        report("seccomp-listener", f"{at}/action", "SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath")
    if "write" in rule["names"]:
        report(
            "seccomp-notify-write",
            f"{at}/names/{rule['names'].index('write')}",
            "SCMP_ACT_NOTIFY cannot be used for the write syscall",
            hint="the runtime itself must write after the filter is loaded",
        )


def _memory_policy(policy: "MemoryPolicy", report: Report) -> None:
    at = "/linux/memoryPolicy"
    mode, nodes, flags = policy.get("mode"), policy.get("nodes", ""), policy.get("flags", ())
    if mode is None:  # an empty object asks for nothing
        if nodes or flags:
            expected = "MPOL_BIND, MPOL_PREFERRED ..."
            report("memory-policy-mode", at, "invalid memory policy mode: there is none", expected=expected)
        return
    if not is_cpu_list(nodes):
        message = f'invalid memory policy nodes: "{nodes}" is not a list of numbers'
        report("memory-policy-nodes", f"{at}/nodes", message, expected="0-3,7")
    if mode in ("MPOL_DEFAULT", "MPOL_LOCAL"):
        if nodes:
            message = f"{mode} does not take nodes: set_mempolicy would fail with invalid argument"
            report("memory-policy-nodes", f"{at}/nodes", message, hint="leave them out")
    elif not nodes and mode != "MPOL_PREFERRED":
        report("memory-policy-nodes", at, f"{mode} needs nodes")
    if flags and not nodes and mode in ("MPOL_LOCAL", "MPOL_PREFERRED"):
        report("memory-policy-flags", f"{at}/flags", f"{mode} without nodes takes no flags")
    if "MPOL_F_STATIC_NODES" in flags and "MPOL_F_RELATIVE_NODES" in flags:
        report("memory-policy-flags", f"{at}/flags", "nodes cannot be both static and relative")
    if "MPOL_F_NUMA_BALANCING" in flags and mode not in ("MPOL_BIND", "MPOL_PREFERRED_MANY"):
        report(
            "memory-policy-flags",
            f"{at}/flags",
            "MPOL_F_NUMA_BALANCING needs MPOL_BIND or MPOL_PREFERRED_MANY",
        )


def _intel_rdt(rdt: "IntelRdt", report: Report) -> None:
    clos = rdt.get("closID", "")
    if clos in (".", "..", "info", "mon_groups", "mon_data") or (clos != "/" and "/" in clos) or "\0" in clos:
        report(
            "rdt-clos",
            "/linux/intelRdt/closID",
            f'invalid closID "{clos}"',
            expected="a name without a slash, or / for the root group",
        )
