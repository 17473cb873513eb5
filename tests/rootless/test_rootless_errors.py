"""Errors that only ordinary users meet, and what doctor tells them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.boxes import Boxes
from harness.runtime import PATIENCE, Result

from pyoci.userns import idmap

pytestmark = [pytest.mark.rootless, pytest.mark.only("pyoci")]


def entry(rootless: Boxes, result: Result, log: Path) -> dict[str, Any]:
    """The JSON line of a failed call, after asserting that standard error says the same."""
    found: dict[str, Any] = json.loads(log.read_text().splitlines()[-1])
    assert result.rc == 1 and result.err.startswith(
        f"pyoci: run: {found['msg'].partition('; hint: ')[0]}\n"
    ), result
    assert f"  hint: {found['hint']}\n" in result.err
    return found


@pytest.fixture
def log(rootless: Boxes, folder: Path) -> Path:
    path = folder / "log.json"
    rootless.runtime.global_options = ["--log", str(path), "--log-format", "json"]
    return path


def test_groups_where_setgroups_is_denied(rootless: Boxes, log: Path) -> None:
    made = rootless("/bin/true")
    made.process["user"]["additionalGids"] = [0]
    found = entry(rootless, made.run(check=False), log)
    assert (found["code"], found["pointer"]) == ("groups", "/process/user/additionalGids")
    assert "setgroups" in found["msg"] and "subgid" in found["hint"]


def test_ids_that_nobody_gave_us(rootless: Boxes, log: Path, user: int) -> None:
    made = rootless("/bin/true")
    made.linux["uidMappings"].append({"containerID": 1, "hostID": 7, "size": 1})
    found = entry(rootless, made.run(check=False), log)
    assert (found["code"], found["pointer"]) == ("idmap", "/linux/uidMappings")
    assert (
        "newuidmap" in found["msg"]
        and "/etc/subuid does not grant" in found["hint"]
        and " 7" in found["hint"]
    )


def test_a_cgroup_for_somebody_else(rootless: Boxes, log: Path) -> None:
    """The container's root is another host user, to whom an ordinary user can't give a cgroup."""
    users, groups = idmap.kinds()
    given = [idmap.granted(kind, idmap.user_name()) for kind in (users, groups)]
    if os.geteuid() == 0 or not all(given):
        pytest.skip("needs an ordinary user with ranges of ids")
    if machine.cgroup_version() != 2 or not os.access(machine.CGROUPS, os.R_OK):
        pytest.skip("needs cgroup v2")
    made = rootless("/bin/true")
    for name, ranges in zip(("uidMappings", "gidMappings"), given, strict=True):
        made.linux[name] = [{"containerID": 0, "hostID": ranges[0][0], "size": ranges[0][1]}]
    made.namespace("cgroup")
    made.config["mounts"] = [
        mount for mount in made.mounts if not mount["destination"].startswith("/sys/fs/cgroup")
    ]
    made.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev")
    result = made.run(check=False)
    found: dict[str, Any] = json.loads(log.read_text().splitlines()[-1])
    assert (result.rc, found["code"], found["errno"]) == (1, "cgroup-delegate", "EPERM"), result


def test_doctor_as_an_ordinary_user(rootless: Boxes) -> None:
    result = rootless.runtime.call("doctor", "--format", "json", timeout=PATIENCE * 4)
    report = result.json()
    found = {check["name"]: check for check in report["checks"]}
    assert found["root"]["result"] == "no" and found["root"]["cost"]
    assert found["user namespaces"]["result"] == found["mount namespaces"]["result"] == "yes"
    assert found["id-mapped mounts of / (Linux 5.12)"]["result"] == "no"
    name = idmap.user_name() if os.geteuid() else "nobody"
    has = any(line.startswith(f"{name}:") for line in Path("/etc/subuid").read_text().splitlines())
    assert found["uids in /etc/subuid"]["result"] == ("yes" if has else "no")
    assert has or f"usermod --add-subuids 100000-165535 {name}" in found["uids in /etc/subuid"]["hint"]
    assert (result.rc == 0) == report["ready"]


def test_doctor_says_what_a_user_may_not(rootless: Boxes) -> None:
    """Without root, ROOT must be the user's own."""
    rootless.runtime.root = Path("/proc/pyoci")
    result = rootless.runtime.call("doctor", timeout=PATIENCE * 4)
    assert result.rc == 1 and "Ordinary containers do not run here: /proc/pyoci is writable" in result.out


def bus_environment(**changes: str) -> dict[str, str]:
    """Ours, with no other name of a user's bus than these."""
    kept = {name: value for name, value in os.environ.items() if name != "DBUS_SESSION_BUS_ADDRESS"}
    return {**kept, **changes}


@pytest.mark.parametrize("case", ["no directory", "no systemd", "address"])
def test_a_systemd_of_the_users_own_that_does_not_answer(
    rootless: Boxes, log: Path, folder: Path, user: int, case: str
) -> None:
    rootless.runtime.global_options.append("--systemd-cgroup")
    environment = bus_environment(XDG_RUNTIME_DIR=str(folder))
    usual = f"/run/user/{user}"
    words = "`systemctl --user status`"
    if case == "no directory":
        environment["XDG_RUNTIME_DIR"] = str(folder / "nowhere")
        words = f"`loginctl enable-linger {user}` as root"
        if Path(usual).is_dir():
            words = f"set XDG_RUNTIME_DIR={usual}"
    elif case == "address":
        environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={folder}/nowhere"
        words = "unset DBUS_SESSION_BUS_ADDRESS"
    found = entry(rootless, rootless("/bin/true").run(check=False, env=environment), log)
    assert found["code"] == "systemd-unreachable" and "the user's systemd" in found["msg"]
    assert words in found["hint"] and "--cgroup-manager=cgroupfs" in found["hint"]


def test_root_of_a_user_namespace_without_a_bus_of_the_users(
    rootless: Boxes, folder: Path, user: int
) -> None:
    """It counts as root, as in a container that has a systemd of its own; what it may be instead is in the hint."""
    made = rootless("/bin/true")
    for name in ("uidMappings", "gidMappings"):
        made.linux[name] = [{"containerID": 0, "hostID": 0, "size": 1}]
    made.save()
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        *made.runtime.argv("--systemd-cgroup", "run", "--bundle", str(made.directory), made.id),
    ]
    options: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(
        command,
        env=bus_environment(XDG_RUNTIME_DIR=str(folder)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )
    assert done.returncode == 1 and "the user's systemd" not in done.stderr
    hint = done.stderr.partition("  hint: ")[2]
    assert "in this user namespace no bus of the user's answers" in hint, done.stderr
    assert "`systemctl --user status`" in hint and "--cgroup-manager=cgroupfs" in hint


@pytest.mark.parametrize("options", ["exec", "noexec"])
def test_no_program_may_start_from_memory(rootless: Boxes, log: Path, user: int, options: str) -> None:
    """vm.memfd_noexec=2, of a pid namespace: an ordinary user's init starts from ROOT, unless that is mounted noexec."""
    if os.geteuid() != 0 or not Path("/proc/sys/vm/memfd_noexec").exists():
        pytest.skip("needs root and vm.memfd_noexec (Linux 6.3)")
    made = rootless("/bin/true")
    made.save()
    root = made.directory.parent / "mounted"
    root.mkdir()
    script = (
        f"mount -t tmpfs -o mode=0700,uid=$0,gid=$0,{options} tmpfs {root} && echo 2 > /proc/sys/vm/memfd_noexec && "
        "exec setpriv --reuid $0 --regid $0 --clear-groups -- $@"
    )
    words = made.runtime.argv("run", "--bundle", str(made.directory), made.id)
    words[words.index("--root") + 1] = str(root)
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script, str(user), *words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    result = Result(command, done.returncode, done.stdout, done.stderr)
    if options == "exec":
        assert done.returncode == 0, result
        return
    found = entry(rootless, result, log)
    assert found["code"] == "namespace" and found["errno"] == "EACCES"
    assert "vm.memfd_noexec is 2" in found["hint"] and "noexec" in found["hint"]
