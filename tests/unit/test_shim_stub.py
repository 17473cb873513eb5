"""What the type checker believes of the C extension is what the extension has."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

from pyoci._shim import ffi, lib

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "csrc" / "build"))
import shim_stub  # noqa: E402

CFFI: Any = ffi  # more of it than the package uses, and the stub has
STUB = ast.parse(shim_stub.OUT.read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
METHODS = {node.name: node for node in CLASSES["Lib"].body if isinstance(node, ast.FunctionDef)}


def fields(name: str) -> dict[str, str]:
    """The annotated names of a class of the stub."""
    return {
        ast.unparse(node.target): ast.unparse(node.annotation)
        for node in CLASSES[name].body
        if isinstance(node, ast.AnnAssign)
    }


def test_the_stub_is_what_the_declarations_say() -> None:
    assert shim_stub.OUT.read_text() == shim_stub.stub(), "run csrc/build/shim_stub.py"


def test_every_name_of_the_library() -> None:
    constants = fields("Lib")
    assert {*constants, *METHODS} == set(dir(lib))
    assert all(type(getattr(lib, name)) is int for name in constants)


@pytest.mark.parametrize("name", METHODS)
def test_functions_take_and_return_what_the_compiled_ones_do(name: str) -> None:
    compiled = CFFI.typeof(getattr(lib, name))
    arguments = METHODS[name].args
    assert [argument.arg for argument in arguments.args] == []  # C knows no names: by position alone
    assert len(arguments.posonlyargs) == 1 + len(compiled.args)
    for argument, ctype in zip(arguments.posonlyargs[1:], compiled.args, strict=True):
        assert argument.annotation
        assert (ast.unparse(argument.annotation) == "int") == (ctype.kind == "primitive"), argument.arg
    result = METHODS[name].returns
    assert result and ast.unparse(result) == shim_stub.python_type(compiled.result)


def test_structs_have_their_fields() -> None:
    for name in CFFI.list_types()[1]:
        compiled = CFFI.typeof(f"struct {name}").fields
        assert list(fields(shim_stub.class_name(name))) == [field for field, _ in compiled]
