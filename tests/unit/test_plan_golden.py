"""The plans of the configurations that engines write, word for word: what changes in them is seen in review.

PYOCI_UPDATE_PLANS=1 writes them anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from unit import plans

from pyoci.plan import compiler
from pyoci.spec import capabilities, json_pointer, namespaces

DATA = Path(__file__).resolve().parents[1] / "data"
CONFIGS = sorted((DATA / "engine-configs").glob("*.json"))
V1 = [("cpu,cpuacct", ["cpu", "cpuacct"]), ("memory", []), ("name=systemd", [])]


def cgroup(version: int) -> dict[str, Any]:
    """A host's cgroup tree as the manager describes it."""
    if version == 2:
        return {"version": 2, "path": "/sys/fs/cgroup/box", "controllers": [], "links": []}
    controllers, links = [], []
    for options, names in V1:
        directory = options.removeprefix("name=")
        root = f"/sys/fs/cgroup/{directory}"
        controllers.append(
            {"name": options, "dir": directory, "host": f"{root}/box", "root": root, "options": options}
        )
        links += [[name, directory] for name in names]
    return {"version": 1, "path": "", "controllers": controllers, "links": links}


def in_words(path: Path) -> str:
    """All plans of a configuration, and how its init is born."""
    made = json.loads(path.read_text())
    user, version = namespaces.has(made, "user"), 1 if path.stem.startswith("docker20") else 2
    facts = plans.facts(
        cgroup=cgroup(version),
        cgroup_fds=3 if version == 1 else 0,
        open_sources=user,
        capabilities=plans.ALL_CAPABILITIES if user else capabilities.mask(list(capabilities.NAMES))[0],
        seccomp=(bytes(80), 0) if made["linux"].get("seccomp") else None,
    )
    found = namespaces.sort(made)
    compiled = compiler.compile_container(made, facts)
    rows = [
        f"born {found.clone_flags:#x} joined {found.joined!r}",
        *(f"warning {line}" for line in compiled.warnings),
    ]
    for name, plan in (
        ("early", plans.early(made)), ("prepare", compiled.prepare), ("finish", compiled.finish),
    ):  # fmt: skip
        rows += ["", name, *plans.in_words(plan)]
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_plan(path: Path) -> None:
    golden = DATA / "plans" / f"{path.stem}.txt"
    found = in_words(path)
    if os.environ.get("PYOCI_UPDATE_PLANS"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(found)
    assert found == golden.read_text()


def test_there_is_a_plan_for_each_and_no_other() -> None:
    assert len(CONFIGS) >= 19
    assert {path.stem for path in (DATA / "plans").iterdir()} == {path.stem for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_pointers_lead_to_what_asked_for_the_op(path: Path) -> None:
    """An op without a cause in config.json has no pointer; defaults point to where they could be changed."""
    made = json.loads(path.read_text())
    defaults = {
        "/linux/rootfsPropagation",
        "/linux/cgroupsPath",
        "/process/capabilities",
        "/process/capabilities/bounding",
    }
    seccomp = (bytes(80), 0) if made["linux"].get("seccomp") else None
    compiled = compiler.compile_container(made, plans.facts(seccomp=seccomp))
    for plan in (plans.early(made), compiled.prepare, compiled.finish):
        for op in plan.ops:
            assert op.about, op.name
            if op.pointer and op.pointer not in defaults:
                resolve(made, op.pointer)


def resolve(document: Any, pointer: str) -> Any:
    """The value that a JSON pointer names (RFC 6901). Raises LookupError."""
    for key in json_pointer.split(pointer):
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document
