"""The words that stand once: each table against the specification's schemas, the kernel's headers or Python's own."""

from __future__ import annotations

import ast
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import pyoci
from pyoci._generated_schemas import SCHEMAS
from pyoci.base import proc_stat, signal_numbers, suggest, timestamps, wait_status
from pyoci.plan import devices, process
from pyoci.spec import (
    capabilities,
    json_pointer,
    mount_options,
    namespaces,
    paths,
    rlimits,
    seccomp_words,
    template,
    versions,
)
from pyoci.validate import security

PACKAGE = Path(pyoci.__file__).parent
DEFINITIONS: dict[str, Any] = SCHEMAS["defs-linux.json"]["definitions"]


def test_namespaces_are_those_of_the_schema() -> None:
    assert set(namespaces.FLAGS) == set(DEFINITIONS["NamespaceType"]["enum"])


def test_propagation_is_that_of_the_schema() -> None:
    assert set(mount_options.PROPAGATION) == set(DEFINITIONS["RootfsPropagation"]["enum"])


def test_resource_limits_are_those_of_the_kernel() -> None:
    assert len(rlimits.NUMBERS) == 16
    for name, number in rlimits.NUMBERS.items():
        if hasattr(resource, name):
            assert getattr(resource, name) == number


def test_capability_sets_are_those_of_the_schema() -> None:
    sets = SCHEMAS["config-schema.json"]["properties"]["process"]["properties"]["capabilities"]["properties"]
    assert set(capabilities.SETS) == set(sets)


@pytest.mark.parametrize(
    ("table", "definition"),
    [
        (seccomp_words.ACTIONS, "SeccompAction"),
        (seccomp_words.FLAGS, "SeccompFlag"),
        (seccomp_words.OPERATORS, "SeccompOperators"),
        (process._POLICIES, "SchedulerPolicy"),
        (process._SCHEDULER_FLAGS, "SchedulerFlag"),
        (process._PERSONALITIES, "PersonalityDomain"),
        (process.MEMORY_MODES, "MemoryPolicyMode"),
        (process.MEMORY_FLAGS, "MemoryPolicyFlag"),
    ],
)
def test_what_the_compilers_look_up_is_what_the_schema_accepts(
    table: dict[str, int], definition: str
) -> None:
    """The compilers take the words of a checked configuration without a look whether they are there."""
    assert set(table) == set(DEFINITIONS[definition]["enum"])


def test_the_same_for_what_the_schemas_name_elsewhere() -> None:
    of_process = SCHEMAS["config-schema.json"]["properties"]["process"]["properties"]
    assert set(process._IO_CLASSES) == set(of_process["ioPriority"]["properties"]["class"]["enum"])
    assert set(devices._TYPES) == set(DEFINITIONS["FileType"]["pattern"].strip("^[]$"))
    assert sorted(seccomp_words.ARCHITECTURES) == sorted(DEFINITIONS["SeccompArch"]["enum"])


def test_signals_are_those_of_the_kernel() -> None:
    for name in ("ILL", "TRAP", "KILL", "TERM", "SYS"):
        assert getattr(signal_numbers, name) == getattr(signal, f"SIG{name}") == signal_numbers.number(name)
    assert (signal_numbers.RTMIN, signal_numbers.RTMAX) == (signal.SIGRTMIN, signal.SIGRTMAX)


def test_the_version_is_that_of_the_schemas() -> None:
    text = (PACKAGE.parent / "schemas" / "README.md").read_text()
    assert f"Specification **{versions.SPECIFICATION}**" in text
    assert f"tag v{versions.SPECIFICATION}" in text


@pytest.mark.parametrize(
    ("name", "step"), [("a/b", "a~1b"), ("~", "~0"), ("~1", "~01"), ("", ""), ("/~", "~1~0")]
)
def test_pointers(name: str, step: str) -> None:
    assert json_pointer.escape(name) == step
    assert json_pointer.join(["x", 0, name]) == f"/x/0/{step}"
    assert json_pointer.split(f"/x/0/{step}") == ["x", "0", name]


def test_the_whole_document_has_no_steps() -> None:
    assert json_pointer.join([]) == "" and json_pointer.split("") == []


@pytest.mark.parametrize(
    ("path", "clean", "without_dots"),
    [
        ("", "/", "/"),
        ("/", "/", "/"),
        ("a/./b", "/a/b", "/a/b"),
        ("//x//y/", "/x/y", "/x/y"),
        ("/a/../b", "/b", "/a/../b"),
        ("/../..", "/", "/../.."),
        ("../../a/../../b", "/b", "/../../a/../../b"),
        ("/a/b/..", "/a", "/a/b/.."),
    ],
)
def test_paths(path: str, clean: str, without_dots: str) -> None:
    assert (paths.clean(path), paths.without_dots(path)) == (clean, without_dots)
    assert paths.components(path) == [name for name in clean.split("/") if name]


def test_what_is_within() -> None:
    assert paths.is_within("/a/b", "/a") and paths.is_within("/a", "/a") and paths.is_within("/a", "/")
    assert not paths.is_within("/ab", "/a") and not paths.is_within("/", "/a")


@pytest.mark.parametrize(
    ("digits", "text"),
    [
        (9, "2001-09-09T01:46:40.012345678Z"),
        (6, "2001-09-09T01:46:40.012345Z"),
        (1, "2001-09-09T01:46:40.0Z"),
    ],
)
def test_moments(digits: int, text: str) -> None:
    assert timestamps.rfc3339(1_000_000_000_012_345_678, digits) == text


def test_now_is_now() -> None:
    before, found, after = time.time_ns(), timestamps.now(9), time.time_ns()
    assert timestamps.rfc3339(before, 9) <= found <= timestamps.rfc3339(after, 9)


def test_fields_of_a_process() -> None:
    found = proc_stat.fields(os.getpid())
    assert int(found[proc_stat.PARENT]) == os.getppid()
    assert found[proc_stat.STATE] not in proc_stat.DEAD and int(found[proc_stat.START_TIME]) > 0
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    found = proc_stat.fields(pid)
    assert found[proc_stat.STATE] in proc_stat.DEAD and int(found[proc_stat.EXIT_CODE]) == 7 << 8
    os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("status", "text", "exit_status"),
    [(0, "exit status 0", 0), (3 << 8, "exit status 3", 3), (9, "killed by signal 9", 137)],
)
def test_wait_statuses(status: int, text: str, exit_status: int) -> None:
    assert (wait_status.in_words(status), wait_status.for_exit(status)) == (text, exit_status)


@pytest.mark.parametrize(
    ("word", "words", "meant"),
    [
        ("strat", ["start", "state"], "start"),
        ("PID", ["uid", "pid"], "pid"),
        ("CAP_NET_BIND", ["CAP_KILL", "CAP_NET_BIND_SERVICE"], "CAP_NET_BIND_SERVICE"),
        ("ro", ["rbind", "rw", "RO"], "RO"),
        ("x", ["y"], ""),
        ("os", ["zos"], ""),
        ("validate", ["start"], ""),
        ("x" * 100000, ["x"], ""),
    ],
)
def test_what_was_meant(word: str, words: list[str], meant: str) -> None:
    assert suggest.closest(word, words) == meant


def test_the_template_hides_what_the_review_wants_hidden() -> None:
    made = template.document(rootless=False)
    told = {problem.code for problem in security.review(made)}
    assert not told & {"path-not-masked", "path-writable"}
    made["linux"]["maskedPaths"] = made["linux"]["readonlyPaths"] = []
    assert {"path-not-masked", "path-writable"} <= {problem.code for problem in security.review(made)}


# -- nobody writes a word down again ---------------------------------------------------------------------------------------

HOMES = {
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin": "spec/defaults.py",
    versions.SPECIFICATION: "spec/versions.py",
    "~1": "spec/json_pointer.py",
    "CAP_LINUX_IMMUTABLE": "spec/capabilities.py",
    "RLIMIT_MSGQUEUE": "spec/rlimits.py",
    "nostrictatime": "spec/mount_options.py",
    "runbindable": "spec/mount_options.py",
    "/dev/urandom": "spec/defaults.py",
    "SCMP_CMP_GE": "spec/seccomp_words.py",
}


def constants(path: Path) -> set[object]:
    """The constants of a module, its docstrings left out."""
    tree = ast.parse(path.read_text())
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose}


@pytest.mark.parametrize("word", HOMES)
def test_each_word_has_one_home(word: str) -> None:
    holders = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if not path.name.startswith("_generated")
        and any(isinstance(value, str) and word in value for value in constants(path))
    }
    assert holders == {HOMES[word]}


@pytest.mark.parametrize("flag", [flag for flag in namespaces.FLAGS.values() if flag > 0x1000000])
def test_each_namespace_flag_has_one_home(flag: int) -> None:
    holders = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if flag in constants(path)}
    assert holders - {"seccomp/compiler.py"} == {"spec/namespaces.py"}  # 0x40000000 is the bit of x32 too
