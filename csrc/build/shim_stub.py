"""Write pyoci/_shim.pyi: what the type checker knows of the extension, from the C declarations that cffi reads.

    python csrc/build/shim_stub.py [OUT.pyi]

Every enum constant, struct and function of these declarations is in it, and what of cffi's `ffi` is in use. The file
is kept in git, so that the type checker needs no build.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from keyword import iskeyword
from pathlib import Path

import cffi
from build_shim import CSRC, declarations, write_if_changed

OUT = CSRC.parent / "pyoci" / "_shim.pyi"
_WIDTH = 110
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_ENUM = re.compile(r"^enum (\w+) \{$", re.MULTILINE)
_FUNCTION = re.compile(r"^([a-z][\w ]*[ *])(\w+)\(([^()]*)\);$", re.MULTILINE)
_HEAD = '''\
# Made by csrc/build/shim_stub.py: change the headers of csrc/, not this file. What is not `ffi` or `lib` is for the
# type checker alone.
from collections.abc import Sequence
from typing import Generic, Literal, Never, SupportsIndex, TypeVar, overload, type_check_only

T_co = TypeVar("T_co", covariant=True)

@type_check_only
class CData:
    """A value of a C type, such as a pointer."""

@type_check_only
class Pointer(CData, Generic[T_co]):
    """A pointer to, or an array of, T_co; a `char` is `bytes`."""

    def __getitem__(self, index: SupportsIndex, /) -> T_co: ...
    def __len__(self) -> int: ...

'''
_FFI = """\
@type_check_only
class Integer(Pointer[int]):
    def __setitem__(self, index: SupportsIndex, value: int, /) -> None: ...

@type_check_only
class Buffer:
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __getitem__(self, index: slice, /) -> bytes: ...
    def __len__(self) -> int: ...

@type_check_only
class FFI:
    NULL: Pointer[Never]
    @overload
    def new(self, cdecl: Literal["char[]"], init: int | bytes, /) -> Pointer[bytes]: ...
    @overload
    def new(self, cdecl: Literal["int *"], init: int = 0, /) -> Integer: ...
{new}\
    def buffer(self, cdata: CData, size: int = -1, /) -> Buffer: ...
    def memmove(self, dest: CData, src: CData | bytes, n: int, /) -> None: ...
    def sizeof(self, cdecl: str | CData, /) -> int: ...
    def string(self, cdata: Pointer[bytes], /) -> bytes: ...

"""


def class_name(struct: str) -> str:
    """The stub's name of `struct plan_op`: PlanOp."""
    return "".join(word.capitalize() for word in struct.removeprefix("struct ").split("_"))


def python_type(ctype: cffi.FFI.CType) -> str:
    """What a value of a C type is in Python."""
    if ctype.kind in ("enum", "primitive"):
        return "bytes" if ctype.cname == "char" else "int"
    if ctype.kind == "void":
        return "None"
    if ctype.kind == "struct":
        return class_name(ctype.cname)
    item = python_type(ctype.item)
    if ctype.kind == "pointer" and ctype.item.kind in ("void", "struct"):
        return "CData" if item == "None" else item
    return f"Pointer[{item}]"


def parameter_type(declaration: str, ctype: cffi.FFI.CType) -> str:
    """What Python may pass for a parameter: cffi makes pointers to constants from bytes and sequences."""
    found = python_type(ctype)
    if ctype.kind != "pointer" or "const" not in declaration:
        return found
    if ctype.item.kind == "struct":
        return f"{found} | Pointer[{found}]"
    if ctype.item.kind in ("void", "primitive") and ctype.item.cname in ("void", "char"):
        return f"bytes | {found}"
    return f"Sequence[{python_type(ctype.item)}] | {found}"


def function(name: str, parameters: Sequence[str], result: str) -> str:
    """A method, written as ruff formats it."""
    names = ["self", *parameters, "/"]
    inner = ", ".join(names)
    line = f"    def {name}({inner}) -> {result}: ..."
    if len(line) <= _WIDTH:
        return f"{line}\n"
    if len(inner) + 8 > _WIDTH:
        inner = ",\n        ".join(names) + ","
    return f"    def {name}(\n        {inner}\n    ) -> {result}: ...\n"


def functions(ffi: cffi.FFI, text: str) -> Iterator[str]:
    """The functions of the declarations."""
    for result, name, declared in _FUNCTION.findall(_COMMENT.sub("", text)):
        ctype = ffi.typeof(f"{result}(*)({declared})")
        parameters = []
        parts = declared.split(",") if ctype.args else []
        for part, argument in zip(parts, ctype.args, strict=True):
            word = re.findall(r"\w+", part)[-1]
            word += "_" if iskeyword(word) else ""
            parameters.append(f"{word}: {parameter_type(part, argument)}")
        yield function(name, parameters, python_type(ctype.result))


def struct(ffi: cffi.FFI, name: str) -> str:
    """A class with the fields of a struct."""
    fields = ffi.typeof(f"struct {name}").fields
    lines = [f"    {field}: {python_type(found.type)}\n" for field, found in fields]
    return f"@type_check_only\nclass {class_name(name)}(CData):\n{''.join(lines)}\n"


def makers(name: str) -> str:
    """How `ffi` makes a struct, and an array of them."""
    python = class_name(name)
    one = [f'cdecl: Literal["struct {name} *"]', "init: object = ..."]
    more = [f'cdecl: Literal["struct {name}[]"]', "init: int | Sequence[object]"]
    overload = "    @overload\n"
    return overload + function("new", one, python) + overload + function("new", more, f"Pointer[{python}]")


def stub() -> str:
    """The text of the stub."""
    text = declarations()
    ffi = cffi.FFI()
    ffi.cdef(text)
    structs = [name.removeprefix("struct ") for name in ffi.list_types()[1]]
    constants = [name for enum in _ENUM.findall(text) for name in ffi.typeof(f"enum {enum}").relements]
    return "".join(
        [
            _HEAD,
            *(struct(ffi, name) for name in structs),
            _FFI.format(new="".join(map(makers, structs))),
            "@type_check_only\nclass Lib:\n",
            *(f"    {name}: int\n" for name in constants),
            *functions(ffi, text),
            "\nffi: FFI\nlib: Lib\n",
        ]
    )


def main(argv: list[str]) -> None:
    """Command line: the file to write, or nothing for the package's own."""
    write_if_changed(Path(argv[1]) if len(argv) > 1 else OUT, stub())


if __name__ == "__main__":
    main(sys.argv)
