"""Write the yes/no checkers that the hot verbs use, from the JSON schemas beside this file.

    python schemas/generate.py [OUT.py]

OUT.py (pyoci/_generated.py when left out) gets one function per kind of document (`config`, `process`,
`resources`, `state`, `features`), each `(doc) -> bool`, true when the schema accepts the document. What a
config.json for Linux never holds (windows, vm, ..., and features) goes into a second module, OUT_other.py,
so that the first stays small enough to load in microseconds. Where that second module cannot be loaded
the answer is no, and full Python, which asks again, can load it.

OUT_schemas.py gets the schemas themselves, as Python literals, for `jsonschema` to explain what is wrong.

Only the JSON-schema keywords that the schemas use are understood; any other stops the build, so that a new
version of the specification cannot be taken over half. The generated code says no in two ways: it returns
False, or it lets a TypeError out (`"".join(list)` is the fastest way to see that a list holds strings only),
which the entry points catch.
"""

import json
import os
import sys
from pathlib import Path
from pprint import pformat
from typing import Any, NamedTuple

Schema = dict[str, Any]
HERE = Path(__file__).resolve().parent
MAIN = {
    "config": "config-schema.json#",
    "process": "config-schema.json#/properties/process",
    "resources": "config-linux.json#/linux/properties/resources",
    "state": "state-schema.json#",
}
OTHER = {
    "features": "features-schema.json#",
    "solaris": "config-solaris.json#/solaris",
    "windows": "config-windows.json#/windows",
    "vm": "config-vm.json#/vm",
    "zos": "config-zos.json#/zos",
    "freebsd": "config-freebsd.json#/freebsd",
}
KNOWN = {
    "$schema", "$ref", "definitions", "description", "title", "type", "properties", "required",
    "additionalProperties", "patternProperties", "items", "minItems", "enum", "minimum", "maximum",
    "pattern", "anyOf", "allOf",
}  # fmt: skip
TYPES = {"object": "dict", "array": "list", "string": "str", "integer": "int", "boolean": "bool"}


class Unsupported(Exception):
    """A schema uses something this generator does not translate."""


class Schemas:
    """The schema files of one directory, and the `$ref`s between them."""

    def __init__(self, directory: Path = HERE) -> None:
        found = {path.name: json.loads(path.read_text("utf-8")) for path in sorted(directory.glob("*.json"))}
        self.deviations: list[dict[str, Any]] = found.pop("deviations.json", [])
        self.files: dict[str, Any] = found

    def find(self, reference: str, base: str = "") -> tuple[str, Schema]:
        """The full address and the schema of a `$ref` that stands in file `base`."""
        name, _, pointer = reference.partition("#")
        name = name or base
        node: Any = self.files[name]
        for step in pointer.split("/")[1:]:
            node = node[step]
        return f"{name}#{pointer}", node

    def settle(self, base: str, schema: Schema) -> tuple[str, Schema, str]:
        """Follow `$ref` (what stands beside it does not count) and anyOf of one branch.

        Returns the file, the schema that counts, and the address of the last definition passed, or "".
        """
        address = ""
        while True:
            unknown = set(schema) - KNOWN
            if unknown:
                raise Unsupported(f"{base}: {', '.join(sorted(unknown))}")
            if "$ref" in schema:
                address, schema = self.find(schema["$ref"], base)
                base = address.partition("#")[0]
            elif set(schema) == {"anyOf"} and len(schema["anyOf"]) == 1:
                schema = schema["anyOf"][0]
            else:
                return base, schema, address


class Scalar(NamedTuple):
    """A test on a value without parts; in `fails`, {first} is the value at its first use, {again} later."""

    fails: str
    default: str  # the literal of a value that passes, or "" when none is at hand


def scalar(schema: Schema) -> Scalar | None:
    """The test of a string, number or boolean schema; None for objects, arrays and combinations."""
    if "anyOf" in schema or "allOf" in schema:
        return None
    if "enum" in schema:
        return _enum(schema["enum"])
    kind = schema.get("type")
    if kind == "string":
        if "pattern" not in schema:
            return Scalar("type({first}) is not str", '""')
        return Scalar("type({first}) is not str or " + pattern_fails(schema["pattern"], "{again}"), "")
    if kind == "integer":
        return _integer(schema.get("minimum"), schema.get("maximum"))
    if kind == "boolean":
        return Scalar("type({first}) is not bool", "False")
    return None


def _enum(values: list[Any]) -> Scalar:
    if not all(isinstance(value, str) for value in values):
        raise Unsupported("an enum of other things than strings")
    names = ", ".join(json.dumps(value) for value in values)
    return Scalar("{first} not in {{" + names + "}}", json.dumps(values[0]))


def _integer(low: int | None, high: int | None) -> Scalar:
    fails = "type({first}) is not int"
    if low is not None and high is not None:
        fails += f" or not {low} <= {{again}} <= {high}"
    elif low is not None:
        fails += f" or {{again}} < {low}"
    elif high is not None:
        fails += f" or {{again}} > {high}"
    return Scalar(fails, str(max(low or 0, min(0, high or 0))))


class Item(NamedTuple):
    """One place of a pattern: the characters it takes (or, negated, refuses) and whether it repeats."""

    chars: str
    negated: bool
    least: int
    repeats: bool


def parse_pattern(pattern: str) -> tuple[list[Item], bool]:
    """The places of a regular expression and whether it is anchored on both sides. Raises Unsupported."""
    anchored = pattern.startswith("^") and pattern.endswith("$")
    rest = pattern[1:-1] if anchored else pattern
    items: list[Item] = []
    while rest:
        chars, negated, rest = _parse_place(rest, pattern)
        least, repeats = 1, False
        for mark, found in (("*", (0, True)), ("+", (1, True)), ("{1,}", (1, True))):
            if rest.startswith(mark):
                (least, repeats), rest = found, rest[len(mark) :]
                break
        items.append(Item(chars, negated, least, repeats))
    return items, anchored


def _parse_place(rest: str, pattern: str) -> tuple[str, bool, str]:
    if rest[0] == ".":
        return "\n", True, rest[1:]
    if rest[0] == "[":
        inside, _, rest = rest[1:].partition("]")
        negated = inside.startswith("^")
        return _parse_class(inside[negated:], pattern), negated, rest
    if rest[0] in "\\^$*+?{}()|":
        raise Unsupported(f"pattern {pattern}")
    return rest[0], False, rest[1:]


def _parse_class(inside: str, pattern: str) -> str:
    chars = ""
    inside = inside.replace("\\n", "\n")
    if "\\" in inside or not inside:
        raise Unsupported(f"pattern {pattern}")
    while inside:
        if len(inside) > 2 and inside[1] == "-":
            chars += "".join(map(chr, range(ord(inside[0]), ord(inside[2]) + 1)))
            inside = inside[3:]
        else:
            chars, inside = chars + inside[0], inside[1:]
    return chars


def pattern_fails(pattern: str, name: str) -> str:
    """An expression that is true when the string `name` does not match the pattern."""
    items, anchored = parse_pattern(pattern)
    repeated = [index for index, item in enumerate(items) if item.repeats]
    if not anchored:
        if len(items) == 1 and items[0].negated and items[0].repeats:
            return f"not {name}.strip({_text(items[0].chars)})"
        raise Unsupported(f"pattern {pattern}")
    if len(repeated) > 1:
        raise Unsupported(f"pattern {pattern}")
    least = sum(item.least for item in items)
    tests = [f"len({name}) < {least}" if repeated else f"len({name}) != {least}"] if least else []
    middle = repeated[0] if repeated else len(items)
    fixed = _literal_head(items[:middle])
    if fixed:
        tests.append(f"{name}[:{len(fixed)}] != {_text(fixed)}")
    tests += [_place_fails(items[at], f"{name}[{at}]") for at in range(len(fixed), middle)]
    tail = items[middle + 1 :]
    tests += [_place_fails(item, f"{name}[{at - len(tail)}]") for at, item in enumerate(tail)]
    if repeated:
        start, end = str(middle or ""), str(-len(tail) or "")
        tests.append(_run_fails(items[middle], f"{name}[{start}:{end}]" if start or end else name))
    return " or ".join(tests)


def _literal_head(items: list[Item]) -> str:
    """The characters that every match begins with."""
    head = ""
    for item in items:
        if item.negated or len(item.chars) != 1:
            break
        head += item.chars
    return head


def _place_fails(item: Item, value: str) -> str:
    if len(item.chars) == 1:
        return f"{value} {'==' if item.negated else '!='} {_text(item.chars)}"
    return f"{value} {'in' if item.negated else 'not in'} {_text(item.chars)}"


def _run_fails(item: Item, value: str) -> str:
    if not item.negated:
        return f"{value}.strip({_text(item.chars)})"
    return " or ".join(f"{_text(char)} in {value}" for char in item.chars)


def _text(chars: str) -> str:
    """A string literal that may stand in a format template."""
    return json.dumps(chars).replace("{", "{{").replace("}", "}}")


class Function:
    """The lines of one generated function, and its supply of variable names."""

    def __init__(self, head: str) -> None:
        self.lines = [head]
        self.depth = 1
        self.names = 0

    def add(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def open(self, line: str) -> "Function":
        self.add(line)
        return self

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1

    def name(self) -> str:
        self.names += 1
        return f"v{self.names}"


class Module:
    """Collects the generated functions of one output file."""

    def __init__(self, schemas: Schemas, elsewhere: dict[str, str]) -> None:
        self.schemas = schemas
        self.elsewhere = {address: name for name, address in elsewhere.items()}
        self.entries: dict[int, str] = {}
        self.names: dict[str, str] = {}
        self.done: dict[str, Function] = {}

    def function(self, name: str, base: str, schema: Schema) -> str:
        """Make sure that the checker function of a schema exists; its name."""
        if name not in self.done:
            function = self.done[name] = Function(f"def {name}(doc: object) -> bool:")
            base, schema, _ = self.schemas.settle(base, schema)
            self._write(function, base, schema, "doc")
            function.add("return True")
        return name

    def check(self, out: Function, base: str, schema: Schema, name: str) -> None:
        """Add the lines that return False when the variable `name` breaks the schema."""
        base, schema, address = self.schemas.settle(base, schema)
        if address in self.elsewhere:
            other = self.elsewhere[address]
            with out.open("try:"):
                out.add(f"from pyoci._generated_other import {other}")
            with out.open("except ImportError:"):
                out.add("return False")
            self._refuse(out, f"not {other}({name})")
        elif id(schema) in self.entries or (address and self._shared(schema)):
            called = self.entries.get(id(schema)) or self._name(address)
            self._refuse(out, f"not {self.function(called, base, schema)}({name})")
        else:
            self._write(out, base, schema, name)

    def _write(self, out: Function, base: str, schema: Schema, name: str) -> None:
        test = scalar(schema)
        if test:
            self._refuse(out, test.fails.format(first=name, again=name))
        else:
            self._structure(out, base, schema, name)

    def _name(self, address: str) -> str:
        """The name of a definition's function; two files may define the same name."""
        if address not in self.names:
            file, _, pointer = address.partition("#")
            short = "_" + pointer.rpartition("/")[2]
            stem = file.removesuffix(".json").replace("-", "_")
            self.names[address] = f"{short}_{stem}" if short in self.names.values() else short
        return self.names[address]

    @staticmethod
    def _refuse(out: Function, condition: str) -> None:
        with out.open(f"if {condition}:"):
            out.add("return False")

    def _shared(self, schema: Schema) -> bool:
        """Whether a definition gets a function of its own instead of being written out in place."""
        if schema.get("type") == "array":
            return bool(schema["items"] != {"type": "string"})
        return schema.get("type") == "object" and "patternProperties" not in schema

    def _structure(self, out: Function, base: str, schema: Schema, name: str) -> None:
        kind = schema.get("type")
        if kind:
            self._refuse(out, f"type({name}) is not {TYPES[kind]}")
        for branch in schema.get("allOf", []):
            self.check(out, base, branch, name)
        if "anyOf" in schema:
            self._any(out, base, schema["anyOf"], name)
        for keywords, applies, write in (
            ({"properties", "required", "additionalProperties", "patternProperties"}, "object", self._object),
            ({"items", "minItems"}, "array", self._array),
        ):
            if not keywords & set(schema):
                continue
            if kind == applies:
                write(out, base, schema, name)
            elif kind is None:
                with out.open(f"if type({name}) is {TYPES[applies]}:"):
                    write(out, base, schema, name)
        if kind is None and {"pattern", "minimum", "maximum"} & set(schema):
            raise Unsupported(f"{base}: a pattern or range without a type")

    def _any(self, out: Function, base: str, branches: list[Schema], name: str) -> None:
        calls = []
        for branch in branches:
            called = f"_branch{len(self.done)}"
            function = self.done[called] = Function(f"def {called}(doc: object) -> bool:")
            self.check(function, base, branch, "doc")
            function.add("return True")
            calls.append(f"_holds({called}, {name})")
        self._refuse(out, f"not ({' or '.join(calls)})")

    def _array(self, out: Function, base: str, schema: Schema, name: str) -> None:
        if "minItems" in schema:
            self._refuse(out, f"len({name}) < {schema['minItems']}")
        if "items" not in schema:
            return
        if not isinstance(schema["items"], dict):
            raise Unsupported(f"{base}: items by position")
        _, items, _ = self.schemas.settle(base, schema["items"])
        if items.get("type") == "string" and not {"enum", "pattern"} & set(items):
            out.add(f'"".join({name})')
            return
        each = out.name()
        with out.open(f"for {each} in {name}:"):
            self.check(out, base, schema["items"], each)

    def _object(self, out: Function, base: str, schema: Schema, name: str) -> None:
        required = set(schema.get("required", []))
        properties = schema.get("properties", {})
        for key in sorted(required - set(properties)):
            self._refuse(out, f"{json.dumps(key)} not in {name}")
        for key, value in properties.items():
            self._property(out, base, value, name, key, key in required)
        self._map(out, base, schema, name)

    def _property(
        self, out: Function, base: str, schema: Schema, owner: str, key: str, required: bool
    ) -> None:
        """One known property; a default that passes saves asking first whether the property is there."""
        key = json.dumps(key)
        _, settled, address = self.schemas.settle(base, schema)
        test = None if address in self.elsewhere else scalar(settled)
        if test and (required or test.default):
            got = f"{owner}.get({key})" if required else f"{owner}.get({key}, {test.default})"
            value = out.name()
            first = f"({value} := {got})" if "{again}" in test.fails else got
            self._refuse(out, test.fails.format(first=first, again=value))
            return
        value = out.name()
        if required:
            self._refuse(out, f"{key} not in {owner}")
        with out.open(f"if {key} in {owner}:"):
            out.add(f"{value} = {owner}[{key}]")
            self.check(out, base, schema, value)

    def _map(self, out: Function, base: str, schema: Schema, name: str) -> None:
        """additionalProperties and patternProperties."""
        extra = schema.get("additionalProperties", {})
        patterns = schema.get("patternProperties", {})
        if extra is False or (extra and (patterns or schema.get("properties"))):
            raise Unsupported(f"{base}: additionalProperties together with others, or false")
        value = out.name()
        if extra:
            with out.open(f"for {value} in {name}.values():"):
                self.check(out, base, extra, value)
        for pattern, wanted in patterns.items():
            key = out.name()
            test = scalar(self.schemas.settle(base, wanted)[1])
            if not test:
                raise Unsupported(f"{base}: patternProperties of structures")
            with (
                out.open(f"for {key}, {value} in {name}.items():"),
                out.open(f"if {test.fails.format(first=value, again=value)}:"),
                out.open(f"if not ({pattern_fails(pattern, key)}):"),
            ):
                out.add("return False")

    def text(self, entries: dict[str, str]) -> str:
        """The source of the module, with a guarded entry point for each of `entries`."""
        found = {name: self.schemas.find(address) for name, address in entries.items()}
        self.entries = {id(schema): f"_check_{name}" for name, (_, schema) in found.items()}
        for name, (address, schema) in found.items():
            self.function(f"_check_{name}", address.partition("#")[0], schema)
        heads = [_ENTRY.format(name=name) for name in entries]
        functions = ["\n".join(made.lines) + "\n" for made in self.done.values()]
        helpers = [_HOLDS] if any("_holds(" in function for function in functions) else []
        return _HEAD + "\n\n".join(helpers + functions + heads)


_HEAD = """# Made by schemas/generate.py: change the schemas, not this file.
# mypy: ignore-errors
# ruff: noqa


"""
_ENTRY = """def {name}(doc: object) -> bool:
    try:
        return _check_{name}(doc)
    except TypeError:
        return False
"""
_HOLDS = """def _holds(branch: object, value: object) -> bool:
    try:
        return branch(value)
    except TypeError:
        return False
"""
_FEATURES = """

def features(doc: object) -> bool:
    from pyoci._generated_other import features

    return features(doc)
"""


def generate(schemas: Schemas) -> dict[str, str]:
    """The sources of the modules: what comes behind the first one's name -> text."""
    literals = (
        "from typing import Any\n\n"
        f"DEVIATIONS: list[dict[str, Any]] = {pformat(schemas.deviations)}\n"
        f"SCHEMAS: dict[str, dict[str, Any]] = {pformat(schemas.files, sort_dicts=False)}\n"
    )
    return {
        "": Module(schemas, OTHER).text(MAIN) + _FEATURES,
        "_other": Module(schemas, {}).text(OTHER),
        "_schemas": _HEAD.rstrip("\n") + "\n" + literals,
    }


def _replace(path: Path, text: str) -> None:
    """Write a file in one step, and only when it changes: others may be running from it."""
    if path.exists() and path.read_text("utf-8") == text:
        return
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def main(argv: list[str]) -> int:
    """Command line: the file to write, or nothing for the package's own. Returns the exit status."""
    out = Path(argv[1]) if len(argv) == 2 else HERE.parent / "pyoci" / "_generated.py"
    if len(argv) > 2 or out.suffix != ".py":
        print("usage: generate.py [OUT.py]", file=sys.stderr)
        return 2
    try:
        texts = generate(Schemas())
    except Unsupported as error:
        print(f"generate.py: not supported: {error}", file=sys.stderr)
        return 1
    for suffix, text in texts.items():
        _replace(out.with_name(f"{out.stem}{suffix}.py"), text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
