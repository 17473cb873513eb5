"""The layers of the package: a module imports from its own package and from lower ranks, in functions too."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyoci

PACKAGE = Path(pyoci.__file__).parent

# From the ground up. Names in one line share a rank and know nothing of each other.
LAYERS = """
base
spec
plan
host
userns
cgroups
seccomp
terminal
init
lifecycle
preview trace validate
doctor engine_config
cli
""".split("\n")[1:-1]
# Flat in the package: what starts it, and the generated modules and extension modules, which are below base.
FLAT = {"__init__", "__main__", "_generated", "_generated_other", "_generated_schemas"}
BELOW_BASE = {"", "_shim", "_json", "_generated", "_generated_other", "_generated_schemas"}
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}


def imported(node: ast.AST) -> Iterator[str]:
    """The names that are imported anywhere below a node, but for the type checker alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from (name for other in child.orelse for name in imported(other))
        else:
            yield from imported(child)


def arrows(package: Path) -> dict[str, set[str]]:
    """Module -> the modules of the package that it imports; a package's own module stands for itself alone."""
    files = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found: dict[str, set[str]] = {}
    for name, path in files.items():
        found[name] = set()
        for wanted in imported(ast.parse(path.read_text())):
            target = wanted if wanted in files else wanted.rpartition(".")[0]
            if target in files and target != name:
                found[name].add(target)
    return found


def climbs(graph: dict[str, set[str]]) -> list[str]:
    """The imports that lead to a higher rank, or to another package of the same one."""
    found = []
    for name, targets in graph.items():
        own = folder(name)
        for target in targets:
            other = folder(target)
            if own in RANKS and other in RANKS and other != own and RANKS[other] >= RANKS[own]:
                found.append(f"{name} -> {target}")
    return sorted(found)


def folder(name: str) -> str:
    """The package below the top that a module is in."""
    return name.split(".")[1] if "." in name else ""


def test_no_module_imports_from_a_higher_rank() -> None:
    graph = arrows(PACKAGE)
    assert graph["pyoci.cli.entry"] >= {"pyoci.base.context", "pyoci.cli.parse"}
    assert climbs(graph) == []


def test_every_package_has_a_rank_and_no_module_is_flat() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/*.py")} == set(RANKS)
    assert {path.stem for path in PACKAGE.glob("*.py")} <= FLAT
    assert {folder(name) for name in arrows(PACKAGE)} - set(RANKS) <= BELOW_BASE | {"__main__"}


def test_no_imports_in_a_circle() -> None:
    graphlib.TopologicalSorter(arrows(PACKAGE)).prepare()


def test_a_circle_and_a_climb_are_seen(tmp_path: Path) -> None:
    package = tmp_path / "house"
    for name in ("base", "spec"):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "base" / "a.py").write_text("def late():\n    from house.spec import b\n")
    (package / "spec" / "b.py").write_text("from house.base import a\n")
    graph = arrows(package)
    assert climbs(graph) == ["house.base.a -> house.spec.b"]
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(graph).prepare()


def test_no_state_lives_in_a_module() -> None:
    """What belongs to a command travels in its context (pyoci.base.context), so that one process can serve many."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        names = {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Global)
            for name in node.names
        }
        if names:
            found[str(path.relative_to(PACKAGE))] = names
    assert found == {"base/boot.py": {"_full"}}, (
        "of the process, not of a command: whether site has been imported"
    )


def test_contributing_has_the_list() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    assert " < ".join(", ".join(names.split()) for names in LAYERS) in text
