"""Freezes the hot modules: what the static launcher carries instead of reading .pyc files.

Hot is what the entry and the hot commands import, directly or in a function, as long as the module's own
top level needs nothing but built-in modules and other hot ones (CONTRIBUTING.md, "Hot modules").
"""

from __future__ import annotations

import ast
import marshal
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import TypeVar

import build_shim

PACKAGE = build_shim.CSRC.parent / "pyoci"
BUILTIN = (
    "posix time errno fcntl select stat _signal _posixsubprocess _struct resource pwd grp mmap marshal "
    "gc sys builtins"
).split()
# what starting the core imports, and _cffi_backend
CORE = ["_imp", "_io", "_thread", "_warnings", "_weakref", "marshal", "posix"]
Node = TypeVar("Node", ast.FunctionDef, ast.ClassDef, ast.Module)
# our own extension modules
OWN = ("pyoci._json", "pyoci._ops", "pyoci._shim")
OUTSIDE = {*BUILTIN, *OWN, "_pyoci_launcher"}


def hot_modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Name -> file of every hot module, found by following imports from the entry and the hot commands."""
    top = reachable(package)
    return {
        name: path for name in sorted(top) if not cold_reasons(name, top) and (path := _file(package, name))
    }


def built_in_modules(package: Path = PACKAGE) -> list[str]:
    """The names of the built-in modules that the core and the hot modules import."""
    used = {
        name
        for module in hot_modules(package)
        for name in _imports(ast.parse(_source(package, module)), functions=True)
    }
    return sorted({*CORE, *(used & set(BUILTIN))})


def reachable(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Every module of the package that the hot commands may import, with what its top level imports.

    Modules that are not hot are among them: those that functions import after pyoci.base.boot.go_full().
    """
    table = runpy.run_path(str(package / "cli" / "table.py"))
    verbs = [f"pyoci.cli.{row[table['NAME']]}" for row in table["COMMANDS"] if row[table["CORE"]]]
    waiting = ["pyoci.cli.program", *verbs]
    top: dict[str, set[str]] = {}
    while waiting:
        name = waiting.pop()
        if name in top or _file(package, name) is None:
            continue
        tree = ast.parse(_source(package, name))
        top[name] = set(_imports(tree, functions=False))
        waiting += _imports(tree, functions=True)
        waiting += _parents(name)
    return top


def cold_reasons(name: str, top: dict[str, set[str]]) -> list[str]:
    """The modules outside of the package that make a module cold, through its own top level or another's."""
    found: set[str] = set()
    seen = {name}
    waiting = [name]
    while waiting:
        for wanted in [*top[(current := waiting.pop())], *_parents(current)]:
            parent = wanted.rpartition(".")[0]
            inner = wanted if wanted in top else parent if parent in top else ""
            if inner and inner not in seen:
                seen.add(inner)
                waiting.append(inner)
            elif not inner and wanted not in OUTSIDE and parent not in OUTSIDE:
                found.add(wanted)
    return sorted(found)


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _file(package: Path, name: str) -> Path | None:
    """The file of a module of the package, or None for anything else."""
    parts = name.split(".")
    if parts[0] != "pyoci":
        return None
    base = package.joinpath(*parts[1:])
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _source(package: Path, name: str) -> str:
    path = _file(package, name)
    assert path is not None
    return path.read_text(encoding="utf-8")


def _imports(tree: ast.AST, *, functions: bool) -> Iterator[str]:
    """The modules that a tree imports (absolute names); without `functions`, only what runs at import."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise build_shim.BuildError("relative imports are not followed: write them absolute")
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and _is_typing(node.test):
            for other in node.orelse:  # what runs in place of what is for the type checker alone
                yield from _imports(ast.Module([other], []), functions=functions)
        elif functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _imports(node, functions=functions)


def _is_typing(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


class _Strip(ast.NodeTransformer):
    """Takes out annotations, docstrings and typing: running needs them not, and line numbers stay."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        arguments = node.args
        for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
            argument.annotation = None
        for extra in (arguments.vararg, arguments.kwarg):
            if extra is not None:
                extra.annotation = None
        return self._body(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return self._body(node)

    def visit_Module(self, node: ast.Module) -> ast.Module:
        return self._body(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)

    def visit_If(self, node: ast.If) -> ast.stmt:
        if _is_typing(node.test) and not node.orelse:
            return ast.copy_location(ast.Pass(), node)
        self.generic_visit(node)
        return node

    def _body(self, node: Node) -> Node:
        if ast.get_docstring(node, clean=False) is not None:
            node.body[0] = ast.copy_location(ast.Pass(), node.body[0])
        self.generic_visit(node)
        return node


def code(path: Path) -> CodeType:
    """The code of a module; its file name begins at the package, which boot.report knows."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    stripped = ast.fix_missing_locations(_Strip().visit(tree))
    filename = str(path.relative_to(PACKAGE.parent)) if path.is_relative_to(PACKAGE) else str(path)
    found: CodeType = compile(stripped, filename, "exec", dont_inherit=True)
    return found


def write(blob: Path, table: Path) -> None:
    """Write the marshalled code of the hot modules into `blob`, and a sorted C table of them into `table`."""
    parts: list[bytes] = []
    rows: list[str] = []
    at = 0
    for name, path in sorted(hot_modules().items()):
        data = marshal.dumps(code(path))
        rows.append(f'    {{"{name}", {at}, {len(data)}, {int(path.name == "__init__.py")}}},\n')
        parts.append(data)
        at += len(data)
    if not blob.exists() or blob.read_bytes() != b"".join(parts):
        blob.write_bytes(b"".join(parts))
    head = "/* Generated: name, offset, size, whether a package. */\n"
    build_shim.write_if_changed(table, head + "".join(rows))


def main() -> None:
    """Print the modules that are hot, and why the others that can be reached are not."""
    top = reachable()
    for name in sorted(top):
        reasons = cold_reasons(name, top)
        print(name, f"cold: {', '.join(reasons)}" if reasons else "hot")


if __name__ == "__main__":
    main()
