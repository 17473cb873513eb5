"""The init against hostile plans, with a kernel that does nothing: what fuzzing found, and a short run of it.

Long runs: README.md.
"""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fuzz import init_build, init_plans
from property.mutations import mutate

from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.plan.ops import Plan
from pyoci.spec import bundle

COUNT = int(os.environ.get("PYOCI_FUZZ", "5000"))
REFUSED = "hung up"
HEADER = struct.Struct("=IIII")
OP = struct.Struct("=HHHHIIIIQQQQ")

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
        "strrchr",
        "strspn",
        "strtol",
        "strtoul",
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


def plan(code: int, **members: Any) -> bytes:
    """An input with a plan of one op."""
    made = Plan()
    made.add(code, **members)
    return init_plans.message(made)


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
            spec = bundle.parse(json.dumps(changed).encode(), "config.json")
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


def one_op(code: int = lib.OP_SESSION, fd: int = 0, fd2: int = 0, text: int = 0, end: bytes = b"\0") -> bytes:
    """The bytes of one op and a text area."""
    return OP.pack(code, 0, fd, fd2, text, 0, 0, 0, 0, 0, 0, 0) + end


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
        stream(count=1, rest=one_op(end=b"x")),
        stream(count=1, rest=one_op(code=lib.OP_NONE)),
        stream(count=1, rest=one_op(code=lib.OP_COUNT)),
        stream(count=1, rest=one_op(code=0xFFFF)),
        stream(count=1, rest=one_op(fd=lib.REG_COUNT)),
        stream(count=1, rest=one_op(fd2=0xFFFF)),
        stream(count=1, rest=one_op(text=1)),
        stream(count=1, rest=one_op(text=0xFFFFFFFF)),
    ],
    ids=lambda data: f"{len(data)}-bytes",
)
def test_what_is_no_plan_is_refused(replay: Path, data: bytes) -> None:
    assert run(replay, data) == REFUSED


HALF = 1 << 63
HOOK: dict[str, Any] = {"texts": (["/hook"], [], b"{}")}


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        # their sum is 0
        (plan(lib.OP_EXEC, texts=(["a"], ["b"]), numbers=(HALF, HALF)), "op 0: plan list"),
        (plan(lib.OP_EXEC, texts=(["a"], ["b"]), numbers=(0, 1)), "op 0: plan list"),
        (plan(lib.OP_EXEC, texts=(["a"], ["b"]), numbers=(30, 1)), "op 0: plan list"),
        (plan(lib.OP_EXEC, texts=(["a"], ["b"]), numbers=(lib.PLAN_MAX_STRINGS, 1)), "op 0: plan list"),
        (plan(lib.OP_HOOK, **HOOK, numbers=(1 << 32 | 90, 0, 1, 2)), "op 0: plan list"),
        (plan(lib.OP_HOOK, **HOOK, numbers=(0, 0, 1, 2)), "op 0: plan list"),
        (plan(lib.OP_HOOK, **HOOK, numbers=(1 << 32, 0, 3, 2)), "op 0: plan state"),
        (plan(lib.OP_HOOK, **HOOK, numbers=(1 << 32, 0, 0, HALF)), "op 0: plan blob"),
        # its product with 1000 is past the end of the number
        (plan(lib.OP_HOOK, **HOOK, numbers=(1 << 32, HALF - 1, 1, 2)), REFUSED),
        # four times it is 4
        (plan(lib.OP_USER, numbers=(0, 0, (1 << 62) + 1)), "op 0: setgroups more than 1024 groups"),
        (plan(lib.OP_USER, texts=(bytes(8),), numbers=(0, 0, 9)), "op 0: plan blob"),
        (plan(lib.OP_SECCOMP, texts=(bytes(8),), numbers=(2, 0)), "op 0: plan blob"),
        (plan(lib.OP_SECCOMP, texts=(bytes(8),), numbers=(4097, 0)), "op 0: seccomp length of the filter"),
        # the kernel would read as much as the structure says
        (plan(lib.OP_SCHEDULER, texts=(b"\xff\xff\0\0",), numbers=(4,)), "op 0: plan scheduler"),
        (plan(lib.OP_SCHEDULER, texts=(b"",), numbers=(0,)), "op 0: plan scheduler"),
        (plan(lib.OP_CGROUP_JOIN, fd=lib.REG_PASSED, numbers=(HALF,)), "op 0: plan register"),
        (plan(lib.OP_JOIN, fd=lib.REG_COUNT - 1), "op 0: plan register"),
        (plan(lib.OP_MOUNT_NEW, texts=("tmpfs", "x", ["a=b"]), numbers=(0, HALF)), "op 0: plan list"),
        (plan(lib.OP_TARGET, texts=("x",), numbers=(99, 0)), "op 0: plan target"),
        (plan(lib.OP_FIND_EXECUTABLE, texts=("x" * 5000, "")), f"op 0: executable {'x' * 500}"),
    ],
    ids=lambda item: item[:40] if isinstance(item, str) else "",
)
def test_a_number_that_lies(replay: Path, data: bytes, verdict: str) -> None:
    assert run(replay, data) == verdict


def test_ready_twice(replay: Path) -> None:
    """The second one has no socket any more."""
    made = Plan()
    for _ in range(2):
        made.add(lib.OP_READY, fd2=lib.REG_PASSED)
    assert run(replay, init_plans.message(made)) == "exit status 1"


def test_the_end_of_a_plan_behind_ready(replay: Path) -> None:
    """There is nobody to tell that it is done."""
    made = Plan()
    made.add(lib.OP_READY, fd2=lib.REG_PASSED)
    assert run(replay, init_plans.message(made)) == REFUSED


def test_a_descriptor_that_serves_two_ends(replay: Path) -> None:
    made = Plan()
    made.add(lib.OP_READY, fd2=lib.REG_PASSED)
    made.add(lib.OP_CGROUP_JOIN, fd=lib.REG_PASSED, numbers=(1,))
    made.add(lib.OP_EXEC, texts=(["a"],), numbers=(1, 0))
    assert run(replay, init_plans.message(made)) == "executed"


# -- runs


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
