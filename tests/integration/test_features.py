"""features: the document is the specification's, and each of its claims is so, found out by a container that needs it."""

from __future__ import annotations

import errno
import json
import platform
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.programs import Programs
from harness.runtime import Runtime

import pyoci
from pyoci._generated_schemas import SCHEMAS
from pyoci.spec.versions import SPECIFICATION
from pyoci.validate.explain import examine

pytestmark = pytest.mark.only("pyoci")


@pytest.fixture
def features(runtime: Runtime) -> dict[str, Any]:
    """What the runtime under test prints."""
    found: dict[str, Any] = runtime.call("features").ok().json()
    return found


# -- the document


def test_the_document_is_the_specifications(features: dict[str, Any]) -> None:
    text = json.dumps(features).encode()
    assert [item.problem for item in examine(text, "features", kind="features").findings] == []
    assert features["ociVersionMax"] == SPECIFICATION
    assert set(features) == {
        *("ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux", "annotations"),
        "potentiallyUnsafeConfigAnnotations",
    }


def test_every_part_that_the_specification_names_is_there(features: dict[str, Any]) -> None:
    schema = SCHEMAS["features-linux.json"]["linux"]["properties"]
    assert set(features["linux"]) == set(schema)
    for name, part in schema.items():
        assert part["type"] == "array" or set(features["linux"][name]) == set(part["properties"]), name
    assert features["linux"]["intelRdt"] == {"enabled": True, "schemata": True, "monitoring": True}
    assert all(
        features["linux"]["cgroup"][name] is True for name in ("v1", "v2", "systemd", "systemdUser", "rdma")
    )


def test_the_annotations_for_engines(features: dict[str, Any], runtime: Runtime) -> None:
    found = features["annotations"]
    commands = runtime.call("help").ok().out
    assert found["org.pyoci.version"] == pyoci.__version__
    assert found["org.opencontainers.runc.checkpoint.enabled"] == str("\n  checkpoint " in commands).lower()
    assert re.fullmatch(r"2\.\d+\.\d+", found["io.github.seccomp.libseccomp.version"])
    lines = runtime.call("--version").ok().lines()
    assert f"commit: {found['org.pyoci.commit']}" in lines


@pytest.mark.parametrize("side", ["ociVersionMin", "ociVersionMax"])
def test_both_versions_run(box: Boxes, features: dict[str, Any], side: str) -> None:
    made = box("/bin/echo", "hi")
    made.config["ociVersion"] = features[side]
    assert made.out() == "hi\n"


def test_every_hook_runs(box: Boxes, features: dict[str, Any], folder: Path) -> None:
    made = box("/bin/true")
    inside = made.file("hook", '#!/bin/sh\necho "$1" >> /log\n', 0o755)
    made.config["hooks"] = {
        kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {kind} >> {folder}/log"]}]
        for kind in features["hooks"]
    }
    made.config["hooks"]["startContainer"] = [{"path": "/" + inside.name, "args": ["hook", "startContainer"]}]
    made.run()
    ran = {*(folder / "log").read_text().split(), *(made.rootfs / "log").read_text().split()}
    assert ran == set(features["hooks"]) and len(ran) == 6


# -- mount options


class Trial:
    """How an option is tried: a mount with these options, then what its lines of mountinfo have and have not."""

    def __init__(self, *options: str, has: str = "", lacks: str = "", tree: bool = False) -> None:
        self.options = list(options)
        self.has = set(has.split())
        self.lacks = set(lacks.split())
        self.tree = tree


ATTRIBUTES = {
    **{
        word: Trial(word, has=word)
        for word in "ro nosuid nodev noexec noatime nodiratime nosymfollow".split()
    },
    "relatime": Trial("noatime", "relatime", has="relatime", lacks="noatime"),
    "strictatime": Trial("strictatime", lacks="noatime relatime"),
    "rw": Trial("ro", "rw", has="rw"),
    "suid": Trial("nosuid", "suid", lacks="nosuid"),
    "dev": Trial("nodev", "dev", lacks="nodev"),
    "exec": Trial("noexec", "exec", lacks="noexec"),
    "atime": Trial("noatime", "atime", has="relatime", lacks="noatime"),
    "norelatime": Trial("relatime", "norelatime", has="relatime"),
    "nostrictatime": Trial("strictatime", "nostrictatime", has="relatime"),
    "diratime": Trial("nodiratime", "diratime", lacks="nodiratime"),
    "symfollow": Trial("nosymfollow", "symfollow", lacks="nosymfollow"),
}
RECURSIVE = {
    "r" + word: Trial(
        *["r" + option for option in trial.options],
        has=" ".join(trial.has),
        lacks=" ".join(trial.lacks),
        tree=True,
    )
    for word, trial in ATTRIBUTES.items()
}
FILE_SYSTEM = {
    "sync": Trial("sync", has="sync"),
    "async": Trial("sync", "async", lacks="sync"),
    "dirsync": Trial("dirsync", has="dirsync"),
    "lazytime": Trial("lazytime", has="lazytime"),
    "nolazytime": Trial("lazytime", "nolazytime", lacks="lazytime"),
    # Linux takes these and does nothing (mand: since 5.15), or shows nothing of it.
    **{word: Trial(word) for word in "mand nomand silent loud iversion noiversion defaults".split()},
}
PROPAGATION = {
    "private": Trial("private", lacks="shared master unbindable"),
    "shared": Trial("shared", has="shared"),
    "slave": Trial("shared", "slave", lacks="shared unbindable"),
    "unbindable": Trial("unbindable", has="unbindable"),
}
DEEP = {
    "r" + word: Trial("r" + word, has=" ".join(trial.has), tree=True) for word, trial in PROPAGATION.items()
}
MOUNTED = {**ATTRIBUTES, **FILE_SYSTEM, **PROPAGATION}
TREES = {**RECURSIVE, **DEEP}
OTHER = {"bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap"}


def lines_below(text: str, point: str) -> list[set[str]]:
    """Mount options, propagation and options of the file system, of the mounts on a place and below it."""
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        if fields[4] == point or fields[4].startswith(point + "/"):
            spread = [field.partition(":")[0] for field in fields[6:]]
            found.append({*fields[5].split(","), *spread, *right.split(" ", 2)[2].split(",")})
    return found


def test_every_mount_option_is_tried(features: dict[str, Any]) -> None:
    """A new option wants a trial here; crun's three have tests of their own."""
    crun = {"copy-symlink", "src-nofollow", "dest-nofollow"}
    assert set(features["mountOptions"]) - crun == {*MOUNTED, *TREES, *OTHER}


def test_mount_options(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/mountinfo")
    for word, trial in MOUNTED.items():
        made.mount(f"/m/{word}", "tmpfs", "tmpfs", *trial.options)
    wrong = {}
    text = made.out()
    for word, trial in MOUNTED.items():
        (found,) = lines_below(text, f"/m/{word}")
        if not trial.has <= found or trial.lacks & found:
            wrong[word] = found
    assert not wrong


def test_mount_options_of_trees(box: Boxes, folder: Path) -> None:
    made = box("/bin/cat", "/proc/self/mountinfo")
    (folder / "tree/below").mkdir(parents=True)
    with HostMount(folder / "tree/below"):
        for word, trial in TREES.items():
            made.mount(f"/t/{word}", "bind", str(folder / "tree"), "rbind", *trial.options)
        text = made.out()
    wrong = {}
    for word, trial in TREES.items():
        found = lines_below(text, f"/t/{word}")
        if len(found) != 2 or any(not trial.has <= line or trial.lacks & line for line in found):
            wrong[word] = found
    assert not wrong


class HostMount:
    """A tmpfs on a directory of the test's own mount namespace, for a while."""

    def __init__(self, place: Path) -> None:
        self.place = str(place).encode()

    def __enter__(self) -> None:
        machine.check_libc(machine.LIBC.mount(b"none", self.place, b"tmpfs", 0, None), "mount")

    def __exit__(self, *_: object) -> None:
        machine.check_libc(machine.LIBC.umount2(self.place, 0), "umount")


def test_a_word_that_is_not_claimed_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.mount("/m", "tmpfs", "tmpfs", "nonsense")
    made.run(check=False).failed("nonsense")


def test_bind_and_rbind(box: Boxes, folder: Path) -> None:
    made = box("/bin/cat", "/proc/self/mountinfo")
    (folder / "tree/below").mkdir(parents=True)
    with HostMount(folder / "tree/below"):
        made.mount("/one", "", str(folder / "tree"), "bind")
        made.mount("/all", "", str(folder / "tree"), "rbind")
        text = made.out()
    assert (len(lines_below(text, "/one")), len(lines_below(text, "/all"))) == (1, 2)


def test_remount(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/mountinfo")
    made.mount("/m", "tmpfs", "tmpfs", "nosuid")
    made.mount("/m", "tmpfs", "tmpfs", "remount", "suid", "noexec")
    (found,) = lines_below(made.out(), "/m")
    assert "noexec" in found and "nosuid" not in found


def test_remount_with_an_option_of_the_file_system(box: Boxes) -> None:
    made = box.sh("head -c 65536 /dev/zero > /m/kept && df -k /m | tail -n 1")
    made.mount("/m", "tmpfs", "tmpfs", "size=1m")
    made.mount("/m", "tmpfs", "tmpfs", "remount", "size=128k")
    assert made.out().split()[1] == "128"


def test_remount_with_an_option_that_the_kernel_refuses(box: Boxes) -> None:
    made = box("/bin/true")
    made.mount("/m", "tmpfs", "tmpfs", "size=1m")
    made.mount("/m", "tmpfs", "tmpfs", "remount", "size=nonsense")
    made.run(check=False).failed("size")


def test_tmpcopyup(box: Boxes) -> None:
    made = box("/bin/cat", "/data/file")
    made.file("data/file", "content\n")
    made.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    assert made.out() == "content\n"


@pytest.mark.parametrize("option", ["idmap", "ridmap"])
def test_idmap(box: Boxes, folder: Path, features: dict[str, Any], option: str) -> None:
    """Also the claim of mountExtensions."""
    (folder / "volume").mkdir()
    made = box("/bin/stat", "-c", "%u:%g", "/volume")
    entry = made.mount("/volume", "bind", str(folder / "volume"), "rbind", option)
    for name in ("uidMappings", "gidMappings"):
        entry[name] = [{"containerID": 0, "hostID": 1000, "size": 10}]
    found = made.run(check=False)
    if "id map: invalid argument" in found.err:
        pytest.skip("the file system of the test's directory has no id-mapped mounts")
    assert features["linux"]["mountExtensions"]["idmap"]["enabled"] is True
    assert found.ok().out == "1000:1000\n"


# -- linux


def test_namespaces(box: Boxes, features: dict[str, Any]) -> None:
    files = {"mount": "mnt", "network": "net"}
    claimed = features["linux"]["namespaces"]
    assert len(claimed) == 8
    there = {kind for kind in claimed if files.get(kind, kind) in machine.namespace_kinds()}
    made = box.sh("for kind in /proc/self/ns/*; do echo ${kind##*/} $(readlink $kind); done")
    for kind in there - {"user"}:
        made.namespace(kind)
    if "user" in there:
        made.user_namespace()
    inside = dict(line.split() for line in made.run().lines())
    for kind in there:
        name = files.get(kind, kind)
        assert inside[name] != Path(f"/proc/self/ns/{name}").readlink().name, kind


def test_capabilities(box: Boxes, features: dict[str, Any]) -> None:
    claimed = features["linux"]["capabilities"]
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    bounding = int(re.findall(r"CapBnd:\s*(\w+)", Path("/proc/self/status").read_text())[0], 16)
    assert len(claimed) == len(set(claimed)) == 41
    there = [number for number in range(min(len(claimed), last + 1)) if bounding >> number & 1]
    # Each is in those containers that its number says, and so cannot be taken for another.
    for bit in range(6):
        wanted = [number for number in there if number >> bit & 1]
        made = box("/bin/grep", "CapBnd", "/proc/self/status")
        made.capabilities(*[claimed[number] for number in wanted])
        assert int(made.out().split()[1], 16) == sum(1 << number for number in wanted), wanted


def test_this_machines_cgroups(box: Boxes, features: dict[str, Any]) -> None:
    """The other version, and systemd with its users, are tried in a virtual machine, by the tests of cgroups and of scopes."""
    assert features["linux"]["cgroup"][f"v{machine.cgroup_version()}"] is True
    machine.need_controller("pids")
    made = box("/bin/sleep", "1000")
    made.linux["resources"] = {"pids": {"limit": 17}}
    made.launch()
    rows = (row.split(":", 2) for row in Path(f"/proc/{made.pid}/cgroup").read_text().splitlines())
    path = next(
        row[2] for row in rows if "pids" in row[1] or (row[0] == "0" and machine.cgroup_version() == 2)
    )
    tree = machine.CGROUPS / ("pids" if machine.cgroup_version() == 1 else "")
    assert (tree / path.strip("/") / "pids.max").read_text() == "17\n"


def refusal(made: Container) -> str:
    """Why `create` refuses a container as something that this version does not have; "" when it does not."""
    found = made.create(check=False)
    if found.rc == 0:
        made.delete("--force")
    return found.err if "is not supported by this version" in found.err else ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("netDevices", {"pyoci-none": {}}),
        ("intelRdt", {"closID": "pyoci-none"}),
        ("intelRdt", {"schemata": ["L3:0=f"]}),
        ("memoryPolicy", {"mode": "MPOL_BIND", "nodes": "0"}),
    ],
)
def test_what_is_claimed_is_not_refused_and_nothing_else(
    box: Boxes, features: dict[str, Any], name: str, value: dict[str, Any]
) -> None:
    made = box("/bin/true")
    made.linux[name] = value
    claim = features["linux"].get(name, {})
    claimed = claim.get("enabled", bool(claim.get("modes")))
    assert claimed == (not refusal(made))
    if "schemata" in value:
        assert claim["schemata"] == claimed


def test_memory_policies(box: Boxes, features: dict[str, Any]) -> None:
    """An older kernel does not have them all: then the hint says which one has."""
    policy = features["linux"]["memoryPolicy"]
    assert len(policy["modes"]) == 7 and len(policy["flags"]) == 3
    newer = {"MPOL_PREFERRED_MANY": (5, 15), "MPOL_WEIGHTED_INTERLEAVE": (6, 9)}
    wanted: list[dict[str, Any]] = [{"mode": mode} for mode in policy["modes"]]
    wanted += [{"mode": "MPOL_BIND", "flags": [flag]} for flag in policy["flags"]]
    for each in wanted:
        made = box("/bin/true")
        nodes = "" if each["mode"] in ("MPOL_DEFAULT", "MPOL_LOCAL") else "0"
        made.linux["memoryPolicy"] = {**each, "nodes": nodes}
        found = made.run(check=False)
        since = newer.get(each["mode"], (0, 0))
        assert found.err == "" if machine.kernel() >= since else "6.9" in found.err, (each, found)


@pytest.mark.parametrize(
    ("module", "member", "label"),
    [("apparmor", "apparmorProfile", "unconfined"), ("selinux", "selinuxLabel", "system_u:system_r:x_t:s0")],
)
def test_labels(box: Boxes, features: dict[str, Any], module: str, member: str, label: str) -> None:
    """They are written; a kernel without the module says so."""
    assert features["linux"][module] == {"enabled": True}
    made = box("/bin/cat", "/proc/self/attr/current")
    made.process[member] = label
    found = made.create(check=False)
    if found.rc:
        found.failed("AppArmor" if module == "apparmor" else "SELinux")
    else:
        made.delete("--force")
        assert label in made.out()


# -- seccomp

GETPGRP = 111
x86_64 = pytest.mark.skipif(
    platform.machine() != "x86_64" or not machine.seccomp_works(),
    reason="the number of the call is that of x86_64, and the kernel needs seccomp",
)
ENDED = 128 + signal.SIGSYS
# action: the exit status, and the errno of the call where the program lives on
ACTIONS = {
    "SCMP_ACT_ALLOW": (0, 0),
    "SCMP_ACT_LOG": (0, 0),
    "SCMP_ACT_ERRNO": (0, errno.EPERM),
    "SCMP_ACT_TRACE": (0, errno.ENOSYS),
    **{f"SCMP_ACT_{word}": (ENDED, 0) for word in ("KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP")},
}
# operator: a value and an argument that it holds for, and an argument that it does not hold for
OPERATORS = {
    "SCMP_CMP_NE": (5, 6, 5),
    "SCMP_CMP_LT": (5, 4, 5),
    "SCMP_CMP_LE": (5, 5, 6),
    "SCMP_CMP_EQ": (5, 5, 6),
    "SCMP_CMP_GE": (5, 5, 4),
    "SCMP_CMP_GT": (5, 6, 5),
    "SCMP_CMP_MASKED_EQ": (0xF, 0xA5, 0xA6),
}


def filtered(box: Boxes, programs: Programs, *arguments: int, **seccomp: Any) -> Container:
    """A container that makes one system call under a profile, with the answer EXDEV unless another rule is given."""
    made = box()
    made.args(made.put(programs.path("probe")), "call", str(GETPGRP), *map(str, arguments))
    rules = [{"names": ["getpgrp"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}]
    made.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules, **seccomp}
    return made


def answer(made: Container) -> int:
    """The errno that the program got."""
    return int(made.out().split()[-1])


@x86_64
def test_seccomp_actions(box: Boxes, programs: Programs, features: dict[str, Any]) -> None:
    """SCMP_ACT_NOTIFY needs a listener: its tests are about that."""
    assert set(features["linux"]["seccomp"]["actions"]) - {"SCMP_ACT_NOTIFY"} == set(ACTIONS)
    for action, (status, number) in ACTIONS.items():
        made = filtered(box, programs, syscalls=[{"names": ["getpgrp"], "action": action}])
        found = made.run(check=False)
        assert found.rc == status, action
        assert status or int(found.out.split()[-1]) == number, action


def test_notify_is_claimed(box: Boxes, features: dict[str, Any]) -> None:
    """It is the agent that is missing here; with one: test_seccomp_notify.py."""
    made = box("/bin/true")
    rules = [{"names": ["getpgrp"], "action": "SCMP_ACT_NOTIFY"}]
    made.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nowhere", "syscalls": rules}
    assert "SCMP_ACT_NOTIFY" in features["linux"]["seccomp"]["actions"]
    made.create(check=False).failed("failed to connect with seccomp agent")


@x86_64
def test_seccomp_operators(box: Boxes, programs: Programs, features: dict[str, Any]) -> None:
    assert set(features["linux"]["seccomp"]["operators"]) == set(OPERATORS)
    for operator, (value, hit, miss) in OPERATORS.items():
        args = [{"index": 0, "value": value, "valueTwo": 5, "op": operator}]
        rules = [{"names": ["getpgrp"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV, "args": args}]
        found = [answer(filtered(box, programs, number, syscalls=rules)) for number in (hit, miss)]
        assert found == [errno.EXDEV, 0], operator


@x86_64
def test_seccomp_flags(box: Boxes, programs: Programs, features: dict[str, Any]) -> None:
    """A supported flag loads, a known one that is not supported is refused by name."""
    found = features["linux"]["seccomp"]
    assert set(found["supportedFlags"]) <= set(found["knownFlags"]) and len(found["knownFlags"]) == 4
    for flag in found["knownFlags"]:
        made = filtered(box, programs, flags=[flag])
        if flag in found["supportedFlags"]:
            assert answer(made) == errno.EXDEV, flag
        else:
            made.run(check=False).failed(flag)


@x86_64
def test_seccomp_architectures(box: Boxes, programs: Programs, features: dict[str, Any]) -> None:
    """Those that are claimed load; the schema's others are refused by name."""
    claimed = features["linux"]["seccomp"]["archs"]
    assert {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"} <= set(claimed)
    for name in claimed:
        assert answer(filtered(box, programs, architectures=[name])) == errno.EXDEV, name
    for name in ("SCMP_ARCH_S390X", "SCMP_ARCH_PPC64", "SCMP_ARCH_MIPS"):
        assert name not in claimed
        filtered(box, programs, architectures=[name]).run(check=False).failed()
