"""The schemas for `jsonschema`, which says what the generated checker only refuses."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from pyoci._generated_schemas import SCHEMAS
from pyoci.spec.json_pointer import escape, join
from pyoci.spec.problem import Problem
from pyoci.spec.rlimits import NUMBERS
from pyoci.spec.versions import SPECIFICATION
from pyoci.validate import hints

Schema = dict[str, Any]
KINDS = {
    "config": "config-schema.json#",
    "state": "state-schema.json#",
    "features": "features-schema.json#",
    "process": "config-schema.json#/properties/process",
    "resources": "config-linux.json#/linux/properties/resources",
}
NOUNS = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "boolean": "true or false",
}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "": (),
}
PATTERNS = {
    "^RLIMIT_[A-Z]+$": "RLIMIT_ and capital letters",
    "^[0-9, -]*$": "numbers and ranges, such as 0-3,7",
    "^[1-9][0-9]*[KMG]B$": "a size such as 64KB, 2MB or 1GB",
    "^MB:[^\\n]*$": "one line that starts with MB:",
    "^[cbup]$": "c, b, u or p",
    "^CAP_[A-Z_]+$": "CAP_ and capital letters",
}
# what a value that is none of an enum is called in messages, where runc's tests look for its words; without the indexes of lists
_ENUMS = {
    "/linux/memoryPolicy/mode": "invalid memory policy mode",
    "/linux/memoryPolicy/flags": "invalid memory policy flag",
}


@cache
def resolved(reference: str) -> Schema:
    """A schema, FILE#POINTER, in which what a "$ref" names stands in the place of it.

    jsonschema would look each of them up anew for every value. No schema holds itself.
    """
    file, _, place = reference.partition("#")
    node: Any = SCHEMAS[file]
    for key in place.split("/")[1:]:
        node = node[key]
    found: Schema = _inside(file, node)
    return found


def _inside(file: str, node: object) -> Any:
    if isinstance(node, list):
        return [_inside(file, item) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        return resolved(node["$ref"] if node["$ref"][0] != "#" else file + node["$ref"])
    # "$schema" would make jsonschema change over to a validator that knows nothing of `_pattern`
    return {key: _inside(file, item) for key, item in node.items() if key != "$schema"}


def _pattern(validator: object, pattern: str, instance: object, schema: Schema) -> Iterator[Any]:
    """The keyword "pattern" as ECMA 262 has it: `$` is the end, and not also before a last line break."""
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        import jsonschema

        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


@cache
def validator(kind: str) -> Any:
    """The `jsonschema` validator for a kind of document, see KINDS."""
    import jsonschema  # not for unknown(), which `update` calls

    extend: Any = jsonschema.validators.extend
    return extend(jsonschema.Draft4Validator, {"pattern": _pattern})(resolved(KINDS[kind]))


def accepts(value: object, kind: str) -> bool:
    """Whether the schema accepts a document."""
    return bool(validator(kind).is_valid(value))


def problems(value: object, kind: str) -> list[Problem]:
    """Every place where a document breaks its schema; [] when there is none."""
    found: dict[tuple[str, str], Problem] = {}
    for error in _leaves(validator(kind).iter_errors(value)):
        for problem in _problems(error):
            found.setdefault((problem.code, problem.pointer), problem)
    return list(found.values())


def _leaves(errors: Any) -> Iterator[Any]:
    """The errors themselves where "anyOf" has one branch only."""
    for error in errors:
        if error.validator == "anyOf" and len(error.validator_value) == 1:
            yield from _leaves(error.context)
        else:
            yield error


def _problems(error: Any) -> Iterator[Problem]:
    at, value, wanted = join(error.absolute_path), error.instance, error.validator_value
    match error.validator:
        case "type":
            yield Problem(
                "schema-type",
                at,
                f"{shown(value)} is not {NOUNS[wanted]}",
                NOUNS[wanted],
                hints.instead(at, value, wanted),
            )
        case "required":
            for name in wanted:
                if name not in value:
                    hint = _foreign(value) if name == "ociVersion" else hints.example(at)
                    message = f'"{name}" is missing'
                    yield Problem("schema-required", f"{at}/{escape(name)}", message, hint=hint)
        case "enum":
            hint = hints.word(value, tuple(wanted)) if isinstance(value, str) else ""
            words = _ENUMS.get(re.sub(r"/\d+$", "", at))
            message = f"{words}: {shown(value)}" if words else f"{shown(value)} is not a known value"
            yield Problem("schema-enum", at, message, ", ".join(wanted), hint)
        case "minimum" | "maximum":
            low, high = error.schema.get("minimum", ""), error.schema.get("maximum")
            expected = f"{low} or more" if high is None else f"{low} to {high}".strip()
            hint = f"for no limit write {hints.NO_LIMIT}" if value == -1 and "/rlimits/" in at else ""
            yield Problem("schema-range", at, f"{shown(value)} is out of range", expected, hint)
        case "pattern":
            message, expected = f"{shown(value)} has the wrong form", PATTERNS.get(wanted, wanted)
            yield Problem("schema-pattern", at, message, expected, _repeat(value, wanted))
        case "minItems":
            yield Problem("schema-items", at, "the list is too short", f"{wanted} or more")
        case _:
            yield Problem("schema", at, error.message)


def _foreign(value: dict[str, object]) -> str:
    """What a document without "ociVersion" looks like, or what to write."""
    if {"config", "rootfs"} <= value.keys():
        return (
            "this looks like the configuration of an image; a container's is made from it, see `pyoci spec`"
        )
    return f'write "ociVersion": "{SPECIFICATION}"'


def _repeat(value: str, pattern: str) -> str:
    """A value that the pattern takes, made from one that it does not."""
    size = re.fullmatch("([1-9][0-9]*) ?([kmg])(?:i?b)?", value, re.IGNORECASE)
    if size and "KMG" in pattern:
        return f'write "{size[1]}{size[2].upper()}B"'
    kind = f"RLIMIT_{value.upper().removeprefix('RLIMIT_')}"
    return hints.near(kind, tuple(NUMBERS)) if "RLIMIT" in pattern else ""


def shown(value: object) -> str:
    """A value as a message shows it: short."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return f'"{value}"' if len(value) < 60 else f'"{value[:57]}..."'
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return text if len(text) < 60 else text[:57] + "..."


def unknown(value: object, kind: str) -> list[Problem]:
    """Members that no schema names, as problems; with a hint where the name looks like a slip."""
    found: list[Problem] = []
    _unknown(value, resolved(KINDS[kind]), "", found)
    return found


def miscased(value: object, kind: str) -> list[Problem]:
    """Those that a program in Go takes for the known member whose name differs in its letter case alone."""
    return [
        problem
        for problem in unknown(value, kind)
        if problem.hint.lower() == f'did you mean "{problem.pointer.rpartition("/")[2].lower()}"?'
    ]


def _unknown(value: object, schema: Schema, at: str, found: list[Problem]) -> None:
    parts = list(_parts(schema))
    if isinstance(value, list):
        for part in parts:
            if "items" in part:
                for index, item in enumerate(value):
                    _unknown(item, part["items"], f"{at}/{index}", found)
    elif isinstance(value, dict) and parts:
        known = {name: below for part in parts for name, below in part.get("properties", {}).items()}
        free = any("additionalProperties" in part or "patternProperties" in part for part in parts)
        for name, item in value.items():
            if name in known:
                _unknown(item, known[name], f"{at}/{escape(name)}", found)
            elif known and not free:
                hint = _member(name, item, tuple(known))
                found.append(
                    Problem(
                        "property-unknown",
                        f"{at}/{escape(name)}",
                        f'"{name}" is not a known member',
                        hint=hint,
                    )
                )
            for part in parts:
                if "additionalProperties" in part:
                    _unknown(item, part["additionalProperties"], f"{at}/{escape(name)}", found)


def _member(name: str, value: object, known: tuple[str, ...]) -> str:
    """A hint for a member that the schema does not know here: another spelling, another word, another place."""
    synonym = hints.SYNONYMS.get(name.lower())
    if synonym in known:
        return f'did you mean "{synonym}"?'
    for other in known:
        if name.lower() == other.lower():
            return f'did you mean "{other}"?'
    kind, place = _places().get(name, ("", ""))
    if not place or not isinstance(value, _TYPES[kind]):
        place = (
            hints.PLACES.get(name.lower(), "") if {"linux", "resources", "cwd", "memory"} & set(known) else ""
        )
    return f"it belongs at {place}" if place else hints.near(name, known)


@cache
def _places() -> dict[str, tuple[str, str]]:
    """The members of config.json that stand at one place alone, and their type; not those of a list's items."""
    found: dict[str, list[tuple[str, str]]] = {}

    def walk(schema: Schema, at: str) -> None:
        for part in _parts(schema):
            for name, below in part.get("properties", {}).items():
                kinds = [branch["type"] for branch in _parts(below) if "type" in branch]
                found.setdefault(name, []).append((kinds[0] if kinds else "", f"{at}/{name}"))
                walk(below, f"{at}/{name}")

    for section in ("process", "root", "linux"):
        walk(resolved(KINDS["config"])["properties"][section], f"/{section}")
    return {name: places[0] for name, places in found.items() if len(places) == 1 and len(name) > 4}


def _parts(schema: Schema) -> Iterator[Schema]:
    """The schemas that speak of one value: allOf and anyOf opened."""
    yield schema
    for branch in [*schema.get("allOf", []), *schema.get("anyOf", [])]:
        yield from _parts(branch)
