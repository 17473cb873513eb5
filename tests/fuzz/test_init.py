"""The init against hostile plans, with a kernel that does nothing: what fuzzing found, and a short run of it.

Long runs: README.md.
"""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from fuzz import init_build, init_plans, load_target
from property.mutations import mutate
from unit import plans

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.base.errors import OciError

COUNT = int(os.environ.get("PYOCI_FUZZ", "5000"))
REFUSED = "hung up"
HEADER = struct.Struct("=IIII")

# what the C library does by itself, without a system call; the rest belongs to the sanitizers
PURE = {
    *(
        "__errno_location",
        "memcmp",
        "memcpy",
        "memmove",
        "memset",
        "sigemptyset",
        "snprintf",
        "strchr",
        "strcmp",
    ),
    *(
        "strcpy",
        "strcspn",
        "strerror",
        "strlen",
        "strncmp",
        "strnlen",
        "strrchr",
        "strspn",
        "strstr",
        "strtol",
        "strtoul",
        "strtoull",
        "__stack_chk_fail",
    ),
}


@pytest.fixture(scope="session")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The init under sanitizers, as a program that runs inputs."""
    return init_build.replay(tmp_path_factory.mktemp("fuzz"))


def run(replay: Path, data: bytes) -> str:
    """How the init ends on one input; a crash fails the test."""
    path = replay.parent / "input"
    path.write_bytes(data)
    found = subprocess.run(
        [replay, path], capture_output=True, text=True, errors="replace", timeout=60, check=False
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def plan(*given: ops.Op) -> bytes:
    """An input with a plan of these ops."""
    return init_plans.message(init_plans.plan_of(*given))


def lie(op: ops.Op, **wrong: tuple[int | None, ...]) -> bytes:
    """An input with a plan of one op, in which parts of fields are others than the encoder writes."""
    data = bytearray(init_plans.plan_of(op).encode())
    at = HEADER.size + 2
    for name, kind, _ in ops.OPS[op.name][1]:
        sizes = plans.SIZES.get(kind, (8,))
        for size, value in zip(sizes, wrong.pop(name, (None,) * len(sizes)), strict=True):
            at += -at % size
            if value is not None:
                data[at : at + size] = value.to_bytes(size, sys.byteorder)
            at += size
    assert not wrong, wrong
    return init_plans.raw(bytes(data) + init_plans.GO)


def test_the_harness_can_do_no_harm(replay: Path) -> None:
    """No way leads from the init to the kernel but through the fake one."""
    names = init_build.foreign_symbols(sorted(replay.parent.glob("init-*.o")))
    unknown = {name for name in names if not re.match("fake_|__asan_|__ubsan_", name)} - PURE
    assert not unknown, "add them to calls.txt and kernel.c"
    assert "fake_execve" in names


def test_a_plan_of_the_compiler_is_executed_to_its_end(replay: Path) -> None:
    for name, data in init_plans.seeds():
        assert (name, run(replay, data)) == (name, "executed")


def test_whatever_the_compiler_makes_is_a_plan_to_the_init(replay: Path, tmp_path: Path) -> None:
    """Encoder and decoder agree on changed configurations, too: what is refused is refused by Python, or by an op."""
    paths = []
    for number in range(COUNT // 50):
        random = Random(number)
        changed = mutate(json.loads(random.choice(init_plans.CONFIGS).read_text()), random)
        try:
            spec = load_target.load(json.dumps(changed).encode())
            data = init_plans.of_spec(spec, timed=random.random() < 0.5)
        except OciError:
            continue
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(data)
    assert len(paths) > COUNT // 500
    found = subprocess.run([replay, *paths], capture_output=True, text=True, errors="replace", check=False)
    assert found.returncode == 0, found.stderr
    verdicts = dict(zip(paths, found.stdout.splitlines(), strict=True))
    assert {path.name: verdict for path, verdict in verdicts.items() if verdict != "executed"} == {}


# -- plans that lie


def stream(
    *, magic: int = lib.PLAN_MAGIC, size: int | None = None, count: int = 0, rest: bytes = b"\0"
) -> bytes:
    """An input with this header and what follows it."""
    whole = HEADER.size + len(rest) if size is None else size
    return init_plans.raw(HEADER.pack(magic, whole, count, 0) + rest)


SETSID = list(ops.OPS).index("setsid") + 1


def one_op(code: int = SETSID, end: bytes = b"\0") -> bytes:
    """The bytes of an op without fields and a text area."""
    return struct.pack("=H6x", code) + end


@pytest.mark.parametrize(
    "data",
    [
        b"",
        init_plans.raw(b"PLN"),
        stream(magic=1),
        stream(size=0),
        stream(size=HEADER.size - 1),
        stream(size=HEADER.size, rest=b""),
        stream(size=0xFFFFFFFF),
        stream(size=lib.PLAN_MAX_SIZE + 1),
        stream(size=1000),
        stream(count=1),
        stream(count=lib.PLAN_MAX_OPS + 1),
        stream(count=0xFFFFFFFF),
        stream(count=1, rest=one_op()[:-1]),
        stream(count=1, rest=one_op()[:7]),
        stream(count=2, rest=one_op()),
        stream(count=1, rest=one_op(end=b"x")),
        stream(count=1, rest=one_op(code=0)),
        stream(count=1, rest=one_op(code=len(ops.OPS) + 1)),
        stream(count=1, rest=one_op(code=0xFFFF)),
        # an op that is longer than the plan
        stream(count=1, rest=one_op(code=list(ops.OPS).index("hook") + 1)),
    ],
    ids=lambda data: f"{len(data)}-bytes",
)
def test_what_is_no_plan_is_refused(replay: Path, data: bytes) -> None:
    assert run(replay, data) == REFUSED


HALF = 1 << 63
EXEC = ops.execve(args=["a"], env=["b"])
HOOK = ops.hook(path="/hook", args=["hook"], env=[], before=b"{", after=b"}")
BIND = ops.open_tree(source="/s")


def test_the_encoder_does_not_lie(replay: Path) -> None:
    """The same with nothing changed gets past the check."""
    assert run(replay, lie(HOOK)) == "hung up"  # at the end of the stream
    assert run(replay, lie(EXEC)) == "executed"


@pytest.mark.parametrize(
    "data",
    [
        lie(BIND, source=(0xFFFF,)),
        lie(BIND, source=(HALF,)),
        lie(BIND, source=((1 << 64) - 1,)),
        lie(BIND, tree=(lib.REG_COUNT,)),
        lie(BIND, tree=(0xFFFF,)),
        lie(BIND, recursive=(2,)),
        # their sum is 0
        lie(EXEC, args=(None, HALF), env=(None, HALF)),
        lie(EXEC, args=(None, 30)),
        lie(EXEC, args=(HALF, 1)),
        lie(EXEC, args=(None, lib.PLAN_MAX_STRINGS + 1)),
        lie(HOOK, env=(1, 90)),
        lie(HOOK, before=(None, HALF)),
        lie(HOOK, after=(None, 90)),
        lie(HOOK, after=(3, 0)),  # on no boundary
        # four times it is 4
        lie(ops.user(uid=0, gid=0, groups=[1]), groups=(None, (1 << 62) + 1)),
        lie(ops.user(uid=0, gid=0, groups=[1]), groups=(None, 9)),
        lie(ops.seccomp(filter=bytes(8)), filter=(None, 2)),
        lie(ops.seccomp(filter=bytes(8)), filter=(None, (1 << 61) + 1)),
        lie(ops.fsmount(type="tmpfs", source="x", options=["a=b"]), options=(None, HALF)),
        lie(ops.mountpoint(path="x", type=0), type=(lib.MOUNTPOINT_COUNT,)),
    ],
    ids=lambda data: f"{len(data)}-bytes",
)
def test_a_field_that_lies(replay: Path, data: bytes) -> None:
    """Nothing of the plan is executed."""
    assert run(replay, data) == REFUSED


def test_a_lie_at_the_end_stops_what_comes_before(replay: Path) -> None:
    failing, last = ops.dup(old=lib.REG_NONE, new=1), ops.dup(old=1, new=2)
    data = bytearray(init_plans.plan_of(failing, last).encode())
    assert run(replay, init_plans.raw(bytes(data))) == "op 0: plan register"
    at = HEADER.size + 8 + 2  # in the second op
    data[at : at + 2] = lib.REG_COUNT.to_bytes(2, sys.byteorder)
    assert run(replay, init_plans.raw(bytes(data))) == REFUSED


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (plan(ops.join_cgroup(tasks=lib.REG_PASSED, count=0xFFFFFFFF)), "op 0: plan register"),
        (plan(ops.setns(fd=lib.REG_COUNT - 1, flags=0)), "op 0: plan register"),
        (plan(ops.setns(fd=lib.REG_NONE, flags=0)), "op 0: plan register"),
        (plan(ops.user(uid=0, gid=0, groups=[0] * 1025)), "op 0: setgroups more than 1024 groups"),
        (plan(ops.seccomp(filter=bytes(8 * 4097))), "op 0: seccomp length of the filter"),
        (plan(ops.seccomp(filter=b"")), "op 0: seccomp length of the filter"),
        (plan(ops.seccomp(filter=bytes(8), flags=8)), "op 0: seccomp listener of the filter"),
        (plan(ops.seccomp_notify(filter=b"", flags=8)), "op 0: seccomp length of the filter"),
        (plan(ops.seccomp_listener(filter=b"", flags=8)), "op 0: seccomp length of the filter"),
        (plan(ops.find_executable(program="x" * 5000, path="")), f"op 0: executable {'x' * 1024}"),
        # its product with 1000 is past the end of the number
        (plan(ops.hook(path="/h", args=[], env=[], before=b"", after=b"", timeout=HALF - 1)), REFUSED),
        (plan(ops.execve(args=[], env=[])), "executed"),
    ],
    ids=lambda item: item[:40] if isinstance(item, str) else "",
)
def test_a_plan_that_makes_no_sense(replay: Path, data: bytes, verdict: str) -> None:
    assert run(replay, data) == verdict


READY = ops.ready(failure=lib.REG_PASSED)


def test_ready_twice(replay: Path) -> None:
    """The second one has no socket any more, and says so to `start`."""
    assert run(replay, plan(READY, READY)) == "op 1: read"


def test_ready_twice_with_a_filter_that_notifies(replay: Path) -> None:
    """Nobody is there to be told of the second one's listener."""
    notify = ops.seccomp_notify(filter=bytes(8), flags=8)
    assert run(replay, plan(READY, notify)) == "op 1: read"
    assert run(replay, plan(notify, ops.execve(args=["a"], env=[]))) == "executed"


def test_the_end_of_a_plan_after_ready(replay: Path) -> None:
    """There is nobody to tell that it is done."""
    assert run(replay, plan(READY)) == REFUSED


def test_a_descriptor_that_serves_two_ends(replay: Path) -> None:
    """The fifo of `start` is in no register any more."""
    assert run(replay, plan(READY, ops.join_cgroup(tasks=lib.REG_PASSED, count=1))) == "op 1: plan register"


def test_a_failure_without_an_object_after_start(replay: Path) -> None:
    """setns(2) is the call that fails when the answers before it are as many as the calls."""
    wrong = init_plans.plan_of(READY, ops.setns(fd=lib.REG_PASSED + 1, flags=0))
    found = {
        run(replay, init_plans.message(wrong, answers=bytes(count) + b"\xff")) for count in range(60, 100)
    }
    assert "op 1: setns" in found


def test_no_child_goes_on_after_start(replay: Path) -> None:
    """It would hold the fifo of `start` in namespaces where others can see it."""
    assert run(replay, plan(READY, ops.fork(), EXEC)) == "op 1: plan fork after start"


# -- runs


def test_what_long_runs_have_kept(replay: Path, tmp_path: Path) -> None:
    kept = init_plans.unpack_corpus(tmp_path / "kept")
    assert len(kept) > 1000
    found = subprocess.run([replay, *kept], capture_output=True, text=True, errors="replace", check=False)
    assert found.returncode == 0, found.stderr[-8000:]


def test_random_changes(replay: Path, tmp_path: Path) -> None:
    """Without clang too. Some of the changed plans still run to their end: the changes are not all refused at the door."""
    seeds = init_plans.write_seeds(tmp_path / "seeds")
    command = [str(replay), "-random", "1", str(COUNT), *map(str, seeds)]
    found = subprocess.run(
        command, capture_output=True, text=True, errors="replace", cwd=tmp_path, check=False
    )
    assert found.returncode == 0, f"{tmp_path}/last-input:\n{found.stderr}"
    assert 0 < int(found.stdout.split()[0]) < COUNT


def test_guided_changes(tmp_path: Path) -> None:
    compiler = init_build.clang()
    if compiler is None:
        pytest.skip("no clang with libFuzzer (Debian: clang-14 libclang-rt-14-dev)")
    init_plans.write_seeds(tmp_path / "seeds")
    (tmp_path / "corpus").mkdir()
    fuzzer = init_build.fuzzer(tmp_path, compiler)
    options = ["-seed=1", f"-runs={COUNT * 2}", "-max_len=30000", "-timeout=20"]
    found = subprocess.run(
        [fuzzer, tmp_path / "corpus", tmp_path / "seeds", *options],
        capture_output=True,
        text=True,
        errors="replace",
        cwd=tmp_path,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-8000:]
    assert f"Done {COUNT * 2} runs" in found.stderr
