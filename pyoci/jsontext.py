"""JSON through the C scanner and encoder of `_json`, without the json package's imports."""

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Context:
    """What `_json.make_scanner` reads its settings from."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = None
    memo: "dict[str, str]" = {}


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_Context.parse_constant = staticmethod(_no_constant)  # type: ignore[assignment]


class _UniqueContext(_Context):
    """The same, for documents in which no object may have two members of one name."""


def _unique(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("two members of the same name")
    return members


_UniqueContext.object_pairs_hook = staticmethod(_unique)  # type: ignore[assignment]


def loads(text: str, *, unique: bool = False) -> "Any":
    """The value of a JSON text; with `unique`, a name that comes twice in an object is an error.

    Raises ValueError, without a position: the full reader explains it.
    """
    scan = _json.make_scanner(_UniqueContext if unique else _Context)  # type: ignore[arg-type]
    start = _skip_space(text, 0)
    try:
        value, end = scan(text, start)
    except (StopIteration, ImportError, RecursionError, AttributeError, SystemError):
        raise ValueError("not JSON") from None
    if _skip_space(text, end) != len(text):
        raise ValueError("more text behind the JSON value")
    return value


def dumps(value: "Any") -> str:
    """The shortest JSON text of a value made of dict, list, str, int, float, bool and None."""
    encode = _json.make_encoder(
        None, _refuse, _json.encode_basestring_ascii, None, ":", ",", False, False, False
    )
    return "".join(encode(value, 0))


def dumps_pretty(value: "Any", indent: str = "") -> str:
    """JSON text with two spaces per level, as `state` prints it."""
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{deeper}{dumps(key)}: {dumps_pretty(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + indent + "}"
    if isinstance(value, list) and value:
        rows = [deeper + dumps_pretty(item, deeper) for item in value]
        return "[\n" + ",\n".join(rows) + "\n" + indent + "]"
    return dumps(value)


def _refuse(value: "Any") -> "Any":
    raise TypeError(f"not a JSON value: {type(value).__name__}")


def _skip_space(text: str, position: int) -> int:
    rest = text[position:]
    return position + len(rest) - len(rest.lstrip(" \t\n\r"))
