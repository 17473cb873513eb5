"""pyoci's JSON reader and writer against the standard library's: they agree on every text."""

from __future__ import annotations

import json
from typing import Any

from pyoci.base import jsontext


def by_library(text: str | bytes) -> tuple[Any, bool]:
    """What the standard library makes of a text, and whether a name comes twice in it. Raises ValueError."""
    twice = False

    def refuse(name: str) -> float:
        raise ValueError(name)

    def join(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        found = dict(pairs)
        twice = twice or len(found) < len(pairs)
        return found

    if isinstance(text, bytes):
        text = text.decode("utf-8")  # json.loads would guess UTF-16 and take a byte order mark
    return json.loads(text, parse_constant=refuse, object_pairs_hook=join), twice


def same(text: str | bytes) -> bool:
    """Whether both take a text. Raises AssertionError when they differ in that, or in what they make of it."""
    try:
        found = jsontext.loads(text)
    except ValueError as error:
        assert "too deeply" in str(error) or _refuses(text), f"refused: {text!r}: {error}"
        return False
    assert not _refuses(text), f"taken, and should not be: {text!r}"
    wanted, twice = by_library(text)
    assert repr(found) == repr(wanted)  # tells 1 from 1.0 and True, 0.0 from -0.0, and the order of members
    try:
        jsontext.loads(text, unique=True)
    except ValueError:
        assert twice, f"no name comes twice: {text!r}"
    else:
        assert not twice, f"a name comes twice: {text!r}"
    _written(found)
    return True


def _refuses(text: str | bytes) -> bool:
    try:
        by_library(text)
    except ValueError:
        return True
    return False


def _written(value: Any) -> None:
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:  # 1e999 was read as an infinity
        return
    assert jsontext.dumps(value) == text
    assert repr(jsontext.loads(text)) == repr(value)
