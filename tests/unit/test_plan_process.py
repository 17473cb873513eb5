"""process in the plan: identity, privileges, limits, filter, hooks, the program; for the first process and for exec."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from unit import plans

from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.plan import compiler
from pyoci.plan.ops import Plan
from pyoci.spec import capabilities

FILTER = bytes(range(24))
SYS_ADMIN = 1 << 21
IDENTITY = ["OP_CWD", "OP_STDIO_OWNER", "OP_BOUNDING", "OP_USER", "OP_CWD"]


def caps(*names: str) -> int:
    return capabilities.mask([f"CAP_{name}" for name in names])[0]


def sets(**given: list[str]) -> dict[str, list[str]]:
    return {kind: [f"CAP_{name}" for name in names] for kind, names in given.items()}


# -- identity --------------------------------------------------------------------------------------------------------------


def test_identity() -> None:
    user = {"uid": 1000, "gid": 100, "additionalGids": [5, 0xFFFFFFFE], "umask": 0o27}
    plan = plans.finish(plans.spec(process__user=user, process__cwd="/work"))
    found = plans.names(plan)
    start = found.index("OP_CWD")
    assert found[start : start + 6] == [*IDENTITY, "OP_UMASK"]
    op = plans.one(plan, "OP_USER")
    assert (op.numbers, op.flags) == ((1000, 100, 2), 0)
    assert op.texts == (struct.pack("=II", 5, 0xFFFFFFFE),)
    assert [(op.texts, op.flags) for op in plans.find(plan, "OP_CWD")] == [
        (("/work",), lib.OPF_EARLY),
        (("/work",), 0),
    ]
    assert plans.one(plan, "OP_UMASK").numbers == (0o27,)
    assert plans.one(plan, "OP_STDIO_OWNER").numbers == (1000,)


def test_identity_by_default() -> None:
    made = plans.spec(process={"args": ["x"], "env": ["HOME=/"]})
    plan = plans.finish(made)
    assert (plans.one(plan, "OP_USER").numbers, plans.one(plan, "OP_USER").texts) == ((0, 0, 0), ())
    assert not plans.find(plan, "OP_UMASK")
    assert plans.find(plan, "OP_CWD")[0].texts == ("/",)
    assert plans.one(plans.finish(plans.spec(process__user={"umask": 0})), "OP_UMASK").numbers == (0,)


def test_where_setgroups_is_denied() -> None:
    assert plans.one(plans.finish(plans.spec(), can_set_groups=False), "OP_USER").flags == lib.OPF_NO_GROUPS
    with pytest.raises(OciError) as caught:
        plans.finish(plans.spec(process__user={"additionalGids": [7]}), can_set_groups=False)
    assert (caught.value.code, caught.value.pointer) == ("groups", "/process/user/additionalGids")


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
    assert plans.one(plan, "OP_BOUNDING").numbers == (caps("CHOWN", "KILL", "SYS_ADMIN"),)
    both, chown, kill = caps("CHOWN", "KILL"), caps("CHOWN"), caps("KILL")
    assert plans.one(plan, "OP_CAPABILITIES").numbers == (chown, both, kill, kill)


def test_without_capabilities_all_are_dropped() -> None:
    plan = plans.finish(plans.spec())
    assert plans.one(plan, "OP_BOUNDING").numbers == (0,)
    assert plans.one(plan, "OP_CAPABILITIES").numbers == (0, 0, 0, 0)


def test_sets_are_cut_to_what_the_kernel_would_take() -> None:
    """capset(2): effective within permitted; ambient within both permitted and inheritable (capabilities(7))."""
    wanted = sets(
        permitted=["CHOWN"], effective=["CHOWN", "KILL"], inheritable=["KILL"], ambient=["KILL", "CHOWN"]
    )
    plan = plans.finish(plans.spec(process__capabilities=wanted))
    assert plans.one(plan, "OP_CAPABILITIES").numbers == (caps("CHOWN"), caps("CHOWN"), caps("KILL"), 0)


def test_what_can_not_be_granted_is_a_warning() -> None:
    wanted = {"bounding": ["CAP_CHOWN", "CAP_NEW_THING"], "permitted": ["CAP_CHOWN", "CAP_KILL"]}
    made = plans.spec(process__capabilities=wanted)
    compiled = compiler.compile_container(made, plans.facts(capabilities=caps("KILL")))
    assert compiled.warnings == [
        "bounding capabilities that this version does not know: CAP_NEW_THING",
        "bounding capabilities that the runtime can't grant: CAP_CHOWN",
        "permitted capabilities that the runtime can't grant: CAP_CHOWN",
    ]
    assert plans.one(compiled.finish, "OP_BOUNDING").numbers == (0,)
    assert plans.one(compiled.finish, "OP_CAPABILITIES").numbers[1] == caps("KILL")
    assert compiler.compile_container(made, plans.facts()).warnings == compiled.warnings[:1]


# -- the filter ------------------------------------------------------------------------------------------------------------


def tail(plan: Plan) -> list[str]:
    found = plans.names(plan)
    return found[found.index("OP_CAPABILITIES") :]


def test_filter_with_no_new_privileges_needs_no_capability() -> None:
    plan = plans.finish(plans.spec(process__noNewPrivileges=True), seccomp=(FILTER, 2), wait_start=False)
    assert tail(plan) == [
        *("OP_CAPABILITIES", "OP_NO_NEW_PRIVS", "OP_FIND_EXECUTABLE", "OP_READY"),
        *("OP_SECCOMP", "OP_EXEC"),
    ]
    op = plans.one(plan, "OP_SECCOMP")
    assert (op.texts, op.numbers, op.about) == ((FILTER,), (3, 2), "filter of 3 instructions")
    assert plans.one(plan, "OP_CAPABILITIES").numbers == (0, 0, 0, 0)


def test_filter_without_it_keeps_one_capability_until_it_is_loaded() -> None:
    wanted = sets(permitted=["CHOWN"], effective=["CHOWN"], inheritable=["CHOWN"], ambient=["CHOWN"])
    made = plans.spec(process__capabilities=wanted)
    plan = plans.finish(made, seccomp=(FILTER, 0), wait_start=False)
    assert tail(plan) == [
        *("OP_CAPABILITIES", "OP_FIND_EXECUTABLE", "OP_READY"),
        *("OP_SECCOMP", "OP_CAPABILITIES", "OP_EXEC"),
    ]
    before, after = plans.find(plan, "OP_CAPABILITIES")
    chown = caps("CHOWN")
    assert before.numbers == (chown | SYS_ADMIN, chown | SYS_ADMIN, chown, chown)
    assert after.numbers == (chown, chown, chown, chown)


def test_a_runtime_without_the_capability_keeps_none() -> None:
    plan = plans.finish(plans.spec(), seccomp=(FILTER, 0), capabilities=caps("CHOWN"))
    assert [op.numbers for op in plans.find(plan, "OP_CAPABILITIES")] == [(0, 0, 0, 0)]


def test_no_filter() -> None:
    assert not plans.find(plans.finish(plans.spec()), "OP_SECCOMP")


# -- limits and scheduling -------------------------------------------------------------------------------------------------


def test_limits_go_up_early_and_down_late() -> None:
    limits = [
        {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20},
        {"type": "RLIMIT_AS", "soft": 1 << 20, "hard": (1 << 64) - 1},
    ]
    plan = plans.finish(plans.spec(process__rlimits=limits))
    found = plans.find(plan, "OP_RLIMIT")
    numbers = [(7, 10, 20), (9, 1 << 20, (1 << 64) - 1)]
    assert [(op.numbers, op.flags) for op in found] == [
        *((given, lib.OPF_RAISE) for given in numbers),
        *((given, 0) for given in numbers),
    ]
    assert [op.pointer for op in found] == ["/process/rlimits/0", "/process/rlimits/1"] * 2
    names = plans.names(plan)
    assert names.index("OP_RLIMIT") < names.index("OP_USER")
    assert names.index("OP_READY") < len(names) - 1 - names[::-1].index("OP_RLIMIT")


@pytest.mark.parametrize(
    ("name", "number"),
    [(f"RLIMIT_{name}", number) for number, name in enumerate(
        "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME".split()
    )],
)  # fmt: skip
def test_every_limit(name: str, number: int) -> None:
    plan = plans.finish(plans.spec(process__rlimits=[{"type": name, "soft": 0, "hard": 0}]))
    assert plans.find(plan, "OP_RLIMIT")[0].numbers[0] == number


def test_scheduler() -> None:
    wanted = {"policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM"], "nice": -5,
              "priority": 3, "runtime": 1, "deadline": 2, "period": 1 << 40}  # fmt: skip
    op = plans.one(plans.finish(plans.spec(process__scheduler=wanted)), "OP_SCHEDULER")
    assert (op.texts, op.numbers) == ((struct.pack("=IIQiIQQQ", 48, 6, 3, -5, 3, 1, 2, 1 << 40),), (48,))


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
    op = plans.one(plans.finish(plans.spec(process__scheduler={"policy": policy})), "OP_SCHEDULER")
    (attributes,) = op.texts
    assert isinstance(attributes, bytes) and struct.unpack_from("=II", attributes) == (48, number)


@pytest.mark.parametrize(
    ("name", "number"), [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)]
)
def test_io_priority(name: str, number: int) -> None:
    plan = plans.finish(plans.spec(process__ioPriority={"class": name, "priority": 5}))
    assert plans.one(plan, "OP_IO_PRIORITY").numbers == (number << 13 | 5,)


@pytest.mark.parametrize(("domain", "number"), [("LINUX", 0), ("LINUX32", 8)])
def test_personality(domain: str, number: int) -> None:
    plan = plans.finish(plans.spec(linux__personality={"domain": domain}))
    assert plans.one(plan, "OP_PERSONALITY").numbers == (number,)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"process__rlimits": [{"type": "RLIMIT_X", "soft": 0, "hard": 0}]}, "/process/rlimits/0/type"),
        ({"process__scheduler": {"policy": "SCHED_X"}}, "/process/scheduler/policy"),
        ({"process__scheduler": {"policy": "SCHED_RR", "flags": ["X"]}}, "/process/scheduler/flags/0"),
        ({"process__ioPriority": {"class": "X", "priority": 0}}, "/process/ioPriority/class"),
        ({"linux__personality": {"domain": "X"}}, "/linux/personality/domain"),
        ({"process__args": []}, "/process/args"),
    ],
)
def test_unknown_words_are_refused_where_they_stand(changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(OciError) as caught:
        plans.finish(plans.spec(**changes))
    assert (caught.value.code, caught.value.pointer) == ("config", pointer)


# -- names, sysctls, terminal ------------------------------------------------------------------------------------------------


def test_names() -> None:
    plan = plans.prepare(plans.spec(hostname="box", domainname="example.org"))
    assert plans.one(plan, "OP_HOSTNAME").texts == ("box",)
    assert plans.one(plan, "OP_DOMAINNAME").texts == ("example.org",)
    assert not plans.find(plans.prepare(plans.spec(hostname="")), "OP_HOSTNAME")


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
    op = plans.one(plan, "OP_PROC_WRITE")
    assert op.texts == (path, "1")
    assert op.pointer == "/linux/sysctl/" + key.replace("/", "~1")
    assert plans.names(plan)[0] == "OP_PROC_OPEN"


def test_private_procfs_is_opened_only_for_who_writes_into_it() -> None:
    assert not plans.find(plans.prepare(plans.spec()), "OP_PROC_OPEN")
    assert not plans.find(plans.finish(plans.spec()), "OP_PROC_OPEN")
    labelled = plans.one(plans.finish(plans.spec(process__apparmorProfile="p")), "OP_PROC_OPEN")
    assert labelled.numbers == (1,)  # it stays open while others may look: processes only
    assert plans.find(plans.prepare(plans.spec(linux__namespaces=plans.namespaces("time"))), "OP_PROC_OPEN")


def test_terminal() -> None:
    made = plans.spec(process__terminal=True, process__consoleSize={"height": 24, "width": 80})
    op = plans.one(plans.prepare(made), "OP_CONSOLE")
    assert (op.numbers, op.flags) == ((24 << 16 | 80,), 0)
    assert plans.one(plans.prepare(plans.spec(process__terminal=True)), "OP_CONSOLE").numbers == (0,)
    assert not plans.find(
        plans.prepare(plans.spec(process__consoleSize={"height": 1, "width": 1})), "OP_CONSOLE"
    )
    names = plans.names(plans.prepare(made))
    assert names.index("OP_MKNOD") < names.index("OP_CONSOLE")


def test_session_and_keyring() -> None:
    plan = plans.prepare(plans.spec())
    assert plans.one(plan, "OP_KEYRING").texts == ("_ses.box",)
    names = plans.names(plans.prepare(plans.spec(), no_new_keyring=True))
    assert "OP_SESSION" in names and "OP_KEYRING" not in names


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
    one, two, three = plans.find(plan, "OP_HOOK")
    assert one.texts == (["/h/one"], [], b'{"pid":}')
    assert one.numbers == (1 << 32, 0, 7, 8)
    assert two.texts == (["/h/two", "two", "x"], ["A=1"], b'{"pid":}')
    assert two.numbers == (3 << 32 | 1, 7, 7, 8)
    assert (three.texts[2], three.numbers[2:]) == (b'{"status":"x","pid":}', (20, 21))
    assert [op.pointer for op in (one, two, three)] == [
        *("/hooks/createContainer/0", "/hooks/createContainer/1", "/hooks/startContainer/0")
    ]
    names = plans.names(plan)
    assert names[:2] == ["OP_HOOK", "OP_HOOK"]
    assert names.index("OP_WAIT_START") + 1 == names.index("OP_HOOK", 2) < names.index("OP_EXEC")


# -- the program -----------------------------------------------------------------------------------------------------------


def test_program() -> None:
    plan = plans.finish(
        plans.spec(process__args=["sh", "-c", ""], process__env=["PATH=/a:/b", "HOME=/h", "X="])
    )
    op = plans.one(plan, "OP_EXEC")
    assert op.texts == (["sh", "-c", ""], ["PATH=/a:/b", "HOME=/h", "X="])
    assert op.numbers == (3, 3)
    assert plans.one(plan, "OP_FIND_EXECUTABLE").texts == ("sh", "/a:/b")
    assert not plans.find(plan, "OP_HOME")


def test_path_by_default_and_the_last_one_given() -> None:
    default = plans.one(plans.finish(plans.spec(process__env=[])), "OP_FIND_EXECUTABLE").texts[1]
    assert default == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    twice = plans.finish(plans.spec(process__env=["PATH=/a", "PATH="]))
    assert plans.one(twice, "OP_FIND_EXECUTABLE").texts[1] == ""


def test_home_is_looked_up_when_the_environment_has_none() -> None:
    for environment in ([], ["HOME="], ["HOMER=/x"]):
        plan = plans.finish(plans.spec(process__env=environment, process__user={"uid": 7, "gid": 0}))
        assert plans.one(plan, "OP_HOME").numbers == (7,)


def test_of_two_variables_with_one_name_the_last_counts() -> None:
    given = ["A=1", "HOME=/a", "B=", "A=2", "AA=3", "HOME="]
    op = plans.one(plans.finish(plans.spec(process__env=given)), "OP_EXEC")
    assert op.texts[1] == ["A=2", "B=", "AA=3"]
    own = plans.finish(plans.spec(process__env=["LISTEN_FDS=9", "HOME=/"]), listen_fds=2)
    assert plans.one(own, "OP_EXEC").texts[1] == ["LISTEN_FDS=2", "HOME=/", "LISTEN_PID=1"]


def test_start_is_waited_for_or_not() -> None:
    plan = plans.finish(plans.spec())
    ready, wait = plans.one(plan, "OP_READY"), plans.one(plan, "OP_WAIT_START")
    assert plan.passed == [("fifo", "failure"), ("fifo", "start")]
    assert (ready.fd2, wait.fd) == (lib.REG_PASSED, lib.REG_PASSED + 1)
    plan = plans.finish(plans.spec(), wait_start=False)
    assert (plans.one(plan, "OP_READY").fd2, plan.passed) == (0, [])
    assert not plans.find(plan, "OP_WAIT_START")


def test_all_that_can_fail_for_the_configuration_fails_before_start() -> None:
    """Behind the wait are only the hooks of the start, labels, limits, the filter, the last capabilities and execve."""
    made = plans.spec(
        process__rlimits=[{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}],
        process__apparmorProfile="p",
        process__selinuxLabel="l",
        hooks={"startContainer": [{"path": "/h"}]},
    )
    names = plans.names(plans.finish(made, seccomp=(FILTER, 0)))
    assert names[names.index("OP_WAIT_START") + 1 :] == [
        *(
            "OP_HOOK",
            "OP_PROC_WRITE",
            "OP_PROC_WRITE",
            "OP_RLIMIT",
            "OP_SECCOMP",
            "OP_CAPABILITIES",
            "OP_EXEC",
        )
    ]


def test_labels() -> None:
    made = plans.spec(process__apparmorProfile="docker-default", process__selinuxLabel="a:b:c")
    written = plans.find(plans.finish(made), "OP_PROC_WRITE")
    assert [op.texts for op in written] == [
        ("self/attr/apparmor/exec", "exec docker-default"),
        ("self/attr/exec", "a:b:c"),
    ]
    assert [op.pointer for op in written] == ["/process/apparmorProfile", "/process/selinuxLabel"]


def test_descriptors_of_socket_activation() -> None:
    op = plans.one(
        plans.finish(plans.spec(process__env=["HOME=/"]), listen_fds=2, listen_names="a:b"), "OP_EXEC"
    )
    assert op.texts[1] == ["HOME=/", "LISTEN_FDS=2", "LISTEN_PID=1", "LISTEN_FDNAMES=a:b"]
    assert op.numbers == (1, 4)
    op = plans.one(plans.finish(plans.spec(process__env=["HOME=/"]), listen_fds=1), "OP_EXEC")
    assert op.texts[1] == ["HOME=/", "LISTEN_FDS=1", "LISTEN_PID=1"]


# -- exec ------------------------------------------------------------------------------------------------------------------


def test_exec() -> None:
    made = plans.spec(
        process__apparmorProfile="of the container",
        hooks={"createContainer": [{"path": "/h"}], "startContainer": [{"path": "/h"}]},
        linux__sysctl={"net.x": "1"},
        linux__personality={"domain": "LINUX32"},
    )
    wanted = {"args": ["ps"], "env": ["HOME=/"], "cwd": "/w", "terminal": True, "noNewPrivileges": True}
    compiled = compiler.compile_exec(made, wanted, plans.facts(seccomp=(FILTER, 0), cgroup_fds=1), 0x30000080)
    assert compiled.prepare.ops == []
    plan = compiled.finish
    assert plans.names(plan) == [
        *("OP_CGROUP_JOIN", "OP_JOIN", "OP_FORK", "OP_BECOME_ROOT"),
        *("OP_ROOT_JOINED", "OP_SESSION", "OP_KEYRING", "OP_CONSOLE"),
        *(
            "OP_STDIO_NULL",
            "OP_PERSONALITY",
            *IDENTITY,
            "OP_CAPABILITIES",
            "OP_NO_NEW_PRIVS",
            "OP_FIND_EXECUTABLE",
        ),
        *("OP_READY", "OP_SECCOMP", "OP_EXEC"),
    ]
    assert plan.passed == [("cgroup", 0), ("pidfd",)]
    join = plans.one(plan, "OP_JOIN")
    assert (join.fd - lib.REG_PASSED, join.numbers) == (1, (0x30000080,))
    assert plans.one(plan, "OP_FORK").numbers == (0,)
    assert plans.one(plan, "OP_CONSOLE").flags == lib.OPF_JOINED
    assert plans.one(plan, "OP_READY").fd2 == 0


def test_exec_writes_its_labels_through_a_procfs_with_processes_only() -> None:
    wanted = {"args": ["ps"], "selinuxLabel": "x"}
    plan = compiler.compile_exec(plans.spec(), wanted, plans.facts(no_new_keyring=True), 0).finish
    assert plans.names(plan)[:3] == ["OP_PROC_OPEN", "OP_ROOT_JOINED", "OP_SESSION"]
    assert plan.passed == []
    assert "OP_KEYRING" not in plans.names(plan)


def test_exec_warns_as_create_does() -> None:
    wanted = {"args": ["ps"], "capabilities": {"permitted": ["CAP_X"]}}
    compiled = compiler.compile_exec(plans.spec(), wanted, plans.facts(), 0)
    assert compiled.warnings == ["permitted capabilities that this version does not know: CAP_X"]
