"""mounts[] as ops: new file systems, binds, id maps, remounts, cgroup trees."""

from __future__ import annotations

from typing import Any

import pytest
from unit import plans

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.plan.ops import Plan
from pyoci.spec import mount_options

RDONLY, NOSUID, NOEXEC = 0x1, 0x2, 0x8
BIND_FLAGS = 0x20000F  # ro, nosuid, nodev, noexec, nosymfollow
CONTROLLERS = [("cpu,cpuacct", "cpu,cpuacct"), ("systemd", "none,name=systemd")]
V1 = {
    "version": 1,
    "path": "",
    "controllers": [
        {"name": name, "dir": name, "host": f"/sys/fs/cgroup/{name}/box", "root": "", "options": words}
        for name, words in CONTROLLERS
    ],
    "links": [["cpu", "cpu,cpuacct"], ["cpuacct", "cpu,cpuacct"]],
}
V2 = {"version": 2, "path": "/sys/fs/cgroup/box", "controllers": [], "links": []}


def compiled(mount: dict[str, Any], given: dict[str, Any] | None = None, **changes: Any) -> Plan:
    return plans.prepare(plans.spec(mounts=[mount], **changes), **(given or {}))


def steps(mount: dict[str, Any], given: dict[str, Any] | None = None, **changes: Any) -> list[ops.Op]:
    return plans.at(compiled(mount, given, **changes), "/mounts/0")


names = plans.names_of
MOVE = ops.move_mount(mount=lib.REG_MOUNT, onto=lib.REG_MOUNTPOINT)


def attributes(**given: Any) -> ops.Op:
    """mount_setattr of the mount being made."""
    return ops.mount_setattr(mount=lib.REG_MOUNT, **given)


def place(path: str, kind: int = lib.MOUNTPOINT_DIRECTORY, **given: Any) -> ops.Op:
    """A mount point."""
    return ops.mountpoint(path=path, type=kind, mode=0o755, **given)


def tmpfs(*options: str) -> dict[str, Any]:
    return {"destination": "/t", "type": "tmpfs", "source": "shm", "options": list(options)}


def bind(*options: str, **more: Any) -> dict[str, Any]:
    return {"destination": "/b", "type": "bind", "source": "/host/b", "options": ["bind", *options], **more}


def test_new_file_system() -> None:
    found = steps(tmpfs("nosuid", "noexec", "mode=1777", "size=64k"))
    assert found == [
        place("/t"),
        ops.fsmount(
            type="tmpfs", source="shm", options=["mode=1777", "size=64k"], attributes=NOSUID | NOEXEC
        ),
        MOVE,
    ]
    assert {op.about for op in found} == {"tmpfs on /t"}


def test_mounts_come_in_the_order_of_the_list() -> None:
    made = plans.spec(
        mounts=[tmpfs("mode=1"), bind(), {"destination": "/proc", "type": "proc", "source": "proc"}]
    )
    found = [op.pointer for op in plans.prepare(made).ops if op.pointer.startswith("/mounts/")]
    assert found == sorted(found) and set(found) == {"/mounts/0", "/mounts/1", "/mounts/2"}


def test_tmpfs_takes_the_mode_of_what_it_hides_and_its_content_when_asked() -> None:
    target = ops.mountpoint(path="/t", type=lib.MOUNTPOINT_DIRECTORY, mode=0o1777)
    made = ops.fsmount(type="tmpfs", source="shm", mode_of=lib.REG_MOUNTPOINT)
    assert steps(tmpfs()) == [target, made, MOVE]
    assert names(steps(tmpfs("tmpcopyup"))) == ["mountpoint", "fsmount", "copy_up", "move_mount"]
    found = steps(tmpfs("mode=700", "tmpcopyup"))
    assert names(found) == ["mountpoint", "fsmount", "copy_up", "move_mount"]
    assert (found[0], found[1].mode_of) == (place("/t"), lib.REG_NONE)


def test_a_read_only_tmpfs_is_kept_and_becomes_read_only_last() -> None:
    made = plans.spec(
        mounts=[tmpfs("mode=1"), tmpfs("ro", "mode=1"), tmpfs("ro", "rw"), tmpfs("rro", "size=1", "silent")],
        linux__maskedPaths=["/t/x"],
        process__cwd="/t/work",
        root__readonly=True,
    )
    found = plans.prepare(made)
    assert all(op.attributes == 0 for op in plans.find(found, "fsmount"))
    assert "mount_setattr" not in names(found.ops)
    kept = [op.new for op in plans.find(found, "dup")]
    assert kept == [lib.REG_KEPT, lib.REG_KEPT + 1]
    closing = plans.finish(made).ops[:5]
    assert names(closing) == ["mask_path", "mkdir", "mount_setattr", "mount_setattr", "readonly_rootfs"]
    assert closing[1] == ops.mkdir(path="/t/work")
    assert closing[2:4] == [ops.mount_setattr(mount=register, set=RDONLY) for register in kept]
    assert [op.pointer for op in closing[2:4]] == ["/mounts/1", "/mounts/3"]


def test_more_read_only_tmpfs_than_there_are_registers_for_are_refused() -> None:
    most = lib.REG_COUNT - lib.REG_KEPT
    assert len(plans.find(plans.prepare(plans.spec(mounts=[tmpfs("ro")] * most)), "dup")) == most
    with pytest.raises(OciError, match=f"{most + 1} read-only tmpfs mounts are too many: {most} at most"):
        plans.prepare(plans.spec(mounts=[tmpfs("ro")] * (most + 1)))


def test_the_working_directory_is_made_before_its_file_system_becomes_read_only() -> None:
    assert "mkdir" not in names(plans.finish(plans.spec(process__cwd="/work")).ops)
    assert "mkdir" not in names(plans.finish(plans.spec(root__readonly=True)).ops)
    closing = names(plans.finish(plans.spec(process__cwd="/work", root__readonly=True)).ops)
    assert closing.index("mkdir") < closing.index("readonly_rootfs")


@pytest.mark.parametrize("word", [None, "rshared"])
def test_the_first_mount_on_the_root_becomes_the_root(word: str | None) -> None:
    given = {"linux__rootfsPropagation": word} if word else {}
    found = steps({**bind(), "destination": "//./"}, None, **given)
    assert ops.mountpoint(path="/", type=lib.MOUNTPOINT_LIKE_MOUNT, mode=0o755) in found
    assert names(found[:4]) == ["open_tree", "mountpoint", "move_mount", "dup"]
    assert found[3] == ops.dup(old=lib.REG_MOUNT, new=lib.REG_ROOT)
    # pivot_root(2) takes no shared mount
    private = [ops.mount_setattr(mount=lib.REG_ROOT, propagation=1 << 18)]
    assert found[4:] == (private if word else [])


def test_a_read_only_tmpfs_on_the_root() -> None:
    made = plans.spec(mounts=[{**tmpfs("ro"), "destination": "/"}])
    assert plans.finish(made).ops[0] == ops.mount_setattr(mount=lib.REG_ROOT, set=RDONLY)


def test_to_change_the_flags_of_the_root_is_not_to_mount_on_it() -> None:
    found = steps({"destination": "/", "type": "none", "options": ["remount", "bind", "nosuid"]})
    assert names(found) == ["mountpoint", "mount_setattr"]


@pytest.mark.parametrize("kind", ["proc", "sysfs"])
def test_no_link_leads_a_kernel_file_system_elsewhere(kind: str) -> None:
    assert steps({"destination": f"/{kind}", "type": kind, "source": kind})[1].no_symlinks
    assert not steps(tmpfs())[0].no_symlinks


def test_long_values_go_through_mount() -> None:
    lower = "lowerdir=" + ":".join(f"/layers/{number:040}" for number in range(7))
    found = steps(
        {"destination": "/o", "type": "overlay", "source": "overlay", "options": [lower, "upperdir=/u", "ro"]}
    )
    assert found == [
        ops.mount(type="overlay", source="overlay", data=f"{lower},upperdir=/u"),
        attributes(set=RDONLY),
        place("/o"),
        MOVE,
    ]


def test_flags_of_the_file_system_are_no_data_for_mount() -> None:
    old = steps(tmpfs("silent", "sync", "mode=7", "nosuid"))[1]
    assert old == ops.mount(type="tmpfs", source="shm", data="mode=7", flags=1 << 15 | 1 << 4)


def test_bind() -> None:
    found = steps(bind())
    assert found == [ops.open_tree(source="/host/b"), place("/b", lib.MOUNTPOINT_LIKE_MOUNT), MOVE]
    assert found[0].about == "bind of /host/b on /b"
    assert steps({**bind(), "options": ["rbind"]})[0].recursive


def test_bind_by_its_type_alone_or_its_option_alone() -> None:
    assert names(steps({**bind(), "options": []}))[0] == "open_tree"
    assert names(steps({**bind(), "type": "none"}))[0] == "open_tree"
    assert names(steps({"destination": "/b", "source": "/host/b", "options": ["bind"]}))[0] == "open_tree"
    assert names(steps({**bind(), "type": "cgroup"}, {"cgroup": V1}))[0] == "open_tree"


def test_bind_with_attributes_is_changed_before_it_is_seen() -> None:
    found = steps(bind("ro", "nosuid", "exec"))
    assert names(found) == ["open_tree", "mount_setattr", "mountpoint", "move_mount"]
    assert found[1] == attributes(set=RDONLY | NOSUID, clear=BIND_FLAGS)


def test_access_times_of_a_bind_stay_unless_they_are_named() -> None:
    assert steps(bind("atime"))[1] == attributes(clear=BIND_FLAGS)
    assert steps(bind("relatime"))[1] == attributes(clear=BIND_FLAGS | 0xF0)
    assert steps(bind("nodiratime"))[1] == attributes(set=0x80, clear=BIND_FLAGS | 0xF0)


@pytest.mark.parametrize("given", [{"nested": True}, {}])
def test_with_a_user_namespace_the_flags_of_a_source_are_looked_at(given: dict[str, Any]) -> None:
    users = {} if given else {"linux__namespaces": plans.namespaces("mount", "user")}
    found = steps(bind("ro", "exec"), given, **users)
    assert ops.bind_attributes(mount=lib.REG_MOUNT, set=RDONLY, clear=NOEXEC | 0x200000) in found
    assert "bind_attributes" not in names(steps(bind("rprivate"), given, **users))


def test_attributes_of_the_whole_tree_come_once_it_is_in_place() -> None:
    found = steps({**bind(), "options": ["rbind", "rro", "rexec"]})
    assert names(found) == ["open_tree", "mountpoint", "move_mount", "mount_setattr"]
    assert found[3] == attributes(set=RDONLY, clear=NOEXEC, recursive=True)


def test_propagation_comes_last() -> None:
    found = steps({**bind(), "options": ["rbind", "rslave", "shared"]})
    assert names(found[:3]) == ["open_tree", "mountpoint", "move_mount"]
    assert found[3:] == [attributes(propagation=1 << 19, recursive=True), attributes(propagation=1 << 20)]


def test_a_new_mount_below_a_private_root_is_private() -> None:
    assert names(steps(tmpfs("private", "mode=1"))) == ["mountpoint", "fsmount", "move_mount"]
    below_shared = steps(tmpfs("private", "mode=1"), linux__rootfsPropagation="shared")
    assert names(below_shared) == ["mountpoint", "fsmount", "move_mount", "mount_setattr"]
    assert names(steps(tmpfs("shared", "mode=1")))[-1] == "mount_setattr"
    assert names(steps(bind("private")))[-1] == "mount_setattr"


@pytest.mark.parametrize(
    "word", ["sync", "async", "dirsync", "mand", "nomand", "lazytime", "nolazytime", "silent", "loud"]
)
def test_flags_of_a_file_system_are_not_set_by_a_bind(word: str) -> None:
    """The kernel passes over them (mount(2), MS_BIND | MS_REMOUNT), yet as flags they replace those of the source."""
    found = steps(bind(word))
    assert names(found) == ["open_tree", "mount_setattr", "mountpoint", "move_mount"]
    assert found[1] == attributes(clear=BIND_FLAGS)


def test_in_a_user_namespace_the_runtime_opens_the_sources() -> None:
    plan = compiled({**bind(), "options": ["rbind"]}, {"open_sources": True})
    found = plans.at(plan, "/mounts/0")
    assert names(found) == ["open_tree", "mount_setattr", "mountpoint", "move_mount"]
    assert plan.passed[found[0].tree - lib.REG_PASSED] == (
        "tree",
        "/host/b",
        True,
        "/mounts/0",
        "bind of /host/b on /b",
    )
    assert found[1] == attributes(propagation=1 << 19, recursive=True)


@pytest.mark.parametrize(
    ("facts", "option", "compared"),
    [
        ({"open_sources": True}, "rrw", True),
        ({"nested": True}, "rrw", True),
        ({"nested": True}, "rnodiratime", True),
        ({"nested": True}, "rrelatime", True),
        ({"open_sources": True}, "rro", False),
        ({"nested": True}, "rro", False),
        ({"nested": True, "may_mount": False}, "rrw", False),
        ({}, "rrw", False),
    ],
)
def test_recursive_options_that_may_clear_a_locked_flag(
    facts: dict[str, Any], option: str, compared: bool
) -> None:
    """The runtime opens the source then, and compares. An ordinary user's kernel has locked the flags itself."""
    found = mount_options.parse([option])
    carried = [what[5:] for what in compiled(bind(option), facts).passed if what[1] == "/host/b"]
    deep = (found.deep_set, found.deep_clear) if compared else ()
    assert carried == ([deep] if compared or "open_sources" in facts else [])
    within = {**bind(), "source": "/bundle/rootfs/x", "options": ["bind", option]}
    if compared:
        with pytest.raises(OciError, match="a source in the rootfs"):
            compiled(within, {**facts, "bundle": "/bundle"})
    else:
        compiled(within, {**facts, "bundle": "/bundle"})


def test_few_sources_are_open_at_the_same_time() -> None:
    many = [{**bind(), "destination": f"/b{index}"} for index in range(300)]
    plan = plans.prepare(plans.spec(mounts=many), open_sources=True)
    pieces = plan.pieces()
    assert [len(piece.passed) for piece in pieces] == [16] * 18 + [13]  # with that of the rootfs
    for piece in pieces:
        opened = [op.tree for op in piece.ops if op.name in ("open_tree", "mount_rootfs")]
        assert opened == list(range(lib.REG_PASSED, lib.REG_PASSED + len(piece.passed)))
    assert [op for piece in pieces for op in piece.ops] == plan.ops
    whole = plans.prepare(plans.spec(mounts=many))
    assert whole.pieces() == [whole]


@pytest.mark.parametrize("source", ["/bundle/rootfs/t/x", "rootfs/./t/x", "/bundle//rootfs/t/y/../x"])
def test_a_source_in_the_rootfs_is_looked_up_when_all_before_is_mounted(source: str) -> None:
    made = plans.spec(mounts=[tmpfs("mode=1"), {**bind(), "source": source}])
    assert plans.find(plans.prepare(made, bundle="/bundle"), "open_tree") == [
        ops.open_tree(source="/t/x", below=lib.REG_ROOT)
    ]
    first, second = plans.prepare(made, bundle="/bundle", open_sources=True).pieces()
    assert "/mounts/0" in first.ops[-1].pointer and second.ops[0].pointer == "/mounts/1"
    assert second.passed[0][:2] == ("inner-tree", "/t/x")
    made["mounts"][1]["options"] = ["ridmap"]
    second = plans.prepare(made, bundle="/bundle").pieces()[1]
    assert second.passed[0][:2] == ("inner-deep-idmapped-tree", "/t/x")


def test_links_as_source_and_destination() -> None:
    found = steps(bind("src-nofollow", "dest-nofollow"))
    assert found[0] == ops.open_tree(source="/host/b", nofollow=True)
    assert found[1] == place("/b", lib.MOUNTPOINT_LIKE_MOUNT, nofollow=True)
    passed = compiled(bind("src-nofollow"), {"open_sources": True}).passed[1]
    assert passed[:2] == ("link-tree", "/host/b")
    copied = steps(bind("copy-symlink"), {"links": {0: "../x"}})
    assert copied == [ops.symlink(target="../x", path="/b", below=lib.REG_ROOT, exact=True)]
    assert names(steps(bind("copy-symlink"))) == ["open_tree", "mountpoint", "move_mount"]


def test_sources_beside_the_rootfs_are_the_hosts() -> None:
    for source in ("/bundle/rootfs2", "/bundle", "rootfs/../data", "data"):
        found = plans.prepare(plans.spec(mounts=[{**bind(), "source": source}]), bundle="/bundle")
        assert plans.find(found, "open_tree") == [ops.open_tree(source=source)]


@pytest.mark.parametrize(
    ("mount", "kind"),
    [
        (bind("idmap"), "idmapped-tree"),
        (bind("ridmap"), "deep-idmapped-tree"),
        (bind(uidMappings=[{"containerID": 0, "hostID": 5, "size": 1}]), "idmapped-tree"),
    ],
)
def test_id_mapped_binds(mount: dict[str, Any], kind: str) -> None:
    plan = compiled(mount)
    assert [what[0] for what in plan.passed] == [kind]
    assert plans.at(plan, "/mounts/0")[0].tree == lib.REG_PASSED


def test_remount_changes_what_is_there() -> None:
    found = steps(
        {"destination": "/x", "type": "bind", "source": "", "options": ["remount", "bind", "ro", "rnosuid"]}
    )
    assert found == [
        ops.mountpoint(path="/x", type=lib.MOUNTPOINT_EXISTS),
        ops.mount_setattr(mount=lib.REG_MOUNTPOINT, set=RDONLY | NOSUID),
    ]


def test_remount_changes_the_file_system_too() -> None:
    found = steps({"destination": "/x", "type": "tmpfs", "options": ["remount", "noexec", "size=1m"]})
    assert found[-1] == ops.reconfigure(mount=lib.REG_MOUNTPOINT, options=["size=1m"])


def test_label_goes_to_new_file_systems_only() -> None:
    label = {"linux__mountLabel": "system_u:object_r:x:s0:c1,c2"}
    assert steps(tmpfs("mode=1"), None, **label)[1].options == [
        "mode=1",
        "context=system_u:object_r:x:s0:c1,c2",
    ]
    assert steps(tmpfs("context=own"), None, **label)[1].options == ["context=own"]
    given = 'context="system_u:object_r:x:s0:c3,c4"'
    assert steps(tmpfs(given), None, **label)[1].options == ["context=system_u:object_r:x:s0:c3,c4"]
    # mount(2) takes a comma for the end of a label that is not quoted
    old = steps(tmpfs("silent", "size=5m"), None, **label)[1]
    assert old.data == 'size=5m,context="system_u:object_r:x:s0:c1,c2"'
    assert steps(tmpfs("silent", given), None, **label)[1].data == given
    kind = {"annotations": {"run.oci.mount_context_type": "fscontext"}}
    assert steps(tmpfs("mode=1"), None, **label, **kind)[1].options[1].startswith("fscontext=system_u:")
    assert steps({"destination": "/proc", "type": "proc", "source": "proc"}, None, **label)[0].options == []
    assert names(steps(bind(), None, **label)) == ["open_tree", "mountpoint", "move_mount"]


def test_label_of_mqueue_goes_to_its_root() -> None:
    """The namespace has its mqueue before it is mounted: the kernel refuses another label in the mount."""
    mount = {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"}
    for options, made in (["nosuid"], "fsmount"), (["silent"], "mount"):
        plan = compiled({**mount, "options": options}, linux__mountLabel="a:b:c:s0:c1,c2")
        found = plans.at(plan, "/mounts/0")
        assert names(found) == [made, "mountpoint", "move_mount"]
        assert "a:b:c" not in repr(found[0].options if made == "fsmount" else found[0].data)
        assert plans.find(plan, "label") == [ops.label(mount=lib.REG_MOUNT, label="a:b:c:s0:c1,c2")]
        assert plans.names(plan).index("label") == plans.names(plan).index(made) + 1
        own = compiled({**mount, "options": [*options, "context=own"]}, linux__mountLabel="a:b:c")
        assert not plans.find(own, "label")


# -- cgroup ----------------------------------------------------------------------------------------------------------------

CGROUP = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "ro"]}


def with_cgroup_namespace() -> dict[str, Any]:
    return {"linux__namespaces": plans.namespaces("mount", "pid", "cgroup")}


def test_without_cgroups_nothing_is_mounted() -> None:
    assert steps(CGROUP) == []


def test_unified_tree_is_bound_or_mounted_in_its_namespace() -> None:
    found = steps(CGROUP, {"cgroup": V2})
    assert names(found) == ["open_tree", "mount_setattr", "mountpoint", "move_mount"]
    assert found[:2] == [ops.open_tree(source="/sys/fs/cgroup/box"), attributes(set=RDONLY | NOSUID)]
    found = steps({**CGROUP, "type": "cgroup2"}, {"cgroup": V2}, **with_cgroup_namespace())
    assert found == [
        ops.fsmount(type="cgroup2", source="cgroup", attributes=RDONLY | NOSUID),
        place("/sys/fs/cgroup", no_symlinks=True),
        MOVE,
    ]


def test_hierarchies_lie_in_a_tmpfs_that_becomes_read_only_last() -> None:
    found = steps(CGROUP, {"cgroup": V1})
    assert names(found) == [
        *("fsmount", "mountpoint", "move_mount"),
        *("open_tree", "mount_setattr", "mountpoint", "move_mount") * 2,
        *("symlink", "symlink", "mount_setattr"),
    ]
    assert found[0] == ops.fsmount(
        type="tmpfs", source="tmpfs", options=["mode=755"], attributes=NOSUID, to=lib.REG_CGROUP
    )
    assert [op for op in found if op.name == "open_tree"] == [
        ops.open_tree(source="/sys/fs/cgroup/cpu,cpuacct/box"),
        ops.open_tree(source="/sys/fs/cgroup/systemd/box"),
    ]
    assert [op for op in found if op.name == "symlink"] == [
        ops.symlink(target="cpu,cpuacct", path="cpu", below=lib.REG_CGROUP),
        ops.symlink(target="cpu,cpuacct", path="cpuacct", below=lib.REG_CGROUP),
    ]
    assert found[-1] == ops.mount_setattr(mount=lib.REG_CGROUP, set=RDONLY)
    labelled = steps(CGROUP, {"cgroup": V1}, linux__mountLabel="a:b:c")
    assert labelled[0].options == ["mode=755", "context=a:b:c"]
    writable = steps({**CGROUP, "options": []}, {"cgroup": V1})
    assert names(writable)[-1] == "symlink"


def test_hierarchies_in_their_namespace_are_mounted_with_their_own_options() -> None:
    found = steps(CGROUP, {"cgroup": V1}, **with_cgroup_namespace())
    made = [op for op in found if op.name == "fsmount"][1:]
    assert [(op.type, op.options) for op in made] == [
        ("cgroup", ["cpu", "cpuacct"]),
        ("cgroup", ["none", "name=systemd"]),
    ]
