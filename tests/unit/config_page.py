"""The tables of docs/config.md."""

from __future__ import annotations

import re

from unit.documents import document

DOCUMENT = document("docs/config.md")


def rows() -> list[list[str]]:
    """The rows of all tables."""
    found = []
    for line in DOCUMENT.text.splitlines():
        if line.startswith("| ") and not line.startswith(("| property ", "| value ", "| --- ")):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def expanded(text: str) -> list[str]:
    """The names that a shell makes of `a.{b,c}`."""
    first, brace, rest = text.partition("{")
    if not brace:
        return [text]
    inside, _, last = rest.partition("}")
    return [name for word in inside.split(",") for name in expanded(first + word + last)]


def names(row: list[str]) -> list[str]:
    """The properties, or values, of a row."""
    return [name for span in re.findall(r"`([^`]+)`", row[0]) for name in expanded(span)]


def codes(name: str) -> list[str]:
    """The error codes that the page has for a property or a value, where the kernel can't do it."""
    row = next(row for row in rows() if name in names(row))
    return re.findall(r"`([a-z-]+)`", row[2])
