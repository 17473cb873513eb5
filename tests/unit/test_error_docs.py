"""docs/errors.md and the code agree: each code that can be told is in its tables, and nothing else; each has its case."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from error_catalogue import load

from pyoci import _ops
from pyoci.plan import failure

TOP = Path(__file__).resolve().parents[2]
PAGE = (TOP / "docs" / "errors.md").read_text()
VALIDATION = (TOP / "docs" / "validation.md").read_text()
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
MAKERS = ("OciError", "from_os_error")
# where the code is a variable: file and expression
VARIABLE = {
    ("spec/documents.py", "problem.code"),  # a rule of the check: docs/validation.md
    ("spec/documents.py", "code"),  # read_document, whose callers are looked at
    ("validate/explain.py", "problem.code"),
    ("lifecycle/session.py", "code"),  # _send_descriptor, whose callers are looked at
    ("base/errors.py", "code"),
    ("plan/failure.py", "code"),  # the table of ops
}
# Codes without a case, and the test that shows them instead.
ELSEWHERE = {
    "internal": "tests/unit/test_cli_entry.py",
    "no-python": "tests/unit/test_error_paths.py",
    "groups": "tests/rootless/test_rootless_errors.py",
    "cgroup-delegate": "tests/rootless/test_rootless_errors.py",
    "cgroup-read": "tests/unit/test_error_paths.py",
}


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Every call of a plain function in the package: file, call, name."""
    for path in sorted((TOP / "pyoci").rglob("*.py")):
        if not path.name.startswith("_generated"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                    yield str(path.relative_to(TOP / "pyoci")), node, name


def codes() -> tuple[set[str], set[tuple[str, str]]]:
    """The codes that errors are made with, and the places where the code is a variable."""
    found: set[str] = set()
    variable: set[tuple[str, str]] = set()
    for file, call, name in calls():
        if name in (*MAKERS, "_send_descriptor", "read_document") and call.args:
            code = call.args[0]
            if isinstance(code, ast.Constant):
                found.add(str(code.value))
            elif name in MAKERS:
                variable.add((file, ast.unparse(code)))
    return found, variable


def told() -> set[str]:
    """All codes that a command can tell."""
    ops = {error for error, _ in _ops.OPS.values()}
    return codes()[0] | ops | set(failure._FORMER.values())


def rows() -> dict[str, tuple[str, ...]]:
    return {match[0]: tuple(match[1:]) for match in ROW.findall(PAGE)}


def test_every_code_is_in_the_tables_and_nothing_else() -> None:
    assert told() - set(rows()) == set(), "docs/errors.md lacks these"
    assert set(rows()) - told() == set(), "docs/errors.md has these, the code has not"


def test_no_code_is_listed_twice() -> None:
    names = [match[0] for match in ROW.findall(PAGE)]
    assert len(names) == len(set(names))


def test_codes_that_are_no_constants_are_known_here() -> None:
    assert codes()[1] == VARIABLE


@pytest.mark.parametrize("code", sorted(rows()))
def test_a_row_is_whole(code: str) -> None:
    status, *cells = rows()[code]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
    assert status in ("1", "2", "3", "128 + n") and all(
        len(cell.strip()) > 3 or cell == "nothing" for cell in cells
    )


def test_the_status_in_the_table_is_the_one_that_is_given() -> None:
    for case in load():
        status = rows().get(case.code, ("1",))[0]
        expected = {"1": (1, 255), "2": (2,), "3": (3,), "128 + n": range(129, 193)}[status]
        assert case.status in expected and (case.status == 255) == (case.verb == "exec"), case


def test_every_code_has_a_case() -> None:
    with_case = {case.code for case in load()}
    assert set(rows()) - with_case == set(ELSEWHERE)
    for code, place in ELSEWHERE.items():
        assert f'"{code}"' in (TOP / place).read_text(), f"{place} shows nothing of {code}"


def test_a_case_without_a_row_is_one_of_the_check() -> None:
    for case in load():
        assert case.code in rows() or f"`{case.code}`" in VALIDATION


def test_a_code_of_the_check_means_the_same_here() -> None:
    """One name for one thing: a code may be in both pages only for the same property."""
    both = {code for code in rows() if f"| `{code}` |" in VALIDATION}
    assert both <= {"io-priority", "oom-score", "systemd-property", "process-missing", "landlock-abi"}, both


def test_the_members_of_the_json_line_are_those_of_the_error() -> None:
    from pyoci.base.errors import OciError

    error = OciError("x", "m", pointer="/p", errno=2, obj="o", hint="h", op="exec")
    for member in (*error.fields(), "level", "msg", "time", "operation", "warnings"):
        assert f"| `{member}` |" in PAGE
