"""Namespaces: which the init is born in, joins, leaves by itself, and what waits."""

from __future__ import annotations

import pytest
from unit import plans

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.spec import namespaces

FLAGS = {
    "time": 0x80, "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
    "pid": 0x20000000, "network": 0x40000000,
}  # fmt: skip


def test_flags_are_those_of_the_kernel() -> None:
    assert namespaces.FLAGS == FLAGS
    assert set(namespaces.JOIN_ORDER) == set(FLAGS)


@pytest.mark.parametrize("kind", FLAGS)
def test_a_new_namespace_is_entered_at_its_moment(kind: str) -> None:
    made = plans.spec(linux__namespaces=plans.namespaces(kind))
    found = namespaces.sort(made)
    cloned = FLAGS[kind] if kind in ("pid", "user") else 0
    unshared = FLAGS[kind] if kind in ("mount", "uts", "ipc", "network") else 0
    assert (found.clone_flags, found.unshare_flags, found.joined) == (cloned, unshared, [])
    late = plans.names(plans.prepare(made))
    assert ("time_namespace" in late) == (kind == "time")
    assert ("unshare" in late) == (kind == "cgroup")


@pytest.mark.parametrize("kind", FLAGS)
def test_a_joined_namespace_is_joined_by_the_init(kind: str) -> None:
    made = plans.spec(linux__namespaces=plans.namespaces("pid", **{kind: "/proc/9/ns/x"}))
    found = namespaces.sort(made)
    assert found.unshare_flags == 0
    assert found.joined == [(kind, "/proc/9/ns/x", 1)]
    plan = plans.early(made)
    join = plans.one(plan, "setns")
    assert (join.flags, join.pointer) == (FLAGS[kind], "/linux/namespaces/1")
    where = ("namespace", kind, "/proc/9/ns/x", "/linux/namespaces/1/path")
    assert plan.passed[join.fd - lib.REG_PASSED] == where
    assert "setns" not in plans.names(plans.prepare(made))


def test_what_a_joined_user_namespace_may_not_own_is_tried_before_and_after_it() -> None:
    """The host's root may join all before it, and nothing but what that owns after it; others may the other way round."""
    made = plans.spec(
        linux__namespaces=plans.namespaces("mount", network="/n", user="/u", ipc="/i", time="/t")
    )
    joins = plans.find(plans.early(made), "setns")
    assert [(op.flags, op.tentative, op.again) for op in joins] == [
        *((FLAGS[kind], 1, 0) for kind in ("ipc", "network", "time")),
        (FLAGS["user"], 0, 0),
        *((FLAGS[kind], 0, 1) for kind in ("ipc", "network", "time")),
    ]
    assert [op.fd for op in joins[:3]] == [op.fd for op in joins[4:]]


def test_order_of_joining() -> None:
    paths = {
        kind: f"/ns/{kind}" for kind in ("mount", "network", "cgroup", "uts", "ipc", "pid", "user", "time")
    }
    found = namespaces.sort(plans.spec(linux__namespaces=plans.namespaces(**paths)))
    assert [kind for kind, _, _ in found.joined] == [
        "user",
        "pid",
        "uts",
        "ipc",
        "network",
        "cgroup",
        "time",
        "mount",
    ]
    assert [index for _, _, index in found.joined] == [6, 5, 3, 4, 1, 2, 7, 0]


@pytest.mark.parametrize(
    ("new", "joined", "forks"),
    [
        (["pid", "mount"], ["network"], False),
        (["pid", "mount"], ["network", "mount", "ipc"], False),
        ([], ["user", "network"], False),
        (["mount"], ["pid"], True),
        (["pid"], ["user"], True),
        (["user", "mount"], ["network"], True),
        (["user", "pid"], [], False),
    ],
)
def test_a_child_goes_on_where_joining_is_for_children_or_comes_first(
    new: list[str], joined: list[str], forks: bool
) -> None:
    paths = {kind: f"/ns/{kind}" for kind in joined}
    made = plans.spec(linux__namespaces=plans.namespaces(*new, **paths))
    found = namespaces.sort(made)
    assert found.forks == forks
    plan = plans.early(made)
    assert [op.flags for op in plans.find(plan, "fork")] == ([found.clone_flags] if forks else [])
    names = plans.names(plan)
    if forks:
        last = len(names) - 1 - names[::-1].index("setns")
        assert last < names.index("fork")
        assert "unshare" not in names[: names.index("fork")]
    assert ("become_root" in names) == ("user" in joined or (forks and "user" in new))


def test_a_joining_init_is_in_its_cgroup_before_others_can_see_it() -> None:
    made = plans.spec(linux__namespaces=plans.namespaces("mount", pid="/ns/pid"))
    assert plans.names(plans.early(made, cgroup_fds=2)) == [
        *("join_cgroup", "setns", "fork"),
        "unshare",
    ]


def test_early_plan() -> None:
    plan = plans.early(
        plans.spec(linux__namespaces=plans.namespaces("pid", "user", "mount", "uts", "network"))
    )
    assert plan.ops == [
        ops.unshare(flags=FLAGS["mount"] | FLAGS["uts"] | FLAGS["network"]),
        ops.loopback_up(),
    ]
    assert plan.ops[0].about == "new namespaces: mount, uts, network"


def test_early_plan_without_network_and_without_anything() -> None:
    ahead = plans.spec(linux__namespaces=plans.namespaces("mount", "network"))
    assert plans.names(plans.early(ahead)) == ["loopback_up"], "the others are made before the init is there"
    owned = plans.spec(linux__namespaces=plans.namespaces("user", "mount"))
    assert plans.names(plans.early(owned)) == ["unshare"]
    assert plans.names(
        plans.early(plans.spec(linux__namespaces=plans.namespaces("pid", network="/ns/n")))
    ) == ["setns"]
    assert plans.names(plans.early({"linux": {}})) == plans.names(plans.early({})) == []


def test_cgroup_namespace_starts_where_the_init_has_been_moved() -> None:
    made = plans.spec(linux__namespaces=plans.namespaces("cgroup", "mount"))
    plan = plans.prepare(made, cgroup_fds=3)
    found = plans.names(plan)
    assert found.index("join_cgroup") < found.index("unshare") < found.index("mount_rootfs")
    assert plans.one(plan, "join_cgroup") == ops.join_cgroup(tasks=lib.REG_PASSED, count=3)
    assert plan.passed == [("cgroup", 0), ("cgroup", 1), ("cgroup", 2)]


def test_time_offsets() -> None:
    made = plans.spec(
        linux__namespaces=plans.namespaces("time", "mount"),
        linux__timeOffsets={"monotonic": {"secs": 100, "nanosecs": 5}, "boottime": {"secs": -7}},
    )
    plan = plans.prepare(made)
    assert plans.one(plan, "time_namespace").offsets == "monotonic 100 5\nboottime -7 0\n"
    found = plans.names(plan)
    assert found.index("open_procfs") < found.index("time_namespace")


def test_has_and_is_new() -> None:
    made = plans.spec(linux__namespaces=plans.namespaces("pid", network="/ns/net"))
    assert (
        namespaces.has(made, "pid") and namespaces.has(made, "network") and not namespaces.has(made, "user")
    )
    assert namespaces.is_new(made, "pid") and not namespaces.is_new(made, "network")


@pytest.mark.parametrize(
    ("made", "ahead"),
    [
        (plans.namespaces("pid", "mount", "uts", "cgroup"), FLAGS["mount"] | FLAGS["uts"]),
        (plans.namespaces("mount", network="/ns/net"), FLAGS["mount"]),
        (plans.namespaces("mount", pid="/ns/pid"), 0),  # its child makes them
        (plans.namespaces("mount", "user"), 0),  # the user namespace must own them
        (plans.namespaces("mount", user="/ns/user"), 0),
    ],
)
def test_what_is_made_before_the_init_is_there(made: list[dict[str, str]], ahead: int) -> None:
    assert namespaces.sort(plans.spec(linux__namespaces=made)).ahead == ahead


@pytest.mark.parametrize(
    ("made", "early"),
    [(plans.namespaces("mount", pid="/ns/pid"), ["join_cgroup"]), (plans.namespaces("pid", "mount"), [])],
)
def test_an_init_that_forks_joins_its_cgroup_early(made: list[dict[str, str]], early: list[str]) -> None:
    names = plans.names(plans.early(plans.spec(linux__namespaces=made), cgroup_fds=2))
    assert [name for name in names if name == "join_cgroup"] == early
