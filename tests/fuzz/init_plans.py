"""Inputs for the fuzzed init: the plans of real configurations, and plans that no compiler makes."""

from __future__ import annotations

import base64
import io
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.plan import compiler
from pyoci.plan import namespaces as namespace_ops
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec import namespaces
from pyoci.spec.seccomp_words import FLAG_NEW_LISTENER

CONFIGS = sorted((Path(__file__).resolve().parents[1] / "data/engine-configs").glob("*.json"))
GO = b"g"


def message(*plans: Plan, answers: bytes = b"", timed: bool = False) -> bytes:
    """An input: answers of the kernel, then plans, then the byte that the init waits for when it is ready."""
    return raw(b"".join(plan.encode(timed=timed) for plan in plans) + GO, answers)


def raw(stream: bytes, answers: bytes = b"") -> bytes:
    """The same with any bytes in place of the plans."""
    return len(answers).to_bytes(2, sys.byteorder) + answers + stream


def of_config(path: Path, *, timed: bool = False) -> bytes:
    """What an engine's config.json becomes."""
    return of_spec(json.loads(path.read_text()), timed=timed)


def of_spec(spec: Any, *, timed: bool = False) -> bytes:
    """What a configuration becomes. Raises OciError."""
    facts = Facts("/bundle/rootfs", "fuzz")
    facts.states = dict.fromkeys(("createContainer", "startContainer"), (b'{"pid":', b"}"))
    facts.seccomp = (b"\6\0\0\0\0\0\xff\x7f", 0)
    facts.cgroup_fds = 2
    compiled = compiler.compile_container(spec, facts)
    found = namespaces.sort(spec)
    early = namespace_ops.early(spec, found)
    first = early.encode(timed=timed) if early.ops else b""
    go = GO if found.forks else b""
    return raw(first + go + message(compiled.prepare, compiled.finish, timed=timed)[2:])


def plan_of(*given: ops.Op) -> Plan:
    """A plan of these ops."""
    plan = Plan()
    for op in given:
        plan.add(op)
    return plan


def every_op() -> bytes:
    """One plan with ops that engines seldom ask for."""
    return message(
        plan_of(
            ops.open_rootfs(path="/"),
            ops.open_procfs(),
            ops.time_namespace(offsets="monotonic 1 0\n"),
            ops.mount(type="overlay", source="none", data="lowerdir=/a:/b", flags=1),
            ops.mountpoint(path="a/../b/c", type=lib.MOUNTPOINT_FILE, mode=0o644),
            ops.fsmount(type="tmpfs", source="none", mode_of=lib.REG_MOUNTPOINT),
            ops.label(mount=lib.REG_MOUNT, label="a:b:c"),
            ops.mkdir(path="/work/../made"),
            ops.copy_up(source=lib.REG_MOUNTPOINT, mount=lib.REG_MOUNT),
            ops.sched_setattr(policy=1, priority=5),
            ops.user(uid=1, gid=2, groups=[3, 4]),
            ops.hook(path="/hook", args=["hook"], env=["A=1"], before=b'{"a":', after=b"}", timeout=3),
            ops.landlock_ruleset(paths=0xFFFF, ports=3, scoped=3),
            ops.landlock_path(path="/usr/../etc", rights=13, file_rights=5),
            ops.landlock_path(path="/missing", rights=1, file_rights=1, optional=True),
            ops.landlock_port(rights=1, port=80),
            ops.home(uid=1),
            ops.find_executable(program="sh", path="/bin::relative:/usr/bin"),
            ops.landlock(flags=1),
            ops.execve(args=["sh"], env=["A=1", "B=2"]),
        )
    )


def passwd_and_links() -> bytes:
    """The same kind of plan, with hostile contents of files: a passwd(5), an ELF head, link after link."""
    plan = plan_of(
        ops.open_rootfs(path="/"),
        ops.mountpoint(path="d/e", type=lib.MOUNTPOINT_DIRECTORY, mode=0o755),
        ops.home(uid=7),
        ops.find_executable(program="/bin/x", path=""),
        ops.execve(args=["x"], env=[]),
    )
    content = b"a:x:7:7:me:/home/a:/bin/sh\n:::::\n7:7:7:7:7:7\n"
    return message(
        plan, answers=bytes(12) + bytes([200, len(content)]) + content + bytes(40) + b"\x7fELF\2\1\1"
    )


def joining() -> bytes:
    """A plan in which a child goes on, when the byte for it has come."""
    plan = plan_of(ops.open_rootfs(path="/"), ops.fork(flags=namespaces.NEWUSER), ops.become_root())
    plan.add(ops.open_rootfs(path="/"))
    plan.add(ops.setsid())
    after = plan_of(ops.find_executable(program="/bin/x", path=""), ops.execve(args=["x"], env=[]))
    return raw(plan.encode() + GO + after.encode(), answers=bytes([1] * 100))


def notifying() -> bytes:
    """A plan with a filter that has a listener, and what may come after it."""
    plan = plan_of(
        ops.open_rootfs(path="/"),
        ops.find_executable(program="/bin/x", path=""),
        ops.seccomp_notify(filter=b"\6\0\0\0\0\0\xc0\x7f", flags=FLAG_NEW_LISTENER, failure=lib.REG_PASSED),
        ops.wait_start(fifo=lib.REG_PASSED + 1),
        ops.hook(path="/hook", args=["hook"], env=[], before=b"{", after=b"}", as_program=True),
        ops.execve(args=["x"], env=[]),
    )
    return message(plan, answers=bytes([1] * 100))


def supervised() -> bytes:
    """A plan with a filter whose listener the runtime takes."""
    plan = plan_of(
        ops.open_rootfs(path="/"),
        ops.find_executable(program="/bin/x", path=""),
        ops.seccomp_listener(filter=b"\6\0\0\0\0\0\xc0\x7f", flags=FLAG_NEW_LISTENER),
        ops.execve(args=["x"], env=[]),
    )
    return message(plan, answers=bytes([1] * 100))


def seeds() -> Iterator[tuple[str, bytes]]:
    """(name, input) of all that fuzzing begins with."""
    for path in CONFIGS:
        yield path.stem, of_config(path)
    yield "timed", of_config(CONFIGS[0], timed=True)
    yield "every-op", every_op()
    yield "passwd-and-links", passwd_and_links()
    yield "joining", joining()
    yield "notifying", notifying()
    yield "supervised", supervised()


def write_seeds(directory: Path) -> list[Path]:
    """Write all seeds into a directory; gives the files."""
    directory.mkdir(parents=True, exist_ok=True)
    found = []
    for name, data in seeds():
        path = directory / name
        path.write_bytes(data)
        found.append(path)
    return found


def unpack_corpus(directory: Path) -> list[Path]:
    """Write the inputs that long runs have kept into a directory; gives the files.

    An input that is older than an op of the language is still a plan, if another one: what it reaches is for the fuzzer to see.
    """
    directory.mkdir(parents=True, exist_ok=True)
    found = []
    packed = base64.b64decode((Path(__file__).parent / "init/corpus.tar.xz.base64").read_text())
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content:
                found.append(directory / Path(member.name).name)
                found[-1].write_bytes(content.read())
    return found
