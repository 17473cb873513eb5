"""Hot modules import nothing that costs, and do nothing that needs more than Python's core."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit import hot

FREEZE = Path(__file__).resolve().parents[2] / "csrc" / "build" / "freeze.py"

# What the hot verbs are made of. A module that is missing below needs a reason; one that is listed must stay hot.
HOT = """
_generated base base.boot base.context base.errors base.files base.jsontext base.log base.numbers base.signal_numbers
base.spans base.suggest base.termination base.timestamps base.wait_status cgroups cgroups.base cgroups.dbus.bus
cgroups.dbus.gvariant cgroups.dbus.wire cgroups.devices cgroups.paths cgroups.resources cgroups.systemd cgroups.tree
cgroups.resctrl cgroups.unit cgroups.v1 cgroups.v2 cgroups.writer cli cli.create cli.delete cli.entry cli.exec cli.features
cli.kill cli.parse cli.program cli.refusal cli.request cli.root cli.run cli.start cli.state cli.table host host.hooks
host.inherited host.programs host.rlimits host.signals host.spawn init init.descriptors init.exit_status init.process
init.protocol init.start_answer lifecycle lifecycle.cleanup lifecycle.create lifecycle.delete lifecycle.exec lifecycle.facts
lifecycle.kill lifecycle.permissions lifecycle.pid_file lifecycle.processes lifecycle.requests lifecycle.run
lifecycle.session lifecycle.start lifecycle.state_document lifecycle.states lifecycle.store plan plan.cgroupfs plan.compiler
plan.devices plan.facts plan.failure plan.hooks plan.mounts plan.namespaces plan.ops plan.process plan.rootfs seccomp
seccomp.agent seccomp.bpf seccomp.compiler seccomp.filters spec spec.annotations spec.bundle spec.capabilities spec.check
spec.defaults spec.fast spec.json_pointer spec.linux_rules spec.mount_options spec.namespaces spec.paths spec.problem
spec.process_rules spec.resource_rules spec.rlimits spec.seccomp_words spec.unsupported spec.versions terminal
terminal.console terminal.proxy trace trace.recorder userns userns.idmap userns.idmapped_mounts
""".split()
# Needs more only once pyoci.base.boot.go_full() has brought an ordinary Python, or to word a problem, where it can be had.
MAY_GO_FULL = {
    "base.boot": {"site"},
    "cli.matching": {"re"},
    "lifecycle.ps": {"os", "shutil", "subprocess"},
}

BUILTIN_FUNCTIONS = {
    "open",
    "print",
    "input",
    "eval",
    "exec",
    "compile",
    "breakpoint",
    "exit",
    "quit",
    "help",
}
METHODS = {"makedirs", "realpath", "abspath", "expanduser", "expandvars", "normpath", "walk", "glob"}
STREAMS = {"argv", "stdin", "stdout", "stderr", "path"}


def frozen() -> dict[str, Path]:
    """Name below the package -> file of each module that the static launcher carries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FREEZE.parent))
        found: dict[str, Path] = runpy.run_path(str(FREEZE))["hot_modules"]()
    return {name.partition(".")[2]: path for name, path in found.items()}


FROZEN = frozen()


def tree(name: str) -> ast.Module:
    return ast.parse(FROZEN[name].read_text(), str(FROZEN[name]))


def test_what_is_listed_is_hot() -> None:
    assert set(HOT) <= set(FROZEN), (
        f"no longer hot: {sorted(set(HOT) - set(FROZEN))} (csrc/build/freeze.py says why)"
    )


# -- by import -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [*hot.VERBS, "features"])
def test_importing_a_verb(verb: str, tmp_path: Path) -> None:
    body = f"import pyoci.cli.program, pyoci.cli.{verb}"
    _, modules, _ = hot.run(body, tmp_path)
    assert not hot.foreign(modules)
    assert f"pyoci.cli.{verb}" in modules


@pytest.mark.parametrize("name", sorted({*HOT, *FROZEN} - {""}))
def test_importing_a_module(name: str, tmp_path: Path) -> None:
    _, modules, _ = hot.run(f"import pyoci.{name}", tmp_path)
    assert not hot.foreign(modules)
    below = {module.partition(".")[2] for module in modules if module.startswith("pyoci.")} - {
        "_json",
        "_ops",
        "_shim",
        "_shim.lib",
    }
    assert below <= set(FROZEN), f"pyoci.{name} imports what is not hot: {sorted(below - set(FROZEN))}"


def test_a_module_that_costs_would_be_seen(tmp_path: Path) -> None:
    _, modules, _ = hot.run("import keyword, posix, errno", tmp_path)
    assert hot.foreign(modules) == {"keyword"}
    with pytest.raises(AssertionError, match="import of abc halted"):
        hot.run("import re", tmp_path)
    with pytest.raises(AssertionError, match="'NoneType' object is not callable"):
        hot.run("open('/dev/null')", tmp_path)


# -- by reading ------------------------------------------------------------------------------------------------------------


def imports(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module imported anywhere, but for typing; and the line."""
    for child in ast.iter_child_nodes(node):
        if (
            isinstance(child, ast.If)
            and isinstance(child.test, ast.Name)
            and child.test.id == "TYPE_CHECKING"
        ):
            yield from (found for other in child.orelse for found in imports(other))
        elif isinstance(child, ast.Import):
            yield from ((alias.name, child.lineno) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield child.module or "", child.lineno
        else:
            yield from imports(child)


@pytest.mark.parametrize("name", sorted(FROZEN))
def test_no_function_imports_what_costs(name: str) -> None:
    allowed = hot.ALLOWED | MAY_GO_FULL.get(name, set())
    wrong = [
        f"line {line}: {module}"
        for module, line in imports(tree(name))
        if module not in allowed and module.partition(".")[0] != "pyoci"
    ]
    assert not wrong


def own_names(module: ast.Module) -> set[str]:
    """The functions that a module defines for itself, such as the state store's open()."""
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef)}


def offences(module: ast.Module) -> Iterator[str]:
    """Everything that core-only Python has not got."""
    own = own_names(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in BUILTIN_FUNCTIONS - own:
                yield f"line {node.lineno}: {node.func.id}()"
        elif isinstance(node, ast.Attribute):
            if node.attr in METHODS:
                yield f"line {node.lineno}: .{node.attr}"
            if isinstance(node.value, ast.Name) and node.value.id == "sys" and node.attr in STREAMS:
                yield f"line {node.lineno}: sys.{node.attr}"
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("encode", "decode")
        ):
            words = [*node.args, *(keyword.value for keyword in node.keywords)]
            for word in words:
                if isinstance(word, ast.Constant) and word.value not in (
                    "utf-8",
                    "ascii",
                    "surrogateescape",
                    "surrogatepass",
                    "replace",
                ):
                    yield f"line {node.lineno}: codec {word.value!r}"


@pytest.mark.parametrize("name", sorted(set(FROZEN) - {""}))
def test_core_only_is_enough(name: str) -> None:
    assert list(offences(tree(name))) == []


@pytest.mark.parametrize(
    ("text", "offence"),
    [
        ("def f():\n    with open('x'): pass", "line 2: open()"),
        ("print(1)", "line 1: print()"),
        ("import os\nos.makedirs('x')", "line 2: .makedirs"),
        ("posix.path.realpath('x')", "line 1: .realpath"),
        ("import sys\nx = sys.argv", "line 2: sys.argv"),
        ("b''.decode('latin-1')", "line 1: codec 'latin-1'"),
        ("''.encode(errors='backslashreplace')", "line 1: codec 'backslashreplace'"),
    ],
)
def test_offences_are_seen(text: str, offence: str) -> None:
    assert list(offences(ast.parse(text))) == [offence]


def test_what_is_allowed_is_no_offence() -> None:
    text = "def open(): pass\nopen()\nposix.open('x', 0)\nlib.print\n''.encode('utf-8', 'surrogateescape')\nb''.decode()"
    assert list(offences(ast.parse(text))) == []
