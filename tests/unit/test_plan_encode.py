"""Plans as bytes: every kind of op survives the way to the init; compiling changes nothing and is always the same."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from unit import plans

from pyoci import _ops as ops
from pyoci._shim import ffi, lib
from pyoci.base.errors import OciError
from pyoci.plan import compiler
from pyoci.plan.ops import Plan
from pyoci.spec.annotations import LANDLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Process

CONFIGS = sorted((Path(__file__).resolve().parents[1] / "data" / "engine-configs").glob("*.json"))
FILTER = bytes(range(24))
# A container and an exec that between them ask for every kind of op.
EVERYTHING = plans.spec(
    hostname="box",
    domainname="example.org",
    root__readonly=True,
    mounts=[
        {"destination": "/proc", "type": "proc"},
        {"destination": "/t", "type": "tmpfs", "source": "t", "options": ["tmpcopyup", "ro"]},
        {"destination": "/t", "type": "tmpfs", "source": "t", "options": ["remount", "size=1m"]},
        {"destination": "/b", "type": "bind", "source": "/b", "options": ["rbind", "ro"]},
        {"destination": "/sys", "type": "sysfs"},
        {"destination": "/q", "type": "mqueue", "source": "q"},
        {"destination": "/o", "type": "overlay", "source": "o", "options": ["lowerdir=" + "l" * 300]},
    ],
    hooks={"createContainer": [{"path": "/h", "args": ["h"], "env": ["A=1", "B="], "timeout": 3}]},
    process__terminal=True,
    process__env=[],
    process__user={"uid": 1, "gid": 2, "additionalGids": [3], "umask": 0},
    process__noNewPrivileges=True,
    process__rlimits=[{"type": "RLIMIT_CORE", "soft": 0, "hard": (1 << 64) - 1}],
    process__scheduler={"policy": "SCHED_BATCH"},
    process__ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 4},
    linux__namespaces=plans.namespaces("pid", "mount", "uts", "network", "cgroup", "time"),
    linux__sysctl={"net.core.somaxconn": "5"},
    linux__maskedPaths=["/proc/kcore"],
    linux__readonlyPaths=["/proc/sys"],
    linux__rootfsPropagation="shared",
    linux__memoryPolicy={"mode": "MPOL_BIND", "nodes": "0-64"},
    linux__mountLabel="system_u:object_r:container_file_t:s0",
    linux__personality={"domain": "LINUX32"},
    process__cwd="/work",
    annotations={
        LANDLOCK: '{"paths": [{"path": "/", "allow": ["read", "execute"]}], "tcp": {"bind": [80]}, "scope": ["signal"]}'
    },
)
FACTS: dict[str, Any] = {
    "seccomp": (FILTER, 1),
    "cgroup_fds": 2,
    "landlock_abi": 7,
    "states": {"createContainer": (b'{"pid":', b"}")},
}


def all_plans() -> list[Plan]:
    compiled = compiler.compile_container(EVERYTHING, plans.facts(**FACTS))
    nested: Any = {
        **EVERYTHING,
        "linux": {**EVERYTHING["linux"], "namespaces": plans.namespaces("pid", "mount")},
    }
    unpivoted = compiler.compile_container(
        nested, plans.facts(no_pivot=True, nested=True, landlock_abi=7, seccomp=(FILTER, 8), supervised=True)
    )
    wanted: Process = {"args": ["x"], "cwd": "/", "selinuxLabel": "l", "terminal": True}
    executed = compiler.compile_exec(
        EVERYTHING, wanted, plans.facts(seccomp=(FILTER, 8), landlock_abi=7), 0x30000080
    )
    return [
        plans.early(EVERYTHING),
        compiled.prepare,
        compiled.finish,
        unpivoted.prepare,
        unpivoted.finish,
        executed.finish,
    ]


def test_every_kind_of_op_is_compiled() -> None:
    compiled = {name for plan in all_plans() for name in plans.names(plan)}
    assert compiled == set(ops.OPS)


@pytest.mark.parametrize(
    "plan", all_plans(), ids=["early", "prepare", "finish", "nested", "unpivoted", "exec"]
)
def test_round_trip(plan: Plan) -> None:
    assert plans.decode(plan.encode()) == (0, [(op.name, list(op.values)) for op in plan.ops])
    assert plans.decode(plan.encode(timed=True))[0] == lib.PLAN_TIMED


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_round_trip_of_what_engines_write(path: Path) -> None:
    made = json.loads(path.read_text())
    compiled = compiler.compile_container(made, plans.facts(seccomp=(FILTER, 0)))
    for plan in (plans.early(made), compiled.prepare, compiled.finish):
        assert plans.decode(plan.encode())[1] == [(op.name, list(op.values)) for op in plan.ops]


def test_the_header_has_no_holes() -> None:
    assert ffi.sizeof("struct plan_header") == 16
    assert ffi.sizeof("struct plan_reply") == 16


def test_empty_plan() -> None:
    flags, found = plans.decode(Plan().encode())
    assert (flags, found) == (0, [])


def encoded(*given: ops.Op) -> list[tuple[str, list[Any]]]:
    """What ops are once they were bytes."""
    plan = Plan()
    for op in given:
        plan.add(op)
    return plans.decode(plan.encode())[1]


def test_blobs_lie_on_their_boundary() -> None:
    """The kernel reads struct sock_filter, setgroups(2) reads ids in place; plans.decode() looks at the boundary."""
    for length in range(1, 10):
        found = encoded(ops.sethostname(hostname="x" * length), ops.seccomp(filter=FILTER))
        assert found[1] == ("seccomp", [FILTER, 0])
        found = encoded(ops.sethostname(hostname="x" * length), ops.user(uid=1, gid=2, groups=[3, 4, 5]))
        assert found[1] == ("user", [1, 2, [3, 4, 5], False])


def test_bytes_that_are_no_utf8_come_through() -> None:
    assert encoded(ops.sethostname(hostname="a\udcff")) == [("sethostname", ["a\udcff"])]
    plan = Plan()
    plan.add(ops.sethostname(hostname="a\udcff"))
    assert b"a\xff\0" in plan.encode()


def test_strings_beyond_ascii() -> None:
    text = ["\xe9", "\u20ac", "\U0001f600", ""]
    assert encoded(ops.execve(args=text, env=[])) == [("execve", [text, []])]


def test_negative_numbers_are_twos_complements() -> None:
    most = (1 << 64) - 1
    limit = ops.setrlimit(resource=7, soft=-1, hard=-1)
    assert encoded(limit) == [("setrlimit", [7, most, most, False])]
    assert encoded(ops.sched_setattr(policy=0, nice=-20))[0][1][2] == -20


@pytest.mark.parametrize(
    "op",
    [
        ops.setrlimit(resource=1 << 32, soft=0, hard=0),
        ops.setrlimit(resource=0, soft=1 << 64, hard=0),
        ops.setrlimit(resource=0, soft=-(1 << 63) - 1, hard=0),
        ops.setrlimit(resource=-1, soft=0, hard=0),
        ops.umask(mask=1 << 32),
        ops.sched_setattr(policy=0, nice=1 << 31),
        ops.user(uid=0, gid=0, groups=[0, 1 << 32]),
        ops.dup(old=lib.REG_COUNT, new=0),
        ops.mountpoint(path="/", type=lib.MOUNTPOINT_COUNT),
    ],
    ids=repr,
)
def test_a_number_that_has_no_room_is_refused(op: ops.Op) -> None:
    plan = Plan()
    plan.add(ops.setsid(), "/a", "a")
    plan.add(op, "/b", "b")
    with pytest.raises(OciError, match=r"b: the number .* is out of range") as caught:
        plan.encode()
    assert (caught.value.code, caught.value.pointer) == ("config", "/b")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"hostname": "a\0b"}, "/hostname"),
        ({"process__args": ["x", "a\0b"]}, "/process/args"),
        ({"process__env": ["A=\0"]}, "/process/args"),
        ({"process__cwd": "/\0"}, "/process/cwd"),
        ({"mounts": [{"destination": "/\0", "type": "tmpfs"}]}, "/mounts/0"),
        ({"mounts": [{"destination": "/t", "type": "tmpfs", "options": ["size=1\0"]}]}, "/mounts/0"),
        ({"linux__sysctl": {"net.x": "1\0"}}, "/linux/sysctl/net.x"),
        ({"linux__maskedPaths": ["/a", "/\0"]}, "/linux/maskedPaths/1"),
        ({"hooks": {"createContainer": [{"path": "/h", "args": ["\0"]}]}}, "/hooks/createContainer/0"),
    ],
)
def test_no_string_is_cut_short(changes: dict[str, Any], pointer: str) -> None:
    """What stands behind a NUL would silently be gone, or, in a list, become the next string."""
    compiled = compiler.compile_container(plans.spec(**changes), plans.facts())
    with pytest.raises(OciError) as caught:
        compiled.prepare.encode()
        compiled.finish.encode()
    assert (caught.value.code, caught.value.pointer) == ("config", pointer)


# -- purity ----------------------------------------------------------------------------------------------------------------


def _bytes(made: Any) -> bytes:
    compiled = compiler.compile_container(made, plans.facts(**FACTS))
    return b"".join(plan.encode() for plan in (plans.early(made), compiled.prepare, compiled.finish))


@pytest.mark.parametrize("path", [None, *CONFIGS], ids=lambda path: path.stem if path else "everything")
def test_same_input_same_plan_and_the_input_stays_as_it_was(path: Path | None) -> None:
    made = json.loads(path.read_text()) if path else copy.deepcopy(EVERYTHING)
    before = copy.deepcopy(made)
    first = _bytes(made)
    assert made == before
    assert _bytes(made) == first == _bytes(copy.deepcopy(before))


def test_facts_and_process_stay_as_they_were() -> None:
    given = plans.facts(listen_fds=1, **FACTS)
    wanted: Process = {"args": ["x"], "cwd": "/", "env": ["A=1"]}
    before = copy.deepcopy(vars(given))
    for _ in range(2):
        compiler.compile_container(EVERYTHING, given)
        compiler.compile_exec(EVERYTHING, wanted, given, 0)
    assert vars(given) == before
    assert wanted == {"args": ["x"], "cwd": "/", "env": ["A=1"]}


def test_compiling_asks_the_system_nothing() -> None:
    """An audit hook (PEP 578) sees every file opened, listed or looked at, every process and every socket."""
    script = f"""
import sys
sys.path[:0] = {sys.path!r}
from unit import test_plan_encode as test

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Process

seen = []
test._bytes(test.EVERYTHING)
sys.addaudithook(lambda event, args: seen.append((event, args)))
test._bytes(test.EVERYTHING)
outside = [event for event, _ in seen if event.split(".")[0] in ("open", "os", "socket", "subprocess", "fcntl", "import")]
assert not outside, outside
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
