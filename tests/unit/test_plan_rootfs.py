"""The root file system in the plan: made a mount, filled with devices, closed up, pivoted into."""

from __future__ import annotations

from typing import Any

import pytest
from unit import plans

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.spec import mount_options

REC, UNBINDABLE, PRIVATE, SLAVE, SHARED = 0x4000, 1 << 17, 1 << 18, 1 << 19, 1 << 20
CHR, BLK, FIFO = 0o020000, 0o060000, 0o010000
DEFAULTS = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
USER = plans.namespaces("mount", "pid", "user")


# -- the root and its propagation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "host", "root"),
    [
        (None, SLAVE | REC, None),
        ("private", PRIVATE | REC, None),
        ("rprivate", PRIVATE | REC, None),
        ("slave", SLAVE | REC, None),
        ("rslave", SLAVE | REC, None),
        ("shared", SHARED | REC, SHARED),
        ("rshared", SHARED | REC, SHARED | REC),
        ("unbindable", SLAVE | REC, UNBINDABLE),
        ("runbindable", SLAVE | REC, UNBINDABLE | REC),
    ],
)
def test_propagation(word: str | None, host: int, root: int | None) -> None:
    """An unbindable tree could not be copied: until it is the root it is a slave. Slave and private it is from the start."""
    made = plans.spec(linux__rootfsPropagation=word) if word else plans.spec()
    op = plans.one(plans.prepare(made), "host_propagation")
    assert (op.flags, op.pointer) == (host, "/linux/rootfsPropagation")
    closing = plans.find(plans.finish(made), "rootfs_propagation")
    assert [op.flags for op in closing] == ([root] if root else [])


def test_root_is_made_a_mount_before_anything_is_mounted() -> None:
    made = plans.spec(mounts=[{"destination": "/proc", "type": "proc", "source": "proc"}])
    found = plans.names(plans.prepare(made))
    assert found.index("host_propagation") < found.index("mount_rootfs") < found.index("fsmount")
    assert plans.one(plans.prepare(made), "mount_rootfs") == ops.mount_rootfs(path="/bundle/rootfs")


def test_root_that_the_runtime_opens() -> None:
    plan = plans.prepare(plans.spec(linux__namespaces=USER), open_sources=True)
    op = plans.one(plan, "mount_rootfs")
    assert plan.passed[op.tree - lib.REG_PASSED] == ("tree", "/bundle/rootfs", True, "/root/path", "rootfs")
    after = plan.ops[plan.ops.index(op) + 1]
    assert after == ops.mount_setattr(mount=lib.REG_ROOT, propagation=SLAVE, recursive=True)


def test_what_the_runtime_copies_is_private_where_the_root_is() -> None:
    bind = {"destination": "/b", "type": "bind", "source": "/host/b"}
    made = plans.spec(linux__namespaces=USER, mounts=[bind], linux__rootfsPropagation="rprivate")
    changed = plans.find(plans.prepare(made, open_sources=True), "mount_setattr")
    assert [(op.mount, op.propagation) for op in changed if op.propagation] == [
        (lib.REG_ROOT, PRIVATE),
        (lib.REG_MOUNT, PRIVATE),
    ]


@pytest.mark.parametrize(
    ("kinds", "given", "may"),
    [
        (("mount", "user"), {}, True),
        (("mount", "user", "network"), {}, False),
        (("mount",), {"nested": True}, True),
        (("mount",), {}, False),
    ],
)
def test_sysfs_may_have_to_be_the_hosts(kinds: tuple[str, ...], given: dict[str, Any], may: bool) -> None:
    sysfs = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]}
    made = plans.spec(linux__namespaces=plans.namespaces(*kinds), mounts=[sysfs])
    found = plans.at(plans.prepare(made, **given), "/mounts/0")
    if not may:
        assert plans.names_of(found)[0] == "fsmount"
        return
    assert found[0] == ops.sysfs(source="sysfs", attributes=3)
    assert ops.mask_path(path="/fs/cgroup", below=lib.REG_MOUNT) in found
    made["mounts"].append({"destination": "/sys/fs/cgroup/", "type": "cgroup", "source": "cgroup"})
    assert "mask_path" not in plans.names(plans.prepare(made, **given))


def test_without_a_mount_namespace_there_is_nothing_to_pivot() -> None:
    made = plans.spec(linux__namespaces=plans.namespaces("pid"))
    assert plans.one(plans.prepare(made), "open_rootfs") == ops.open_rootfs(path="/bundle/rootfs")
    assert not {"host_propagation", "mount_rootfs"} & set(plans.names(plans.prepare(made)))
    found = plans.names(plans.finish(made))
    assert "chroot" in found and not {"move_root", "pivot_root"} & set(found)


def test_pivot_or_not() -> None:
    assert "pivot_root" in plans.names(plans.finish(plans.spec()))
    without = plans.names(plans.finish(plans.spec(), no_pivot=True))
    assert without.index("move_root") + 1 == without.index("chroot")
    assert "pivot_root" not in without


def test_closing() -> None:
    made = plans.spec(
        root__readonly=True,
        linux__maskedPaths=["/proc/kcore", "/sys/firmware", "/proc//kcore/"],
        linux__readonlyPaths=["/proc/sys"],
        linux__rootfsPropagation="rshared",
    )
    found = plans.names(plans.finish(made))
    assert found[:6] == [
        *("readonly_path", "mask_path", "mask_path", "readonly_rootfs"),
        *("pivot_root", "rootfs_propagation"),
    ]
    masked = plans.find(plans.finish(made), "mask_path")
    assert masked == [ops.mask_path(path="/proc/kcore"), ops.mask_path(path="/sys/firmware")]
    assert [op.pointer for op in masked] == ["/linux/maskedPaths/0", "/linux/maskedPaths/1"]


PROC: dict[str, Any] = {"destination": "/proc", "type": "proc"}
SYS: dict[str, Any] = {"destination": "//sys/", "type": "sysfs", "options": ["ro"]}


@pytest.mark.parametrize(
    ("mounts", "path", "found"),
    [
        ([PROC, SYS], "/proc/kcore", (lib.REG_PROCFS, "/kcore")),
        ([PROC, SYS], "/proc", (lib.REG_PROCFS, "")),
        ([PROC, SYS], "/sys//firmware/.", (lib.REG_SYSFS, "/firmware")),
        ([PROC, SYS], "/processes", (lib.REG_NONE, "/processes")),
        ([PROC, SYS], "/proc/../etc", (lib.REG_NONE, "/proc/../etc")),
        ([PROC, {"destination": "/proc/sys", "type": "tmpfs"}], "/proc/kcore", (lib.REG_PROCFS, "/kcore")),
        ([PROC, {"destination": "/", "type": "tmpfs"}], "/proc/kcore", (lib.REG_NONE, "/proc/kcore")),
        ([PROC, {"destination": "/a/../proc", "type": "tmpfs"}], "/proc/x", (lib.REG_NONE, "/proc/x")),
        (
            [PROC, {**PROC, "source": "/proc", "options": ["rbind"]}],
            "/proc/kcore",
            (lib.REG_NONE, "/proc/kcore"),
        ),
        ([PROC, {**PROC, "destination": "/p"}], "/proc/kcore", (lib.REG_NONE, "/proc/kcore")),
        ([PROC, {**PROC, "destination": "/p"}], "/p/kcore", (lib.REG_PROCFS, "/kcore")),
    ],
)
def test_hidden_paths_of_the_kernels_file_systems(
    mounts: list[dict[str, Any]], path: str, found: tuple[int, str]
) -> None:
    made = plans.spec(mounts=mounts, linux__maskedPaths=[path], linux__readonlyPaths=[path])
    for name in ("mask_path", "readonly_path"):
        op = plans.one(plans.finish(made), name)
        assert (op.below, op.path) == found
        if op.below:
            assert op.below in [op.new for op in plans.find(plans.prepare(made), "dup")]


def test_masks_have_the_label_of_the_containers_mounts() -> None:
    made = plans.spec(linux__maskedPaths=["/proc/kcore"], linux__mountLabel="system_u:object_r:x_t:s0")
    assert plans.one(plans.finish(made), "mask_path").label == "system_u:object_r:x_t:s0"


# -- devices ---------------------------------------------------------------------------------------------------------------


def nodes(made: dict[str, Any], **given: Any) -> dict[str, tuple[int, ...]]:
    """Path -> mode, device, uid, gid."""
    found = plans.find(plans.prepare(made, **given), "mknod")
    return {op.path: (op.mode, op.device, op.uid, op.gid) for op in found}


def test_default_devices_and_links() -> None:
    assert nodes(plans.spec()) == {
        f"/dev/{name}": (CHR | 0o666, major << 8 | minor, 0, 0) for name, (major, minor) in DEFAULTS.items()
    }
    links = plans.find(plans.prepare(plans.spec()), "symlink")
    assert [(op.target, op.path) for op in links] == [
        ("pts/ptmx", "/dev/ptmx"),
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
        ("/proc/kcore", "/dev/core"),
    ]
    assert len(plans.find(plans.prepare(plans.spec(), kcore=False), "symlink")) == 5


@pytest.mark.parametrize(
    ("device", "numbers"),
    [
        ({"type": "c", "major": 10, "minor": 229}, (CHR | 0o666, 10 << 8 | 229, 0, 0)),
        ({"type": "u", "major": 10, "minor": 229}, (CHR | 0o666, 10 << 8 | 229, 0, 0)),
        ({"type": "b", "major": 8, "minor": 1, "fileMode": 0o660}, (BLK | 0o660, 8 << 8 | 1, 0, 0)),
        ({"type": "b", "major": 259, "minor": 300000}, (BLK | 0o666, 259 << 8 | 0xE0 | 0x493 << 20, 0, 0)),
        ({"type": "p"}, (FIFO | 0o666, 0, 0, 0)),
        ({"type": "p", "major": 1, "minor": 3}, (FIFO | 0o666, 0, 0, 0)),
        ({"type": "c", "major": 1, "minor": 3, "uid": 5, "gid": 6, "fileMode": 0}, (CHR, 1 << 8 | 3, 5, 6)),
        ({"type": "c", "major": 1, "minor": 3, "fileMode": 0o20666}, (CHR | 0o666, 1 << 8 | 3, 0, 0)),
    ],
)
def test_listed_device(device: dict[str, Any], numbers: tuple[int, ...]) -> None:
    made = plans.spec(linux__devices=[{"path": "/dev/x", **device}])
    assert nodes(made)["/dev/x"] == numbers
    op = plans.at(plans.prepare(made), "/linux/devices/0")[0]
    assert op.about == "device /dev/x"


def test_a_listed_device_takes_the_place_of_a_default_one() -> None:
    made = plans.spec(
        linux__devices=[{"path": "/dev//null/", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600}]
    )
    found = nodes(made)
    assert found["/dev/null"][0] == CHR | 0o600
    assert len(found) == len(DEFAULTS)
    assert len(plans.find(plans.prepare(made), "mknod")) == len(DEFAULTS)


def test_a_user_namespace_gets_the_hosts_devices_by_binds() -> None:
    made = plans.spec(
        linux__namespaces=USER,
        linux__devices=[
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229},
            {"path": "/dev/p", "type": "p"},
        ],
    )
    plan = plans.prepare(made)
    assert list(nodes(made)) == ["/dev/p"]
    found = plans.at(plan, "/linux/devices/0")
    assert plans.names_of(found) == ["open_tree", "mount_setattr", "mountpoint", "move_mount"]
    assert found[0] == ops.open_tree(source="/dev/fuse")
    assert found[1] == ops.mount_setattr(mount=lib.REG_MOUNT, set=mount_options.RDONLY)
    assert found[2] == ops.mountpoint(path="/dev/fuse", type=lib.MOUNTPOINT_FILE, mode=0o666)
    assert len(plans.find(plan, "open_tree")) == len(DEFAULTS) + 1


@pytest.mark.parametrize(
    ("mount", "bound"),
    [
        ({"destination": "/dev", "type": "bind", "source": "/dev"}, True),
        ({"destination": "/dev/", "type": "none", "source": "/dev", "options": ["rbind"]}, True),
        ({"destination": "/./dev", "source": "/dev", "options": ["bind"]}, True),
        ({"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}, False),
        ({"destination": "/dev/x", "type": "bind", "source": "/dev"}, False),
    ],
)
def test_nothing_is_made_in_the_hosts_own_dev(mount: dict[str, Any], bound: bool) -> None:
    found = plans.names(plans.prepare(plans.spec(mounts=[mount])))
    assert ("mknod" in found or "symlink" in found) != bound
