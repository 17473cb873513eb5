"""JSON by pyoci's own reader and writer in C (csrc/json/), which are a part of the launcher."""

from pyoci import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEPTH: int = _json.DEPTH  # arrays and objects inside one another; what has more is no document for us


def loads(text: "str | bytes", *, unique: bool = False) -> "Any":
    """The value of a JSON text (RFC 8259); with `unique`, a name that comes twice in an object is an error.

    Raises ValueError, without a position: the full reader explains it.
    """
    return _json.loads(text, unique)


def dumps(value: object) -> str:
    """The shortest JSON text, in ASCII, of a value made of dict, list, str, int, float, bool and None.

    Raises TypeError for anything else, ValueError for an infinite number.
    """
    return _json.dumps(value)


def dumps_pretty(value: object, indent: str = "") -> str:
    """JSON text with two spaces per level, as `state` prints it."""
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{deeper}{dumps(key)}: {dumps_pretty(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + indent + "}"
    if isinstance(value, list) and value:
        rows = [deeper + dumps_pretty(item, deeper) for item in value]
        return "[\n" + ",\n".join(rows) + "\n" + indent + "]"
    return dumps(value)
