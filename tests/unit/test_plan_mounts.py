"""mounts[] as ops: new file systems, binds, id maps, remounts, cgroup trees."""

from __future__ import annotations

from typing import Any

import pytest
from unit import plans

from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.plan.ops import Op, Plan

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


def ops(mount: dict[str, Any], given: dict[str, Any] | None = None, **changes: Any) -> list[Op]:
    return plans.at(compiled(mount, given, **changes), "/mounts/0")


def names(found: list[Op]) -> list[str]:
    return [plans.name(op)[3:] for op in found]


def tmpfs(*options: str) -> dict[str, Any]:
    return {"destination": "/t", "type": "tmpfs", "source": "shm", "options": list(options)}


def bind(*options: str, **more: Any) -> dict[str, Any]:
    return {"destination": "/b", "type": "bind", "source": "/host/b", "options": ["bind", *options], **more}


def test_new_file_system() -> None:
    found = ops(tmpfs("nosuid", "noexec", "mode=1777", "size=64k"))
    assert names(found) == ["MOUNT_NEW", "TARGET", "ATTACH"]
    made, target, attach = found
    assert made.texts == ("tmpfs", "shm", ["mode=1777", "size=64k"])
    assert made.numbers == (0x2 | 0x8, 2)
    assert (made.about, target.texts) == ("tmpfs on /t", ("/t",))
    assert target.numbers == (lib.TARGET_DIRECTORY, 0o755)
    assert (attach.fd, attach.fd2) == (lib.REG_MOUNT, lib.REG_TARGET)


def test_mounts_come_in_the_order_of_the_list() -> None:
    made = plans.spec(
        mounts=[tmpfs("mode=1"), bind(), {"destination": "/proc", "type": "proc", "source": "proc"}]
    )
    found = [op.pointer for op in plans.prepare(made).ops if op.pointer.startswith("/mounts/")]
    assert found == sorted(found) and set(found) == {"/mounts/0", "/mounts/1", "/mounts/2"}


def test_tmpfs_takes_the_mode_of_what_it_hides_and_its_content_when_asked() -> None:
    assert names(ops(tmpfs())) == ["MOUNT_NEW", "TARGET", "MODE_LIKE", "ATTACH"]
    assert names(ops(tmpfs("tmpcopyup"))) == ["MOUNT_NEW", "TARGET", "MODE_LIKE", "COPY_UP", "ATTACH"]
    assert names(ops(tmpfs("mode=700", "tmpcopyup"))) == ["MOUNT_NEW", "TARGET", "COPY_UP", "ATTACH"]


@pytest.mark.parametrize("kind", ["proc", "sysfs"])
def test_no_link_leads_a_kernel_file_system_elsewhere(kind: str) -> None:
    target = ops({"destination": f"/{kind}", "type": kind, "source": kind})[1]
    assert target.flags == lib.OPF_NO_SYMLINKS
    assert ops(tmpfs())[1].flags == 0


def test_long_values_go_through_mount() -> None:
    lower = "lowerdir=" + ":".join(f"/layers/{number:040}" for number in range(7))
    found = ops(
        {"destination": "/o", "type": "overlay", "source": "overlay", "options": [lower, "upperdir=/u", "ro"]}
    )
    assert names(found) == ["MOUNT_OLD", "MOUNT_ATTR", "TARGET", "ATTACH"]
    assert found[0].texts == ("overlay", "overlay", f"{lower},upperdir=/u")
    assert found[0].numbers == (0,)
    assert found[1].numbers == (0x1, 0, 0)


def test_flags_of_the_file_system_are_no_data_for_mount() -> None:
    old = ops(tmpfs("silent", "sync", "mode=7", "nosuid"))[0]
    assert (plans.name(old), old.texts, old.numbers) == (
        "OP_MOUNT_OLD",
        ("tmpfs", "shm", "mode=7"),
        (1 << 15 | 1 << 4,),
    )


def test_bind() -> None:
    found = ops(bind())
    assert names(found) == ["MOUNT_BIND", "TARGET", "ATTACH"]
    assert (found[0].texts, found[0].flags, found[0].fd) == (("/host/b",), 0, 0)
    assert found[1].numbers == (lib.TARGET_LIKE_MOUNT, 0o755)
    assert found[0].about == "bind of /host/b on /b"
    assert ops({**bind(), "options": ["rbind"]})[0].flags == lib.OPF_RECURSIVE


def test_bind_by_its_type_alone_or_its_option_alone() -> None:
    assert names(ops({**bind(), "options": []}))[0] == "MOUNT_BIND"
    assert names(ops({**bind(), "type": "none"}))[0] == "MOUNT_BIND"
    assert names(ops({"destination": "/b", "source": "/host/b", "options": ["bind"]}))[0] == "MOUNT_BIND"
    assert names(ops({**bind(), "type": "cgroup"}, {"cgroup": V1}))[0] == "MOUNT_BIND"


def test_bind_with_attributes_is_changed_before_it_is_seen() -> None:
    found = ops(bind("ro", "nosuid", "exec"))
    assert names(found) == ["MOUNT_BIND", "MOUNT_ATTR", "TARGET", "ATTACH"]
    assert (found[1].fd, found[1].flags, found[1].numbers) == (lib.REG_MOUNT, 0, (0x3, 0x8, 0))


def test_attributes_of_the_whole_tree_come_once_it_is_in_place() -> None:
    found = ops({**bind(), "options": ["rbind", "rro", "rexec"]})
    assert names(found) == ["MOUNT_BIND", "TARGET", "ATTACH", "MOUNT_ATTR"]
    assert (found[3].flags, found[3].numbers) == (lib.OPF_RECURSIVE, (0x1, 0x8, 0))


def test_propagation_comes_last() -> None:
    found = ops({**bind(), "options": ["rbind", "rslave", "shared"]})
    assert names(found) == ["MOUNT_BIND", "TARGET", "ATTACH", "MOUNT_ATTR", "MOUNT_ATTR"]
    assert [(op.flags, op.numbers) for op in found[3:]] == [
        (lib.OPF_RECURSIVE, (0, 0, 1 << 19)),
        (0, (0, 0, 1 << 20)),
    ]


def test_a_new_mount_below_a_private_root_is_private() -> None:
    assert names(ops(tmpfs("private", "mode=1"))) == ["MOUNT_NEW", "TARGET", "ATTACH"]
    below_shared = ops(tmpfs("private", "mode=1"), linux__rootfsPropagation="shared")
    assert names(below_shared) == ["MOUNT_NEW", "TARGET", "ATTACH", "MOUNT_ATTR"]
    assert names(ops(tmpfs("shared", "mode=1")))[-1] == "MOUNT_ATTR"
    assert names(ops(bind("private")))[-1] == "MOUNT_ATTR"


def test_bind_takes_no_data() -> None:
    with pytest.raises(OciError) as caught:
        ops(bind("mode=755"))
    assert (caught.value.code, caught.value.pointer) == ("mount-option", "/mounts/0/options")
    assert "mode=755" in caught.value.message


@pytest.mark.parametrize(
    "word", ["sync", "async", "dirsync", "mand", "nomand", "lazytime", "nolazytime", "silent", "loud"]
)
def test_flags_of_a_file_system_mean_nothing_to_a_bind(word: str) -> None:
    """They are the specification's, and the kernel passes over them (mount(2), MS_BIND)."""
    assert names(ops(bind(word))) == ["MOUNT_BIND", "TARGET", "ATTACH"]


def test_bind_needs_a_source_and_others_a_type() -> None:
    with pytest.raises(OciError) as caught:
        ops({"destination": "/b", "options": ["bind"]})
    assert caught.value.pointer == "/mounts/0/source"
    with pytest.raises(OciError) as caught:
        ops({"destination": "/b", "source": "/x"})
    assert caught.value.pointer == "/mounts/0/type"


def test_in_a_user_namespace_the_runtime_opens_the_sources() -> None:
    plan = compiled({**bind(), "options": ["rbind"]}, {"open_sources": True})
    found = plans.at(plan, "/mounts/0")
    assert names(found) == ["MOUNT_BIND", "MOUNT_ATTR", "TARGET", "ATTACH"]
    assert plan.passed[found[0].fd - lib.REG_PASSED] == (
        "tree",
        "/host/b",
        True,
        "/mounts/0",
        "bind of /host/b on /b",
    )
    assert (found[1].flags, found[1].numbers) == (lib.OPF_RECURSIVE, (0, 0, 1 << 19))


def test_no_more_sources_are_opened_than_can_travel() -> None:
    many = [{**bind(), "destination": f"/b{index}"} for index in range(300)]
    plan = plans.prepare(plans.spec(mounts=many), open_sources=True)
    assert len(plan.passed) == lib.PLAN_MAX_FDS
    opened = [op for op in plans.find(plan, "OP_MOUNT_BIND") if op.fd]
    assert [op.fd for op in opened] == list(range(lib.REG_PASSED + 1, lib.REG_PASSED + lib.PLAN_MAX_FDS))


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
    assert plans.at(plan, "/mounts/0")[0].fd == lib.REG_PASSED


def test_remount_changes_what_is_there() -> None:
    found = ops(
        {"destination": "/x", "type": "bind", "source": "", "options": ["remount", "bind", "ro", "rnosuid"]}
    )
    assert names(found) == ["TARGET", "MOUNT_ATTR"]
    assert found[0].numbers == (lib.TARGET_EXISTS,)
    assert (found[1].fd, found[1].flags, found[1].numbers) == (lib.REG_TARGET, 0, (0x3, 0, 0))


def test_label_goes_to_new_file_systems_only() -> None:
    label = {"linux__mountLabel": "system_u:object_r:x:s0:c1,c2"}
    assert ops(tmpfs("mode=1"), None, **label)[0].texts[2] == [
        "mode=1",
        "context=system_u:object_r:x:s0:c1,c2",
    ]
    assert ops(tmpfs("context=own"), None, **label)[0].texts[2] == ["context=own"]
    assert ops({"destination": "/proc", "type": "proc", "source": "proc"}, None, **label)[0].texts[2] == []
    assert names(ops(bind(), None, **label)) == ["MOUNT_BIND", "TARGET", "ATTACH"]


# -- cgroup ----------------------------------------------------------------------------------------------------------------

CGROUP = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "ro"]}


def with_cgroup_namespace() -> dict[str, Any]:
    return {"linux__namespaces": plans.namespaces("mount", "pid", "cgroup")}


def test_without_cgroups_nothing_is_mounted() -> None:
    assert ops(CGROUP) == []


def test_unified_tree_is_bound_or_mounted_in_its_namespace() -> None:
    found = ops(CGROUP, {"cgroup": V2})
    assert names(found) == ["MOUNT_BIND", "MOUNT_ATTR", "TARGET", "ATTACH"]
    assert (found[0].texts, found[1].numbers) == (("/sys/fs/cgroup/box",), (0x3, 0, 0))
    found = ops({**CGROUP, "type": "cgroup2"}, {"cgroup": V2}, **with_cgroup_namespace())
    assert names(found) == ["MOUNT_NEW", "TARGET", "ATTACH"]
    assert (found[0].texts, found[0].numbers) == (("cgroup2", "cgroup", []), (0x3, 0))
    assert found[1].flags == lib.OPF_NO_SYMLINKS


def test_hierarchies_lie_in_a_tmpfs_that_becomes_read_only_last() -> None:
    found = ops(CGROUP, {"cgroup": V1})
    assert names(found) == [
        *("MOUNT_NEW", "TARGET", "ATTACH"),
        *("MOUNT_BIND", "MOUNT_ATTR", "TARGET", "ATTACH") * 2,
        *("SYMLINK", "SYMLINK", "MOUNT_ATTR"),
    ]
    assert (found[0].fd2, found[0].numbers) == (lib.REG_CGROUP, (0x2, 1))
    assert [op.texts for op in found if plans.name(op) == "OP_MOUNT_BIND"] == [
        ("/sys/fs/cgroup/cpu,cpuacct/box",),
        ("/sys/fs/cgroup/systemd/box",),
    ]
    assert [(op.fd, op.texts) for op in found if plans.name(op) == "OP_SYMLINK"] == [
        (lib.REG_CGROUP, ("cpu,cpuacct", "cpu")),
        (lib.REG_CGROUP, ("cpu,cpuacct", "cpuacct")),
    ]
    assert (found[-1].fd, found[-1].numbers) == (lib.REG_CGROUP, (0x1, 0, 0))
    writable = ops({**CGROUP, "options": []}, {"cgroup": V1})
    assert names(writable)[-1] == "SYMLINK"


def test_hierarchies_in_their_namespace_are_mounted_with_their_own_options() -> None:
    found = ops(CGROUP, {"cgroup": V1}, **with_cgroup_namespace())
    made = [op for op in found if plans.name(op) == "OP_MOUNT_NEW"][1:]
    assert [op.texts for op in made] == [
        ("cgroup", "cgroup", ["cpu", "cpuacct"]),
        ("cgroup", "cgroup", ["none", "name=systemd"]),
    ]
