"""Failures of control groups."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from harness import machine
from harness.box import Container
from harness.runtime import Result

from . import Stage, case, denying

V1 = machine.cgroup_version() == 1
RESOURCES = "/linux/resources"
PATH = "/linux/cgroupsPath"
BPF, EPERM = 321, 1  # x86_64


def limited(stage: Stage, **resources: object) -> Container:
    made = stage.box("/bin/true")
    made.linux.setdefault("resources", {}).update(resources)
    return made


def directory(made: Container, controller: str) -> Path:
    """The container's cgroup, in the tree of a controller."""
    return (machine.CGROUPS / controller if V1 else machine.CGROUPS) / made.cgroup.strip("/")


def remove(name: str) -> None:
    """Remove a cgroup that a container's path made necessary, from every tree."""
    for tree in [machine.CGROUPS, *machine.CGROUPS.iterdir()]:
        if (tree / name).is_dir() and not tree.is_symlink():
            (tree / name).rmdir()


@case(
    "cgroup-path",
    "does not name a cgroup for this container alone",
    verb="run",
    pointer=PATH,
    hint="/containers/ID",
)
def path_without_names(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.linux["cgroupsPath"] = "/.."
    return made.run(check=False)


@case(
    "cgroup-create",
    "cannot make cgroup",
    "not a directory",
    verb="run",
    pointer=PATH,
    errno="ENOTDIR",
    hint="not a cgroup",
)
def cgroup_below_a_file(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.linux["cgroupsPath"] = f"/{made.id}/cgroup.procs/x"
    return made.run(check=False)


@case(
    "cgroup-create",
    "cannot make cgroup",
    "read-only file system",
    verb="run",
    pointer=PATH,
    errno="EROFS",
    hint="read-only",
)
def cgroups_that_are_read_only(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.save()
    place = machine.CGROUPS / "memory" if V1 else machine.CGROUPS
    script = f"mount --make-rprivate / && mount -o remount,bind,ro {place}"
    return stage.behind("unshare", "-m", "run", "--bundle", str(made.directory), made.id, script=script)


@case(
    "cgroup-create", "cannot make cgroup", "resource temporarily unavailable", verb="run", pointer=PATH, errno="EAGAIN",
    hint="cgroup.max.descendants",
)  # fmt: skip
def cgroup_tree_that_is_full(stage: Stage) -> Result:
    if V1:
        pytest.skip("cgroup v1 knows no such limit")
    made = stage.box("/bin/true")
    made.linux["cgroupsPath"] = f"/{made.id}/below"
    above = machine.CGROUPS / made.id
    above.mkdir()
    (above / "cgroup.max.descendants").write_text("0")
    try:
        return made.run(check=False)
    finally:
        above.rmdir()


@case("cgroup-missing", "no cgroups are mounted at /sys/fs/cgroup", verb="run", hint="mount -t cgroup2")
def no_cgroups(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.save()
    script = "mount -t tmpfs none /sys/fs/cgroup"
    return stage.behind("unshare", "-m", "run", "--bundle", str(made.directory), made.id, script=script)


@case(
    "cgroup-controller-missing",
    "cgroup controller",
    "is not available",
    verb="run",
    hint="omit the property",
)
def controller_that_is_not_there(stage: Stage) -> Result:
    if V1 and "net_cls" not in machine.controllers():
        return limited(stage, network={"classID": 1}).run(check=False)
    if not V1:
        return limited(stage, unified={"nosuch.max": "1"}).run(check=False)
    pytest.skip("this machine has every controller")


@case("cgroup-file-missing", "the kernel has no", verb="run", errno="ENOENT", hint="without it")
def file_that_is_not_there(stage: Stage) -> Result:
    if not V1:
        return limited(stage, unified={"memory.nosuch": "1"}).run(check=False)
    if os.path.exists(machine.CGROUPS / "memory/memory.kmem.limit_in_bytes"):
        pytest.skip("this kernel has all the files that a configuration can ask for")
    machine.need_controller("cpu")
    if os.path.exists(machine.CGROUPS / "cpu/cpu.rt_runtime_us"):
        pytest.skip("this kernel has cpu.rt_runtime_us")
    return limited(stage, cpu={"realtimeRuntime": 1000}).run(check=False)


@case(
    "cgroup-limit",
    'cannot set cpuset.cpus to "99999"',
    verb="run",
    pointer=RESOURCES + "/cpu/cpus",
    errno="ERANGE",
    hint="with that number",
)
def limit_that_cannot_be(stage: Stage) -> Result:
    machine.need_controller("cpuset")
    return limited(stage, cpu={"cpus": "99999"}).run(check=False)


@case("cgroup-unified", "needs cgroup v2", verb="run", pointer=RESOURCES + "/unified", hint="other members")
def unified_on_v1(stage: Stage) -> Result:
    if not V1:
        pytest.skip("this machine has cgroup v2")
    return limited(stage, unified={"memory.max": "1"}).run(check=False)


@case(
    "cgroup-devices", "device", verb="run", pointer=RESOURCES + "/devices", errno="" if V1 else "EPERM",
    hint="one by one" if V1 else "CAP_BPF",
)  # fmt: skip
def device_rules_that_cannot_be(stage: Stage) -> Result:
    if not V1:
        return stage.box("/bin/true").run(check=False, preexec_fn=denying(BPF, EPERM))
    rules: list[dict[str, object]] = [{"allow": False, "access": "rwm"}]
    rules.append({"allow": True, "type": "c", "minor": 3, "access": "rw"})
    rules.append({"allow": False, "type": "c", "major": 1, "access": "rw"})
    return limited(stage, devices=rules).run(check=False)


@case(
    "cgroup-not-empty",
    "container's cgroup is not empty",
    verb="run",
    pointer=PATH,
    hint="its own cgroupsPath",
)
def cgroup_of_another(stage: Stage) -> Result:
    other = stage.running()
    made = stage.box("/bin/true")
    made.linux["cgroupsPath"] = other.cgroup
    return made.run(check=False)


@case("cgroup-frozen", "is unexpectedly frozen", verb="run", pointer=PATH, hint="thaw")
def cgroup_that_is_frozen(stage: Stage) -> Result:
    machine.need_controller("freezer") if V1 else None
    made = stage.box("/bin/true")
    made.linux["cgroupsPath"] = f"/{made.id}/below"
    above = directory(made, "freezer")
    above.mkdir()
    (above / ("freezer.state" if V1 else "cgroup.freeze")).write_text("FROZEN" if V1 else "1")
    try:
        return made.run(check=False)
    finally:
        (above / ("freezer.state" if V1 else "cgroup.freeze")).write_text("THAWED" if V1 else "0")
        above.rmdir()


@case("cgroup-freeze", "is still frozen", verb="resume", hint="thaw that cgroup")
def frozen_from_above(stage: Stage) -> Result:
    machine.need_controller("freezer") if V1 else None
    made = stage.box("/bin/sleep", "1000")
    made.cgroup = f"/{made.id}/below"
    made.linux["cgroupsPath"] = made.cgroup
    made.launch()
    above = directory(made, "freezer").parent / ("freezer.state" if V1 else "cgroup.freeze")
    above.write_text("FROZEN" if V1 else "1")
    try:
        return stage.call("resume", made.id)
    finally:
        above.write_text("THAWED" if V1 else "0")
        made.delete("--force")
        made.wait_for(made.first)
        remove(made.id)


@case(
    "cgroup-join",
    "cannot join cgroup",
    "permission denied",
    verb="exec",
    errno="EACCES",
    status=255,
    hint="another user",
)
def cgroup_of_somebody_else(stage: Stage) -> Result:
    if not V1:
        pytest.skip("in cgroup v2 the kernel is asked for a birth in the cgroup")
    made = stage.running()
    stage.open_state(made)
    return stage.as_nobody("exec", made.id, "true")


@case("cgroup-kill", "cannot kill cgroup", "permission denied", verb="kill", errno="EACCES")
def killed_by_somebody_else(stage: Stage) -> Result:
    if V1:
        pytest.skip("cgroup v1 has no cgroup.kill")
    made = stage.running()
    stage.open_state(made)
    return stage.as_nobody("kill", "--all", made.id, "KILL")


@case(
    "cgroup-changed", "is not the one that was made for the container", verb="pause", hint="leaves it alone"
)
def made_again_under_the_same_name(stage: Stage) -> Result:
    made = stage.running()
    assert stage.runtime.root
    path = stage.runtime.root / made.id / "state.json"
    right = path.read_text()
    record = json.loads(right)
    for identity in record["cgroup"]["ids"].values():
        identity[1] += 1
    path.write_text(json.dumps(record))
    try:
        return stage.call("pause", made.id)
    finally:
        path.write_text(right)


@case(
    "cgroup-remove",
    "cannot remove cgroup",
    "device or resource busy",
    verb="delete",
    errno="EBUSY",
    hint="still in it",
)
def somebody_else_in_the_cgroup(stage: Stage) -> Result:
    made = stage.stopped()
    guest = subprocess.Popen(["sleep", "1000"])
    home = directory(made, "pids") / "cgroup.procs"
    home.write_text(str(guest.pid))
    try:
        return made.delete(check=False)
    finally:
        guest.kill()
        guest.wait()


@case(
    "cgroup-sub",
    "error adding pid to cgroup",
    "nosuch: no such file or directory",
    verb="exec",
    status=255,
    errno="ENOENT",
    hint="create it first",
)
def no_sub_cgroup(stage: Stage) -> Result:
    return stage.running().exec("true", options=("--cgroup", "nosuch"), check=False)


@case("systemd-unreachable", "cannot reach systemd", verb="run", hint="use --cgroup-manager=cgroupfs")
def no_systemd(stage: Stage) -> Result:
    if machine.systemd_runs():
        pytest.skip("systemd runs here")
    stage.runtime.global_options += ["--systemd-cgroup"]
    made = stage.box("/bin/true")
    made.linux["cgroupsPath"] = f"system.slice:pyoci:{made.id}"
    return made.run(check=False)


@case("systemd", "Nonsense", verb="run")
def property_that_systemd_has_not(stage: Stage) -> Result:
    if not machine.systemd_runs():
        pytest.skip("systemd does not run here")
    stage.runtime.global_options += ["--systemd-cgroup"]
    made = stage.box("/bin/true")
    made.linux["cgroupsPath"] = f"system.slice:pyoci:{made.id}"
    made.config["annotations"] = {"org.systemd.property.Nonsense": "1"}
    return made.run(check=False)


@case(
    "systemd-property",
    "annotation org.systemd.property.TasksMax",
    verb="run",
    pointer="/annotations/org.systemd.property.TasksMax",
)
def property_that_cannot_be_read(stage: Stage) -> Result:
    if not machine.systemd_runs():
        pytest.skip("systemd does not run here")
    stage.runtime.global_options += ["--systemd-cgroup"]
    made = stage.box("/bin/true")
    made.linux["cgroupsPath"] = f"system.slice:pyoci:{made.id}"
    made.config["annotations"] = {"org.systemd.property.TasksMax": "uint64 many"}
    return made.run(check=False)
