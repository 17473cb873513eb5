"""The rule set of org.pyoci.landlock: what is read from it, what is refused, what its page says, what it compiles to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from unit import plans

from pyoci import _ops as ops
from pyoci.base.errors import OciError
from pyoci.plan import compiler
from pyoci.spec import check, landlock
from pyoci.spec.annotations import LANDLOCK
from pyoci.spec.problem import Report
from pyoci.validate.explain import examine

PAGE = (Path(__file__).resolve().parents[2] / "docs/landlock.md").read_text()
ALL = (1 << 16) - 1


def read(rules: Any) -> tuple[landlock.Rules, list[str]]:
    report = Report()
    found = landlock.read(rules if isinstance(rules, str) else json.dumps(rules), report)
    return found, [problem.message for problem in report.found]


def rules_of(value: Any) -> landlock.Rules:
    found, problems = read(value)
    assert problems == []
    return found


# -- what it means


def test_paths_handle_every_right() -> None:
    found = rules_of({"paths": [{"path": "/a", "allow": ["read", "make_block"]}]})
    (rule,) = found.paths
    assert (found.handled, found.tcp, found.scope, found.log, found.abi) == (ALL, 0, 0, 0, 5)
    assert rule.rights == landlock.bits(("read_file", "read_dir", "make_block"), landlock.RIGHTS)
    assert rule.file_rights == landlock.bits(("read_file", "make_block"), landlock.RIGHTS)
    assert not rule.optional


def test_an_abi_limits_what_is_handled() -> None:
    found = rules_of({"abi": 2, "paths": [{"path": "/a", "allow": ["write"], "optional": True}]})
    assert found.handled == ALL & ~landlock.bits(("truncate", "ioctl_dev"), landlock.RIGHTS)
    assert not found.paths[0].rights & ~found.handled
    assert found.paths[0].optional and found.abi == 2


@pytest.mark.parametrize(
    ("rules", "abi"),
    [
        ({"tcp": {}}, 4),
        ({"scope": ["signal"]}, 6),
        ({"scope": ["signal"], "log": ["new_exec_on"]}, 7),
        ({"abi": 6, "tcp": {}}, 6),
    ],
)
def test_what_a_rule_set_needs(rules: Any, abi: int) -> None:
    found = rules_of(rules)
    assert found.abi == abi
    assert landlock.too_old(found, abi) == ""
    assert f"needs ABI {abi} of Landlock" in landlock.too_old(found, abi - 1)
    assert "no Landlock" in landlock.too_old(found, -38)


def test_ports() -> None:
    found = rules_of({"tcp": {"bind": [0, 8080], "connect": [443]}})
    assert found.ports == [("bind", 0), ("bind", 8080), ("connect", 443)]
    assert found.tcp == 3 and found.handled == 0


# -- what is refused


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("{", "not JSON"),
        ('{"tcp": {}, "tcp": {}}', "two members of one name"),
        (r'{"paths": [{"path": "/\ud800", "allow": ["read"]}]}', "not JSON"),
        ([], "not an object"),
        ({}, "restricts nothing"),
        ({"log": ["new_exec_on"]}, "restricts nothing"),
        ({"path": []}, '"path" is not a known member'),
        ({"paths": {}}, "paths: not a list"),
        ({"paths": ["/usr"]}, "paths[0]: not an object"),
        ({"paths": [{"allow": ["read"]}]}, "paths[0].path: not an absolute path"),
        ({"paths": [{"path": "usr", "allow": ["read"]}]}, "paths[0].path: not an absolute path"),
        ({"paths": [{"path": "/\0", "allow": ["read"]}]}, "paths[0].path: not an absolute path"),
        ({"paths": [{"path": "/" * 4096, "allow": ["read"]}]}, "paths[0].path: not an absolute path"),
        ({"paths": [{"path": "/usr"}]}, "paths[0].allow: nothing is allowed"),
        ({"paths": [{"path": "/usr", "allow": []}]}, "paths[0].allow: nothing is allowed"),
        ({"paths": [{"path": "/usr", "allow": "read"}]}, "paths[0].allow: not a list"),
        ({"paths": [{"path": "/usr", "allow": ["raed"]}]}, 'paths[0].allow[0]: "raed" is not a known word'),
        ({"paths": [{"path": "/usr", "allow": [1]}]}, "paths[0].allow[0]: not a text"),
        (
            {"paths": [{"path": "/usr", "allow": ["read"], "optional": 1}]},
            "paths[0].optional: not true or false",
        ),
        (
            {"paths": [{"path": "/usr", "allow": ["read"], "deny": []}]},
            'paths[0]: "deny" is not a known member',
        ),
        ({"tcp": []}, "tcp: not an object"),
        ({"tcp": {"listen": [80]}}, 'tcp: "listen" is not a known member'),
        ({"tcp": {"bind": 80}}, "tcp.bind: not a list"),
        ({"tcp": {"bind": [65536]}}, "tcp.bind[0]: not a port"),
        ({"tcp": {"bind": [True]}}, "tcp.bind[0]: not a port"),
        ({"tcp": {"bind": [1] * 1001}}, "tcp.bind: a list of more than 1000 items"),
        ({"scope": ["signals"]}, 'scope[0]: "signals" is not a known word'),
        ({"scope": ["signal"], "log": ["all"]}, 'log[0]: "all" is not a known word'),
        ({"abi": 0, "tcp": {}}, "abi: not an ABI"),
        ({"abi": 99, "tcp": {}}, "abi: not an ABI"),
        ({"abi": 3, "tcp": {}}, 'tcp: "tcp" needs ABI 4 of Landlock, and the rule set is for ABI 3'),
        (
            {"abi": 4, "paths": [{"path": "/", "allow": ["ioctl_dev"]}]},
            'paths[0].allow[0]: "ioctl_dev" needs ABI 5',
        ),
    ],
)
def test_what_is_refused(rules: Any, words: str) -> None:
    _, problems = read(rules)
    assert [message for message in problems if words in message], problems
    spec = plans.spec(annotations={LANDLOCK: rules if isinstance(rules, str) else json.dumps(rules)})
    assert check.problems(spec, first=True)[0].pointer == landlock.POINTER
    with pytest.raises(OciError, match=re.escape(LANDLOCK)) as caught:
        landlock.parse(spec["annotations"][LANDLOCK])
    assert caught.value.pointer == landlock.POINTER


def test_a_hint_says_what_was_meant() -> None:
    report = Report()
    landlock.read('{"scope": ["signals"], "tpc": {}}', report)
    assert {problem.hint for problem in report.found} >= {'did you mean "signal"?', 'did you mean "tcp"?'}


def test_validate_says_where_in_the_text_it_is_not_json() -> None:
    spec = plans.spec(annotations={LANDLOCK: '{"tcp": {},}'})
    (finding,) = [
        finding
        for finding in examine(json.dumps(spec).encode(), "config.json").findings
        if finding.problem.severity == "error"
    ]
    assert finding.problem.code == "landlock-json"
    assert "a comma before the closing bracket, at character 11" in finding.problem.message
    assert finding.source[finding.mark :].startswith('"{')


def test_an_annotation_of_ours_that_does_not_exist() -> None:
    spec = plans.spec(annotations={"org.pyoci.landlok": "{}"})
    found = examine(json.dumps(spec).encode(), "config.json").findings
    assert [(each.problem.code, each.problem.hint) for each in found] == [
        ("annotation-unknown", f'did you mean "{LANDLOCK}"?')
    ]


# -- what it compiles to


def ruled(rules: Any, **changes: Any) -> Any:
    return plans.spec(annotations={LANDLOCK: json.dumps(rules)}, **changes)


RULES = {
    "paths": [{"path": "/bin", "allow": ["read", "execute"]}],
    "tcp": {"connect": [443]},
    "scope": ["signal"],
}
OWN = ["landlock_ruleset", "landlock_path", "landlock_port", "landlock"]


def names(found: list[ops.Op]) -> list[str]:
    return [op.name for op in found]


@pytest.mark.parametrize("no_new_privileges", [True, False])
@pytest.mark.parametrize("seccomp", [None, (b"\6\0\0\0\0\0\xff\x7f", 0)])
def test_the_order_of_the_ops(no_new_privileges: bool, seccomp: Any) -> None:
    spec = ruled(RULES, process__noNewPrivileges=no_new_privileges)
    hook = {"startContainer": [{"path": "/hook"}]}
    spec["hooks"] = hook
    finish = compiler.compile_container(spec, plans.facts(landlock_abi=7, seccomp=seccomp)).finish.ops
    order = names(finish)
    assert [name for name in order if name.startswith("landlock")] == OWN
    places = [order.index(name) for name in ("pivot_root", "landlock_ruleset", "user", "find_executable")]
    places += [order.index(name) for name in ("landlock", "ready", "hook", "execve")]
    assert places == sorted(places)
    if seccomp:
        assert order.index("ready") < order.index("seccomp")
    # CAP_SYS_ADMIN stays no longer than it is needed
    admin = [bool(op.permitted >> 21 & 1) for op in finish if op.name == "capset"]
    assert admin == ([False] if no_new_privileges else [True, False])
    last = len(order) - 1 - order[::-1].index("capset")
    if not no_new_privileges:
        assert last == order.index("seccomp" if seccomp else "landlock") + 1
    assert {op.pointer for op in finish if op.name in OWN} == {landlock.POINTER}


def test_exec_has_the_same_rules() -> None:
    spec = ruled(RULES)
    joined = compiler.compile_exec(spec, spec["process"], plans.facts(landlock_abi=7), 0).finish.ops
    created = compiler.compile_container(spec, plans.facts(landlock_abi=7)).finish.ops
    fields = [[op.values for op in found if op.name in OWN] for found in (joined, created)]
    assert fields[0] == fields[1] and len(fields[0]) == len(OWN)
    order = names(joined)
    assert order.index("open_rootfs") < order.index("landlock_ruleset") < order.index("user")
    assert order.index("landlock") < order.index("ready")


def test_an_older_kernel_is_refused_before_anything_is_made() -> None:
    with pytest.raises(OciError) as caught:
        compiler.compile_container(ruled(RULES), plans.facts(landlock_abi=5))
    assert caught.value.code == "landlock-abi" and "scope[0]" in caught.value.message
    with pytest.raises(OciError):
        compiler.compile_exec(ruled(RULES), ruled(RULES)["process"], plans.facts(landlock_abi=-95), 0)


def test_without_a_program_there_is_nothing_to_restrict() -> None:
    spec = ruled(RULES)
    del spec["process"]
    found = compiler.compile_container(spec, plans.facts(landlock_abi=0)).finish.ops
    assert not set(names(found)) & set(OWN)


# -- the page


def rows(head: str) -> list[list[str]]:
    table = PAGE.split(head)[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]]


def test_the_table_of_rights() -> None:
    found = rows("| word | what it allows |")[1:]
    single = {row[0].strip("`"): row for row in found if row[0].count("`") == 2}
    assert list(single) == list(landlock.RIGHTS)
    for word, (_, _, read_group, write_group, on_file, abi) in single.items():
        assert int(abi) == landlock.RIGHTS[word]
        assert (read_group == "yes") == (word in landlock.GROUPS["read"])
        assert (write_group == "yes") == (word in landlock.GROUPS["write"])
        assert (on_file == "yes") == (word in landlock.OF_FILES)
    several = {tuple(re.findall(r"`(\w+)`", row[0])): int(row[-1]) for row in found if row[0].count("`") > 2}
    assert several == {
        tuple(landlock.TCP): 4,
        tuple(reversed(landlock.SCOPES)): 6,
        tuple(landlock.LOG): 7,
    }


def test_the_kernels() -> None:
    (kernels,) = [line for line in PAGE.splitlines() if line.startswith("| Linux |")]
    assert tuple(cell.strip() for cell in kernels.strip("|").split("|"))[1:] == landlock.KERNELS


def test_the_members() -> None:
    named = [word for row in rows("| member | value |")[1:] for word in re.findall(r"`(\w+)`", row[0])]
    assert set(named) == {*landlock.MEMBERS, *landlock.TCP, "path", "allow", "optional"}


def test_the_example_is_right() -> None:
    example = PAGE.split("```json\n")[1].split("```")[0]
    assert rules_of(example).abi == 6


def test_the_numbers_are_those_of_the_kernels_header() -> None:
    header = Path("/usr/include/linux/landlock.h")
    if not header.exists():
        pytest.skip("linux/landlock.h is not installed")
    bit = dict(re.findall(r"#define LANDLOCK_ACCESS_FS_(\w+)\s+\(1ULL << (\d+)\)", header.read_text()))
    assert bit
    places = list(landlock.RIGHTS)
    assert {name.lower(): int(place) for name, place in bit.items()} == {
        name: places.index(name) for name in places if name.upper() in bit
    }
