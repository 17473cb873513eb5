"""linux.namespaces: new, shared, joined; names; network; user and time namespaces."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes

LINKS = {
    "network": "net",
    "mount": "mnt",
    "pid": "pid",
    "ipc": "ipc",
    "uts": "uts",
    "user": "user",
    "cgroup": "cgroup",
}
SIMPLE = ("network", "ipc", "uts", "cgroup")


def show(kind: str) -> str:
    """A script that prints the namespace of the shell."""
    return f"readlink /proc/self/ns/{LINKS[kind]}"


def ours(kind: str) -> str:
    """Our own namespace of a kind."""
    return os.readlink(f"/proc/self/ns/{LINKS[kind]}")


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[bytes]]:
    """A process in namespaces of its own, for joining."""
    command = ["unshare", "--net", "--ipc", "--uts", "--cgroup", "--mount", "--pid", "--fork", "--kill-child"]
    process = subprocess.Popen(
        [*command, "sh", "-c", "hostname held; echo; exec sleep 1000"], stdout=subprocess.PIPE
    )
    assert process.stdout and process.stdout.readline()
    yield process
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def inner(holder: subprocess.Popen[bytes]) -> int:
    """The child of the holder, which is in the new pid namespace."""
    return int(Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0])


@pytest.mark.parametrize("kind", ["network", "mount", "pid", "ipc", "uts", "cgroup"])
def test_a_new_namespace(box: Boxes, kind: str) -> None:
    made = box.sh(show(kind))
    made.namespace(kind)
    found = made.out().strip()
    assert found.startswith(LINKS[kind] + ":")
    assert found != ours(kind)


@pytest.mark.parametrize("kind", ["network", "pid", "ipc", "uts", "cgroup", "user"])
def test_without_the_namespace_it_is_the_callers(box: Boxes, kind: str) -> None:
    made = box.sh(show(kind))
    made.no_namespace(kind)
    made.mounts[:] = [m for m in made.mounts if kind != "network" or m["type"] != "sysfs"]
    assert made.out().strip() == ours(kind)


def test_no_namespaces_but_the_mount_namespace(box: Boxes) -> None:
    made = box.sh("hostname; " + "; ".join(show(kind) for kind in ("network", "pid", "ipc", "uts")))
    made.config.pop("hostname")
    made.linux["namespaces"] = [{"type": "mount"}]
    made.mounts[:] = [m for m in made.mounts if m["type"] not in ("sysfs", "mqueue")]
    assert made.out().split() == [os.uname().nodename, *(ours(k) for k in ("network", "pid", "ipc", "uts"))]


@pytest.mark.parametrize("kind", SIMPLE)
def test_a_namespace_joined_by_path(box: Boxes, holder: subprocess.Popen[bytes], kind: str) -> None:
    path = f"/proc/{inner(holder)}/ns/{LINKS[kind]}"
    made = box.sh(show(kind))
    made.namespace(kind, path)
    made.config.pop("hostname", None)
    assert made.out().strip() == os.readlink(path)


def test_a_pid_namespace_joined_by_path(box: Boxes, holder: subprocess.Popen[bytes]) -> None:
    path = f"/proc/{inner(holder)}/ns/pid"
    made = box.sh("readlink /proc/self/ns/pid; ps")
    made.namespace("pid", path)
    text = made.out()
    assert text.splitlines()[0] == os.readlink(path)
    assert "sleep 1000" in text


def test_a_joined_namespace_held_by_a_mount(box: Boxes, folder: Path) -> None:
    """Engines keep network namespaces as files that are bound from /proc/PID/ns/net."""
    held = folder / "netns"
    held.touch()
    keep = ["unshare", f"--net={held}", "ip", "link", "set", "lo", "up"]
    subprocess.run(keep, check=True)
    try:
        made = box.sh("stat -L -c %i /proc/self/ns/net")
        made.namespace("network", str(held))
        assert made.out().strip() == str(held.stat().st_ino)
    finally:
        subprocess.run(["umount", str(held)], check=True)


POD = ("network", "ipc", "uts", "pid", "user")


@pytest.mark.parametrize("with_user", [False, True])
def test_containers_share_namespaces_as_a_pod(box: Boxes, with_user: bool) -> None:
    """A sandbox container holds the namespaces, and the others join them by path, as in Kubernetes."""
    kinds = POD if with_user else POD[:-1]
    first = box("/bin/sleep", "1000")
    if with_user:
        first.user_namespace()
    first.launch()
    second = box.sh("hostname; " + "; ".join(show(kind) for kind in kinds) + "; ps; exec sleep 1001")
    second.config.pop("hostname")
    if with_user:
        second.user_namespace_root(100000)
    for kind in kinds:
        second.namespace(kind, f"/proc/{first.pid}/ns/{LINKS[kind]}")
    said = second.stream()
    second.create(stdout=said)
    second.start()
    lines = said.until("sleep 1000").splitlines()
    assert lines[0] == "box"
    for kind, line in zip(kinds, lines[1:], strict=False):
        assert line == os.readlink(f"/proc/{first.pid}/ns/{LINKS[kind]}")
    assert second.exec("/bin/sh", "-c", show("pid")).out.strip() == os.readlink(f"/proc/{first.pid}/ns/pid")
    first.kill("KILL")
    assert second.wait() == 137, "the sandbox takes its pid namespace along"
    first.wait()
    second.delete()
    first.delete()


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "cgroup", "pid", "time"])
def test_a_joined_user_namespace_that_does_not_own_the_others(
    box: Boxes, holder: subprocess.Popen[bytes], kind: str
) -> None:
    """Only the host's root may join those, and no more when it is in the user namespace."""
    first = box("/bin/sleep", "1000")
    first.user_namespace()
    first.launch()
    second = box.sh(f"readlink /proc/self/ns/user; readlink /proc/self/ns/{LINKS.get(kind, kind)}")
    if kind == "time":
        need_time_namespace(second)
    second.user_namespace_root(100000)
    second.config.pop("hostname")
    second.namespace("user", f"/proc/{first.pid}/ns/user")
    path = f"/proc/{inner(holder)}/ns/{LINKS.get(kind, kind)}"
    second.namespace(kind, path)
    if kind == "network":
        second.mounts[:] = [mount for mount in second.mounts if mount["type"] != "sysfs"]
    if kind == "ipc":
        second.mounts[:] = [mount for mount in second.mounts if mount["type"] != "mqueue"]
    if kind == "pid":  # its procfs is not for others than its owner: the host's is bound
        second.mounts[:] = [mount for mount in second.mounts if mount["type"] != "proc"]
        second.mount("/proc", "bind", "/proc", "rbind")
        second.linux.update(maskedPaths=[], readonlyPaths=[])
        second.sh("true")
        second.run()
        return
    assert second.out().split() == [os.readlink(f"/proc/{first.pid}/ns/user"), os.readlink(path)]


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "user", "pid"])
def test_namespaces_held_by_mounts(box: Boxes, folder: Path, kind: str) -> None:
    """Engines keep namespaces as files that are bound from /proc/PID/ns, without a process in them."""
    first = box("/bin/sleep", "1000")
    if kind == "user":
        first.user_namespace()
    first.launch()
    held = folder / kind
    held.touch()
    subprocess.run(["mount", "--bind", f"/proc/{first.pid}/ns/{LINKS[kind]}", str(held)], check=True)
    try:
        if kind != "pid":  # which ends with its first process
            first.stop()
        second = box.sh(f"stat -L -c %i /proc/self/ns/{LINKS[kind]}")
        second.config.pop("hostname")
        if kind == "user":
            second.user_namespace_root(100000)
        second.namespace(kind, str(held))
        assert second.out().strip() == str(held.stat().st_ino)
    finally:
        subprocess.run(["umount", str(held)], check=True)


@pytest.mark.parametrize("path", [None, "/proc/self/ns/pid"])
def test_the_hosts_pid_namespace(box: Boxes, path: str | None) -> None:
    """The life of a container whose processes are among the host's: it is not their first, so nothing ends with it."""
    made = box.sh("readlink /proc/self/ns/pid; sleep 1002 & echo $$; exec sleep 1003")
    made.no_namespace("pid")
    if path:
        made.namespace("pid", path)
    said = made.stream()
    made.create(stdout=said)
    made.start()
    lines = said.until(str(made.pid)).split()
    assert lines == [ours("pid"), str(made.pid)]
    assert "sleep 1003" in made.exec("/bin/ps").out
    made.kill("--all", "KILL")
    made.wait()
    assert made.status == "stopped"
    made.delete()
    listed = subprocess.run(["ps", "-e", "-o", "args"], check=True, capture_output=True, text=True).stdout
    assert "sleep 1002" not in listed


@pytest.mark.parametrize(
    ("kind", "other"), [("network", "ipc"), ("uts", "net"), ("ipc", "uts"), ("pid", "net")]
)
def test_a_path_to_a_namespace_of_another_type_is_refused(box: Boxes, kind: str, other: str) -> None:
    made = box("/bin/true")
    path = f"/proc/self/ns/{other}"
    made.namespace(kind, path.replace("self", str(os.getpid())))
    made.config.pop("hostname", None)
    made.run(check=False).failed(other, kind)


@pytest.mark.parametrize("path", ["/no/such/namespace", "/etc/passwd", "/proc"])
def test_a_path_that_is_no_namespace_is_refused(box: Boxes, path: str) -> None:
    made = box("/bin/true")
    made.namespace("network", path)
    made.run(check=False).failed()


def test_a_namespace_given_twice_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.linux["namespaces"].append({"type": "ipc"})
    made.run(check=False).failed("ipc")


def test_an_unknown_namespace_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.linux["namespaces"].append({"type": "nonsense"})
    made.run(check=False).failed("nonsense")


# -- pid


def test_the_program_is_the_first_process(box: Boxes) -> None:
    made = box.sh("echo $$; ls -d /proc/[0-9]*")
    lines = made.out().split()
    assert lines[0] == "1"
    assert len(lines) <= 3


def test_the_first_process_gone_ends_the_others(box: Boxes) -> None:
    made = box.sh("sleep 1000 & exit 5")
    said = made.stream()
    found = made.run(check=False, stdout=said)
    assert found.rc == 5
    assert said.rest() == ""


# -- uts


def test_hostname(box: Boxes) -> None:
    made = box("/bin/hostname")
    made.config["hostname"] = "some.name"
    assert made.out() == "some.name\n"
    assert os.uname().nodename != "some.name"


def test_domainname(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/sys/kernel/domainname")
    made.config["domainname"] = "example.org"
    assert made.out() == "example.org\n"


def test_a_hostname_without_a_uts_namespace_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.no_namespace("uts")
    made.config["hostname"] = "name"
    before = os.uname().nodename
    made.run(check=False).failed("hostname")
    assert os.uname().nodename == before


# -- network


def test_the_loopback_interface_is_up(box: Boxes) -> None:
    made = box.sh("ip -o link show lo; ping -c 1 -W 5 127.0.0.1 > /dev/null && echo reached")
    made.capabilities("CAP_NET_RAW")
    text = made.out()
    assert ",UP" in text
    assert "reached" in text


def no_internet_sockets() -> None:
    """Let this process have no sockets but AF_UNIX and AF_NETLINK, as systemd's RestrictAddressFamilies does."""
    number = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
    denied = (2, 10, 17)  # AF_INET, AF_INET6, AF_PACKET
    code = [(0x20, 0, 0, 0), (0x15, 0, 1 + len(denied), number), (0x20, 0, 0, 16)]
    code += [(0x15, len(denied) - at, 0, family) for at, family in enumerate(denied)]
    code += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050000 | errno.EAFNOSUPPORT)]
    filter = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
    program = struct.pack("@HP", len(code), ctypes.addressof(filter))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS"
    assert libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0, "PR_SET_SECCOMP"


def test_the_loopback_interface_needs_no_internet_socket(box: Boxes) -> None:
    made = box.sh("cat /sys/class/net/lo/flags; nc 127.0.0.1 1 2>&1")
    found = made.run(check=False, preexec_fn=no_internet_sockets)
    assert found.out.splitlines()[0] == "0x9", found
    assert "Address family not supported" in found.out, "the filter was not in force"


def test_a_new_network_has_nothing_but_loopback(box: Boxes) -> None:
    names = [line.split(":")[1].strip() for line in box("/bin/ip", "-o", "link").out().splitlines()]
    # the kernel's own fallback tunnels, where their modules are loaded, are in every network namespace
    assert [name for name in names if "@" not in name] == ["lo"]


# -- user


def test_a_user_namespace_maps_ids(box: Boxes) -> None:
    made = box.sh("id -u; cat /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups")
    made.user_namespace(100000, 65536)
    lines = made.out().splitlines()
    assert lines[0] == "0"
    assert [line.split() for line in lines[1:3]] == [["0", "100000", "65536"]] * 2
    assert lines[3] == "allow"


def test_files_made_in_a_user_namespace_belong_to_the_mapped_owner(box: Boxes) -> None:
    made = box.sh("touch /tmp/file; chown 1000:1001 /tmp/file")
    made.user_namespace(100000, 65536)
    made.run()
    found = (made.rootfs / "tmp/file").stat()
    assert (found.st_uid, found.st_gid) == (101000, 101001)


def test_root_of_a_user_namespace_with_the_identity_map(box: Boxes) -> None:
    """It is not the host's root: it can make no device node, and no rule for devices."""
    made = box.sh("cat /proc/self/uid_map; stat -c %t:%T /dev/null; echo > /dev/null && echo written")
    found = made.run(preexec_fn=machine.identity_user_namespace)
    assert [line.split() for line in found.out.splitlines()] == [
        ["0", "0", "4294967295"],
        ["1:3"],
        ["written"],
    ]


def test_several_mappings(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/uid_map")
    made.user_namespace(100000, 65536)
    made.linux["uidMappings"] = [
        {"containerID": 0, "hostID": 100000, "size": 10},
        {"containerID": 10, "hostID": 200000, "size": 100},
        {"containerID": 1000, "hostID": 300000, "size": 1},
    ]
    found = [line.split() for line in made.out().splitlines()]
    assert found == [["0", "100000", "10"], ["10", "200000", "100"], ["1000", "300000", "1"]]


def test_devices_in_a_user_namespace(box: Boxes) -> None:
    made = box.sh("echo x > /dev/null && head -c 4 /dev/zero | wc -c && ls /dev")
    made.user_namespace()
    text = made.out()
    assert text.startswith("4\n")
    for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd", "stdin"):
        assert name in text.split()


def test_capabilities_in_a_user_namespace_are_its_own(box: Boxes) -> None:
    made = box.sh("hostname other && hostname; cat /proc/self/status | grep CapEff")
    made.user_namespace()
    made.capabilities("CAP_SYS_ADMIN")
    lines = made.out().splitlines()
    assert lines[0] == "other"
    assert int(lines[1].split()[1], 16) == 1 << 21


def test_a_user_namespace_without_mappings_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.namespace("user")
    made.run(check=False).failed()


def test_mappings_that_overlap_are_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.user_namespace()
    made.linux["uidMappings"].append({"containerID": 5, "hostID": 300000, "size": 10})
    made.run(check=False).failed()


def test_a_user_without_mapping_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.user_namespace(100000, 10)
    made.process["user"] = {"uid": 1000, "gid": 1000}
    made.run(check=False).failed()


def test_a_user_namespace_joined_by_path(box: Boxes) -> None:
    first = box("/bin/sleep", "1000")
    first.user_namespace()
    first.launch()
    second = box.sh("readlink /proc/self/ns/user; id -u; cat /proc/self/uid_map")
    second.user_namespace()
    path = f"/proc/{first.pid}/ns/user"
    second.namespace("user", path)
    del second.linux["uidMappings"], second.linux["gidMappings"]
    lines = second.out().splitlines()
    assert lines[0] == os.readlink(path)
    assert lines[1] == "0"
    assert lines[2].split() == ["0", "100000", "65536"]


@pytest.mark.parametrize("forks", [False, True])
def test_a_joined_user_namespace_that_denies_setgroups(box: Boxes, forks: bool) -> None:
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
    process = subprocess.Popen([*command, "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline()
    made = box("/bin/id", "-u")
    made.config["mounts"] = []
    made.linux.update(maskedPaths=[], readonlyPaths=[])
    made.namespace("user", f"/proc/{inner(process)}/ns/user")
    for kind in ("pid", "network", "ipc", "uts", "cgroup") if not forks else ():
        made.no_namespace(kind)
    found = made.run(check=False)
    process.kill()
    process.wait()
    process.stdout.close()
    assert found.ok().out == "0\n"


# -- time


def need_time_namespace(made: Container) -> None:
    """Skip without time namespaces."""
    if "time" not in machine.namespace_kinds():
        pytest.skip("the kernel has no time namespaces")


def test_a_time_namespace_with_offsets(box: Boxes) -> None:
    made = box.sh("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime; readlink /proc/self/ns/time")
    need_time_namespace(made)
    made.namespace("time")
    made.linux["timeOffsets"] = {"boottime": {"secs": 1000000, "nanosecs": 5}, "monotonic": {"secs": 7}}
    *offsets, uptime, link = made.out().splitlines()
    found = {line.split()[0]: line.split()[1:] for line in offsets}
    assert found["boottime"] == ["1000000", "5"]
    assert found["monotonic"] == ["7", "0"]
    assert int(uptime) >= 1000000
    assert link != os.readlink("/proc/self/ns/time")


@pytest.mark.parametrize("user", [False, True], ids=["", "user namespace"])
@pytest.mark.parametrize(
    ("offsets", "monotonic", "boottime"),
    [
        ({}, "0 0", "0 0"),
        (None, "0 0", "0 0"),
        ({"monotonic": {}, "boottime": {}}, "0 0", "0 0"),
        ({"monotonic": {"secs": 7881, "nanosecs": 2718281}, "boottime": {"secs": 1337, "nanosecs": 3141519}},
         "7881 2718281", "1337 3141519"),
        ({"monotonic": {"secs": -1}}, "-1 0", "0 0"),
        ({"boottime": {"secs": -2, "nanosecs": 999999999}}, "0 0", "-2 999999999"),
        ({"boottime": {"nanosecs": 5}}, "0 0", "0 5"),
    ],
    ids=str,
)  # fmt: skip
def test_time_offsets_in_all_forms(
    box: Boxes, user: bool, offsets: dict[str, dict[str, int]] | None, monotonic: str, boottime: str
) -> None:
    show = ("/bin/cat", "/proc/self/timens_offsets")
    made = box(*show)
    need_time_namespace(made)
    if user:
        made.user_namespace()
    made.namespace("time")
    if offsets != {}:
        made.linux["timeOffsets"] = offsets
    expected = [["monotonic", *monotonic.split()], ["boottime", *boottime.split()]]
    assert [line.split() for line in made.run().lines()] == expected
    made.args("/bin/sleep", "1000").launch()
    assert [line.split() for line in made.exec(*show).lines()] == expected


def test_a_time_namespace_joined_by_path(box: Boxes) -> None:
    first = box("/bin/sleep", "1000")
    need_time_namespace(first)
    first.namespace("time")
    first.linux["timeOffsets"] = {"boottime": {"secs": 1000000}}
    first.launch()
    second = box.sh("readlink /proc/self/ns/time; cut -d. -f1 /proc/uptime")
    second.namespace("time", f"/proc/{first.pid}/ns/time")
    link, uptime = second.run().lines()
    assert link == os.readlink(f"/proc/{first.pid}/ns/time") != os.readlink("/proc/self/ns/time")
    assert int(uptime) >= 1000000
    second.linux["timeOffsets"] = {"boottime": {"secs": 5}}
    second.run(check=False).failed("timeOffsets")


@pytest.mark.parametrize("secs", [-(10**9), 10**10])
def test_an_offset_that_no_clock_can_have(box: Boxes, secs: int) -> None:
    made = box("/bin/true")
    need_time_namespace(made)
    made.namespace("time")
    made.linux["timeOffsets"] = {"monotonic": {"secs": secs}}
    made.run(check=False).failed("time namespace")


def test_time_offsets_without_a_time_namespace_are_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.linux["timeOffsets"] = {"boottime": {"secs": 1}}
    made.run(check=False).failed("time")


# -- cgroup


def test_a_cgroup_namespace_starts_at_the_containers_cgroup(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/cgroup")
    made.namespace("cgroup")
    lines = [line for line in made.out().splitlines() if ":name=" not in line]
    inside = [line for line in lines if line.split(":", 2)[2] == "/"]
    assert inside
    assert made.id not in made.out()


def test_a_bundle_that_only_the_root_of_the_user_namespace_may_enter(box: Boxes) -> None:
    """As podman has it: the directory belongs to the user that the container's root is mapped to."""
    made = box("/bin/cat", "/data/file")
    made.user_namespace()
    (made.directory / "data").mkdir()
    (made.directory / "data/file").write_text("content\n")
    made.mount("/data", "bind", "data", "bind")
    made.save()
    os.chown(made.directory, 100000, 100000)
    made.directory.chmod(0o700)
    assert made.out() == "content\n"
