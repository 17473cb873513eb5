"""The rules: every code has an example, with its place; real configurations have no errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit.check_cases import ADVICE, BASE, BIND, ERRORS, USERS, WARNINGS, codes, spoil

from pyoci import _generated
from pyoci.spec import check, fast
from pyoci.spec.linux_rules import dotted, is_interface_name, sysctl_path
from pyoci.spec.problem import Problem
from pyoci.spec.resource_rules import is_cpu_list
from pyoci.spec.versions import semver_major
from pyoci.validate import explain, warnings
from pyoci.validate.security import review

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Process, Resources


CONFIGS = sorted((Path(__file__).resolve().parents[1] / "data" / "engine-configs").glob("*.json"))


def found(spec: Any, severity: str, **options: bool) -> list[Problem]:
    assert _generated.config(spec), "the rules see only what the schema accepts"
    errors = check.problems(spec, first=False, **options)
    assert {problem.severity for problem in errors} <= {"error"}
    return errors if severity == "error" else warnings.find(spec, systemd=options.get("systemd", False))


def test_the_base_is_clean() -> None:
    assert found(BASE, "error") == found(BASE, "warning") == []
    assert found(spoil(USERS), "error") == found(spoil(USERS), "warning") == []


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: f"{case[0]}:{case[1]}")
def test_error(case: tuple[Any, ...]) -> None:
    code, at, changes, *options = case
    spec = spoil(changes)
    every = found(spec, "error", **(options[0] if options else {}))
    assert (code, at) in [(problem.code, problem.pointer) for problem in every]
    first = check.problems(spec, first=True, **(options[0] if options else {}))
    assert [problem.code for problem in first] == [every[0].code], "first=True stops at the first error"
    assert all(problem.message and "\n" not in problem.message for problem in every)


@pytest.mark.parametrize("case", WARNINGS, ids=lambda case: f"{case[0]}:{case[1]}")
def test_warning(case: tuple[Any, ...]) -> None:
    code, at, changes = case
    spec = spoil(changes)
    assert (code, at) in [(problem.code, problem.pointer) for problem in found(spec, "warning")]
    errors = [problem.code for problem in check.problems(spec, first=True)]
    assert code not in errors and set(errors) <= {"mount-type", "unsupported"}, "a warning refuses nothing"


@pytest.mark.parametrize("case", ADVICE, ids=lambda case: f"{case[0]}:{case[1]}")
def test_advice(case: tuple[Any, ...]) -> None:
    code, at, changes = case
    assert (code, at) in [(problem.code, problem.pointer) for problem in review(spoil(changes))]


def test_every_code_has_an_example() -> None:
    """What comes from the text, the schema or the machine has its examples in the tests of explain."""
    elsewhere = (
        *("schema", "json-", "state-", "features-", "rootfs-", "namespace-missing", "namespace-type"),
        "mount-source-missing",
        "rootfs-noexec",
        "hook-missing",
        "landlock-abi",
        "landlock-p",
        "program-",
        "device-driver",
        "seccomp-unknown",
        "null-member",
        "property-unknown",
    )
    shown = {case[0] for case in (*ERRORS, *WARNINGS, *ADVICE)}
    assert {code for code in codes() if not code.startswith(elsewhere)} == shown


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_what_engines_write_is_accepted(path: Path) -> None:
    """No error at all, and only those warnings that the engines deserve."""
    spec = json.loads(path.read_text())
    assert fast.accepts(spec)
    deserved = {"seccomp-contradiction", "capability-order"}
    assert [problem for problem in explain.config_problems(spec) if problem.code not in deserved] == []


def test_engine_configs_are_there() -> None:
    assert len(CONFIGS) >= 19


def test_advice_is_not_noise() -> None:
    """A careful configuration gets none."""
    changes = {
        **USERS,
        "/process/apparmorProfile": "box",
        "/linux/resources/memory/limit": 1 << 30,
        "/linux/resources/pids/limit": 100,
        "/linux/maskedPaths": [
            "/proc/kcore",
            "/proc/keys",
            "/proc/timer_list",
            "/proc/sched_debug",
            "/proc/acpi",
            "/proc/scsi",
        ],
        "/linux/readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger", "/proc/bus", "/proc/fs", "/proc/irq"],
    }
    assert review(spoil(changes)) == []


def test_process_and_resources_on_their_own() -> None:
    process: Process = {"cwd": "x", "args": []}
    pointers = [problem.pointer for problem in check.process_problems(process, first=False)]
    assert pointers == ["/args", "/cwd"]
    assert len(check.process_problems(process, first=True)) == 1
    limits: Resources = {"memory": {"limit": 5, "swap": 1}, "cpu": {"idle": 7}}
    pointers = [problem.pointer for problem in check.resource_problems(limits, first=False)]
    assert pointers == ["/memory/swap", "/cpu/idle"]
    assert len(check.resource_problems(limits, first=True)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"/linux/sysctl": {"net.ipv4.conf.eth0/100.rp_filter": "1", "net/ipv4/conf/eth0.100/x": "1"}},
        {"/linux/sysctl": {"kernel.domainname": "x", "kernel.shmmax": "1", "fs.mqueue.msg_max": "5"}},
        {"/linux/sysctl": {"net.x": "1"}, "/linux/namespaces/2/path": "/nowhere"},
        {**USERS, "/linux/sysctl": {"user.max_user_namespaces": "0"}},
        {"/linux/resources/memory": {"limit": -1, "swap": -1, "swappiness": (1 << 64) - 1}},
        {"/linux/resources/memory": {"limit": 5, "swap": 5}},
        {"/linux/resources/memory": {"swap": 0}},
        {"/linux/resources/pids": {}},
        {"/linux/resources/cpu": {"cpus": "0-15:2/4,N", "mems": "all", "quota": -1, "burst": 5}},
        {"/linux/resources/devices": [{"allow": False, "access": "rwm"}]},
        {"/linux/netDevices": {"eth0": {"name": "x%d"}, "eth1": {"name": "x%d"}}},
        {"/mounts/-": {"destination": "/proc/cpuinfo", "type": "bind", "source": "/x"}},
        {"/mounts/-": {"destination": "/x", "options": ["remount", "ro"]}},
        {"/mounts/-": {"destination": "/process", "type": "tmpfs"}},
        {"/linux/timeOffsets": {}},
        {"/ociVersion": "1.0.0-rc5+build.7"},
        {"/process/env/-": "EMPTY="},
        {"/process/env/-": "A=B=C"},
        {
            "/process/scheduler": {
                "policy": "SCHED_DEADLINE",
                "runtime": 5000,
                "deadline": 9000,
                "period": 9000,
            }
        },
        {"/process/scheduler": {"policy": "SCHED_RR", "priority": 99}},
        {"/linux/memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-1,3", "flags": ["MPOL_F_STATIC_NODES"]}},
        {"/linux/memoryPolicy": {"mode": "MPOL_PREFERRED"}},
        {"/linux/memoryPolicy": {"mode": "MPOL_DEFAULT", "nodes": "", "flags": ["MPOL_F_STATIC_NODES"]}},
        {"/linux/memoryPolicy": {}},
        {"/linux/intelRdt": {}},
        {"/linux/intelRdt": {"closID": "/", "schemata": ["L3:0=f"], "enableMonitoring": True}},
        {"/process/execCPUAffinity": {"initial": "", "final": "0-3, 65536"}},
        {"/linux/cgroupsPath": "/../x"},
        {**USERS, "/linux/namespaces/6/path": "/proc/1/ns/user", "/process/user/uid": 99999},
        {"/linux/namespaces/1/path": ""},
        {"/annotations": {"a": ""}},
    ],
    ids=str,
)
def test_legal(changes: dict[str, Any]) -> None:
    errors = found(spoil(changes), "error")
    assert [problem for problem in errors if problem.code != "unsupported"] == []


def test_systemd_path() -> None:
    spec = spoil(
        {"/linux/cgroupsPath": "system.slice:box:1", "/annotations": {"org.systemd.property.TimeoutSec": "1"}}
    )
    assert found(spec, "error", systemd=True) == found(spec, "warning", systemd=True) == []


def test_sysctl_names() -> None:
    assert dotted("net.ipv4.conf.eth0/100.x") == "net.ipv4.conf.eth0/100.x"
    assert dotted("net/ipv4/conf/eth0.100/x") == "net.ipv4.conf.eth0/100.x"
    assert sysctl_path("net.ipv4.conf.eth0/100.x") == "net/ipv4/conf/eth0.100/x"
    assert sysctl_path("net/ipv4/conf/eth0.100/x") == "net/ipv4/conf/eth0.100/x"


def test_small_questions() -> None:
    assert [is_cpu_list(text) for text in ("", "0", "0-3, 7", "1,,2", ",", "2-1", "x", "-", "1-", "٣")] == [
        *[True] * 4,
        *[False] * 6,
    ]
    assert [is_interface_name(name) for name in ("eth0", "", ".", "..", "a b", "a/b", "a:b", "x" * 16)] == [
        True,
        *[False] * 7,
    ]


@pytest.mark.parametrize(
    ("version", "major"),
    [
        ("1.0.0", 1), ("1.0.2-dev", 1), ("1.0.0-rc.1+x-y.2", 1), ("0.1.0", 0), ("10.20.30", 10), ("2.0.0", 2),
        ("1", -1), ("1.0", -1), ("1.0.0.0", -1), ("01.0.0", -1), ("1.0.0+", -1), ("1.0.0-a..b", -1),
        ("v1.0.0", -1), ("1.0.x", -1), ("", -1), ("1.0.-1", -1), ("١.0.0", -1), ("1.0.0-é", -1),
        (" 1.0.0", -1),
    ],
)  # fmt: skip
def test_versions(version: str, major: int) -> None:
    assert semver_major(version) == major


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"/ociVersion": "v1.0.2"}, 'write "1.0.2"'),
        ({"/ociVersion": "1.2"}, 'write "1.2.0"'),
        ({"/ociVersion": "1"}, 'write "1.0.0"'),
        ({"/ociVersion": "latest"}, ""),
        ({"/process/capabilities": {"bounding": ["CAP_NET_BIND"]}}, 'did you mean "CAP_NET_BIND_SERVICE"?'),
        ({"/process/capabilities": {"bounding": ["kill"]}}, 'did you mean "CAP_KILL"?'),
        ({"/mounts/-": {**BIND, "options": ["bind", "readonly"]}}, 'did you mean "ro"?'),
        (
            {"/mounts/-": {**BIND, "options": ["bind", "Z"]}},
            "engines, not runtimes, relabel files for SELinux",
        ),
        ({"/mounts/-": {**BIND, "options": ["bind", "nosiud"]}}, 'did you mean "nosuid"?'),
    ],
)
def test_hints(changes: dict[str, Any], hint: str) -> None:
    found = explain.config_problems(spoil(changes))
    assert [problem.hint for problem in found] == [hint]
