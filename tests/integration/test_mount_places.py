"""Where mounts come from and where they go: sources of all kinds, the host's /sys, --no-pivot, propagation."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.box import Container
from harness.boxes import Boxes

USERS = pytest.mark.parametrize("user", [False, True])


def entry(text: str, point: str) -> str:
    """The last line of a mountinfo that is about a mount point."""
    return [line for line in text.splitlines() if " - " in line and line.split()[4] == point][-1]


def flags(text: str, point: str) -> set[str]:
    """The flags of the last mount on a mount point."""
    return set(entry(text, point).split()[5].split(","))


# -- sources


@USERS
def test_more_bind_mounts_than_open_files(box: Boxes, folder: Path, user: bool) -> None:
    (folder / "source").mkdir()
    made = box("/bin/grep", "-c", " /m/", "/proc/self/mountinfo")
    if user:
        made.user_namespace()
    for index in range(300):
        made.mount(f"/m/{index}", "bind", str(folder / "source"), "rbind", "ro")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = resource.RLIMIT_NOFILE, (100, hard)
    found = made.run(preexec_fn=lambda: resource.setrlimit(*limit))
    assert found.out == "300\n"


def tree(folder: Path) -> Path:
    """Directories a/x, b/y with a file each, and links to a and b."""
    for name in ("a/x", "b/y"):
        (folder / "source" / name).mkdir(parents=True)
        (folder / "source" / name / "file").write_text(f"{name}\n")
        os.symlink(name[0], folder / "source" / f"link-{name[0]}")
    return folder / "source"


@USERS
@pytest.mark.parametrize("option", ["rbind", "ridmap", "idmap"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_source_on_an_earlier_mount(
    box: Boxes, folder: Path, user: bool, option: str, relative: bool
) -> None:
    made = box.sh("cat /final/file /last/x/file; stat -c %u /final/file")
    if user:
        made.user_namespace()
    root = "rootfs" if relative else str(made.rootfs)
    made.mount("/mnt", "bind", str(tree(folder)), "rbind")
    final = made.mount("/final", "bind", f"{root}/mnt/link-b/y", "rbind", option)
    made.mount("/last", "bind", f"{root}/mnt/a", "bind", "ro")
    if option != "rbind" and not user:
        final["uidMappings"] = final["gidMappings"] = [{"containerID": 0, "hostID": 7, "size": 65536}]
    owner = "7" if option != "rbind" and not user else "65534" if user and option == "rbind" else "0"
    assert made.out() == f"b/y\na/x\n{owner}\n"


@USERS
def test_a_source_on_an_earlier_tmpfs(box: Boxes, user: bool) -> None:
    made = box.sh("touch /mnt/sub/x; ls /other")
    if user:
        made.user_namespace()
    (made.rootfs / "mnt/sub").mkdir(parents=True)
    if user:
        made.user_namespace_root(100000)
    made.mount("/mnt", "tmpfs", "tmpfs", "tmpcopyup")
    made.mount("/other", "bind", str(made.rootfs / "mnt/sub"), "bind")
    assert made.out() == "x\n"
    assert not (made.rootfs / "mnt/sub/x").exists()


@USERS
def test_a_link_in_the_rootfs_leads_no_source_to_the_host(box: Boxes, folder: Path, user: bool) -> None:
    (folder / "canary").mkdir()
    made = box("/bin/true")
    if user:
        made.user_namespace()
    os.symlink(str(folder / "canary"), made.rootfs / "link")
    made.mount("/m", "bind", str(made.rootfs / "link"), "bind")
    made.run(check=False).failed("no such file or directory", "on /m")


@USERS
def test_a_source_of_the_rootfs_that_is_missing(box: Boxes, user: bool) -> None:
    made = box("/bin/true")
    if user:
        made.user_namespace()
    made.mount("/m", "bind", str(made.rootfs / "missing"), "bind")
    made.run(check=False).failed("/missing in the rootfs", "no such file or directory")


def test_a_source_in_a_rootfs_that_the_init_may_not_walk_to(box: Boxes, folder: Path) -> None:
    made = box("/bin/cat", "/final/file")
    made.user_namespace()
    made.mount("/mnt", "bind", str(tree(folder)), "rbind")
    made.mount("/final", "bind", str(made.rootfs / "mnt/a/x"), "bind")
    made.directory.chmod(0o700)
    assert made.out() == "a/x\n"


# -- mount points


@USERS
@pytest.mark.parametrize("directory", [False, True])
def test_dangling_links_are_followed_below_the_root(
    box: Boxes, folder: Path, user: bool, directory: bool
) -> None:
    source = folder / "source"
    source.mkdir()
    (source / "file").write_text("content\n")
    made = box.sh("cat /one" + ("/file" if directory else ""))
    os.symlink("/made/../far/place", made.rootfs / "one")
    os.symlink("../../../../elsewhere", made.rootfs / "home/link")
    if user:
        made.user_namespace()
    what = source if directory else source / "file"
    made.mount("/one", "bind", str(what), "bind")
    made.mount("/home/link/below", "bind", str(what), "bind")
    assert made.out() == "content\n"
    assert (made.rootfs / "far/place").exists() and (made.rootfs / "elsewhere/below").exists()


def test_mount_points_below_a_directory_with_setgid(box: Boxes, folder: Path) -> None:
    (folder / "file").touch()
    made = box("/bin/true")
    parent = made.rootfs / "shared"
    parent.mkdir()
    os.chown(parent, 0, 50)
    parent.chmod(0o2775)
    made.mount("/shared/new/file", "bind", str(folder / "file"), "bind")
    made.mount("/shared/dir", "bind", str(folder), "bind")
    made.run()
    for name, mode in (("new", 0o2755), ("new/file", 0o755), ("dir", 0o2755)):
        status = (parent / name).stat()
        assert (status.st_gid, stat.S_IMODE(status.st_mode)) == (50, mode)


# -- the host's /sys


def without_network(made: Container, first: int = 100000) -> None:
    """A user namespace that does not own its network namespace."""
    made.user_namespace(first)
    made.no_namespace("network")


def test_sysfs_in_the_hosts_network_namespace(box: Boxes) -> None:
    made = box.sh("cat /proc/self/mountinfo; ls /sys/class/net /sys/fs/cgroup")
    without_network(made)
    text = made.out()
    for line in text.splitlines():
        if " - " in line and (line.split()[4] + "/").startswith("/sys/"):
            assert "ro" in line.split()[5].split(","), line
    assert {"ro", "nosuid", "nodev", "noexec"} <= flags(text, "/sys")
    assert entry(text, "/sys/fs/cgroup").partition(" - ")[2].startswith("tmpfs")
    listed = text[text.rindex("/sys/class/net:") :]
    assert "lo" in listed and listed.rstrip().endswith("/sys/fs/cgroup:")


def test_root_of_the_host_can_not_write_into_its_sysfs(box: Boxes) -> None:
    made = box.sh("echo 0 > /sys/kernel/profiling")
    without_network(made, 0)
    next(mount for mount in made.mounts if mount["destination"] == "/sys")["options"] = ["rw", "nosuid"]
    made.run(check=False).failed("Read-only file system")


def test_masked_paths_of_the_hosts_sysfs(box: Boxes) -> None:
    made = box.sh("ls /sys/kernel; cat /sys/kernel/uevent_seqnum")
    without_network(made)
    made.linux["maskedPaths"] = ["/sys/kernel"]
    found = made.run(check=False)
    assert found.out == "" and "No such file" in found.err


def test_sysfs_of_an_own_network_namespace_is_new(box: Boxes) -> None:
    made = box.sh("ls /sys/class/net; cat /proc/self/mountinfo")
    made.user_namespace()
    text = made.out()
    assert "/sys/fs/cgroup" not in text and text.splitlines()[0] in ("lo", "erspan0", "gre0")


# -- --no-pivot


@pytest.fixture
def procfs(folder: Path) -> Iterator[Path]:
    """One more procfs and sysfs of the host, on directories with a blank in their names."""
    places = [folder / "a proc", folder / "a sys"]
    for place, kind in zip(places, ("proc", "sysfs"), strict=True):
        place.mkdir()
        subprocess.run(["mount", "-t", kind, kind, place], check=True)
    yield places[0]
    for place in places:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("shared", [False, True])
def test_without_a_pivot_no_procfs_of_the_host_is_left(box: Boxes, procfs: Path, shared: bool) -> None:
    made = box.sh(
        "unshare -Urmpf mount -t proc proc /tmp; unshare -Urmn mount -t sysfs sysfs /tmp; echo done"
    )
    made.capabilities("CAP_SYS_ADMIN", "CAP_SETFCAP")
    made.linux["maskedPaths"] = ["/proc/acpi", "/proc/interrupts", "/sys/firmware", "/sys/kernel"]
    if shared:
        made.linux["rootfsPropagation"] = "shared"
    found = made.run("--no-pivot")
    assert (
        found.out == "done\n" and found.err.count("ermission denied") + found.err.count("not permitted") == 2
    )
    assert [os.path.ismount(place) for place in (procfs, "/proc", "/sys", "/sys/fs/cgroup")] == [True] * 4


# -- masked paths


def test_a_path_twice_in_masked_paths_is_mounted_once(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/mountinfo")
    (made.rootfs / "dir").mkdir()
    made.linux["maskedPaths"] = ["/dir", "/etc/passwd", "/dir/", "//etc/./passwd", "/dir"]
    text = made.out()
    assert [line.split()[4] for line in text.splitlines()].count("/dir") == 1
    assert [line.split()[4] for line in text.splitlines()].count("/etc/passwd") == 1


def test_a_masked_path_below_a_link(box: Boxes) -> None:
    made = box.sh("ls /real; ls /real/dir")
    (made.rootfs / "real/dir").mkdir(parents=True)
    (made.rootfs / "real/dir/secret").touch()
    os.symlink("/real", made.rootfs / "link")
    made.linux["maskedPaths"] = ["/link/dir"]
    assert made.out() == "dir\n"


# -- propagation


@pytest.fixture
def shared_mount(folder: Path) -> Iterator[Path]:
    """A mount of the host that is shared."""
    place = folder / "shared"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "x", place], check=True)
    subprocess.run(["mount", "--make-shared", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@USERS
@pytest.mark.parametrize(
    ("root", "expected"),
    [("rslave", {"shared", "master"}), ("rprivate", {"shared"}), ("slave", {"shared", "master"})],
)
def test_a_shared_mount_below_a_root_that_is_none(
    box: Boxes, shared_mount: Path, user: bool, root: str, expected: set[str]
) -> None:
    made = box("/bin/cat", "/proc/self/mountinfo")
    if user:
        made.user_namespace()
    made.linux["rootfsPropagation"] = root
    made.mount("/m", "bind", str(shared_mount), "rbind", "rshared")
    made.mount("/n", "bind", str(shared_mount), "rbind")
    text = made.out()
    fields = entry(text, "/m").partition(" - ")[0].split()[6:]
    assert {field.partition(":")[0] for field in fields} == expected
    fields = entry(text, "/n").partition(" - ")[0].split()[6:]
    assert {field.partition(":")[0] for field in fields} == expected - {"shared"}


# -- links as source and destination, which are crun's options


@pytest.fixture
def link(folder: Path) -> Path:
    """A link to a file."""
    (folder / "file").write_text("content\n")
    os.symlink("file", folder / "link")
    return folder / "link"


@USERS
def test_a_link_is_copied(box: Boxes, link: Path, user: bool) -> None:
    made = box.sh("readlink /new/place; cat /new/file")
    if user:
        made.user_namespace()
    made.mount("/new/place", "bind", str(link), "bind", "copy-symlink")
    made.mount("/new/file", "bind", str(link.parent / "file"), "bind", "copy-symlink")
    for _ in range(2):
        assert made.out() == "file\ncontent\n"
    (made.rootfs / "new/place").unlink()
    (made.rootfs / "new/place").symlink_to("other")
    made.run(check=False).failed("symlink", "/new/place", "file exists")


@USERS
def test_a_link_is_bound_itself(box: Boxes, link: Path, user: bool) -> None:
    made = box.sh("readlink /new")
    if user:
        made.user_namespace()
    made.mount("/new", "bind", str(link), "bind", "src-nofollow")
    assert made.out() == "file\n"


@USERS
def test_a_link_is_the_mount_point(box: Boxes, link: Path, user: bool) -> None:
    made = box.sh("cat /place /etc/target")
    made.file("/etc/target", "hidden?\n")
    os.symlink("/etc/target", made.rootfs / "place")
    if user:
        made.user_namespace()
    made.mount("/place", "bind", str(link.parent / "file"), "bind", "dest-nofollow")
    made.mount("/new", "bind", str(link.parent / "file"), "bind", "dest-nofollow")
    assert made.out() == "content\nhidden?\n"


@pytest.mark.parametrize(
    ("option", "user", "owner"),
    [
        ("idmap=uids=0-7-10;gids=0-8-10", False, "7:8"),
        ("ridmap=uids=5-1-1#0-7-5;gids=0-8-10", False, "7:8"),
        ("idmap=uids=0-100007-10;gids=@0-8-10", True, "7:8"),
    ],
)
def test_mappings_in_the_option(box: Boxes, link: Path, option: str, user: bool, owner: str) -> None:
    made = box("/bin/stat", "-c", "%u:%g", "/m/file")
    if user:
        made.user_namespace()
    made.mount("/m", "bind", str(link.parent), "bind", option)
    assert made.out() == f"{owner}\n"


# -- no mount namespace


def test_exec_without_a_mount_namespace_enters_the_container(box: Boxes) -> None:
    made = box("/bin/sleep", "100")
    made.no_namespace("mount")
    made.config["mounts"] = []
    made.file("/only-here", "inside\n")
    (made.rootfs / "dev").rmdir()
    made.launch()
    try:
        assert made.exec("/bin/cat", "/only-here").out == "inside\n"
        assert made.exec("/bin/sh", "-c", "ls /..").out == made.exec("/bin/ls", "/").out
    finally:
        made.stop()


# -- ids that are not mapped


@pytest.mark.only("pyoci")
def test_ids_that_a_joined_user_namespace_does_not_map(box: Boxes) -> None:
    """Of a new one the check finds them (mount-id-unmapped, sysctl-unmapped)."""
    pod = box("/bin/sleep", "1000")
    pod.user_namespace()
    pod.launch()
    made = box("/bin/true")
    made.user_namespace()
    made.namespace("user", f"/proc/{pod.pid}/ns/user")
    made.linux["uidMappings"] = made.linux["gidMappings"] = []
    devpts = made.mount("/m", "devpts", "devpts", "newinstance", "gid=99999")
    hint = "takes ids that it maps"
    made.run(check=False).failed("devpts on /m: fsconfig gid=99999", hint)
    devpts["options"] = ["newinstance", "gid=5"]
    made.linux["sysctl"] = {"net.ipv4.ping_group_range": "0 99999"}
    made.run(check=False).failed("sysctl net.ipv4.ping_group_range", hint)
    made.linux["sysctl"] = {"net.ipv4.ping_group_range": "0 5"}
    made.run()


# -- a rootfs with noexec


@pytest.mark.parametrize("program", ["/bin/true", "true"])
def test_a_program_on_noexec(box: Boxes, program: str) -> None:
    made = box(program)
    made.mounts.append(
        {"destination": "/bin", "type": "bind", "source": "rootfs/bin", "options": ["bind", "noexec"]}
    )
    made.run(check=False).failed("permission denied", "is mounted with noexec")


def test_a_rootfs_on_noexec(box: Boxes) -> None:
    """Found by `validate`, unless the program may be on another mount; `create` fails."""
    made = box("/bin/true")
    bind = ["mount", "--bind", str(made.rootfs), str(made.rootfs)]
    subprocess.run(bind, check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,noexec", str(made.rootfs)], check=True)
        made.create(check=False).failed("permission denied", "is mounted with noexec: mount the rootfs")
        validate = ("validate", str(made.directory))
        assert "rootfs-noexec" in made.runtime.call(*validate).ok().out
        made.mount("/bin/", "bind", "/usr/bin", "bind")
        made.save()
        assert "rootfs-noexec" not in made.runtime.call(*validate).ok().out
        made.args("true")
        made.process["env"] = ["PATH=/sbin:/bin/below"]
        made.save()
        assert "rootfs-noexec" not in made.runtime.call(*validate).ok().out
        made.process["env"] = ["PATH=/sbin"]
        made.save()
        assert "rootfs-noexec" in made.runtime.call(*validate).ok().out
    finally:
        subprocess.run(["umount", made.rootfs], check=True)


CHROOT = """
for entry in /*; do
    [ ! -L "$entry" ] || cp -P "$entry" "$0/"
    [ -L "$entry" ] || [ ! -d "$entry" ] || { mkdir "$0$entry"; mount --rbind "$entry" "$0$entry"; }
done
exec chroot "$0" "$@"
"""


@pytest.mark.only("pyoci")
def test_a_runtime_in_a_chroot_that_is_no_mount_point(box: Boxes, folder: Path) -> None:
    """The host's mounts could not stop to propagate, and `exec` would enter the root outside of the chroot."""
    made = box("/bin/true")
    made.save()
    (folder / "state").mkdir(mode=0o700)
    command = [
        str(made.runtime.path),
        "--root",
        str(folder / "state"),
        "run",
        "--bundle",
        str(made.directory),
        "x",
    ]

    def run(name: str, script: str) -> subprocess.CompletedProcess[str]:
        (folder / name).mkdir()
        place = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "/bin/sh",
            "-c",
            script,
            str(folder / name),
        ]
        return subprocess.run([*place, *command], capture_output=True, text=True, check=False)

    found = run("plain", CHROOT)
    assert found.returncode == 1, found
    assert "the runtime's root is no mount point" in found.stderr
    assert "bind-mount that directory onto itself before the chroot" in found.stderr
    found = run("mounted", 'mount --bind "$0" "$0"' + CHROOT)
    assert found.returncode == 0, found
