"""A small valid config.json, ways to spoil it, and one example for every code of the check."""

from __future__ import annotations

import ast
import copy
import os
from pathlib import Path
from typing import Any

from pyoci.spec import json_pointer

CHECK = Path(__file__).resolve().parents[2] / "pyoci"
GONE = object()

BASE: Any = {
    "ociVersion": "1.3.0",
    "process": {
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "box",
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {
        "namespaces": [{"type": kind} for kind in ("mount", "pid", "network", "ipc", "uts", "cgroup")],
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{"names": ["read", "write", "execve"], "action": "SCMP_ACT_ALLOW"}],
        },
    },
}
USERS: dict[str, Any] = {
    "/linux/namespaces/-": {"type": "user"},
    "/linux/uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
    "/linux/gidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
}


def spoil(changes: dict[str, Any]) -> Any:
    """The base config with members set, appended ("/-" at the end) or removed (GONE)."""
    spec = copy.deepcopy(BASE)
    for at, value in changes.items():
        holder: Any = spec
        *path, last = json_pointer.split(at)
        for part in path:
            holder = holder[int(part)] if isinstance(holder, list) else holder.setdefault(part, {})
        if isinstance(holder, list) and last == "-":
            holder.append(copy.deepcopy(value))
        elif value is GONE:
            del holder[int(last) if isinstance(holder, list) else last]
        else:
            holder[int(last) if isinstance(holder, list) else last] = copy.deepcopy(value)
    return spec


def _deadline(**times: int) -> dict[str, Any]:
    return {"policy": "SCHED_DEADLINE", **times}


def _map(*lines: tuple[int, int, int]) -> list[dict[str, int]]:
    return [{"containerID": inside, "hostID": outside, "size": size} for inside, outside, size in lines]


def _arg(op: str, value: int, two: int = 0, index: int = 0) -> dict[str, Any]:
    return {"index": index, "value": value, "valueTwo": two, "op": op}


def _rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


BIND = {"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind"]}
RES = "/linux/resources"
RULE = "/linux/seccomp/syscalls/-"

# code, pointer of the problem, changes to the base; options for `problems` as the last
ERRORS: list[tuple[Any, ...]] = [
    ("version-format", "/ociVersion", {"/ociVersion": "1.0"}),
    ("version-format", "/ociVersion", {"/ociVersion": "1.02.0"}),
    ("version-format", "/ociVersion", {"/ociVersion": "1.0.0-"}),
    ("version-unsupported", "/ociVersion", {"/ociVersion": "2.0.0"}),
    ("root-missing", "/root", {"/root": GONE}),
    ("root-path", "/root/path", {"/root/path": ""}),
    ("root-path", "/root/path", {"/root/path": "a\0b"}),
    ("wrong-platform", "/windows", {"/linux": GONE, "/windows": {"layerFolders": ["C:\\x"]}}),
    ("process-args", "/process/args", {"/process/args": []}),
    ("process-args", "/process/args", {"/process/args": GONE}),
    ("process-cwd", "/process/cwd", {"/process/cwd": "work"}),
    ("process-cwd", "/process/cwd", {"/process/cwd": ""}),
    ("nul-byte", "/process/args", {"/process/args": ["a\0b"]}),
    ("nul-byte", "/process/env", {"/process/env": ["A=\0"]}),
    ("nul-byte", "/mounts/1", {"/mounts/-": {**BIND, "source": "/a\0"}}),
    ("nul-byte", "/linux/maskedPaths", {"/linux/maskedPaths": ["/a\0"]}),
    ("nul-byte", "/hooks/poststop/0", {"/hooks": {"poststop": [{"path": "/h", "env": ["A=\0"]}]}}),
    ("env-form", "/process/env/1", {"/process/env/-": "NAME"}),
    ("env-form", "/process/env/1", {"/process/env/-": "=value"}),
    ("env-form", "/process/env/1", {"/process/env/-": ""}),
    (
        "rlimit-twice",
        "/process/rlimits/1/type",
        {"/process/rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}] * 2},
    ),
    (
        "rlimit-unknown",
        "/process/rlimits/0/type",
        {"/process/rlimits": [{"type": "RLIMIT_FILES", "soft": 0, "hard": 0}]},
    ),
    (
        "rlimit-order",
        "/process/rlimits/0/soft",
        {"/process/rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]},
    ),
    ("oom-score", "/process/oomScoreAdj", {"/process/oomScoreAdj": 1001}),
    ("console-size", "/process/consoleSize", {"/process/consoleSize": {"height": 65536, "width": 1}}),
    (
        "scheduler-fork",
        "/process/scheduler",
        {
            "/process/scheduler": _deadline(runtime=2000, deadline=5000),
            "/hooks": {"startContainer": [{"path": "/bin/true"}]},
        },
    ),
    (
        "scheduler-fork",
        "/process/scheduler",
        {
            "/process/scheduler": _deadline(runtime=2000, deadline=5000),
            "/linux/seccomp/listenerPath": "/run/agent",
            RULE: _rule("SCMP_ACT_NOTIFY", "mount"),
        },
    ),
    (
        "scheduler-nice",
        "/process/scheduler/nice",
        {"/process/scheduler": {"policy": "SCHED_BATCH", "nice": 20}},
    ),
    (
        "scheduler-priority",
        "/process/scheduler/priority",
        {"/process/scheduler": {"policy": "SCHED_OTHER", "priority": 1}},
    ),
    ("scheduler-priority", "/process/scheduler/priority", {"/process/scheduler": {"policy": "SCHED_FIFO"}}),
    (
        "scheduler-deadline",
        "/process/scheduler",
        {"/process/scheduler": {"policy": "SCHED_IDLE", "runtime": 1}},
    ),
    (
        "scheduler-deadline",
        "/process/scheduler",
        {"/process/scheduler": _deadline(runtime=9000, deadline=5000, period=10000)},
    ),
    (
        "io-priority",
        "/process/ioPriority/priority",
        {"/process/ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}},
    ),
    ("cpu-list", "/process/execCPUAffinity/final", {"/process/execCPUAffinity": {"final": "3-1"}}),
    ("cpu-list", "/process/execCPUAffinity/initial", {"/process/execCPUAffinity": {"initial": " , "}}),
    ("cpu-list", f"{RES}/cpu/cpus", {f"{RES}/cpu/cpus": "zero"}),
    ("cpu-list", f"{RES}/cpu/mems", {f"{RES}/cpu/mems": "0,3-1:1/2"}),
    ("user-id", "/process/user/gid", {"/process/user/gid": 4294967295}),
    ("user-id", "/process/user/additionalGids/1", {"/process/user/additionalGids": [1, 4294967295]}),
    ("mount-destination", "/mounts/0/destination", {"/mounts/0/destination": ""}),
    ("mount-source", "/mounts/1", {"/mounts/-": {"destination": "/x", "options": ["bind"]}}),
    ("mount-type", "/mounts/1", {"/mounts/-": {"destination": "/x", "source": "/x"}}),
    (
        "mount-inside-proc",
        "/mounts/1/destination",
        {"/mounts/-": {**BIND, "destination": "/dev/../proc//sys"}},
    ),
    ("mount-on-root", "/mounts/1/destination", {"/mounts/-": {**BIND, "destination": "/./"}}),
    ("mount-on-root", "/mounts/0/destination", {"/mounts/0/destination": "/", "/mounts/0/type": "sysfs"}),
    (
        "mount-on-root",
        "/mounts/0/destination",
        {"/mounts/0/destination": "/", "/mounts/0/type": "tmpfs", "/linux/namespaces/0": GONE},
    ),
    ("mount-idmap-bind", "/mounts/0", {**USERS, "/mounts/0/options": ["idmap"]}),
    ("mount-idmap-pair", "/mounts/1", {**USERS, "/mounts/-": {**BIND, "uidMappings": _map((0, 1, 1))}}),
    ("mount-idmap-none", "/mounts/1", {"/mounts/-": {**BIND, "options": ["rbind", "ridmap"]}}),
    ("namespace-twice", "/linux/namespaces/6", {"/linux/namespaces/-": {"type": "pid"}}),
    ("namespace-path", "/linux/namespaces/1/path", {"/linux/namespaces/1/path": "proc/1/ns/pid"}),
    ("hostname-namespace", "/hostname", {"/linux/namespaces/4": GONE}),
    (
        "hostname-namespace",
        "/domainname",
        {"/linux/namespaces/4": GONE, "/hostname": GONE, "/domainname": "x"},
    ),
    ("hostname-length", "/hostname", {"/hostname": "ä" * 33}),
    ("annotation-empty", "/annotations/", {"/annotations": {"": "x"}}),
    ("landlock-json", "/annotations/org.pyoci.landlock", {"/annotations": {"org.pyoci.landlock": "{"}}),
    (
        "landlock-rules",
        "/annotations/org.pyoci.landlock",
        {"/annotations": {"org.pyoci.landlock": '{"tcp": [80]}'}},
    ),
    (
        "systemd-property",
        "/annotations/org.systemd.property.X~1Y",
        {"/annotations": {"org.systemd.property.X/Y": "1"}},
        {"systemd": True},
    ),
    ("hook-path", "/hooks/prestart/0/path", {"/hooks": {"prestart": [{"path": "hook"}]}}),
    ("mapping-namespace", "/linux/uidMappings", {"/linux/uidMappings": _map((0, 1, 1))}),
    ("mapping-missing", "/linux", {"/linux/namespaces/-": {"type": "user"}}),
    ("mapping-root", "/linux/uidMappings", {**USERS, "/linux/uidMappings": _map((1, 1000, 9))}),
    ("mapping-root", "/linux/gidMappings", {**USERS, "/linux/gidMappings": _map((1, 1000, 9))}),
    (
        "mapping-count",
        "/linux/uidMappings",
        {**USERS, "/linux/uidMappings": _map(*[(n, n, 1) for n in range(341)])},
    ),
    (
        "mapping-size",
        "/linux/gidMappings/0/size",
        {**USERS, "/linux/gidMappings": _map((0, 1, 0), (0, 1, 1))},
    ),
    ("mapping-end", "/linux/uidMappings/0/hostID", {**USERS, "/linux/uidMappings": _map((0, 4294967295, 2))}),
    (
        "mapping-overlap",
        "/linux/uidMappings/1/containerID",
        {**USERS, "/linux/uidMappings": _map((0, 0, 10), (9, 20, 5))},
    ),
    (
        "mapping-overlap",
        "/mounts/1/gidMappings/1/hostID",
        {"/mounts/-": {**BIND, "uidMappings": _map((0, 0, 1)), "gidMappings": _map((0, 5, 5), (9, 1, 5))}},
    ),
    ("user-unmapped", "/process/user/uid", {**USERS, "/process/user/uid": 10}),
    ("user-unmapped", "/process/user/additionalGids/0", {**USERS, "/process/user/additionalGids": [77]}),
    ("rootless-namespace", "/linux/namespaces", {}, {"rootless": True}),
    (
        "sysctl-unmapped",
        "/linux/sysctl/net.ipv4.ping_group_range",
        {**USERS, "/linux/sysctl": {"net.ipv4.ping_group_range": "0 2147483647"}},
    ),
    (
        "mount-id-unmapped",
        "/mounts/0/options/1",
        {**USERS, "/mounts/0/options": ["uid=5", "gid=50"]},
        {"rootless": True},
    ),
    ("time-namespace", "/linux/timeOffsets", {"/linux/timeOffsets": {"boottime": {"secs": 1}}}),
    (
        "time-namespace",
        "/linux/timeOffsets",
        {
            "/linux/timeOffsets": {"boottime": {"secs": 1}},
            "/linux/namespaces/-": {"type": "time", "path": "/proc/1/ns/time"},
        },
    ),
    (
        "time-clock",
        "/linux/timeOffsets/realtime",
        {"/linux/timeOffsets": {"realtime": {"secs": 1}}, "/linux/namespaces/-": {"type": "time"}},
    ),
    (
        "time-nanosecs",
        "/linux/timeOffsets/monotonic/nanosecs",
        {"/linux/timeOffsets": {"monotonic": {"nanosecs": 10**9}}, "/linux/namespaces/-": {"type": "time"}},
    ),
    ("hidden-path", "/linux/readonlyPaths/0", {"/linux/readonlyPaths": ["proc/sys"]}),
    (
        "hidden-path-namespace",
        "/linux/maskedPaths",
        {"/linux/maskedPaths": ["/x"], "/linux/namespaces/0": GONE},
    ),
    ("sysctl-namespace", "/linux/sysctl/kernel.panic", {"/linux/sysctl": {"kernel.panic": "1"}}),
    ("sysctl-namespace", "/linux/sysctl/kernel.hostname", {"/linux/sysctl": {"kernel.hostname": "x"}}),
    (
        "sysctl-namespace",
        "/linux/sysctl/net~1ipv4~1ip_forward",
        {"/linux/sysctl": {"net/ipv4/ip_forward": "1"}, "/linux/namespaces/2": GONE},
    ),
    (
        "sysctl-namespace",
        "/linux/sysctl/fs.mqueue.msg_max",
        {"/linux/sysctl": {"fs.mqueue.msg_max": "1"}, "/linux/namespaces/3": GONE},
    ),
    ("sysctl-namespace", "/linux/sysctl/user.max_x", {"/linux/sysctl": {"user.max_x": "1"}}),
    (
        "sysctl-namespace",
        "/linux/sysctl/net.x",
        {"/linux/sysctl": {"net.x": "1"}, "/linux/namespaces/2/path": "/proc/self/ns/net"},
    ),
    ("sysctl-name", "/linux/sysctl/net~1..~1kernel~1x", {"/linux/sysctl": {"net/../kernel/x": "1"}}),
    ("device-path", "/linux/devices/0/path", {"/linux/devices": [{"type": "p", "path": "dev/x"}]}),
    ("device-number", "/linux/devices/0", {"/linux/devices": [{"type": "c", "path": "/dev/x", "major": 1}]}),
    (
        "device-number",
        "/linux/devices/0",
        {"/linux/devices": [{"type": "b", "path": "/dev/x", "major": 4096, "minor": 0}]},
    ),
    (
        "net-device-namespace",
        "/linux/netDevices",
        {"/linux/netDevices": {"e": {}}, "/linux/namespaces/2": GONE},
    ),
    ("net-device-name", "/linux/netDevices/eth0/name", {"/linux/netDevices": {"eth0": {"name": "a/b"}}}),
    (
        "net-device-name",
        "/linux/netDevices/0123456789abcdef",
        {"/linux/netDevices": {"0123456789abcdef": {}}},
    ),
    (
        "net-device-twice",
        "/linux/netDevices/b",
        {"/linux/netDevices": {"a": {"name": "x"}, "b": {"name": "x"}}},
    ),
    (
        "device-clash",
        "/linux/devices/1/path",
        {
            "/linux/devices": [
                {"type": "c", "path": "/dev/x", "major": 1, "minor": 3},
                {"type": "u", "path": "/dev/./x", "major": 1, "minor": 5},
            ]
        },
    ),
    (
        "device-clash",
        "/linux/devices/1/path",
        {
            "/linux/devices": [
                {"type": "p", "path": "/dev/x"},
                {"type": "b", "path": "/dev/x", "major": 1, "minor": 3},
            ]
        },
    ),
    ("cgroup-path", "/linux/cgroupsPath", {"/linux/cgroupsPath": "/a/../"}),
    ("cgroup-path", "/linux/cgroupsPath", {"/linux/cgroupsPath": "/a\nb"}),
    ("cgroup-path", "/linux/cgroupsPath", {"/linux/cgroupsPath": "a.slice:b:\0"}, {"systemd": True}),
    ("cgroup-path-systemd", "/linux/cgroupsPath", {"/linux/cgroupsPath": "/a/b"}, {"systemd": True}),
    *[
        ("cgroup-path-systemd", "/linux/cgroupsPath", {"/linux/cgroupsPath": path}, {"systemd": True})
        for path in (
            "a:b",
            "a:b:c:d",
            "a.slice:b:",
            "a:b:c",
            "a--b.slice:p:n",
            "/a.slice:p:n",
            "a.slice::/.slice",
            "a.slice::-.slice",
            "a.slice::b--c.slice",
        )
    ],
    ("memory-negative", f"{RES}/memory/reservation", {f"{RES}/memory": {"reservation": -2}}),
    ("memory-swap", f"{RES}/memory/swap", {f"{RES}/memory": {"swap": 10}}),
    ("memory-swap", f"{RES}/memory/swap", {f"{RES}/memory": {"swap": 10, "limit": 20}}),
    ("memory-swappiness", f"{RES}/memory/swappiness", {f"{RES}/memory": {"swappiness": 101}}),
    ("cpu-period", f"{RES}/cpu/period", {f"{RES}/cpu": {"period": 999}}),
    ("cpu-quota", f"{RES}/cpu/quota", {f"{RES}/cpu": {"quota": 999}}),
    ("cpu-burst", f"{RES}/cpu/burst", {f"{RES}/cpu": {"quota": 2000, "burst": 3000}}),
    ("cpu-idle", f"{RES}/cpu/idle", {f"{RES}/cpu": {"idle": 2}}),
    (
        "cpu-realtime",
        f"{RES}/cpu/realtimeRuntime",
        {f"{RES}/cpu": {"realtimeRuntime": 2000, "realtimePeriod": 1000}},
    ),
    ("block-weight", f"{RES}/blockIO/weight", {f"{RES}/blockIO": {"weight": 1001}}),
    (
        "block-weight",
        f"{RES}/blockIO/weightDevice/0",
        {f"{RES}/blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}},
    ),
    (
        "device-rule-type",
        f"{RES}/devices/0/type",
        {f"{RES}/devices": [{"allow": True, "type": "x", "access": "r"}]},
    ),
    ("device-rule-access", f"{RES}/devices/0", {f"{RES}/devices": [{"allow": True}]}),
    ("device-rule-access", f"{RES}/devices/0", {f"{RES}/devices": [{"allow": True, "access": "rx"}]}),
    (
        "device-rule-number",
        f"{RES}/devices/0",
        {f"{RES}/devices": [{"allow": True, "access": "r", "minor": -2}]},
    ),
    *[
        ("unified-name", f"{RES}/unified/{json_pointer.escape(name)}", {f"{RES}/unified": {name: "1"}})
        for name in ("../memory.max", "a/b.c", "memory", "", "memory.max\0", "..")
    ],
    ("rdma-empty", f"{RES}/rdma/mlx5", {f"{RES}/rdma": {"mlx5": {}}}),
    ("seccomp-errno", "/linux/seccomp/syscalls/0/errnoRet", {"/linux/seccomp/syscalls/0/errnoRet": 1}),
    ("seccomp-errno", "/linux/seccomp/defaultErrnoRet", {"/linux/seccomp/defaultErrnoRet": 4095}),
    (
        "seccomp-errno",
        "/linux/seccomp/syscalls/1/errnoRet",
        {RULE: _rule("SCMP_ACT_TRACE", "open", errnoRet=65536)},
    ),
    (
        "seccomp-notify-default",
        "/linux/seccomp/defaultAction",
        {"/linux/seccomp/defaultAction": "SCMP_ACT_NOTIFY"},
    ),
    ("nul-byte", "/linux/mountLabel", {"/linux/mountLabel": "a\0b"}),
    ("seccomp-name", "/linux/seccomp/syscalls/1/names/1", {RULE: _rule("SCMP_ACT_ALLOW", "open", "")}),
    ("nul-byte", "/linux/seccomp/syscalls/1/names", {RULE: _rule("SCMP_ACT_ALLOW", "open\0")}),
    ("seccomp-metadata", "/linux/seccomp/listenerMetadata", {"/linux/seccomp/listenerMetadata": "x"}),
    ("seccomp-listener", "/linux/seccomp/syscalls/1/action", {RULE: _rule("SCMP_ACT_NOTIFY", "open")}),
    (
        "seccomp-notify-write",
        "/linux/seccomp/syscalls/1/names/1",
        {RULE: _rule("SCMP_ACT_NOTIFY", "open", "write"), "/linux/seccomp/listenerPath": "/s"},
    ),
    (
        "seccomp-arg-index",
        "/linux/seccomp/syscalls/1/args/0/index",
        {RULE: _rule("SCMP_ACT_ALLOW", "open", args=[_arg("SCMP_CMP_EQ", 1, index=6)])},
    ),
    ("mount-option-bind", "/mounts/1/options/1", {"/mounts/-": {**BIND, "options": ["rbind", "mode=755"]}}),
    ("mount-option-bind", "/mounts/1/options/0", {"/mounts/-": {**BIND, "options": ["ro,nosuid", "rbind"]}}),
    *[
        ("mount-option-fstab", "/mounts/0/options/0", {"/mounts/0/options": [word]})
        for word in ("nofail", "auto", "noauto", "user", "nouser", "_netdev")
    ],
    (
        "seccomp-receiver",
        "/annotations/run.oci.seccomp.receiver",
        {RULE: _rule("SCMP_ACT_NOTIFY", "open"), "/annotations": {"run.oci.seccomp.receiver": "s"}},
    ),
    *[
        ("unsupported", f"/annotations/{name}", {"/annotations": {name: ""}})
        for name in ("run.oci.seccomp_bpf_data", "run.oci.seccomp.plugins")
    ],
    *[
        ("mount-option-link", "/mounts/0/options/0", {"/mounts/0/options": [word]})
        for word in ("copy-symlink", "src-nofollow", "dest-nofollow")
    ],
    *[
        ("mount-idmap-option", "/mounts/1/options", {"/mounts/-": {**BIND, "options": ["rbind", word]}})
        for word in (
            "idmap=",
            "idmap=uids=0-1-2",
            "ridmap=uids=0-1-2;gids=0-1",
            "idmap=uids=0-1-2;gids=0-1-x",
            "idmap=uids=0-1-2;gids=@0-1-2",
            "idmap=uids=0-1-2;uids=0-1-2;gids=0-1-2",
        )
    ],
    (
        "mapping-overlap",
        "/mounts/1/uidMappings/1/containerID",
        {"/mounts/-": {**BIND, "options": ["rbind", "idmap=uids=0-1-9#1-20-1;gids=0-1-2"]}},
    ),
    *[
        ("rdt-clos", "/linux/intelRdt/closID", {"/linux/intelRdt": {"closID": name}})
        for name in ("../x", "..", ".", "a/b", "/a", "info", "mon_groups")
    ],
    ("memory-policy-mode", "/linux/memoryPolicy", {"/linux/memoryPolicy": {"nodes": "0"}}),
    ("memory-policy-nodes", "/linux/memoryPolicy", {"/linux/memoryPolicy": {"mode": "MPOL_BIND"}}),
    (
        "memory-policy-mode",
        "/linux/memoryPolicy",
        {"/linux/memoryPolicy": {"flags": ["MPOL_F_STATIC_NODES"]}},
    ),
    (
        "memory-policy-nodes",
        "/linux/memoryPolicy/nodes",
        {"/linux/memoryPolicy": {"mode": "MPOL_LOCAL", "nodes": "0"}},
    ),
    (
        "memory-policy-flags",
        "/linux/memoryPolicy/flags",
        {"/linux/memoryPolicy": {"mode": "MPOL_LOCAL", "flags": ["MPOL_F_STATIC_NODES"]}},
    ),
    (
        "memory-policy-nodes",
        "/linux/memoryPolicy/nodes",
        {"/linux/memoryPolicy": {"mode": "MPOL_BIND", "nodes": "x"}},
    ),
    (
        "memory-policy-flags",
        "/linux/memoryPolicy/flags",
        {
            "/linux/memoryPolicy": {
                "mode": "MPOL_INTERLEAVE",
                "nodes": "0",
                "flags": ["MPOL_F_NUMA_BALANCING"],
            }
        },
    ),
    ("personality-domain", "/linux/personality", {"/linux/personality": {}}),
]

WARNINGS: list[tuple[Any, ...]] = [
    ("version-old", "/ociVersion", {"/ociVersion": "0.9.0"}),
    ("platform-section", "/vm", {"/vm": {"kernel": {"path": "/k"}}}),
    (
        "mount-option",
        "/mounts/1/options/1",
        {"/mounts/-": {"destination": "/t", "type": "tmpfs", "options": ["size=1m", "sise=2m"]}},
    ),
    (
        "annotation-unknown",
        "/annotations/run.oci.handler",
        {"/annotations": {"run.oci.handler": "x", "run.oci.keep_original_groups": "1", "a.b": "c"}},
    ),
    ("cgroup-path-form", "/linux/cgroupsPath", {"/linux/cgroupsPath": "a.slice:b:c"}),
    ("cgroup-path-form", "/linux/cgroupsPath", {"/linux/cgroupsPath": "/sys/fs/cgroup/memory/box"}),
    (
        "personality-flags",
        "/linux/personality/flags",
        {"/linux/personality": {"domain": "LINUX", "flags": ["X"]}},
    ),
    ("rdt-schema", "/linux/intelRdt/l3CacheSchema", {"/linux/intelRdt": {"l3CacheSchema": "L2:0=f"}}),
    ("process-missing", "/process", {"/process": GONE}),
    ("process-args-empty", "/process/args/0", {"/process/args": [""]}),
    ("exec-length", "/process/args/1", {"/process/args/-": "x" * (32 * os.sysconf("SC_PAGE_SIZE"))}),
    ("exec-length", "/process/env/1", {"/process/env/-": "A=" + "x" * (32 * os.sysconf("SC_PAGE_SIZE"))}),
    ("exec-length", "/process", {"/process/args": ["x"] * 700000}),
    (
        "exec-length",
        "/process",
        {
            "/process/args": ["x"] * 100000,
            "/process/rlimits": [{"type": "RLIMIT_STACK", "soft": 8192, "hard": 8192}],
        },
    ),
    ("console-size-unused", "/process/consoleSize", {"/process/consoleSize": {"height": 5, "width": 5}}),
    ("umask", "/process/user/umask", {"/process/user/umask": 1000}),
    ("env-twice", "/process/env/1", {"/process/env/-": "PATH=/x"}),
    (
        "capability-unknown",
        "/process/capabilities/bounding/0",
        {"/process/capabilities/bounding": ["CAP_KIL"]},
    ),
    ("capability-order", "/process/capabilities/ambient", {"/process/capabilities/ambient": ["CAP_KILL"]}),
    (
        "capability-order",
        "/process/capabilities/permitted",
        {"/process/capabilities/permitted": ["CAP_KILL"]},
    ),
    ("seccomp-execve", "/linux/seccomp/defaultAction", {"/linux/seccomp/syscalls/0/names": ["read"]}),
    (
        "seccomp-execve",
        "/linux/seccomp/syscalls/0",
        {
            "/linux/seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [_rule("SCMP_ACT_KILL", "execve")],
            }
        },
    ),
    (
        "seccomp-impossible",
        "/linux/seccomp/syscalls/1/args/0",
        {RULE: _rule("SCMP_ACT_ALLOW", "open", args=[_arg("SCMP_CMP_GT", 2**64 - 1)])},
    ),
    ("mount-relative", "/mounts/0/destination", {"/mounts/0/destination": "srv"}),
    ("mount-option", "/mounts/0/options/0", {"/mounts/0/options": ["nosiud"]}),
    (
        "propagation-namespace",
        "/linux/rootfsPropagation",
        {"/linux/rootfsPropagation": "shared", "/linux/namespaces/0": GONE},
    ),
    ("mount-namespace-host", "/linux/namespaces", {"/linux/namespaces/0": GONE}),
    ("mapping-joined", "/linux/uidMappings", {**USERS, "/linux/namespaces/6/path": "/proc/1/ns/user"}),
    ("device-twice", "/linux/devices/1/path", {"/linux/devices": [{"type": "p", "path": "/dev/x"}] * 2}),
    (
        "device-number-twice",
        "/linux/devices/1",
        {"/linux/devices": [{"type": "c", "path": f"/dev/{name}", "major": 1, "minor": 3} for name in "ab"]},
    ),
    ("memory-reservation", f"{RES}/memory/reservation", {f"{RES}/memory": {"limit": 5, "reservation": 6}}),
    ("memory-kernel", f"{RES}/memory/kernel", {f"{RES}/memory": {"kernel": 5}}),
    ("block-weight-low", f"{RES}/blockIO/weight", {f"{RES}/blockIO": {"weight": 9}}),
    (
        "block-rate",
        f"{RES}/blockIO/throttleReadBpsDevice/0",
        {f"{RES}/blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0}]}},
    ),
    (
        "hugepage-twice",
        f"{RES}/hugepageLimits/1/pageSize",
        {f"{RES}/hugepageLimits": [{"pageSize": "2MB", "limit": 1}] * 2},
    ),
    ("device-rule-all", f"{RES}/devices/0", {f"{RES}/devices": [{"allow": True, "access": "r", "major": 5}]}),
    ("seccomp-empty", "/linux/seccomp", {"/linux/seccomp": {"defaultAction": "SCMP_ACT_KILL"}}),
    ("seccomp-listener-unused", "/linux/seccomp/listenerPath", {"/linux/seccomp/listenerPath": "/s"}),
    (
        "seccomp-flag-unused",
        "/linux/seccomp/flags",
        {"/linux/seccomp/flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]},
    ),
    ("seccomp-same-action", "/linux/seccomp/syscalls/1/action", {RULE: _rule("SCMP_ACT_ERRNO", "open")}),
    ("seccomp-contradiction", "/linux/seccomp/syscalls/1/names/0", {RULE: _rule("SCMP_ACT_KILL", "read")}),
    (
        "seccomp-impossible",
        "/linux/seccomp/syscalls/1/args/0",
        {RULE: _rule("SCMP_ACT_ALLOW", "open", args=[_arg("SCMP_CMP_MASKED_EQ", 1, 2)])},
    ),
    (
        "seccomp-impossible",
        "/linux/seccomp/syscalls/1/args/0",
        {RULE: _rule("SCMP_ACT_ALLOW", "open", args=[_arg("SCMP_CMP_LT", 0)])},
    ),
    (
        "seccomp-value-two",
        "/linux/seccomp/syscalls/1/args/0/valueTwo",
        {RULE: _rule("SCMP_ACT_ALLOW", "open", args=[_arg("SCMP_CMP_EQ", 1, 1)])},
    ),
]

SYSFS = {"destination": "/sys", "type": "sysfs", "source": "sysfs"}
ADVICE: list[tuple[Any, ...]] = [
    ("root-user", "/process/user", {}),
    ("new-privileges", "/process/noNewPrivileges", {"/process/noNewPrivileges": False}),
    (
        "capability-powerful",
        "/process/capabilities/bounding/0",
        {"/process/capabilities/bounding": ["CAP_SYS_ADMIN"]},
    ),
    ("no-lsm", "/process", {}),
    ("env-secret", "/process/env/1", {"/process/env/-": "DB_PASSWORD=x"}),
    ("host-namespace", "/linux/namespaces", {"/linux/namespaces/5": GONE}),
    ("root-writable", "/root/readonly", {"/root/readonly": False}),
    ("propagation-shared", "/linux/rootfsPropagation", {"/linux/rootfsPropagation": "rshared"}),
    (
        "sysctl-shared",
        "/linux/sysctl/net.ipv4.ip_forward",
        {"/linux/sysctl": {"net.ipv4.ip_forward": "1"}, "/linux/namespaces/2/path": "/run/netns/x"},
    ),
    ("no-memory-limit", f"{RES}/memory/limit", {}),
    ("no-pids-limit", f"{RES}/pids/limit", {f"{RES}/pids": {"limit": -1}}),
    ("devices-all", f"{RES}/devices/0", {f"{RES}/devices": [{"allow": True, "access": "rwm"}]}),
    (
        "device-block",
        "/linux/devices/0",
        {"/linux/devices": [{"type": "b", "path": "/dev/sda", "major": 8, "minor": 0}]},
    ),
    (
        "device-memory",
        "/linux/devices/0",
        {"/linux/devices": [{"type": "c", "path": "/dev/m", "major": 1, "minor": 1}]},
    ),
    ("no-seccomp", "/linux/seccomp", {"/linux/seccomp": GONE}),
    ("seccomp-open", "/linux/seccomp/defaultAction", {"/linux/seccomp/defaultAction": "SCMP_ACT_ALLOW"}),
    ("path-not-masked", "/linux/maskedPaths", {}),
    ("path-writable", "/linux/readonlyPaths", {}),
    ("mount-writable", "/mounts/1", {"/mounts/-": SYSFS}),
    ("mount-shared", "/mounts/1/options/1", {"/mounts/-": {**BIND, "options": ["rbind", "rshared"]}}),
    (
        "mount-open",
        "/mounts/1",
        {"/mounts/-": {"destination": "/tmp", "type": "tmpfs", "options": ["nodev"]}},
    ),
    ("engine-socket", "/mounts/1/source", {"/mounts/-": {**BIND, "source": "/run/docker.sock"}}),
    ("host-tree", "/mounts/1/source", {"/mounts/-": {**BIND, "source": "/etc/"}}),
]


def codes() -> dict[str, set[str]]:
    """The codes that the source of the check can report, each with its severities."""
    found: dict[str, set[str]] = {}
    usual = {"warnings.py": "warning", "security.py": "advice"}
    special = {
        "null-member": {"warning"},
        "wrong-platform": {"warning"},
        "property-unknown": {"warning", "advice"},
    }
    for path in sorted([*CHECK.glob("spec/*.py"), *CHECK.glob("validate/*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, (ast.Name, ast.Attribute)):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name not in ("report", "errors", "warnings", "Problem", "self") or not node.args:
                continue
            code = node.args[0]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                severity = "warning" if name == "warnings" else usual.get(path.name, "error")
                found.setdefault(code.value, set()).update(special.get(code.value, {severity}))
    # the one place that chooses its code from a table
    found["path-not-masked"] = found["path-writable"] = {"advice"}
    return found
