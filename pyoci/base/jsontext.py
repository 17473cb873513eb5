"""JSON by pyoci's own reader and writer in C (csrc/json/), which are a part of the launcher."""

import sys

from pyoci import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEPTH: int = _json.DEPTH  # arrays and objects inside one another; what has more is no document for us
# In the static launcher's image the seed of hashes is that of the build, which whoever has the package can read. Names that
# collide under it would cost the square of their number: of members of an object, or of texts that become keys later.
_MOST = 1000 if "_pyoci_launcher" in sys.builtin_module_names else 0


class ManyMembers(Exception):
    """A JSON text is for an ordinary interpreter, as its seed is known to no one.

    raw  the document, where it may be read but once
    """

    raw = b""


def loads(text: "str | bytes", *, unique: bool = False) -> "Any":
    """The value of a JSON text (RFC 8259); with `unique`, a name that comes twice in an object is an error.

    Raises ValueError, without a position: the full reader explains it; ManyMembers, in the static launcher alone.
    """
    try:
        return _json.loads(text, unique, _MOST)
    except OverflowError:
        raise ManyMembers from None


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
