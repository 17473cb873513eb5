"""The rules on linux.memoryPolicy against set_mempolicy(2)."""

from __future__ import annotations

import ctypes
import itertools
import os
from pathlib import Path

import pytest
from harness import machine
from unit import plans

from pyoci.plan import compiler
from pyoci.spec import check

pytestmark = [
    pytest.mark.only("pyoci"),
    pytest.mark.skipif(not Path("/proc/self/numa_maps").exists(), reason="a kernel without CONFIG_NUMA"),
    pytest.mark.skipif(machine.kernel() < (6, 10), reason="older kernels have fewer modes and flags"),
]
FLAGS = ("MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES", "MPOL_F_NUMA_BALANCING")
MODES = ("DEFAULT", "PREFERRED", "BIND", "INTERLEAVE", "LOCAL", "PREFERRED_MANY", "WEIGHTED_INTERLEAVE")
SET_MEMPOLICY = 238 if os.uname().machine == "x86_64" else 237


def kernel_refuses(mode: int, nodes: str) -> bool:
    """What set_mempolicy(2) says to a process of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    mask = ctypes.c_ulong(int(nodes == "0"))
    child = os.fork()
    if child == 0:
        os._exit(libc.syscall(SET_MEMPOLICY, mode, ctypes.byref(mask), 65) != 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_the_rules_refuse_what_the_kernel_refuses() -> None:
    """Every mode with every set of flags, without nodes and with node 0."""
    sets = [flags for count in range(4) for flags in itertools.combinations(FLAGS, count)]
    answers = set()
    for mode, flags, nodes in itertools.product(MODES, sets, ("", "0")):
        policy = {"mode": f"MPOL_{mode}", "nodes": nodes, "flags": list(flags)}
        spec = plans.spec(linux__memoryPolicy=policy)
        problems = [item.code for item in check.problems(spec, first=False) if "memory-policy" in item.code]
        op = plans.one(compiler.compile_container(spec, plans.facts()).finish, "set_mempolicy")
        refused = kernel_refuses(op.mode, nodes)
        assert refused == bool(problems), (policy, problems)
        answers.add(refused)
    assert answers == {False, True}
