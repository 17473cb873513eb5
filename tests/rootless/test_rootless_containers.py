"""Containers of ordinary users: what works without root, and what says why it does not."""

from __future__ import annotations

import json
import os
import platform
import pwd
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.agent import Agent
from harness.box import Container
from harness.boxes import Boxes
from harness.programs import Programs
from harness.runtime import PATIENCE
from harness.terminal import ConsoleSocket

from pyoci._shim import lib

pytestmark = pytest.mark.rootless


def test_a_container_runs(rootless: Boxes) -> None:
    assert rootless("/bin/echo", "hi").out() == "hi\n"


def test_the_user_is_root_inside_and_nobody_special_outside(rootless: Boxes, user: int) -> None:
    made = rootless.sh(
        "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; touch /tmp/file"
    )
    lines = made.out().splitlines()
    assert lines[:2] == ["0", "0"]
    assert [line.split() for line in lines[2:4]] == [
        ["0", str(user), "1"],
        ["0", str(os.getegid() or user), "1"],
    ]
    assert lines[4] == "deny"
    assert (made.rootfs / "tmp/file").stat().st_uid == user


def test_the_lifecycle(rootless: Boxes) -> None:
    made = rootless("/bin/sleep", "1000")
    made.create()
    assert made.status == "created"
    made.start()
    assert made.status == "running"
    made.kill("KILL")
    assert made.wait() == 128 + signal.SIGKILL
    assert made.status == "stopped"
    made.delete()


def test_exec(rootless: Boxes) -> None:
    made = rootless("/bin/sleep", "1000").launch()
    found = made.exec("/bin/sh", "-c", "id -u; readlink /proc/self/ns/user; exit 5", check=False)
    assert found.rc == 5
    assert found.lines()[0] == "0"
    assert found.lines()[1] != os.readlink("/proc/self/ns/user")


@pytest.mark.only("pyoci")
@pytest.mark.skipif(lib.pyoci_landlock_abi() < 5, reason="the kernel has no Landlock of ABI 5")
@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_landlock(rootless: Boxes, no_new_privileges: bool) -> None:
    made = rootless.sh("cat /etc/passwd; echo done; exec sleep 1000")
    made.process["noNewPrivileges"] = no_new_privileges
    rules = '{"paths": [{"path": "/bin", "allow": ["read", "execute"]}]}'
    made.config["annotations"] = {"org.pyoci.landlock": rules}
    out, err = made.stream(), made.stream()
    made.launch(stdout=out, stderr=err)
    assert out.until("done") == "done\n"
    assert "Permission denied" in err.until("denied")
    assert "Permission denied" in made.exec("/bin/cat", "/etc/passwd", check=False).err


def test_namespaces(rootless: Boxes) -> None:
    made = rootless.sh("hostname; ps; ip -o link show lo")
    made.config["hostname"] = "rootless"
    made.namespace("network")
    text = made.out()
    assert text.startswith("rootless\n")
    assert ",UP" in text


def test_devices_and_mounts(rootless: Boxes, folder: Path) -> None:
    (folder / "volume").mkdir(mode=0o777)
    (folder / "volume").chmod(0o777)
    made = rootless.sh(
        "echo x > /dev/null; head -c 3 /dev/zero | wc -c; touch /volume/file; ls -ld /dev/pts /dev/shm | wc -l"
    )
    made.mount("/volume", "bind", str(folder / "volume"), "rbind")
    assert made.out().split() == ["3", "2"]
    assert (folder / "volume/file").exists()


def test_masked_and_read_only_paths(rootless: Boxes) -> None:
    made = rootless.sh("cat /etc/passwd; ls /data; touch /tmp/x 2>&1 | grep -c Read-only")
    made.file("data/file")
    made.linux["maskedPaths"] = ["/etc/passwd", "/data"]
    made.linux["readonlyPaths"] = ["/tmp"]
    assert made.out() == "1\n"


def test_a_read_only_root(rootless: Boxes) -> None:
    made = rootless.sh("touch /x 2>&1 | grep -c Read-only")
    made.config["root"]["readonly"] = True
    assert made.out() == "1\n"


def test_sys_of_the_host_is_there_and_read_only(rootless: Boxes) -> None:
    found = rootless.sh("ls /sys/class | wc -l; touch /sys/x").run(check=False)
    assert int(found.lines()[0]) > 5
    assert "Read-only" in found.err or "denied" in found.err or "not permitted" in found.err


def test_capabilities_reach_no_further_than_the_user_namespace(rootless: Boxes, folder: Path) -> None:
    (folder / "secret").write_text("secret\n")
    (folder / "secret").chmod(0o600)
    if os.geteuid() != 0:
        pytest.skip("without root every file here is the user's own")
    made = rootless.sh("cat /secret")
    made.mount("/secret", "bind", str(folder / "secret"), "bind")
    made.capabilities("CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN")
    found = made.run(check=False)
    assert "secret\n" not in found.out


def test_a_terminal(rootless: Boxes, folder: Path) -> None:
    console = ConsoleSocket(folder / "console.sock")
    os.chmod(folder / "console.sock", 0o777)
    made = rootless.sh("tty; exit 4")
    made.process["terminal"] = True
    made.create("--console-socket", str(console.path))
    master = console.receive()
    made.start()
    assert master.rest().startswith("/dev/")
    assert made.wait() == 4
    master.close()
    console.close()


def test_without_a_root_option_the_state_is_in_xdg_runtime_dir(rootless: Boxes, folder: Path) -> None:
    made = rootless("/bin/sleep", "1000")
    (folder / "xdg").mkdir(mode=0o700)
    if made.owner is not None:
        os.chown(folder / "xdg", made.owner, made.owner)
    runtime = made.runtime
    runtime.root = None
    env = {"XDG_RUNTIME_DIR": str(folder / "xdg"), "PATH": "/usr/bin:/bin"}
    made.create(env=env)
    assert [path.name for path in (folder / "xdg").glob("*/*")].count(made.id) == 1
    runtime.call("delete", "--force", made.id, env=env).ok()
    made.expected = False
    assert not list((folder / "xdg").glob(f"*/{made.id}"))


def test_a_second_group_is_refused(rootless: Boxes) -> None:
    made = rootless("/bin/true")
    made.process["user"]["additionalGids"] = [7]
    made.run(check=False).failed()


def test_the_groups_of_the_user_open_what_they_may(rootless: Boxes, folder: Path) -> None:
    """A directory that only a group may read, as a user's shared one. No annotation asks for it, as in runc."""
    if rootless.runtime.user is None:
        pytest.skip("an ordinary user has no group to give away")
    (folder / "volume").mkdir(mode=0o750)
    (folder / "volume/file").write_text("content\n")
    os.chown(folder / "volume", 0, 4321)
    made = rootless.sh("cat /volume/file; grep Groups /proc/self/status")
    made.mount("/volume", "bind", str(folder / "volume"), "bind")
    assert made.out(extra_groups=[4321]).split() == ["content", "Groups:", "65534"]
    found = made.run(check=False)
    assert "content" not in found.out and "ermission denied" in found.err


def test_an_unmapped_user_is_refused(rootless: Boxes) -> None:
    made = rootless("/bin/true")
    made.process["user"] = {"uid": 1000, "gid": 0}
    made.run(check=False).failed()


def test_a_map_of_foreign_ids_is_refused_with_a_reason(rootless: Boxes) -> None:
    made = rootless("/bin/true")
    made.linux["uidMappings"] = [{"containerID": 0, "hostID": 3000000, "size": 1000}]
    found = made.run(check=False).failed()
    if made.runtime.kind == "pyoci":
        found.failed("uid", "map")


def test_a_whole_range_of_ids(rootless: Boxes, user: int) -> None:
    """newuidmap and newgidmap write maps for which /etc/subuid and /etc/subgid give a range."""
    name = pwd.getpwuid(user).pw_name
    ranges = {}
    for file in ("/etc/subuid", "/etc/subgid"):
        lines = Path(file).read_text().splitlines() if os.path.exists(file) else []
        found = [line.split(":") for line in lines if line.split(":")[0] in (name, str(user))]
        if not found or shutil.which("newuidmap") is None:
            pytest.skip(f"{name} has no range in {file}, or newuidmap is missing")
        ranges[file] = (int(found[0][1]), int(found[0][2]))
    made = rootless.sh("cat /proc/self/uid_map; id -u; id -g; cat /proc/self/setgroups")
    for key, file in (("uidMappings", "/etc/subuid"), ("gidMappings", "/etc/subgid")):
        first, size = ranges[file]
        own = user if key == "uidMappings" else os.getegid() or user
        made.linux[key] = [
            {"containerID": 0, "hostID": own, "size": 1},
            {"containerID": 1, "hostID": first, "size": size},
        ]
    made.process["user"] = {"uid": 1000, "gid": 50, "additionalGids": [7]}
    lines = made.out().splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["0", str(user), "1"],
        ["1", str(ranges["/etc/subuid"][0]), str(ranges["/etc/subuid"][1])],
    ]
    assert lines[2:] == ["1000", "50", "allow"]


# -- cgroups


def test_without_limits_no_cgroup_is_needed(rootless: Boxes) -> None:
    made = rootless("/bin/echo", "hi")
    made.linux.pop("resources", None)
    assert made.out() == "hi\n"


def own_cgroup() -> Path:
    """Our own cgroup v2 directory."""
    (line,) = [line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
    return machine.CGROUPS / line[3:].strip().lstrip("/")


def test_limits_without_permission_are_refused(rootless: Boxes) -> None:
    made = rootless("/bin/true")
    made.linux["cgroupsPath"] = f"/{made.id}"
    made.linux["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 10}}
    found = made.run(check=False).failed("cgroup")
    assert "denied" in found.err or "not permitted" in found.err or "rootless" in found.err


def test_limits_in_a_delegated_cgroup(rootless: Boxes) -> None:
    if (
        machine.cgroup_version() != 2
        or os.geteuid() == 0
        or not os.access(own_cgroup() / "cgroup.procs", os.W_OK)
    ):
        pytest.skip("needs an ordinary user in a delegated cgroup v2")
    own = own_cgroup()
    leaf = own / "tests"
    leaf.mkdir(exist_ok=True)
    for pid in (own / "cgroup.procs").read_text().split():
        (leaf / "cgroup.procs").write_text(pid)
    (own / "cgroup.subtree_control").write_text("+memory +pids +cpu")
    made = rootless("/bin/sleep", "1000")
    path = "/" + str(own.relative_to(machine.CGROUPS)) + f"/{made.id}"
    made.cgroup = made.linux["cgroupsPath"] = path
    made.linux["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 10}}
    made.launch()
    directory = own / made.id
    assert (directory / "memory.max").read_text().strip() == str(64 << 20)
    assert (directory / "pids.max").read_text().strip() == "10"
    made.stop()
    assert not directory.exists()


def test_a_scope_of_the_users_own_manager(rootless: Boxes) -> None:
    if not machine.systemd_runs() or os.geteuid() == 0 or not os.environ.get("XDG_RUNTIME_DIR"):
        pytest.skip("needs an ordinary user with a systemd of its own")
    made = rootless("/bin/sleep", "1000")
    made.runtime.global_options = ["--systemd-cgroup"]
    name = made.id.replace("_", "x")
    made.linux["cgroupsPath"] = f"user.slice:pyocit:{name}"
    made.linux["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 33}}
    made.launch()
    lines = Path(f"/proc/{made.pid}/cgroup").read_text().splitlines()
    directory = machine.CGROUPS / lines[-1].split("::")[1].lstrip("/")
    while not (directory / "memory.max").exists() or f"pyocit-{name}.scope" not in directory.name:
        directory = directory.parent
        assert directory != machine.CGROUPS, lines
    assert (directory / "memory.max").read_text().strip() == str(64 << 20)
    assert (directory / "pids.max").read_text().strip() == "33"
    made.stop()
    assert not directory.exists()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the number of the call is that of x86_64")
def test_a_seccomp_agent_gets_the_listener(rootless: Boxes, programs: Programs, folder: Path) -> None:
    """The runtime may not trace the init, and needs not; read(2) is what the init waits with."""
    agent = Agent(programs.path("agent"), folder / "agent", "111:errno=7")
    try:
        agent.socket.chmod(0o777)
        made = rootless("/bin/sleep", "1000")
        probe = made.put(programs.path("probe"))
        made.linux["seccomp"] = agent.profile("getpgrp", "read")
        made.launch()
        pid = made.pid
        assert made.exec(probe, "call", "111").out == "result -1 errno 7\n"
        first, second = agent.states(2)
        assert (first["pid"], second["state"]["pid"]) == (pid, pid) and second["pid"] != pid
        made.stop()
        made.process["noNewPrivileges"] = not made.process.get("noNewPrivileges")
        assert made.args(probe, "call", "111").out() == "result -1 errno 7\n"
    finally:
        agent.close()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the number of the call is that of x86_64")
def test_a_filter_is_explained_and_recorded(rootless: Boxes, programs: Programs) -> None:
    """The supervisor of the filter may end a process of the container, and let its calls go on."""
    made = rootless()
    probe = made.put(programs.path("probe"))
    made.sh(f"{probe} call 111; echo $?; {probe} call 135 7")
    getpgrp, personality = ({"names": [name]} for name in ("getpgrp", "personality"))
    rules = [{**getpgrp, "action": "SCMP_ACT_KILL_PROCESS"}, {**personality, "action": "SCMP_ACT_ERRNO"}]
    made.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    found = made.run("--explain-seccomp")
    assert found.out == "159\nresult -1 errno 1\n"
    assert "  killed  probe  getpgrp(" in found.err and "  EPERM   probe  personality(0x7, " in found.err
    profile = made.directory / "profile.json"
    call = ("seccomp", "record", str(made.directory), "--id", made.id, "-o", str(profile))
    assert made.runtime.call(*call).ok().out.startswith("result ")
    names = json.loads(profile.read_text())["syscalls"][0]["names"]
    assert {"getpgrp", "personality", "execve"} <= set(names)


def test_ten_at_once_leave_nothing(rootless: Boxes) -> None:
    made = [rootless("/bin/echo", str(number)) for number in range(10)]
    for box in made:
        box.save()

    def one(box: Container) -> str:
        command = box.runtime.argv("run", "-b", str(box.directory), box.id)
        who: dict[str, Any] = (
            {"user": box.owner, "group": box.owner, "extra_groups": []} if box.owner is not None else {}
        )
        found = subprocess.run(
            command, capture_output=True, text=True, timeout=4 * PATIENCE, check=False, **who
        )
        assert found.returncode == 0, found
        return str(found.stdout)

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(one, made)) == [f"{number}\n" for number in range(10)]


@pytest.mark.rootless
@pytest.mark.parametrize("more", ["", "p"], ids=["", "pid"])
def test_root_of_a_user_namespace_needs_no_other(rootless: Boxes, folder: Path, more: str) -> None:
    """As under rootless podman, which makes the user namespace itself: no device node can be made there, and no cgroup."""
    made = rootless.sh("id -u; echo x > /dev/null; stat -c %t:%T /dev/null /dev/zero; tty; exit 5")
    within_a_user_namespace(made, folder, f"-Urm{more}{'f' if more else ''}")
    found = made.run(check=False)
    assert (found.rc, found.lines()) == (5, ["0", "1:3", "1:5", "not a tty"])


def within_a_user_namespace(made: Container, folder: Path, options: str) -> None:
    """The runtime runs as root of one, made by unshare(1), and the container has no other."""
    made.linux["namespaces"] = [entry for entry in made.linux["namespaces"] if entry["type"] != "user"]
    del made.linux["uidMappings"], made.linux["gidMappings"]
    enter = folder / "enter"
    enter.write_text(f'#!/bin/sh\nexec unshare {options} {made.runtime.path} "$@"\n')
    enter.chmod(0o755)
    made.runtime.path = enter


@pytest.mark.rootless
@pytest.mark.parametrize("group", [0, 5])
def test_groups_where_an_engine_has_a_user_namespace_of_one_id(
    rootless: Boxes, folder: Path, group: int
) -> None:
    """They can't be set there. buildah lists the process's own group in every container, so it is no error."""
    made = rootless.sh("grep Groups: /proc/self/status")
    made.process["user"]["additionalGids"] = [group]
    within_a_user_namespace(made, folder, "-Urm")
    found = made.run()
    assert "5" not in found.out.split() and set(found.out.split()[1:]) <= {"0", "65534"}
    if made.runtime.kind == "pyoci":
        assert ("additional groups are left out" in found.err) is (group == 5)


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("own", [True, False])
def test_network_devices(rootless: Boxes, user: int, own: bool) -> None:
    """An ordinary user may move those of a user namespace of their own, in which the runtime is root, and no other ones."""
    made = rootless("/bin/sh", "-c", "ip -o address show dev inner")
    made.namespace("network")
    made.linux["netDevices"] = {"outer": {"name": "inner"}}
    if own:
        for name in ("uidMappings", "gidMappings"):
            made.linux[name][0]["hostID"] = 0
    else:
        made.no_namespace("user")
        del made.linux["uidMappings"], made.linux["gidMappings"]
    made.save()
    device = "ip link add outer type veth peer name other; ip address add 10.251.7.1/24 dev outer"
    command = " ".join(made.runtime.argv("run", "--bundle", str(made.directory), made.id))
    place = ["unshare", "--user", "--map-root-user", "--net", "--mount", "/bin/sh", "-c"]
    who: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if os.geteuid() == 0 else {}
    found = subprocess.run(
        [*place, f"{device}; {command}"], capture_output=True, text=True, check=False, **who
    )
    assert found.returncode == 0 and "inet 10.251.7.1/24" in found.stdout, found


@pytest.mark.only("pyoci")
def test_the_network_devices_of_the_host(rootless: Boxes) -> None:
    made = rootless("/bin/true")
    made.namespace("network")
    made.linux["netDevices"] = {"lo": {"name": "inner"}}
    found = made.run(check=False).failed("operation not permitted", "takes CAP_NET_ADMIN over both")
    assert found.rc == 1
