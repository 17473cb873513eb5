"""Warms the image of the static launcher: what a command computes is computed some thirty times before the image is made.

Python rewrites the instructions of functions that run often for the types that they meet. A command is too short to profit; in an
image, the rewritten instructions are there from the start. The program that makes the image (launcher/image.c) runs this file
once every hot module is imported: main, with warm/*.json as the configurations. So this is code for the core-only interpreter.

No system call is made here, and nothing of the machine or the process is looked at: it would be in every process of the image.
"""

import sys

from pyoci.base import jsontext
from pyoci.cgroups import devices, resources
from pyoci.cli.parse import Options, command_options, global_options
from pyoci.plan import compiler, namespaces
from pyoci.plan.facts import Facts
from pyoci.spec import check, fast
from pyoci.spec.namespaces import sort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.plan.cgroup_facts import CgroupFacts

TIMES = 30
_COMMANDS = (
    "--root /run/x --log /run/log --log-format json create --bundle /b --pid-file /p a",
    "--root /run/x --log /run/log --log-format json --systemd-cgroup create --bundle /b --console-socket /s a",
    "--root /run/x start a",
    "--root /run/x state a",
    "--root /run/x kill a 9",
    "--root /run/x kill --all a KILL",
    "--root /run/x delete --force a",
    "--root=/run/x run -b /b a",
    "--root /run/x exec --process /p --pid-file /q --detach a",
    "--root /run/x exec -t -e A=1 a sh -c x",
)
_V1: "CgroupFacts" = {
    "version": 1,
    "path": "",
    "controllers": [
        {
            "name": name,
            "dir": name,
            "host": f"/sys/fs/cgroup/{name}/a",
            "root": f"/sys/fs/cgroup/{name}",
            "options": name,
        }
        for name in ("systemd", "cpu,cpuacct", "memory", "pids", "devices")
    ],
    "links": [["cpu", "cpu,cpuacct"], ["cpuacct", "cpu,cpuacct"]],
}
_V2: "CgroupFacts" = {"version": 2, "path": "/sys/fs/cgroup/a", "controllers": [], "links": []}


def main(configurations: "list[bytes]", times: int = TIMES) -> int:
    """Compute; returns how many functions of the package it has specialised. Raises RuntimeError."""
    before = _instructions()
    for _ in range(times):
        for command in _COMMANDS:
            _parse(command.split())
        for raw in configurations:
            _create(raw, _V1)
            _create(raw, _V2)
    if "_pyoci_launcher" in sys.modules:
        raise RuntimeError(
            "the warm-up asked where the launcher is: every process of the image would have the answer"
        )
    return sum(before.get(code, now) != now for code, now in _instructions().items())


def _parse(argv: "list[str]") -> None:
    settings, at = global_options(argv)
    command_options(Options(argv, settings), at)


def _create(raw: bytes, cgroup: "CgroupFacts") -> None:
    """What a create or run of a bundle and an exec in its container compute."""
    spec = fast.load(raw)
    if spec is None or check.problems(spec, first=True, rootless=False):
        raise RuntimeError("the warm-up's configuration is refused")
    facts = Facts("/rootfs", "a")
    facts.cgroup = cgroup
    facts.cgroup_fds = len(cgroup["controllers"])
    facts.seccomp = (bytes(64), 4)
    found = sort(spec)
    namespaces.early(spec, found, found.unshare_flags).encode()
    compiled = compiler.compile_container(spec, facts)
    compiled.prepare.encode()
    compiled.finish.encode()
    compiler.compile_exec(
        spec, spec["process"], facts, found.clone_flags | found.unshare_flags
    ).finish.encode()
    wanted: Any = spec["linux"].get("resources") or {}
    rules = devices.rules(wanted)
    if cgroup["version"] == 1:
        resources.v1(wanted)
        devices.v1_lines(rules)
    else:
        resources.v2(wanted)
        devices.program(rules)
    jsontext.loads(
        jsontext.dumps({"id": "a", "annotations": spec.get("annotations") or {}, "cgroup": cgroup}).encode()
    )


def _instructions() -> "dict[Any, bytes]":
    """The instructions of every function of the package, as they are now."""
    # not co_code, which is computed from them and then kept
    return {
        code: code._co_code_adaptive
        for name, module in list(sys.modules.items())
        if name.startswith("pyoci.")
        for code in _codes(vars(module))
    }


def _codes(names: "dict[str, Any]") -> "list[Any]":
    """The code of the functions in a module or class, and of methods."""
    found = []
    for value in list(names.values()):
        if hasattr(value, "__code__"):
            found.append(value.__code__)
        elif isinstance(value, type) and str(value.__module__).startswith("pyoci."):
            found += [method.__code__ for method in vars(value).values() if hasattr(method, "__code__")]
    return found
