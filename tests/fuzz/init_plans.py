"""Inputs for the fuzzed init: the plans of real configurations, and plans that no compiler makes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyoci._shim import lib
from pyoci.plan import compiler
from pyoci.plan import namespaces as namespace_ops
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec import namespaces

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


def of_spec(spec: dict[str, Any], *, timed: bool = False) -> bytes:
    """What a configuration becomes. Raises OciError."""
    facts = Facts("/bundle/rootfs", "fuzz")
    facts.states = dict.fromkeys(("createContainer", "startContainer"), (b'{"pid":', b"}"))
    facts.seccomp = (b"\6\0\0\0\0\0\xff\x7f", 0)
    facts.cgroup_fds = 2
    compiled = compiler.compile_container(spec, facts)
    early = namespace_ops.early(spec)
    first = early.encode(timed=timed) if early.ops else b""
    go = GO if namespaces.birth(spec).forks else b""
    return raw(first + go + message(compiled.prepare, compiled.finish, timed=timed)[2:])


def every_op() -> bytes:
    """One plan with ops that engines seldom ask for."""
    plan = Plan()
    plan.add(lib.OP_ROOT_JOINED)
    plan.add(lib.OP_PROC_OPEN)
    plan.add(lib.OP_TIME_OFFSETS, texts=("monotonic 1 0\n",))
    plan.add(lib.OP_MOUNT_OLD, texts=("overlay", "none", "lowerdir=/a:/b"), numbers=(1,))
    plan.add(lib.OP_TARGET, texts=("a/../b/c",), numbers=(lib.TARGET_FILE, 0o644))
    plan.add(lib.OP_COPY_UP, fd=lib.REG_MOUNT, fd2=lib.REG_TARGET)
    plan.add(lib.OP_SCHEDULER, texts=((48).to_bytes(4, sys.byteorder) + bytes(44),), numbers=(48,))
    plan.add(lib.OP_USER, texts=(bytes(8),), numbers=(1, 2, 2))
    hook = (2 << 32 | 1, 3, 5, 6)
    plan.add(lib.OP_HOOK, texts=(["/hook", "hook"], ["A=1"], b'{"a":}'), numbers=hook)
    plan.add(lib.OP_HOME, numbers=(1,))
    plan.add(lib.OP_FIND_EXECUTABLE, texts=("sh", "/bin::relative:/usr/bin"))
    plan.add(lib.OP_EXEC, texts=(["sh"], ["A=1", "B=2"]), numbers=(1, 2))
    return message(plan)


def passwd_and_links() -> bytes:
    """The same kind of plan, with hostile contents of files: a passwd(5), an ELF head, link after link."""
    plan = Plan()
    plan.add(lib.OP_ROOT_JOINED)
    plan.add(lib.OP_TARGET, texts=("d/e",), numbers=(lib.TARGET_DIRECTORY, 0o755))
    plan.add(lib.OP_HOME, numbers=(7,))
    plan.add(lib.OP_FIND_EXECUTABLE, texts=("/bin/x", ""))
    plan.add(lib.OP_EXEC, texts=(["x"], []), numbers=(1, 0))
    content = b"a:x:7:7:me:/home/a:/bin/sh\n:::::\n7:7:7:7:7:7\n"
    return message(
        plan, answers=bytes(12) + bytes([200, len(content)]) + content + bytes(40) + b"\x7fELF\2\1\1"
    )


def joining() -> bytes:
    """A plan in which a child goes on, when the byte for it has come."""
    plan = Plan()
    plan.add(lib.OP_ROOT_JOINED)
    namespace_ops.add_fork(plan, namespaces.NEWUSER, "")
    plan.add(lib.OP_BECOME_ROOT)
    plan.add(lib.OP_ROOT_JOINED)
    plan.add(lib.OP_SESSION)
    after = Plan()
    after.add(lib.OP_FIND_EXECUTABLE, texts=("/bin/x", ""))
    after.add(lib.OP_EXEC, texts=(["x"], []), numbers=(1, 0))
    return raw(plan.encode() + GO + after.encode(), answers=bytes([1] * 100))


def seeds() -> Iterator[tuple[str, bytes]]:
    """(name, input) of all that fuzzing begins with."""
    for path in CONFIGS:
        yield path.stem, of_config(path)
    yield "timed", of_config(CONFIGS[0], timed=True)
    yield "every-op", every_op()
    yield "passwd-and-links", passwd_and_links()
    yield "joining", joining()


def write_seeds(directory: Path) -> list[Path]:
    """Write all seeds into a directory; gives the files."""
    directory.mkdir(parents=True, exist_ok=True)
    found = []
    for name, data in seeds():
        path = directory / name
        path.write_bytes(data)
        found.append(path)
    return found
