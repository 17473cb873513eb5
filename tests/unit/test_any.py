"""The type checker is told nothing of a value (Any) at the edges of the package alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pyoci

PACKAGE = Path(pyoci.__file__).parent
EDGES = {
    "_json.pyi": "JSON as it is read",
    "_ops.pyi": "a field of an op of any name",
    "base/jsontext.py": "JSON as it is read",
    "cgroups/dbus/wire.py": "values by a signature that comes with them",
    "cli/parse.py": "values by the kinds in the table",
    "preview/steps.py": "values of fields by the kinds in csrc/ops.def",
    "preview/summary.py": "the same",
    "seccomp/filters.py": "marshal is told of no TypedDict",
    "spec/fast.py": "a document that its schema accepts becomes one of its type",
    "validate/explain.py": "documents that may hold anything",
    "validate/repair.py": "documents that may hold anything",
    "validate/schema.py": "JSON schemas, and what jsonschema says",
}


def uses(tree: ast.AST) -> bool:
    """Whether Any stands in an annotation, also in one that is a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "Any":
            return True
        if isinstance(node, ast.arg | ast.AnnAssign) and _in_text(node.annotation):
            return True
        if isinstance(node, ast.FunctionDef) and _in_text(node.returns):
            return True
    return False


def _in_text(annotation: ast.expr | None) -> bool:
    if not isinstance(annotation, ast.Constant) or not isinstance(annotation.value, str):
        return False
    return uses(ast.parse(annotation.value))


def test_any_is_for_the_edges() -> None:
    files = [path for path in PACKAGE.rglob("*.py*") if path.suffix in (".py", ".pyi")]
    found = {
        str(path.relative_to(PACKAGE))
        for path in files
        if not path.name.startswith("_generated") and uses(ast.parse(path.read_text()))
    }
    assert found == set(EDGES)


def test_it_is_seen_in_texts_too() -> None:
    for source in ("def f(x: Any) -> int: ...", 'def f() -> "list[Any]": ...', 'x: "dict[str, Any]" = {}'):
        assert uses(ast.parse(source)), source
    assert not uses(ast.parse('def f(x: "Company") -> "Many": ...\nx = "Any"'))
