"""Failures that come from the state of a container, or of what is written down of it."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from harness import machine
from harness.runtime import Result

from . import Stage, case
from .cgroups import remove


@case("id-taken", "container with given ID already exists: ", verb="create", hint="pyoci delete")
def twice(stage: Stage) -> Result:
    made = stage.running()
    return stage.call("create", "--bundle", str(made.directory), made.id)


@case("not-found", "container does not exist: nosuch", verb="state", hint="pyoci list")
def unknown_container(stage: Stage) -> Result:
    return stage.call("state", "nosuch")


@case("not-created", "cannot start an already running container", verb="start")
def started_twice(stage: Stage) -> Result:
    return stage.running().start(check=False)


@case("not-created", "cannot start a container that has stopped", verb="start", hint="create it again")
def started_when_dead(stage: Stage) -> Result:
    return stage.stopped().start(check=False)


@case(
    "notify", "cannot make the socket for sd_notify(3)", verb="start", errno="ENOTDIR", hint="NOTIFY_SOCKET"
)
def no_place_for_the_socket(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    environment = {**os.environ, "NOTIFY_SOCKET": "/run/manager"}
    made.create(env=environment)
    assert made.runtime.root
    place = made.runtime.root / made.id / "notify"
    place.rmdir()
    place.touch()
    return stage.call("start", made.id, env=environment)


@case("not-running", "container not running", verb="kill")
def dead_already(stage: Stage) -> Result:
    return stage.stopped().kill(check=False)


@case("not-running", "cannot exec in a stopped container", verb="exec", status=255)
def exec_in_the_dead(stage: Stage) -> Result:
    return stage.stopped().exec("true", check=False)


@case("not-stopped", "cannot delete container", "that is not stopped: running", verb="delete", hint="--force")
def alive_still(stage: Stage) -> Result:
    return stage.running().delete(check=False)


@case("not-paused", "container not paused", verb="resume")
def resumed_twice(stage: Stage) -> Result:
    return stage.call("resume", stage.running().id)


@case("paused", "paused", verb="exec", status=255, hint="pyoci resume")
def exec_in_a_paused_container(stage: Stage) -> Result:
    made = stage.running()
    stage.call("pause", made.id).ok()
    return made.exec("true", check=False)


@case(
    "no-cgroup", "cannot pause a container without a cgroup", verb="pause", hint="--cgroup-manager disabled"
)
def nothing_to_pause_it_by(stage: Stage) -> Result:
    stage.runtime.global_options += ["--cgroup-manager", "disabled"]
    made = stage.running()
    return stage.call("pause", made.id)


@case(
    "kill",
    "cannot send signal 15",
    "operation not permitted",
    verb="kill",
    errno="EPERM",
    hint="another user",
)
def killed_by_somebody_else(stage: Stage) -> Result:
    made = stage.running()
    stage.open_state(made)
    return stage.as_nobody("kill", made.id)


@case("state-read", "permission denied", verb="state", errno="EACCES", hint="belongs to")
def state_of_somebody_else(stage: Stage) -> Result:
    made = stage.running()
    stage.open_state(made)
    assert stage.runtime.root
    (stage.runtime.root / made.id / "state.json").chmod(0o600)
    return stage.as_nobody("state", made.id)


@case(
    "proc-read", "cannot read /proc/", "no such file", verb="state", errno="ENOENT", hint="mounted on /proc"
)
def no_procfs(stage: Stage) -> Result:
    """Whether the container lives can't be found out: it must not be taken for a stopped one."""
    made = stage.running()
    return stage.behind("unshare", "-m", "state", made.id, script="mount -t tmpfs none /proc")


@case("proc-read", "cannot read /proc/", verb="state", errno="ENOENT", hint="mounted on /proc")
def procfs_that_hides_the_process(stage: Stage) -> Result:
    """Mounted with hidepid: the process is there, but procfs does not show those of other users."""
    made = stage.box("/bin/sleep", "1000")
    made.process["user"] = {"uid": 1000, "gid": 1000}
    made.launch()
    drop = "setpriv --regid 1 --clear-groups --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace"
    script = f'mount -t proc -o hidepid=2 none /proc && set -- {drop} "$@"'
    return stage.behind("unshare", "-m", "state", made.id, script=script)


@case("proc-read", "cannot read /proc/", "no such file", verb="list", errno="ENOENT", hint="mounted on /proc")
def list_without_procfs(stage: Stage) -> Result:
    stage.running()
    return stage.behind("unshare", "-m", "list", script="mount -t tmpfs none /proc")


@case("state-read", "permission denied", verb="list", errno="EACCES", hint="belongs to")
def list_of_somebody_else(stage: Stage) -> Result:
    """Nothing is known of what is there: that is not the list of nothing."""
    made = stage.running()
    stage.open_state(made)
    assert stage.runtime.root
    stage.runtime.root.chmod(0o711)
    return stage.as_nobody("list")


@case("state-write", "read-only file system", verb="create", errno="EROFS", hint="--root")
def state_directory_is_read_only(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    root = stage.runtime.root
    assert root
    root.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,mode=0700", "none", str(root)], check=True)
    try:
        return made.create(check=False)
    finally:
        subprocess.run(["umount", str(root)], check=True)


@case("state-damaged", "the state of", "can't be read", verb="state", hint="pyoci delete --force")
def damaged_state(stage: Stage) -> Result:
    made = stage.running()
    assert stage.runtime.root
    (stage.runtime.root / made.id / "state.json").write_text('{"format":')
    return stage.call("state", made.id)


@case(
    "process-unknown", "nothing told which process is the container's", verb="delete", hint="kill it by hand"
)
def damaged_state_without_a_cgroup(stage: Stage) -> Result:
    stage.runtime.global_options.append("--cgroup-manager=disabled")
    made = stage.running()
    assert stage.runtime.root
    (stage.runtime.root / made.id / "state.json").write_text('{"format":')
    os.kill(made.first, signal.SIGKILL)
    made.wait_for(made.first)
    made.expected = False
    return stage.call("delete", "--force", made.id)


@case(
    "state-unsafe", "can be forged", "others may write to it (mode 0757)", verb="delete", hint="`chmod o-w "
)
def state_that_others_may_write(stage: Stage) -> Result:
    made = stage.stopped()
    assert stage.runtime.root
    entry = stage.runtime.root / made.id
    entry.chmod(0o757)
    try:
        return stage.call("delete", made.id)
    finally:
        entry.chmod(0o711)


@case("state-newer", "was written by pyoci 99.0 (format 99)", verb="delete", hint="use pyoci 99.0")
def state_of_a_newer_version(stage: Stage) -> Result:
    made = stage.stopped()
    assert stage.runtime.root
    path = stage.runtime.root / made.id / "state.json"
    right = path.read_text()
    path.write_text('{"format":99,"version":"99.0"}')
    try:
        return stage.call("delete", "--force", made.id)
    finally:
        path.write_text(right)


@case("state-remove", "is a directory", verb="delete", errno="EISDIR", hint="by hand")
def something_else_in_the_state(stage: Stage) -> Result:
    made = stage.stopped()
    assert stage.runtime.root
    alien = stage.runtime.root / made.id / "alien"
    alien.mkdir()
    result = made.delete(check=False)
    alien.rmdir()
    return result


@case("root-unmount", "another mount lies over it", verb="delete", hint="unmount it, and delete again")
def something_over_a_root_that_is_the_hosts(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.no_namespace("mount")
    made.create()
    subprocess.run(["mount", "-t", "tmpfs", "x", made.rootfs], check=True)
    try:
        return made.delete("--force", check=False)
    finally:
        subprocess.run(["umount", made.rootfs], check=True)


@case("not-dying", "does not end although it was killed", verb="delete", hint="frozen")
def frozen_from_above(stage: Stage) -> Result:
    if machine.cgroup_version() != 1:
        pytest.skip("in cgroup v2 also the frozen die")
    machine.need_controller("freezer")
    made = stage.box("/bin/sleep", "1000")
    made.cgroup = f"/{made.id}/below"
    made.linux["cgroupsPath"] = made.cgroup
    made.launch()
    state = machine.CGROUPS / "freezer" / made.id / "freezer.state"
    state.write_text("FROZEN")
    try:
        return made.delete("--force", check=False)
    finally:
        state.write_text("THAWED")
        made.wait_for(made.first)
        made.delete("--force")
        remove(made.id)


@case("ps", "exit status 1", verb="ps")
def ps_with_an_unknown_column(stage: Stage) -> Result:
    return stage.call("ps", stage.running().id, "-o", "nosuchcolumn")


@case(
    "process-file",
    "process file /nonexistent: no such file or directory",
    verb="exec",
    status=255,
    errno="ENOENT",
)
def no_process_file(stage: Stage) -> Result:
    return stage.call("exec", "--process", "/nonexistent", stage.running().id)


@case("resources-file", "/nonexistent: no such file or directory", verb="update", errno="ENOENT")
def no_resources_file(stage: Stage) -> Result:
    return stage.call("update", "--resources", "/nonexistent", stage.running().id)


@case("intel-rdt", "Intel RDT is not available", verb="run", pointer="/linux/intelRdt", hint="RESCTRL")
def class_of_service_without_resctrl(stage: Stage) -> Result:
    if os.path.exists("/sys/fs/resctrl/schemata"):
        pytest.skip("resctrl is mounted")
    made = stage.box("/bin/true")
    made.linux["intelRdt"] = {"closID": "gold", "schemata": ["L3:0=f"]}
    return made.run(check=False)


@case("intel-rdt", "is not enabled", verb="update", hint="resctrl")
def no_cache_to_share_out(stage: Stage) -> Result:
    return stage.call("update", "--l3-cache-schema", "L3:0=f", stage.running().id)
