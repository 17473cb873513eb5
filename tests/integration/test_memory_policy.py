"""linux.memoryPolicy: from which memory nodes the processes of a container get their memory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.boxes import Boxes

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/numa_maps").exists(), reason="a kernel without CONFIG_NUMA"
)
SHOW = ("/bin/head", "-n", "1", "/proc/self/numa_maps")
NODES = Path("/sys/devices/system/node/has_memory").read_text().strip() if machine.is_root() else "0"
STATIC, RELATIVE, BALANCING = "MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES", "MPOL_F_NUMA_BALANCING"


def policy(mode: str, nodes: str | None = None, *flags: str) -> dict[str, Any]:
    made: dict[str, Any] = {"mode": mode}
    if nodes is not None:
        made["nodes"] = nodes
    return made | ({"flags": list(flags)} if flags else {})


def shown(text: str) -> str:
    """The policy in the first line of numa_maps: the words between the address and what the mapping is."""
    found = re.match(r"[0-9a-f]+ ((?:[^ ]+ )??[^ ]+)(?: (?:file|anon|heap|stack|huge)\b| *$)", text)
    assert found, text
    return found[1]


def needed(mode: str) -> None:
    version = {"MPOL_PREFERRED_MANY": (5, 15), "MPOL_WEIGHTED_INTERLEAVE": (6, 9)}.get(mode, (5, 14))
    if machine.kernel() < version:
        pytest.skip(f"{mode} came with Linux {version[0]}.{version[1]}")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (policy("MPOL_LOCAL"), "local"),
        (policy("MPOL_PREFERRED"), "local"),
        (policy("MPOL_PREFERRED", "0", RELATIVE), "prefer=relative:0"),
        (policy("MPOL_BIND", "0"), "bind:0"),
        (policy("MPOL_BIND", "0", STATIC), "bind=static:0"),
        (policy("MPOL_BIND", " 0,,", BALANCING), "bind=balancing:0"),
        (policy("MPOL_BIND", "0", STATIC, BALANCING), "bind=static|balancing:0"),
        (policy("MPOL_INTERLEAVE", "0"), "interleave:0"),
        (policy("MPOL_INTERLEAVE", "0", RELATIVE), "interleave=relative:0"),
        (policy("MPOL_PREFERRED_MANY", "0"), "prefer (many):0"),
        (policy("MPOL_PREFERRED_MANY", "0", STATIC), "prefer (many)=static:0"),
        (policy("MPOL_WEIGHTED_INTERLEAVE", "0"), "weighted interleave:0"),
        (policy("MPOL_WEIGHTED_INTERLEAVE", "0", STATIC), "weighted interleave=static:0"),
    ],
    ids=str,
)
def test_run_and_exec_have_the_policy(box: Boxes, wanted: dict[str, Any], expected: str) -> None:
    needed(wanted.get("mode", ""))
    made = box(*SHOW)
    made.linux["memoryPolicy"] = wanted
    assert shown(made.out()) == expected
    made.args("/bin/sleep", "1000").launch()
    assert shown(made.exec(*SHOW).out) == expected


@pytest.mark.parametrize("wanted", [{}, policy("MPOL_DEFAULT"), policy("MPOL_DEFAULT", "", STATIC)], ids=str)
def test_the_default_policy(box: Boxes, wanted: dict[str, Any]) -> None:
    made = box(*SHOW)
    made.linux["memoryPolicy"] = wanted
    assert shown(made.out()) == "default"


def test_in_a_user_namespace(box: Boxes) -> None:
    made = box(*SHOW)
    made.user_namespace()
    made.linux["memoryPolicy"] = policy("MPOL_BIND", "0")
    assert shown(made.out()) == "bind:0"


def test_the_cpuset_is_joined_before(box: Boxes) -> None:
    machine.need_controller("cpuset")
    made = box(*SHOW)
    made.linux["resources"] = {"cpu": {"cpus": "0", "mems": "0"}}
    made.linux["memoryPolicy"] = policy("MPOL_BIND", "0", STATIC)
    assert shown(made.out()) == "bind=static:0"


@pytest.mark.parametrize("nodes", ["1000", "1023", "1024", "0,5000", "65536"])
def test_nodes_that_are_not_there(box: Boxes, nodes: str) -> None:
    """More than the kernel has room for are not forgotten."""
    made = box("/bin/true")
    made.linux["memoryPolicy"] = policy("MPOL_BIND", nodes)
    made.run(check=False).failed(f"memory policy MPOL_BIND {nodes}: set_mempolicy: invalid argument")


def test_nodes_without_memory_beside_one_that_has_some(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    made.linux["memoryPolicy"] = policy("MPOL_BIND", "0-63")
    made.launch()
    with (Path("/proc") / str(made.pid) / "numa_maps").open() as file:
        assert shown(file.readline()) == f"bind:{NODES}"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"mode": "INTERLEAVE", "nodes": "0"}, "invalid memory policy mode"),
        ({"nodes": "0-7"}, "invalid memory policy mode"),
        (policy("MPOL_PREFERRED", "0", RELATIVE, "badflag"), "invalid memory policy flag"),
        (policy("MPOL_BIND", "0-9876543210"), "invalid memory policy node"),
        (policy("MPOL_BIND", "x"), "invalid memory policy node"),
        (policy("MPOL_BIND", ","), "invalid memory policy node"),
        (policy("MPOL_DEFAULT", "0-7", BALANCING, STATIC, RELATIVE), "set_mempolicy would fail with invalid argument"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_policy_is_refused_in_runcs_words(box: Boxes, wanted: dict[str, Any], words: str) -> None:
    made = box("/bin/true")
    made.linux["memoryPolicy"] = wanted
    made.run(check=False).failed(words)
