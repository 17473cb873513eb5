"""process in the plan: identity, privileges, limits, filter, hooks, the program; for the first process and for exec."""

from __future__ import annotations

import pytest
from unit import plans

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.plan import compiler
from pyoci.plan.ops import Plan
from pyoci.spec import capabilities
from pyoci.spec.seccomp_words import FLAG_NEW_LISTENER as NEW_LISTENER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Process


FILTER = bytes(range(24))
SYS_ADMIN = 1 << 21
IDENTITY = ["chdir", "stdio_owner", "bounding_set", "user", "chdir"]


def caps(*names: str) -> int:
    return capabilities.mask([f"CAP_{name}" for name in names])[0]


def capset(effective: int, permitted: int, inheritable: int, ambient: int) -> ops.Op:
    return ops.capset(effective=effective, permitted=permitted, inheritable=inheritable, ambient=ambient)


def sets(**given: list[str]) -> dict[str, list[str]]:
    return {kind: [f"CAP_{name}" for name in names] for kind, names in given.items()}


# -- identity --------------------------------------------------------------------------------------------------------------


def test_identity() -> None:
    user = {"uid": 1000, "gid": 100, "additionalGids": [5, 0xFFFFFFFE], "umask": 0o27}
    plan = plans.finish(plans.spec(process__user=user, process__cwd="/work"))
    found = plans.names(plan)
    start = found.index("chdir")
    assert found[start : start + 6] == [*IDENTITY, "umask"]
    assert plans.one(plan, "user") == ops.user(uid=1000, gid=100, groups=[5, 0xFFFFFFFE])
    assert plans.find(plan, "chdir") == [
        ops.chdir(path="/work", create=True, tentative=True),
        ops.chdir(path="/work", create=True),
    ]
    assert plans.one(plan, "umask").mask == 0o27
    assert plans.one(plan, "stdio_owner") == ops.stdio_owner(uid=1000, console=False)


def test_the_terminal_made_here_belongs_to_the_user() -> None:
    made = plans.spec(
        process={"args": ["x"], "env": ["HOME=/"], "terminal": True, "user": {"uid": 7, "gid": 7}}
    )
    assert plans.one(plans.finish(made), "stdio_owner") == ops.stdio_owner(uid=7, console=True)


def test_identity_by_default() -> None:
    made = plans.spec(process={"args": ["x"], "env": ["HOME=/"]})
    plan = plans.finish(made)
    assert plans.one(plan, "user") == ops.user(uid=0, gid=0)
    assert not plans.find(plan, "umask")
    assert plans.find(plan, "chdir")[0].path == "/"
    assert plans.one(plans.finish(plans.spec(process__user={"umask": 0})), "umask").mask == 0


def test_where_setgroups_is_denied() -> None:
    assert plans.one(plans.finish(plans.spec(), can_set_groups=False), "user").keep_groups
    made = plans.spec(process__user={"additionalGids": [7]})
    with pytest.raises(OciError) as caught:
        plans.finish(made, can_set_groups=False, ordinary_user=True)
    assert (caught.value.code, caught.value.pointer) == ("groups", "/process/user/additionalGids")
    # root of a user namespace of one id, as an engine of a user without subordinate ids has it
    compiled = compiler.compile_container(made, plans.facts(can_set_groups=False))
    assert plans.one(compiled.finish, "user").keep_groups
    assert list(compiled.warnings.values()) == ["/process/user/additionalGids"]
    own = plans.spec(process__user={"gid": 7, "additionalGids": [7]})
    assert not compiler.compile_container(own, plans.facts(can_set_groups=False)).warnings


def test_groups_of_the_caller_are_kept_by_annotation() -> None:
    made = plans.spec(
        annotations={"run.oci.keep_original_groups": "1"}, process__user={"uid": 1, "additionalGids": [7]}
    )
    for allowed in (True, False):
        user = plans.one(plans.finish(made, can_set_groups=allowed), "user")
        assert (user.uid, user.keep_groups) == (1, True)
    made["annotations"] = {"run.oci.keep_original_groups": "0"}
    assert not plans.one(plans.finish(made), "user").keep_groups


def test_groups_of_an_ordinary_user_stay_unless_others_are_asked_for() -> None:
    for groups, kept in (([], True), ([7], False)):
        made = plans.spec(process__user={"additionalGids": groups})
        assert plans.one(plans.finish(made, ordinary_user=True), "user").keep_groups is kept
        assert not plans.one(plans.finish(made), "user").keep_groups


# -- capabilities ----------------------------------------------------------------------------------------------------------


def test_five_sets() -> None:
    wanted = sets(
        bounding=["CHOWN", "KILL", "SYS_ADMIN"],
        permitted=["CHOWN", "KILL"],
        effective=["CHOWN"],
        inheritable=["KILL"],
        ambient=["KILL"],
    )
    plan = plans.finish(plans.spec(process__capabilities=wanted))
    assert plans.one(plan, "bounding_set").capabilities == caps("CHOWN", "KILL", "SYS_ADMIN")
    both, chown, kill = caps("CHOWN", "KILL"), caps("CHOWN"), caps("KILL")
    assert plans.one(plan, "capset") == capset(chown, both, kill, kill)


def test_without_capabilities_all_are_dropped() -> None:
    plan = plans.finish(plans.spec())
    assert plans.one(plan, "bounding_set").capabilities == 0
    assert plans.one(plan, "capset") == capset(0, 0, 0, 0)


def test_sets_are_cut_to_what_the_kernel_would_take() -> None:
    """capset(2): effective within permitted; ambient within both permitted and inheritable (capabilities(7))."""
    wanted = sets(
        permitted=["CHOWN"], effective=["CHOWN", "KILL"], inheritable=["KILL"], ambient=["KILL", "CHOWN"]
    )
    plan = plans.finish(plans.spec(process__capabilities=wanted))
    assert plans.one(plan, "capset") == capset(caps("CHOWN"), caps("CHOWN"), caps("KILL"), 0)


def test_what_can_not_be_granted_is_a_warning() -> None:
    wanted = {"bounding": ["CAP_CHOWN", "CAP_NEW_THING"], "permitted": ["CAP_CHOWN", "CAP_KILL"]}
    made = plans.spec(process__capabilities=wanted)
    compiled = compiler.compile_container(made, plans.facts(capabilities=caps("KILL")))
    assert list(compiled.warnings) == [
        "bounding capabilities that this version does not know: CAP_NEW_THING",
        "bounding capabilities that the runtime can't grant: CAP_CHOWN",
        "permitted capabilities that the runtime can't grant: CAP_CHOWN",
    ]
    assert plans.one(compiled.finish, "bounding_set").capabilities == 0
    assert plans.one(compiled.finish, "capset").permitted == caps("KILL")
    assert list(compiler.compile_container(made, plans.facts()).warnings) == list(compiled.warnings)[:1]


# -- the filter ------------------------------------------------------------------------------------------------------------


def tail(plan: Plan) -> list[str]:
    found = plans.names(plan)
    return found[found.index("capset") :]


def test_filter_with_no_new_privileges_needs_no_capability() -> None:
    plan = plans.finish(plans.spec(process__noNewPrivileges=True), seccomp=(FILTER, 2), wait_start=False)
    assert tail(plan) == [
        *("capset", "no_new_privs", "find_executable", "ready"),
        *("seccomp", "execve"),
    ]
    op = plans.one(plan, "seccomp")
    assert (op, op.about) == (ops.seccomp(filter=FILTER, flags=2), "filter of 3 instructions")
    assert plans.one(plan, "capset") == capset(0, 0, 0, 0)


def test_filter_without_it_keeps_one_capability_until_it_is_loaded() -> None:
    wanted = sets(permitted=["CHOWN"], effective=["CHOWN"], inheritable=["CHOWN"], ambient=["CHOWN"])
    made = plans.spec(process__capabilities=wanted)
    plan = plans.finish(made, seccomp=(FILTER, 0), wait_start=False)
    assert tail(plan) == [
        *("capset", "find_executable", "ready"),
        *("seccomp", "capset", "execve"),
    ]
    before, after = plans.find(plan, "capset")
    chown = caps("CHOWN")
    assert before == capset(chown | SYS_ADMIN, chown | SYS_ADMIN, chown, chown)
    assert after == capset(chown, chown, chown, chown)


def test_filter_that_notifies_comes_before_the_wait() -> None:
    """The labels before it, what a low limit could get in the way of after it."""
    made = plans.spec(
        process__selinuxLabel="l", process__rlimits=[{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}]
    )
    plan = plans.finish(made, seccomp=(FILTER, NEW_LISTENER), wait_start=True)
    assert tail(plan) == [
        *("capset", "find_executable", "write_procfs"),
        *("seccomp_notify", "wait_start", "setrlimit", "capset", "execve"),
    ]
    op = plans.one(plan, "seccomp_notify")
    assert op == ops.seccomp_notify(filter=FILTER, flags=NEW_LISTENER, failure=lib.REG_PASSED)
    assert plans.finish(plans.spec(process__args=[]), seccomp=(FILTER, NEW_LISTENER)).ops[-2].name == "ready"
    joined = compiler.compile_exec(
        plans.spec(), {"args": ["x"], "cwd": "/"}, plans.facts(seccomp=(FILTER, NEW_LISTENER)), 0
    )
    assert plans.one(joined.finish, "seccomp_notify") == ops.seccomp_notify(filter=FILTER, flags=NEW_LISTENER)


def test_filter_whose_listener_the_runtime_takes_comes_last() -> None:
    facts = {"seccomp": (FILTER, NEW_LISTENER), "supervised": True}
    plan = plans.finish(plans.spec(process__noNewPrivileges=True), wait_start=False, **facts)
    assert tail(plan)[-3:] == ["ready", "seccomp_listener", "execve"]
    assert plans.one(plan, "seccomp_listener") == ops.seccomp_listener(filter=FILTER, flags=NEW_LISTENER)


def test_a_runtime_without_the_capability_keeps_none() -> None:
    plan = plans.finish(plans.spec(), seccomp=(FILTER, 0), capabilities=caps("CHOWN"))
    assert plans.find(plan, "capset") == [capset(0, 0, 0, 0)]


def test_no_filter() -> None:
    assert not plans.find(plans.finish(plans.spec()), "seccomp")


# -- limits and scheduling -------------------------------------------------------------------------------------------------


def test_limits_go_up_early_and_down_late() -> None:
    limits = [
        {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20},
        {"type": "RLIMIT_AS", "soft": 1 << 20, "hard": (1 << 64) - 1},
    ]
    plan = plans.finish(plans.spec(process__rlimits=limits))
    found = plans.find(plan, "setrlimit")
    numbers = [(7, 10, 20), (9, 1 << 20, (1 << 64) - 1)]
    assert found == [
        ops.setrlimit(resource=resource, soft=soft, hard=hard, raise_only=early)
        for early in (True, False)
        for resource, soft, hard in numbers
    ]
    assert [op.pointer for op in found] == ["/process/rlimits/0", "/process/rlimits/1"] * 2
    names = plans.names(plan)
    assert names.index("setrlimit") < names.index("user")
    assert names.index("ready") < len(names) - 1 - names[::-1].index("setrlimit")


@pytest.mark.parametrize(
    ("name", "number"),
    [(f"RLIMIT_{name}", number) for number, name in enumerate(
        "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME".split()
    )],
)  # fmt: skip
def test_every_limit(name: str, number: int) -> None:
    plan = plans.finish(plans.spec(process__rlimits=[{"type": name, "soft": 0, "hard": 0}]))
    assert plans.find(plan, "setrlimit")[0].resource == number


def test_scheduler() -> None:
    wanted = {"policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM"], "nice": -5,
              "priority": 3, "runtime": 1, "deadline": 2, "period": 1 << 40}  # fmt: skip
    op = plans.one(plans.finish(plans.spec(process__scheduler=wanted)), "sched_setattr")
    assert op == ops.sched_setattr(
        policy=6, flags=3, nice=-5, priority=3, runtime=1, deadline=2, period=1 << 40
    )


@pytest.mark.parametrize(
    ("policy", "number"),
    [
        ("SCHED_OTHER", 0),
        ("SCHED_FIFO", 1),
        ("SCHED_RR", 2),
        ("SCHED_BATCH", 3),
        ("SCHED_ISO", 4),
        ("SCHED_IDLE", 5),
    ],
)
def test_scheduler_policy(policy: str, number: int) -> None:
    op = plans.one(plans.finish(plans.spec(process__scheduler={"policy": policy})), "sched_setattr")
    assert op == ops.sched_setattr(policy=number)


@pytest.mark.parametrize(
    ("name", "number"), [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)]
)
def test_io_priority(name: str, number: int) -> None:
    plan = plans.finish(plans.spec(process__ioPriority={"class": name, "priority": 5}))
    assert plans.one(plan, "ioprio_set").priority == number << 13 | 5


@pytest.mark.parametrize(("domain", "number"), [("LINUX", 0), ("LINUX32", 8)])
def test_personality(domain: str, number: int) -> None:
    plan = plans.finish(plans.spec(linux__personality={"domain": domain}))
    assert plans.one(plan, "personality").persona == number


# -- names, sysctls, terminal ------------------------------------------------------------------------------------------------


def test_names() -> None:
    plan = plans.prepare(plans.spec(hostname="box", domainname="example.org"))
    assert plans.one(plan, "sethostname") == ops.sethostname(hostname="box")
    assert plans.one(plan, "setdomainname") == ops.setdomainname(domainname="example.org")
    assert not plans.find(plans.prepare(plans.spec(hostname="")), "sethostname")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("kernel.shmmax", "sys/kernel/shmmax"),
        ("net.ipv4.conf.eth0/100.forwarding", "sys/net/ipv4/conf/eth0.100/forwarding"),
        ("net/ipv4/conf/eth0.100/forwarding", "sys/net/ipv4/conf/eth0.100/forwarding"),
    ],
)
def test_sysctl(key: str, path: str) -> None:
    plan = plans.prepare(plans.spec(linux__sysctl={key: "1"}))
    op = plans.one(plan, "write_procfs")
    assert op == ops.write_procfs(path=path, content="1")
    assert op.pointer == "/linux/sysctl/" + key.replace("/", "~1")
    assert plans.names(plan)[0] == "open_procfs"


def test_private_procfs_is_opened_only_for_who_writes_into_it() -> None:
    assert not plans.find(plans.prepare(plans.spec()), "open_procfs")
    assert not plans.find(plans.finish(plans.spec()), "open_procfs")
    labelled = plans.one(plans.finish(plans.spec(process__apparmorProfile="p")), "open_procfs")
    assert labelled.pid_only
    assert plans.find(plans.prepare(plans.spec(linux__namespaces=plans.namespaces("time"))), "open_procfs")


def test_terminal() -> None:
    made = plans.spec(process__terminal=True, process__consoleSize={"height": 24, "width": 80})
    op = plans.one(plans.prepare(made), "console")
    assert op == ops.console(rows=24, columns=80, dev_console=True)
    op = plans.one(plans.prepare(plans.spec(process__terminal=True)), "console")
    assert op == ops.console(dev_console=True)
    assert not plans.find(
        plans.prepare(plans.spec(process__consoleSize={"height": 1, "width": 1})), "console"
    )
    names = plans.names(plans.prepare(made))
    assert names.index("mknod") < names.index("console")


def test_session_and_keyring() -> None:
    plan = plans.prepare(plans.spec())
    assert plans.one(plan, "join_session_keyring") == ops.join_session_keyring(keyring="_ses.box")
    names = plans.names(plans.prepare(plans.spec(), no_new_keyring=True))
    assert "setsid" in names and "join_session_keyring" not in names


def test_the_keyring_has_the_label_of_the_program() -> None:
    made = plans.spec(process__selinuxLabel="a:b:c")
    plan = plans.prepare(made)
    names = plans.names(plan)
    written = plans.one(plan, "write_procfs")
    assert written == ops.write_procfs(path="self/attr/keycreate", content="a:b:c")
    assert written.pointer == "/process/selinuxLabel"
    assert names[names.index("setsid") + 1 :][:2] == ["write_procfs", "join_session_keyring"]
    assert plans.one(plan, "open_procfs") == ops.open_procfs(pid_only=True)
    assert not plans.find(plans.prepare(made, no_new_keyring=True), "write_procfs")
    with_sysctl = plans.prepare(plans.spec(process__selinuxLabel="a:b:c", linux__sysctl={"net.a": "1"}))
    assert plans.one(with_sysctl, "open_procfs") == ops.open_procfs()
    wanted: Process = {"args": ["ps"], "cwd": "/", "selinuxLabel": "a:b:c"}
    joined = compiler.compile_exec(plans.spec(), wanted, plans.facts(), 0).finish
    paths = [op.path for op in plans.find(joined, "write_procfs")]
    assert paths == ["self/attr/keycreate", "self/attr/exec"]


# -- hooks -----------------------------------------------------------------------------------------------------------------


def test_hooks_of_the_container() -> None:
    wanted = {
        "createContainer": [
            {"path": "/h/one"},
            {"path": "/h/two", "args": ["two", "x"], "env": ["A=1"], "timeout": 7},
        ],
        "startContainer": [{"path": "/h/three"}],
        "prestart": [{"path": "/h/not-here"}],
        "poststop": [{"path": "/h/not-here"}],
    }
    states = {"createContainer": (b'{"pid":', b"}"), "startContainer": (b'{"status":"x","pid":', b"}")}
    plan = plans.finish(plans.spec(hooks=wanted), states=states)
    one, two, three = plans.find(plan, "hook")
    before, after = states["createContainer"]
    assert one == ops.hook(path="/h/one", args=["/h/one"], env=[], before=before, after=after)
    assert (two.path, two.args, two.env, two.timeout) == ("/h/two", ["two", "x"], ["A=1"], 7)
    assert (one.as_program, three.as_program, three.program_env) == (False, True, True)
    assert (three.before, three.after) == (b'{"status":"x","pid":', b"}")
    assert [op.pointer for op in (one, two, three)] == [
        *("/hooks/createContainer/0", "/hooks/createContainer/1", "/hooks/startContainer/0")
    ]
    names = plans.names(plan)
    assert names[:2] == ["hook", "hook"]
    assert names.index("wait_start") + 1 == names.index("hook", 2) < names.index("execve")


# -- the program -----------------------------------------------------------------------------------------------------------


def test_program() -> None:
    plan = plans.finish(
        plans.spec(process__args=["sh", "-c", ""], process__env=["PATH=/a:/b", "HOME=/h", "X="])
    )
    op = plans.one(plan, "execve")
    assert op == ops.execve(args=["sh", "-c", ""], env=["PATH=/a:/b", "HOME=/h", "X="])
    assert plans.one(plan, "find_executable") == ops.find_executable(program="sh", path="/a:/b")
    assert not plans.find(plan, "home")


def test_path_by_default_and_the_last_one_given() -> None:
    default = plans.one(plans.finish(plans.spec(process__env=[])), "find_executable").path
    assert default == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    twice = plans.finish(plans.spec(process__env=["PATH=/a", "PATH="]))
    assert plans.one(twice, "find_executable").path == ""


def test_home_is_looked_up_when_the_environment_has_none() -> None:
    for environment in ([], ["HOME="], ["HOMER=/x"]):
        plan = plans.finish(plans.spec(process__env=environment, process__user={"uid": 7, "gid": 0}))
        assert plans.one(plan, "home").uid == 7


def test_of_two_variables_with_one_name_the_last_counts() -> None:
    given = ["A=1", "HOME=/a", "B=", "A=2", "AA=3", "HOME="]
    op = plans.one(plans.finish(plans.spec(process__env=given)), "execve")
    assert op.env == ["A=2", "B=", "AA=3"]
    own = plans.finish(plans.spec(process__env=["LISTEN_FDS=9", "HOME=/"]), listen_fds=2)
    assert plans.one(own, "execve").env == ["LISTEN_FDS=2", "HOME=/", "LISTEN_PID=1"]


def test_start_is_waited_for_or_not() -> None:
    plan = plans.finish(plans.spec())
    ready, wait = plans.one(plan, "ready"), plans.one(plan, "wait_start")
    assert plan.passed == [("fifo", "failure"), ("fifo", "start")]
    assert (ready.failure, wait.fifo) == (lib.REG_PASSED, lib.REG_PASSED + 1)
    plan = plans.finish(plans.spec(), wait_start=False)
    assert (plans.one(plan, "ready").failure, plan.passed) == (0, [])
    assert not plans.find(plan, "wait_start")


def test_all_that_can_fail_for_the_configuration_fails_before_start() -> None:
    """Behind the wait are only the hooks of the start, limits, the filter, the last capabilities and execve."""
    made = plans.spec(
        process__rlimits=[{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}],
        process__apparmorProfile="p",
        process__selinuxLabel="l",
        hooks={"startContainer": [{"path": "/h"}]},
    )
    names = plans.names(plans.finish(made, seccomp=(FILTER, 0)))
    assert names[names.index("wait_start") + 1 :] == [
        *(
            "hook",
            "setrlimit",
            "seccomp",
            "capset",
            "execve",
        )
    ]


def test_labels() -> None:
    made = plans.spec(process__apparmorProfile="docker-default", process__selinuxLabel="a:b:c")
    written = plans.find(plans.finish(made), "write_procfs")
    assert written == [
        ops.write_procfs(path="self/attr/apparmor/exec", content="exec docker-default"),
        ops.write_procfs(path="self/attr/exec", content="a:b:c"),
    ]
    assert [op.pointer for op in written] == ["/process/apparmorProfile", "/process/selinuxLabel"]


def test_descriptors_of_socket_activation() -> None:
    op = plans.one(
        plans.finish(plans.spec(process__env=["HOME=/"]), listen_fds=2, listen_names="a:b"), "execve"
    )
    assert op.env == ["HOME=/", "LISTEN_FDS=2", "LISTEN_PID=1", "LISTEN_FDNAMES=a:b"]
    op = plans.one(plans.finish(plans.spec(process__env=["HOME=/"]), listen_fds=1), "execve")
    assert op.env == ["HOME=/", "LISTEN_FDS=1", "LISTEN_PID=1"]


@pytest.mark.parametrize(
    ("policy", "mode", "nodes"),
    [
        ({"mode": "MPOL_DEFAULT"}, 0, b""),
        ({"mode": "MPOL_PREFERRED", "nodes": ""}, 1, b""),
        ({"mode": "MPOL_BIND", "nodes": "0-1,3", "flags": ["MPOL_F_NUMA_BALANCING"]}, 2 | 1 << 13, b"\x0b" + bytes(7)),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "64", "flags": ["MPOL_F_STATIC_NODES"]}, 3 | 1 << 15,
         bytes(8) + b"\1" + bytes(7)),
        ({"mode": "MPOL_LOCAL", "flags": []}, 4, b""),
        ({"mode": "MPOL_PREFERRED_MANY", "nodes": "65536"}, 5, bytes(8192) + b"\1" + bytes(7)),
        ({"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "1", "flags": ["MPOL_F_RELATIVE_NODES"]}, 6 | 1 << 14,
         b"\2" + bytes(7)),
    ],
    ids=str,
)  # fmt: skip
def test_memory_policy(policy: dict[str, object], mode: int, nodes: bytes) -> None:
    """Of the first process and of those that join; the numbers are those of linux/mempolicy.h."""
    made = plans.spec(linux__memoryPolicy=policy)
    joining = compiler.compile_exec(made, {"args": ["ps"], "cwd": "/"}, plans.facts(), 0).finish
    for plan in (plans.finish(made), joining):
        op = plans.one(plan, "set_mempolicy")
        assert (op, op.pointer) == (ops.set_mempolicy(mode=mode, nodes=nodes), "/linux/memoryPolicy")
        names = plans.names(plan)
        assert names.index("set_mempolicy") < names.index("user") < names.index("ready")
    decoded = plans.decode(joining.encode())[1]
    assert [values for name, values in decoded if name == "set_mempolicy"] == [[mode, nodes]]


def test_without_a_mode_there_is_no_memory_policy() -> None:
    assert not plans.find(plans.finish(plans.spec(linux__memoryPolicy={})), "set_mempolicy")


# -- exec ------------------------------------------------------------------------------------------------------------------


def test_exec() -> None:
    made = plans.spec(
        process__apparmorProfile="of the container",
        hooks={"createContainer": [{"path": "/h"}], "startContainer": [{"path": "/h"}]},
        linux__sysctl={"net.x": "1"},
        linux__personality={"domain": "LINUX32"},
    )
    wanted: Process = {
        "args": ["ps"],
        "env": ["HOME=/"],
        "cwd": "/w",
        "terminal": True,
        "noNewPrivileges": True,
    }
    compiled = compiler.compile_exec(made, wanted, plans.facts(seccomp=(FILTER, 0), cgroup_fds=1), 0x30000080)
    assert compiled.prepare.ops == []
    plan = compiled.finish
    assert plans.names(plan) == [
        *("join_cgroup", "setns", "fork", "sched_setaffinity", "become_root"),
        *("open_rootfs", "setsid", "join_session_keyring", "console"),
        *(
            "stdio_null",
            "personality",
            *IDENTITY,
            "capset",
            "no_new_privs",
            "find_executable",
        ),
        *("ready", "seccomp", "execve"),
    ]
    assert plan.passed == [("cgroup", 0), ("pidfd",)]
    join = plans.one(plan, "setns")
    assert join == ops.setns(fd=lib.REG_PASSED + 1, flags=0x30000080)
    assert plans.one(plan, "fork").flags == 0
    assert not plans.one(plan, "console").dev_console
    assert plans.one(plan, "open_rootfs").path == "/"
    assert plans.one(plan, "ready") == ops.ready()


def test_exec_writes_its_labels_through_a_procfs_with_processes_only() -> None:
    wanted: Process = {"args": ["ps"], "cwd": "/", "selinuxLabel": "x"}
    plan = compiler.compile_exec(plans.spec(), wanted, plans.facts(no_new_keyring=True), 0).finish
    assert plans.names(plan)[:4] == ["sched_setaffinity", "open_procfs", "open_rootfs", "setsid"]
    assert plan.passed == []
    assert "join_session_keyring" not in plans.names(plan)


@pytest.mark.parametrize(
    ("affinity", "masks"),
    [
        (None, [b""]),
        ({}, [b""]),
        ({"initial": "", "final": ""}, [b""]),
        ({"initial": "0"}, []),
        ({"initial": "0", "final": "1"}, [b"\2" + bytes(7)]),
        ({"final": "0-2, 8,,63"}, [b"\7\1" + bytes(5) + b"\x80"]),
        ({"final": "64"}, [bytes(8) + b"\1" + bytes(7)]),
        ({"final": "65536"}, [bytes(8192) + b"\1" + bytes(7)]),
    ],
    ids=str,
)
def test_processors_of_an_exec(affinity: dict[str, str] | None, masks: list[bytes]) -> None:
    """No mask: all of the cpuset; no op: those that the process was made with stay."""
    made = {"args": ["ps"], "cwd": "/"} | ({} if affinity is None else {"execCPUAffinity": affinity})
    spec = plans.spec(process__execCPUAffinity={"final": "5"})
    plan = compiler.compile_exec(spec, made, plans.facts(), 0).finish  # type: ignore[arg-type]
    found = plans.find(plan, "sched_setaffinity")
    assert found == [ops.sched_setaffinity(mask=mask) for mask in masks]
    pointer = "/process/execCPUAffinity/final" if masks and masks[0] else ""
    assert [op.pointer for op in found] == [pointer] * len(masks)
    if masks:
        decoded = plans.decode(plan.encode())[1]
        assert [values for name, values in decoded if name == "sched_setaffinity"] == [[masks[0]]]


def test_the_first_process_runs_on_all_processors_of_its_cpuset() -> None:
    """Whatever exec gets; and not before the cgroups of v1 are joined, where the cpuset is."""
    made = plans.spec(process__execCPUAffinity={"initial": "0", "final": "1"})
    plan = plans.prepare(made, cgroup_fds=2)
    assert plans.one(plan, "sched_setaffinity") == ops.sched_setaffinity()
    assert plans.names(plan)[:2] == ["join_cgroup", "sched_setaffinity"]
    assert not plans.find(plans.finish(made), "sched_setaffinity")


def test_exec_warns_as_create_does() -> None:
    wanted: Process = {"args": ["ps"], "cwd": "/", "capabilities": {"permitted": ["CAP_X"]}}
    compiled = compiler.compile_exec(plans.spec(), wanted, plans.facts(), 0)
    assert list(compiled.warnings) == ["permitted capabilities that this version does not know: CAP_X"]
