"""The phrases that engines and other test suites look for: docs/compatibility.md lists them, and the code still says them."""

from __future__ import annotations

import ast
import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.check_cases import spoil
from unit.documents import TOP, Document, table

import pyoci
from pyoci import _ops as ops
from pyoci.base.errors import errno_text
from pyoci.cgroups import v2, writer
from pyoci.lifecycle import processes, store
from pyoci.plan import failure
from pyoci.validate.explain import examine

ROWS = [
    (phrase.strip("`"), held_by.strip("`"))
    for phrase, _, held_by in table(Document(TOP / "docs/compatibility.md"), "phrase")
]
HERE = str(Path(__file__).relative_to(TOP))


def program(error: int) -> str:
    """What is said of a program that the init could not find or execute."""
    op = ops.Op("find_executable", "/process/args/0", "program x")
    return failure.explain(op, error, "path", "x").text()


def cwd(error: int) -> str:
    """What is said of a working directory that can't be entered."""
    return failure.explain(ops.Op("chdir", "/process/cwd", "directory /w"), error, "chdir", "/w").text()


def notify_for_write() -> str:
    """What is said of a filter that asks somebody else about write(2)."""
    rule = {"names": ["write"], "action": "SCMP_ACT_NOTIFY"}
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/s", "syscalls": [rule]}
    findings = examine(json.dumps(spoil({"/linux/seccomp": seccomp})).encode(), "config.json").findings
    return next(item.problem.message for item in findings if item.problem.code == "seccomp-notify-write")


PRODUCED: dict[str, Callable[[], str]] = {
    "container does not exist": lambda: store.unknown("/run/pyoci", "x").text(),
    "container not running": lambda: processes.not_running("x").text(),
    "executable file not found in $PATH": lambda: program(errno.ENOENT),
    "no such file or directory": lambda: cwd(errno.ENOENT),
    "not a directory": lambda: cwd(errno.ENOTDIR),
    "permission denied": lambda: program(errno.EACCES),
    "operation not permitted": lambda: cwd(errno.EPERM),
    "rootless needs no limits + no cgrouppath when no permission is granted for cgroups": lambda: (
        v2.needs_permission("/sys/fs/cgroup/x", PermissionError(errno.EACCES, "")).text()
    ),
    "cannot set pids limit: container could not join or create cgroup": lambda: writer.no_controller(
        "pids", "/linux/resources/pids/limit", joined=False
    ).text(),
    "SCMP_ACT_NOTIFY cannot be used for the write syscall": notify_for_write,
}


def texts_of_the_code() -> str:
    """Every text of the package, a value that is put into one as {}."""
    found = []
    for path in Path(pyoci.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
                )
    return "\n".join(found)


def test_the_table_and_this_test_name_the_same_phrases() -> None:
    assert {phrase for phrase, held_by in ROWS if held_by == HERE} == set(PRODUCED)


@pytest.mark.parametrize("phrase", PRODUCED)
def test_a_fixed_phrase_is_said(phrase: str) -> None:
    assert phrase in PRODUCED[phrase]()


@pytest.mark.parametrize(("phrase", "held_by"), [row for row in ROWS if row[1] != HERE])
def test_a_test_holds_the_phrase(phrase: str, held_by: str) -> None:
    assert phrase in (TOP / held_by).read_text()


def test_the_code_says_each_phrase() -> None:
    code = texts_of_the_code() + "\n".join(errno_text(number) for number in errno.errorcode)
    for phrase, _ in ROWS:
        assert phrase in code or phrase.replace("pids", "{}") in code, phrase
