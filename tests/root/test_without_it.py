"""docs/config.md, "without it": what the kernel refuses is an error with the code of that row, and names the property.

A seccomp filter refuses the runtime, and all that it starts, the system call that the property needs. What can be missing for
real - a controller, a device, a file system - is tested where it is missing: tests/error_catalogue has a case for each code.
"""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import refusals
from harness.box import Container
from harness.boxes import Boxes
from harness.refusals import Refusal
from unit import config_page

REASON = refusals.why_not()
pytestmark = [pytest.mark.only("pyoci"), pytest.mark.skipif(bool(REASON), reason=str(REASON))]

# x86-64
CAPSET, IOPRIO_SET, MKNODAT, PERSONALITY, PIVOT_ROOT, PRCTL, PRLIMIT64 = 126, 251, 259, 135, 155, 157, 302
SCHED_SETATTR, SECCOMP, SETDOMAINNAME, SETGROUPS, SETHOSTNAME, SETRESGID, SETRESUID = (
    314,
    317,
    171,
    116,
    170,
    119,
    117,
)
FSOPEN, SCHED_SETAFFINITY, SET_MEMPOLICY, SETNS, UNSHARE = 430, 203, 238, 308, 272
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
# Those that unshare(2) makes; the others are flags in a structure of clone3(2).
CLONE_NEW = {
    "time": 0x80,
    "mount": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "network": 0x40000000,
}
FILTER = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]}
KMSG = {"path": "/dev/x", "type": "c", "major": 1, "minor": 11}


@dataclass
class Trial:
    """A property and the system call that it needs.

    name     the property or the value, as docs/config.md has it
    refused  the system call
    asked    what asks for it, by pointer; the container has a user and a host name in any case
    pointer  that of the error, or how it begins     hint  words of the hint
    """

    name: str
    refused: Refusal
    asked: dict[str, Any]
    pointer: str
    hint: str = ""


def prctl(option: int, error: int) -> Refusal:
    return Refusal(PRCTL, error, value=option)


def policy(name: str) -> dict[str, Any]:
    return {"/linux/memoryPolicy": {"mode": name, "nodes": "0"}}


TRIALS = [
    Trial("hostname", Refusal(SETHOSTNAME, errno.EPERM), {}, "/hostname", "uts namespace"),
    Trial("domainname", Refusal(SETDOMAINNAME, errno.EPERM), {"/domainname": "d"}, "/domainname"),
    Trial("root.path", Refusal(PIVOT_ROOT, errno.EINVAL), {}, "/root/path", "--no-pivot"),
    Trial("process.user.uid", Refusal(SETRESUID, errno.EINVAL), {}, "/process/user", "mapped"),
    Trial("process.user.gid", Refusal(SETRESGID, errno.EINVAL), {}, "/process/user", "mapped"),
    Trial("process.user.additionalGids", Refusal(SETGROUPS, errno.EPERM), {}, "/process/user"),
    Trial("process.capabilities", Refusal(CAPSET, errno.EPERM), {}, "/process/capabilities"),
    Trial(
        "process.capabilities.bounding",
        prctl(PR_CAPBSET_DROP, errno.EPERM),
        {},
        "/process/capabilities/bounding",
    ),
    Trial(
        "process.noNewPrivileges",
        prctl(PR_SET_NO_NEW_PRIVS, errno.EINVAL),
        {"/process/noNewPrivileges": True},
        "/process/noNewPrivileges",
    ),
    Trial(
        "process.ioPriority",
        Refusal(IOPRIO_SET, errno.EPERM),
        {"/process/ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1}},
        "/process/ioPriority",
        "CAP_SYS_NICE",
    ),
    Trial(
        "process.scheduler",
        Refusal(SCHED_SETATTR, errno.EPERM),
        {"/process/scheduler": {"policy": "SCHED_BATCH"}},
        "/process/scheduler",
        "CAP_SYS_NICE",
    ),
    Trial(
        "process.rlimits",
        Refusal(PRLIMIT64, errno.EPERM),
        {"/process/rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]},
        "/process/rlimits/0",
    ),
    Trial("mounts[].type", Refusal(FSOPEN, errno.ENODEV), {}, "/mounts/0", "file system type"),
    Trial(
        "linux.devices",
        Refusal(MKNODAT, errno.EPERM, argument=3, value=1 << 8 | 11),
        {"/linux/devices": [KMSG]},
        "/linux/devices/0",
        "CAP_MKNOD",
    ),
    Trial(
        "linux.personality",
        Refusal(PERSONALITY, errno.EPERM),
        {"/linux/personality": {"domain": "LINUX32"}},
        "/linux/personality",
    ),
    Trial(
        "linux.memoryPolicy",
        Refusal(SET_MEMPOLICY, errno.ENOSYS),
        policy("MPOL_BIND"),
        "/linux/memoryPolicy",
        "CONFIG_NUMA",
    ),
    Trial(
        "MPOL_PREFERRED_MANY",
        Refusal(SET_MEMPOLICY, errno.EINVAL, value=5),
        policy("MPOL_PREFERRED_MANY"),
        "/linux/memoryPolicy",
        "5.15",
    ),
    Trial(
        "MPOL_WEIGHTED_INTERLEAVE",
        Refusal(SET_MEMPOLICY, errno.EINVAL, value=6),
        policy("MPOL_WEIGHTED_INTERLEAVE"),
        "/linux/memoryPolicy",
        "6.9",
    ),
    Trial("linux.seccomp", Refusal(SECCOMP, errno.ENOSYS), {"/linux/seccomp": FILTER}, "/linux/seccomp"),
    *(
        Trial(
            "linux.namespaces[].type",
            Refusal(UNSHARE, errno.EINVAL, bits=flag),
            {f"/namespace/{kind}": None},
            "/linux",
        )
        for kind, flag in CLONE_NEW.items()
    ),
    Trial(
        "linux.namespaces[].path",
        Refusal(SETNS, errno.EPERM),
        {"/namespace/ipc": "/proc/self/ns/ipc"},
        "/linux/namespaces",
    ),
]


def configure(made: Container, asked: dict[str, Any]) -> None:
    made.process["user"] = {"uid": 1, "gid": 1, "additionalGids": [2]}
    for pointer, value in asked.items():
        first, *rest = pointer[1:].split("/")
        if first == "namespace":
            made.namespace(rest[0], value)
        elif rest:
            made.config[first][rest[0]] = value
        else:
            made.config[first] = value


def refused(made: Container, log: Path, what: Refusal) -> dict[str, Any]:
    """What is logged where a system call is refused, by `create` or else by `start`."""
    made.runtime.global_options = ["--log", str(log), "--log-format", "json"]
    result = made.create(check=False, preexec_fn=refusals.loader(what))
    if result.rc == 0:
        result = made.start(check=False)
        made.delete("--force")
    result.failed()
    found: dict[str, Any] = json.loads(log.read_text().splitlines()[-1])
    return found


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: f"{trial.name}-{'-'.join(trial.asked)}")
def test_the_error_is_that_of_the_row(box: Boxes, folder: Path, trial: Trial) -> None:
    made = box("/bin/true")
    configure(made, trial.asked)
    found = refused(made, folder / "log.json", trial.refused)
    assert found["code"] in config_page.codes(trial.name), found
    assert found.get("pointer", "").startswith(trial.pointer), found
    assert trial.hint in found.get("hint", ""), found


def test_the_processors_of_an_exec(box: Boxes, folder: Path) -> None:
    made = box("/bin/sleep", "1000")
    made.process["execCPUAffinity"] = {"final": "0"}
    made.launch()
    log = folder / "log.json"
    made.runtime.global_options = ["--log", str(log), "--log-format", "json"]
    made.exec(
        "/bin/true", check=False, preexec_fn=refusals.loader(Refusal(SCHED_SETAFFINITY, errno.EINVAL))
    ).failed()
    found = json.loads(log.read_text().splitlines()[-1])
    assert [found["code"]] == config_page.codes("process.execCPUAffinity")
    assert found["pointer"] == "/process/execCPUAffinity/final"
