"""mounts, read-only root, masked and read-only paths, propagation."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.bundle import cgroup_mount
from harness.leaks import mounts


def rows(text: str) -> list[str]:
    """The lines of a text that are lines of a mountinfo."""
    return [line for line in text.splitlines() if " - " in line]


def options_of(text: str, point: str) -> set[str]:
    """The mount and superblock options of the last mount on `point` in a /proc/self/mountinfo."""
    found: set[str] = set()
    for line in rows(text):
        left, _, right = line.partition(" - ")
        if left.split()[4] == point:
            found = set(left.split()[5].split(",")) | set(right.split(" ", 2)[2].split(","))
    assert found, f"nothing is mounted on {point}:\n{text}"
    return found


def types(text: str) -> dict[str, str]:
    """Mount point -> filesystem type."""
    return {line.split()[4]: line.partition(" - ")[2].split()[0] for line in rows(text)}


def table(made: Container) -> str:
    """/proc/self/mountinfo in the container."""
    return made.args("/bin/cat", "/proc/self/mountinfo").out()


def test_the_mounts_runc_spec_writes(box: Boxes) -> None:
    text = table(box())
    found = types(text)
    expected = {
        "/proc": "proc",
        "/dev": "tmpfs",
        "/dev/pts": "devpts",
        "/dev/shm": "tmpfs",
        "/dev/mqueue": "mqueue",
    }
    assert expected.items() <= found.items()
    assert found["/sys"] == "sysfs"
    assert {"ro", "nosuid", "nodev", "noexec"} <= options_of(text, "/sys")
    assert {"nosuid", "mode=755", "size=65536k"} <= options_of(text, "/dev")
    assert {"nosuid", "noexec", "mode=620", "ptmxmode=666", "gid=5"} <= options_of(text, "/dev/pts")


def test_nothing_of_the_host_is_in_the_table(box: Boxes) -> None:
    points = types(table(box()))
    assert set(points) <= {"/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"}


def test_the_root_directory_is_the_root_filesystem(box: Boxes) -> None:
    made = box.sh("ls /; ls /..")
    text = made.out().split()
    assert sorted(set(text)) == sorted(os.listdir(made.rootfs))


def test_a_root_path_may_be_absolute(box: Boxes) -> None:
    made = box("/bin/echo", "hi")
    made.config["root"]["path"] = str(made.rootfs)
    assert made.out() == "hi\n"


def test_a_root_path_that_does_not_exist_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.config["root"]["path"] = "nowhere"
    made.run(check=False).failed("nowhere")


def test_a_root_path_that_is_a_file_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    (made.directory / "file").touch()
    made.config["root"]["path"] = "file"
    made.run(check=False).failed()


# -- bind mounts


def test_a_bind_of_a_directory(box: Boxes, folder: Path) -> None:
    (folder / "volume").mkdir()
    made = box.sh("echo from inside > /volume/file")
    made.mount("/volume", "bind", str(folder / "volume"), "bind")
    made.run()
    assert (folder / "volume/file").read_text() == "from inside\n"


@pytest.mark.parametrize("kind", ["bind", "none", ""])
def test_the_type_of_a_bind_does_not_matter(box: Boxes, folder: Path, kind: str) -> None:
    (folder / "file").write_text("content\n")
    made = box("/bin/cat", "/file")
    made.mount("/file", kind, str(folder / "file"), "rbind", "ro")
    assert made.out() == "content\n"


def test_a_bind_of_a_file_makes_its_mount_point(box: Boxes, folder: Path) -> None:
    (folder / "file").write_text("content\n")
    made = box("/bin/cat", "/new/place/file")
    made.mount("/new/place/file", "bind", str(folder / "file"), "bind")
    assert made.out() == "content\n"
    assert (made.rootfs / "new/place/file").read_text() == ""


def test_a_bind_over_an_existing_file(box: Boxes, folder: Path) -> None:
    (folder / "passwd").write_text("other\n")
    made = box("/bin/cat", "/etc/passwd")
    made.mount("/etc/passwd", "bind", str(folder / "passwd"), "bind", "ro")
    assert made.out() == "other\n"
    assert "root" in (made.rootfs / "etc/passwd").read_text()


def test_a_relative_source_is_relative_to_the_bundle(box: Boxes) -> None:
    made = box("/bin/cat", "/data/file")
    (made.directory / "data").mkdir()
    (made.directory / "data/file").write_text("content\n")
    made.mount("/data", "bind", "data", "bind")
    assert made.out() == "content\n"


def test_a_relative_destination_is_relative_to_the_root(box: Boxes, folder: Path) -> None:
    made = box("/bin/cat", "/tmp/file")
    (folder / "file").write_text("content\n")
    made.mount("tmp/file", "bind", str(folder / "file"), "bind")
    assert made.out() == "content\n"


def test_a_source_that_does_not_exist_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.mount("/x", "bind", "/no/such/source", "bind")
    made.run(check=False).failed("/no/such/source", "no such file or directory")


def test_a_read_only_bind(box: Boxes, folder: Path) -> None:
    made = box.sh("echo x > /volume/file || cat /proc/self/mountinfo")
    made.mount("/volume", "bind", str(folder), "bind", "ro")
    found = made.run()
    assert "Read-only file system" in found.err
    assert "ro" in options_of(found.out, "/volume")


FLAGS = ["nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "ro"]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_of_a_bind(box: Boxes, folder: Path, flag: str) -> None:
    made = box()
    made.mount("/volume", "bind", str(folder), "bind", flag)
    assert flag in options_of(table(made), "/volume")


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_of_a_tmpfs(box: Boxes, flag: str) -> None:
    made = box()
    made.mount("/volume", "tmpfs", "tmpfs", flag)
    assert flag in options_of(table(made), "/volume")


@pytest.mark.parametrize(
    ("flags", "absent"),
    [
        (("ro", "rw"), "ro"),
        (("noexec", "exec"), "noexec"),
        (("nosuid", "suid"), "nosuid"),
        (("nodev", "dev"), "nodev"),
    ],
)
def test_the_last_of_contrary_flags_wins(box: Boxes, flags: tuple[str, ...], absent: str) -> None:
    made = box()
    made.mount("/volume", "tmpfs", "tmpfs", *flags)
    assert absent not in options_of(table(made), "/volume")


def test_strictatime(box: Boxes) -> None:
    made = box()
    made.mount("/volume", "tmpfs", "tmpfs", "strictatime")
    assert not {"relatime", "noatime"} & options_of(table(made), "/volume")


def test_nosymfollow(box: Boxes) -> None:
    made = box.sh(
        "ln -s /etc/passwd /volume/link; cat /volume/link || echo refused; cat /proc/self/mountinfo"
    )
    made.mount("/volume", "tmpfs", "tmpfs", "nosymfollow")
    found = made.run()
    assert found.out.splitlines()[0] == "refused"
    assert "nosymfollow" in options_of(found.out, "/volume")


@pytest.mark.parametrize(
    "option", ["sync", "dirsync", "lazytime", "mand", "nomand", "async", "silent", "loud"]
)
@pytest.mark.parametrize("kind", ["tmpfs"])
def test_other_options_of_the_specification_are_taken(box: Boxes, option: str, kind: str) -> None:
    made = box("/bin/echo", "hi")
    made.mount("/volume", kind, "tmpfs", option)
    assert made.out() == "hi\n"


def nested(folder: Path) -> Path:
    """A directory with a mount below it; undone by `umount_nested`."""
    top = folder / "nested"
    (top / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(top / "below")], check=True)
    (top / "below/file").write_text("below\n")
    return top


def umount_nested(top: Path) -> None:
    """Undo `nested`."""
    subprocess.run(["umount", str(top / "below")], check=True)


def test_bind_takes_one_mount_and_rbind_all(box: Boxes, folder: Path) -> None:
    top = nested(folder)
    try:
        made = box.sh("ls /one/below | wc -l; ls /all/below | wc -l")
        made.mount("/one", "bind", str(top), "bind")
        made.mount("/all", "bind", str(top), "rbind")
        assert made.out().split() == ["0", "1"]
    finally:
        umount_nested(top)


def test_ro_is_not_recursive_and_rro_is(box: Boxes, folder: Path) -> None:
    top = nested(folder)
    try:
        made = box("/bin/cat", "/proc/self/mountinfo")
        made.mount("/one", "bind", str(top), "rbind", "ro")
        made.mount("/all", "bind", str(top), "rbind", "rro")
        text = made.out()
        assert "ro" in options_of(text, "/one")
        assert "ro" not in options_of(text, "/one/below")
        assert "ro" in options_of(text, "/all")
        assert "ro" in options_of(text, "/all/below")
    finally:
        umount_nested(top)


@pytest.mark.parametrize(
    ("flag", "shown"),
    [("rnosuid", "nosuid"), ("rnodev", "nodev"), ("rnoexec", "noexec"), ("rnoatime", "noatime")],
)
def test_recursive_flags(box: Boxes, folder: Path, flag: str, shown: str) -> None:
    top = nested(folder)
    try:
        made = box("/bin/cat", "/proc/self/mountinfo")
        made.mount("/all", "bind", str(top), "rbind", flag)
        text = made.out()
        assert shown in options_of(text, "/all")
        assert shown in options_of(text, "/all/below")
    finally:
        umount_nested(top)


# -- tmpfs and data


def test_data_of_a_tmpfs(box: Boxes) -> None:
    made = box.sh("stat -c %a:%u:%g /volume; cat /proc/self/mountinfo")
    made.mount("/volume", "tmpfs", "tmpfs", "size=1m", "mode=1770", "uid=5", "gid=6", "nr_inodes=100")
    text = made.out()
    assert text.splitlines()[0] == "1770:5:6"
    assert {"size=1024k", "nr_inodes=100"} <= options_of(text, "/volume")


def test_a_tmpfs_takes_the_mode_of_its_mount_point(box: Boxes) -> None:
    made = box.sh("stat -c %a /volume")
    (made.rootfs / "volume").mkdir()
    (made.rootfs / "volume").chmod(0o1751)
    made.mount("/volume", "tmpfs", "tmpfs")
    assert made.out() == "1751\n"


def test_a_tmpfs_whose_mount_point_was_missing_is_open_to_all(box: Boxes) -> None:
    made = box.sh("stat -c %a /new/volume /new")
    made.mount("/new/volume", "tmpfs", "tmpfs")
    assert made.out() == "1777\n755\n"
    # so that the next run finds the same mode
    assert stat.S_IMODE((made.rootfs / "new/volume").stat().st_mode) == 0o1777


@pytest.mark.parametrize("kind", ["file on directory", "directory on file", "tmpfs on file"])
def test_a_directory_and_a_file_do_not_go_onto_each_other(box: Boxes, kind: str) -> None:
    made = box("/bin/true")
    source = made.directory / "source"
    if kind == "file on directory":
        source.write_text("")
        made.mount("/tmp", "bind", str(source), "bind")
    else:
        source.mkdir()
        made.file("/there")
        made.mount("/there", *(("tmpfs", "tmpfs") if "tmpfs" in kind else ("bind", str(source), "bind")))
    made.run(check=False).failed("not a directory")  # the words that docker explains


@pytest.mark.skipif(Path("/sys/fs/selinux").exists(), reason="SELinux is there")
def test_a_mount_label_without_selinux(box: Boxes) -> None:
    made = box("/bin/true")
    made.linux["mountLabel"] = "system_u:object_r:container_file_t:s0:c1,c2"
    made.run(check=False).failed("context=", "invalid argument")


def test_an_option_the_filesystem_refuses(box: Boxes) -> None:
    made = box("/bin/true")
    made.mount("/volume", "tmpfs", "tmpfs", "no-such-option")
    found = made.run(check=False).failed("/volume")
    assert re.search("invalid argument|no-such-option", found.err)


def test_a_filesystem_that_does_not_exist(box: Boxes) -> None:
    made = box("/bin/true")
    made.mount("/volume", "nosuchfs", "none")
    made.run(check=False).failed("/volume", "no such device")


def test_tmpcopyup(box: Boxes) -> None:
    made = box.sh("cat /data/sub/file; stat -c %a:%u:%g /data/sub/file; readlink /data/link; touch /data/new")
    made.file("data/sub/file", "copied\n", 0o640)
    os.chown(made.rootfs / "data/sub/file", 11, 12)
    os.symlink("sub/file", made.rootfs / "data/link")
    made.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    assert made.out().splitlines() == ["copied", "640:11:12", "sub/file"]
    assert not (made.rootfs / "data/new").exists()


def test_mounts_come_in_the_listed_order(box: Boxes, folder: Path) -> None:
    (folder / "v").mkdir()
    (folder / "v/file").write_text("volume\n")
    made = box("/bin/cat", "/a/b/file")
    made.mount("/a", "tmpfs", "tmpfs")
    made.mount("/a/b", "bind", str(folder / "v"), "bind")
    assert made.out() == "volume\n"
    hidden = box.sh("cat /a/b/file || echo hidden")
    hidden.mount("/a/b", "bind", str(folder / "v"), "bind")
    hidden.mount("/a", "tmpfs", "tmpfs")
    assert hidden.out() == "hidden\n"


def test_a_mount_point_through_a_link_stays_inside(box: Boxes, folder: Path) -> None:
    target = folder / "target"
    target.mkdir()
    made = box.sh("touch /link/file; ls " + str(target))
    os.symlink(target, made.rootfs / "link")
    made.mount("/link", "tmpfs", "tmpfs")
    assert made.out() == "file\n"
    assert os.listdir(target) == []
    assert str(target).lstrip("/") in str(next(made.rootfs.rglob(target.name)))


def test_an_overlay(box: Boxes, folder: Path) -> None:
    if "overlay" not in Path("/proc/filesystems").read_text():
        pytest.skip("the kernel has no overlay filesystem")
    for name in ("lower", "upper", "work"):
        (folder / name).mkdir()
    (folder / "lower/file").write_text("lower\n")
    made = box.sh("cat /merged/file; echo changed > /merged/file")
    data = [f"lowerdir={folder}/lower", f"upperdir={folder}/upper", f"workdir={folder}/work"]
    made.mount("/merged", "overlay", "overlay", *data)
    assert made.out() == "lower\n"
    assert (folder / "upper/file").read_text() == "changed\n"
    assert (folder / "lower/file").read_text() == "lower\n"


# -- proc, sys and the cgroup filesystem


def test_proc_must_be_a_directory_of_the_root(box: Boxes, folder: Path) -> None:
    made = box("/bin/true")
    (made.rootfs / "proc").rmdir()
    os.symlink(str(folder), made.rootfs / "proc")
    made.run(check=False).failed("/proc")
    assert os.listdir(folder / "root") == [] if (folder / "root").exists() else True


def test_the_cgroup_filesystem(box: Boxes) -> None:
    made = box.sh("cat /proc/self/mountinfo; ls /sys/fs/cgroup; cat /proc/self/cgroup")
    made.mounts.append(cgroup_mount())
    made.namespace("cgroup")
    text = made.out()
    if machine.cgroup_version() == 2:
        assert types(text)["/sys/fs/cgroup"] == "cgroup2"
        assert "ro" in options_of(text, "/sys/fs/cgroup")
        assert "cgroup.procs" in text
    else:
        found = types(text)
        assert found["/sys/fs/cgroup"] == "tmpfs"
        for name in ("memory", "pids", "devices"):
            assert found[f"/sys/fs/cgroup/{name}"] == "cgroup"
            assert "ro" in options_of(text, f"/sys/fs/cgroup/{name}")


def test_the_cgroup_filesystem_without_a_cgroup_namespace(box: Boxes) -> None:
    """On v1 the own cgroup of each hierarchy; on v2 all, so that the path in /proc/self/cgroup is there."""
    if machine.cgroup_version() == 1:
        made = box.sh(
            f"cat /sys/fs/cgroup/memory/cgroup.procs; ls -d /sys/fs/cgroup/memory/*{box.prefix}* 2>&1 || true"
        )
    else:
        made = box.sh("cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/cgroup.procs")
    made.no_namespace("cgroup")
    made.mounts.append(cgroup_mount())
    found = made.run()
    assert "1" in found.lines()
    assert made.id not in found.out


def test_the_cgroup_filesystem_can_not_be_written(box: Boxes) -> None:
    name = "memory/" if machine.cgroup_version() == 1 else ""
    made = box.sh(f"mkdir /sys/fs/cgroup/{name}new; echo $?")
    made.mounts.append(cgroup_mount())
    found = made.run()
    assert found.out == "1\n"
    assert "Read-only" in found.err


# -- read-only root, masked and read-only paths


def test_a_read_only_root(box: Boxes) -> None:
    made = box.sh("touch /file; echo $?; touch /tmp/file; echo $?; touch /dev/shm/file; echo $?")
    made.config["root"]["readonly"] = True
    found = made.run()
    assert found.lines() == ["1", "1", "0"]
    assert "Read-only file system" in found.err


def test_a_read_only_root_still_gets_its_mount_points(box: Boxes, folder: Path) -> None:
    (folder / "file").write_text("content\n")
    made = box("/bin/cat", "/new/file")
    made.config["root"]["readonly"] = True
    made.mount("/new/file", "bind", str(folder / "file"), "bind")
    assert made.out() == "content\n"


def test_masked_files_are_empty_and_masked_directories_too(box: Boxes) -> None:
    made = box.sh("cat /etc/passwd; ls /data; echo x > /etc/passwd; touch /data/new; cat /etc/passwd")
    made.file("data/file", "secret\n")
    made.linux["maskedPaths"] = ["/etc/passwd", "/data", "/proc/kcore", "/no/such/path"]
    found = made.run()
    assert found.out == ""
    assert "Read-only file system" in found.err
    assert (made.rootfs / "data/file").read_text() == "secret\n"
    assert "root" in (made.rootfs / "etc/passwd").read_text()


def test_many_masked_directories(box: Boxes) -> None:
    made = box.sh("ls /d1 /d2 /d3 | grep file; touch /d1/x /d2/x; ls /d3")
    for number in (1, 2, 3):
        made.file(f"d{number}/file")
    made.linux["maskedPaths"] = ["/d1", "/d2", "/d3"]
    assert made.out() == ""


def test_read_only_paths(box: Boxes) -> None:
    made = box.sh("cat /etc/passwd | head -n 1; echo x >> /etc/passwd; touch /data/new; ls /data")
    made.file("data/file")
    made.linux["readonlyPaths"] = ["/etc/passwd", "/data", "/no/such/path"]
    found = made.run()
    assert found.lines() == ["root:x:0:0:root:/root:/bin/sh", "file"]
    assert found.err.count("Read-only file system") == 2


def test_the_paths_engines_mask(box: Boxes) -> None:
    made = box.sh(
        "cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null; echo 1 > /proc/sys/kernel/printk; ls /proc/scsi /sys/firmware"
    )
    made.linux["maskedPaths"] = [
        "/proc/kcore",
        "/proc/keys",
        "/proc/timer_list",
        "/proc/scsi",
        "/sys/firmware",
    ]
    made.linux["readonlyPaths"] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    found = made.run(check=False)
    assert [line for line in found.lines() if line and not line.endswith(":")] == []
    assert "Read-only file system" in found.err


def test_masked_paths_in_a_user_namespace(box: Boxes) -> None:
    made = box.sh("cat /etc/passwd; ls /data")
    made.file("data/file")
    made.user_namespace()
    made.linux["maskedPaths"] = ["/etc/passwd", "/data"]
    assert made.out() == ""


# -- propagation


def propagation(text: str, point: str) -> set[str]:
    """The optional fields ("shared:N", "master:N") of a mount without their numbers."""
    for line in rows(text):
        fields = line.partition(" - ")[0].split()
        if fields[4] == point:
            return {field.split(":")[0] for field in fields[6:]}
    raise AssertionError(f"nothing is mounted on {point}")


def test_mounts_of_the_container_stay_inside(box: Boxes, folder: Path) -> None:
    before = mounts()
    made = box.sh("mount -t tmpfs tmpfs /volume && echo mounted")
    made.capabilities("CAP_SYS_ADMIN")
    made.mount("/volume", "bind", str(folder), "rbind")
    assert made.out() == "mounted\n"
    assert mounts() == before


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("private", set()),
        ("rprivate", set()),
        ("slave", {"master"}),
        ("rslave", {"master"}),
        ("rshared", {"shared"}),
    ],
)
def test_propagation_of_a_bind(box: Boxes, folder: Path, option: str, expected: set[str]) -> None:
    made = box()
    made.mount("/volume", "bind", str(folder), "rbind", option)
    if option == "rshared":
        made.linux["rootfsPropagation"] = "shared"
    found = propagation(table(made), "/volume")
    assert found == expected or (option == "rshared" and "shared" in found)


def test_a_slave_sees_later_mounts_of_the_host(box: Boxes, folder: Path) -> None:
    volume = folder / "volume"
    (volume / "below").mkdir(parents=True)
    made = box.sh("echo ready; read line; ls /volume/below")
    made.mount("/volume", "bind", str(volume), "rbind", "rslave")
    said, heard = made.stream(), made.stream()
    made.launch(stdout=said, stdin=heard.read_end)
    said.until("ready\n")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(volume / "below")], check=True)
    try:
        (volume / "below/late").touch()
        os.write(heard.write_end, b"go\n")
        assert said.rest() == "ready\nlate\n"
        made.wait()
    finally:
        subprocess.run(["umount", str(volume / "below")], check=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("private", set()),
        ("slave", {"master"}),
        ("shared", {"shared"}),
        ("unbindable", {"unbindable"}),
    ],
)
def test_propagation_of_the_root(box: Boxes, value: str, expected: set[str]) -> None:
    made = box()
    made.linux["rootfsPropagation"] = value
    found = propagation(table(made), "/")
    assert expected <= found
    if value == "private":
        assert not found


def test_an_unknown_propagation_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.linux["rootfsPropagation"] = "nonsense"
    made.run(check=False).failed("nonsense")


# -- mapped mounts


def owners(made: Container, *paths: str) -> list[str]:
    """Who owns files for the container; skips where the file system can't be mapped."""
    found = made.sh(f"stat -c %u:%g {' '.join(paths)}").run(check=False)
    if "id map: invalid argument" in found.err:
        pytest.skip("the file system can't be mapped")
    return found.ok().lines()


def owned(path: Path, owner: int) -> Path:
    """A volume with a file of this owner."""
    path.mkdir()
    (path / "file").touch()
    os.chown(path / "file", owner, owner)
    return path


@pytest.mark.parametrize("joined", [False, True], ids=["new", "joined"])
@pytest.mark.parametrize("option", ["idmap", "ridmap"])
def test_a_mount_without_maps_of_its_own_has_the_containers(
    box: Boxes, folder: Path, option: str, joined: bool
) -> None:
    """Also when the user namespace is another container's, and config.json has no maps at all."""
    if option == "ridmap" and machine.kernel() < (6, 3):
        pytest.skip("a tmpfs can be id-mapped since Linux 6.3")
    below = owned(owned(folder / "volume", 7) / "below", 8)
    made = box()
    made.user_namespace()
    if joined:
        holder = box("/bin/sleep", "1000")
        holder.user_namespace()
        holder.launch()
        made.namespace("user", f"/proc/{holder.pid}/ns/user")
        del made.linux["uidMappings"], made.linux["gidMappings"]
    made.mount("/plain", "bind", str(folder / "volume"), "rbind")
    made.mount("/mapped", "bind", str(folder / "volume"), "rbind", option)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(below)], check=True)
    try:
        (below / "file").touch()
        os.chown(below / "file", 9, 9)
        found = owners(made, "/plain/file", "/plain/below/file", "/mapped/file", "/mapped/below/file")
    finally:
        subprocess.run(["umount", str(below)], check=True)
    # an idmap is of the top mount alone, and the file system below keeps its owners, who are nobody in there
    assert found == ["65534:65534", "65534:65534", "7:7", "9:9" if option == "ridmap" else "65534:65534"]


@pytest.mark.parametrize("count", [339, 340, 341])
def test_a_mount_with_as_many_maps_as_the_kernel_takes(box: Boxes, folder: Path, count: int) -> None:
    made = box()
    entry = made.mount("/volume", "bind", str(owned(folder / "volume", 30)), "bind", "idmap")
    maps = [{"containerID": number, "hostID": number ^ 1, "size": 1} for number in range(count)]
    maps[-1]["hostID"] = 999
    entry["uidMappings"] = entry["gidMappings"] = maps
    if count <= 340:
        assert owners(made, "/volume/file") == ["31:31"]
    else:
        made.sh("true").run(check=False).failed("340")


def test_an_id_mapped_bind(box: Boxes, folder: Path) -> None:
    (folder / "volume").mkdir()
    (folder / "volume/file").touch()
    os.chown(folder / "volume/file", 1000, 1001)
    made = box.sh("stat -c %u:%g /volume/file; touch /volume/new")
    entry = made.mount("/volume", "bind", str(folder / "volume"), "bind", "idmap")
    entry["uidMappings"] = [
        {"containerID": 1000, "hostID": 5000, "size": 10},
        {"containerID": 0, "hostID": 0, "size": 1},
    ]
    entry["gidMappings"] = [
        {"containerID": 1001, "hostID": 6001, "size": 10},
        {"containerID": 0, "hostID": 0, "size": 1},
    ]
    found = made.run(check=False)
    if "id map: invalid argument" in found.err:
        pytest.skip(f"the filesystem of {folder} can't be mapped")
    assert found.ok().out == "5000:6001\n"


# -- what becomes read-only last


@pytest.mark.parametrize("word", ["ro", "rro"])
def test_a_read_only_tmpfs_on_dev_has_its_devices(box: Boxes, word: str) -> None:
    made = box.sh("test -c /dev/null && test -d /dev/pts && touch /dev/x; cat /proc/self/mountinfo")
    next(mount for mount in made.mounts if mount["destination"] == "/dev")["options"].append(word)
    found = made.run()
    assert "Read-only file system" in found.err
    assert "ro" in options_of(found.out, "/dev")
    assert "rw" in options_of(found.out, "/dev/shm")


@pytest.mark.parametrize("user", [False, True])
def test_what_lies_below_a_read_only_tmpfs(box: Boxes, folder: Path, user: bool) -> None:
    (folder / "secret").mkdir()
    (folder / "secret/token").write_text("token\n")
    made = box.sh("pwd; cat /run/secrets/app/token; touch /run/x")
    if user:
        made.user_namespace()
    made.mount("/run", "tmpfs", "tmpfs", "ro", "nosuid")
    made.mount("/run/secrets/app", "bind", str(folder / "secret"), "rbind", "ro")
    made.process["cwd"] = "/run/work/dir"
    found = made.run(check=False)
    assert (found.rc, found.out) == (1, "/run/work/dir\ntoken\n")
    assert "Read-only file system" in found.err


def test_a_read_only_tmpfs_has_what_is_copied_up(box: Boxes) -> None:
    made = box.sh("ls /etc; touch /etc/x")
    made.mount("/etc", "tmpfs", "tmpfs", "ro", "tmpcopyup", "silent")
    found = made.run(check=False)
    assert "passwd" in found.out and "Read-only file system" in found.err


@pytest.mark.parametrize("user", [False, True])
def test_a_missing_working_directory_of_a_read_only_root_is_made(box: Boxes, user: bool) -> None:
    made = box.sh("pwd; touch x")
    if user:
        made.user_namespace()
    made.config["root"]["readonly"] = True
    made.process["cwd"] = "/new/work"
    found = made.run(check=False)
    assert found.out == "/new/work\n" and "Read-only file system" in found.err
    assert stat.S_IMODE((made.rootfs / "new/work").stat().st_mode) == 0o755


def test_a_working_directory_that_can_not_be_made_is_an_error_of_its_own(box: Boxes) -> None:
    made = box("/bin/true")
    made.config["root"]["readonly"] = True
    made.process["cwd"] = "/etc/passwd/work"
    made.run(check=False).failed('chdir to cwd ("/etc/passwd/work")', "not a directory")


# -- a mount on the root


@pytest.mark.parametrize("kind", ["bind", "bind-user", "bind-shared", "no-pivot", "tmpcopyup"])
def test_the_first_mount_may_be_the_root(box: Boxes, folder: Path, kind: str) -> None:
    made = box.sh("cat /marker; echo new > /written; cat /proc/self/mountinfo")
    options = ["--no-pivot"] if kind == "no-pivot" else []
    if kind == "bind-user":
        made.user_namespace()
    if kind == "bind-shared":
        made.linux["rootfsPropagation"] = "shared"
    source = made.rootfs
    if kind == "tmpcopyup":
        entry = {"destination": "/", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}
    else:
        source = folder / "other"
        made.rootfs.rename(source)
        made.rootfs.mkdir()
        entry = {"destination": "/", "type": "bind", "source": str(source), "options": ["rbind"]}
    (source / "marker").write_text("the mount on /\n")
    made.mounts.insert(0, entry)
    text = made.out(*options)
    assert text.startswith("the mount on /\n")
    assert {"/", "/proc", "/dev"} <= set(types(text))
    assert [line.split()[4] for line in rows(text)].count("/") == 1
    assert not (made.rootfs / "written").exists()
    assert (source / "written").exists() == (kind != "tmpcopyup")
    if kind == "bind-shared":
        assert "shared:" in next(line for line in rows(text) if line.split()[4] == "/")


def test_a_read_only_root_is_that_of_the_mount_on_it(box: Boxes) -> None:
    made = box.sh("touch /x; cat /proc/self/mountinfo")
    made.mounts.insert(
        0, {"destination": "/", "type": "tmpfs", "source": "t", "options": ["tmpcopyup", "ro"]}
    )
    found = made.run()
    assert "Read-only file system" in found.err and "ro" in options_of(found.out, "/")


def test_a_later_mount_on_the_root_is_refused(box: Boxes, folder: Path) -> None:
    made = box("/bin/true")
    made.mount("/", "bind", str(folder), "rbind")
    made.run(check=False).failed("is on the top of rootfs")


@pytest.mark.parametrize("first", [True, False])
def test_a_link_to_the_root_is_no_mount_point(box: Boxes, folder: Path, first: bool) -> None:
    made = box("/bin/true")
    (made.rootfs / "link").symlink_to("etc/..")
    entry = {"destination": "/link", "type": "bind", "source": str(folder), "options": ["rbind"]}
    made.mounts.insert(0 if first else len(made.mounts), entry)
    made.run(check=False).failed("bind of", "is on the top of rootfs")


def test_the_root_bound_below_itself_is_a_mount_point(box: Boxes, folder: Path) -> None:
    (folder / "file").write_text("content\n")
    made = box("/bin/cat", "/again/file")
    made.mount("/again", "bind", str(made.rootfs), "bind")
    made.mount("/again", "bind", str(folder), "bind")
    assert made.out() == "content\n"


# -- the mode of a tmpfs


def mode_seen(made: Container) -> tuple[str, set[str]]:
    """The mode of the directory on /t/new, and the options of its mount."""
    made.sh("stat -c %a /t/new; cat /proc/self/mountinfo")
    first, _, rest = made.out().partition("\n")
    return first, options_of(rest, "/t/new")


def test_the_mode_of_a_tmpfs_is_that_of_its_directory_and_stays_so(box: Boxes) -> None:
    made = box()
    entry = made.mount("/t/new", "tmpfs", "tmpfs")
    for _ in range(2):
        found, options = mode_seen(made)
        assert found == "1777" and not any(
            word.startswith("mode=") for word in options
        )  # the kernel's default
    for mode, shown in ((0o710, "710"), (0o7777, "7777")):
        (made.rootfs / "t/new").chmod(mode)
        found, options = mode_seen(made)
        assert found == shown and f"mode={shown}" in options
    entry["options"] = ["mode=0410", "tmpcopyup"]
    assert mode_seen(made)[0] == "410"


def test_the_mode_of_a_tmpfs_that_is_named_needs_no_directory(box: Boxes) -> None:
    made = box()
    made.mount("/t/new", "tmpfs", "tmpfs", "mode=0444", "silent")
    for _ in range(2):
        found, options = mode_seen(made)
        assert found == "444" and "mode=444" in options


def test_the_mode_of_a_tmpfs_by_the_old_call(box: Boxes) -> None:
    made = box()
    made.mount("/t/new", "tmpfs", "tmpfs", "silent", "size=64k")
    (made.rootfs / "t/new").mkdir(parents=True)
    (made.rootfs / "t/new").chmod(0o750)
    found, options = mode_seen(made)
    assert found == "750" and {"mode=750", "size=64k"} <= options


@pytest.mark.parametrize("path", ["/proc", "/sys"])
def test_a_link_is_no_place_for_what_the_kernel_fills(box: Boxes, path: str) -> None:
    made = box("/bin/true")
    (made.rootfs / path[1:]).rmdir()
    (made.rootfs / path[1:]).symlink_to("/tmp")
    made.run(check=False).failed("must be mounted on ordinary directory", path)
