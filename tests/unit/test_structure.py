"""Data flows one way: no module of the package imports, in a function either, one that leads back to it."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyoci

PACKAGE = Path(pyoci.__file__).parent


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


def test_no_imports_in_a_circle() -> None:
    graph = arrows(PACKAGE)
    assert graph["pyoci.cli.entry"] >= {"pyoci.base.log", "pyoci.cli.parse"}
    graphlib.TopologicalSorter(graph).prepare()


def test_a_circle_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "house"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a.py").write_text("from house import b\n")
    (package / "b.py").write_text("def late():\n    from house.a import b\n")
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(arrows(package)).prepare()
