"""GVariant text, as annotations `org.systemd.property.NAME` have it, as D-Bus signature and value.

GLib, "GVariant Text Format", without dictionaries, maybe types and format strings, which no property of a
unit needs.
"""

from pyoci.cgroups.dbus import wire

_TYPES = {
    "boolean": "b",
    "byte": "y",
    "int16": "n",
    "uint16": "q",
    "int32": "i",
    "uint32": "u",
    "handle": "h",
    "int64": "x",
    "uint64": "t",
    "double": "d",
    "string": "s",
    "objectpath": "o",
    "signature": "g",
}
_DEPTH = 32  # arrays, and structs, inside one another, as D-Bus allows; the words for a type count here, too
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def parse(text: str) -> "tuple[str, object]":
    """Signature and value of a text such as "uint64 123", "'a'" or "['b', 'c']". Raises ValueError."""
    scanner = _Scanner(text)
    found = scanner.value("")
    scanner.space()
    if scanner.at != len(text):
        raise ValueError(f"unexpected text after the value: {text[scanner.at :]}")
    wire.check(*found)
    return found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def space(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def peek(self) -> str:
        self.space()
        return self.text[self.at : self.at + 1]

    def word(self) -> str:
        start = self.at
        while (character := self.text[self.at : self.at + 1]) and (
            character.isalnum() or character in "_+-.@(){}"
        ):
            if character in "(){}" and self.text[start] != "@":
                break
            self.at += 1
        return self.text[start : self.at]

    def value(self, wanted: str) -> "tuple[str, object]":
        """The next value; `wanted` is its signature where something before has said it."""
        self.depth += 1
        if self.depth > _DEPTH:
            raise ValueError(f"more than {_DEPTH} values inside one another")
        found = self.inner(wanted)
        self.depth -= 1
        return found

    def inner(self, wanted: str) -> "tuple[str, object]":
        first = self.peek()
        if first in ("'", '"'):
            if wanted not in ("", "s", "o", "g"):
                raise ValueError(f'a string does not have the type "{wanted}"')
            return (wanted or "s"), self.string()
        if first == "[":
            return self.array(wanted)
        if first == "(":
            return self.struct(wanted)
        word = self.word()
        if word.startswith("@"):
            return self.value(word[1:])
        if word in _TYPES:
            return self.value(_TYPES[word])
        if word in ("true", "false"):
            return "b", word == "true"
        return _number(word, wanted)

    def string(self) -> str:
        quote = self.text[self.at]
        self.at += 1
        found = []
        while (character := self.text[self.at : self.at + 1]) != quote:
            if not character:
                raise ValueError("the string is not closed")
            self.at += 1
            if character == "\\":
                character = self.escape()
            found.append(character)
        self.at += 1
        return "".join(found)

    def escape(self) -> str:
        character = self.text[self.at : self.at + 1]
        self.at += 1
        digits = {"u": 4, "U": 8}.get(character)
        if digits:
            self.at += digits
            return chr(int(self.text[self.at - digits : self.at], 16))
        return _ESCAPES.get(character, character)

    def items(self, closing: str, wanted: list[str]) -> "list[tuple[str, object]]":
        """The values up to the closing bracket, the last of `wanted` for all that follow."""
        self.at += 1
        found: list[tuple[str, object]] = []
        while self.peek() != closing:
            signature = wanted[min(len(found), len(wanted) - 1)] if wanted else ""
            found.append(self.value(signature))
            if self.peek() == ",":
                self.at += 1
            elif self.peek() != closing:
                raise ValueError(f'"," or "{closing}" is missing')
        self.at += 1
        return found

    def array(self, wanted: str) -> "tuple[str, object]":
        if wanted and wanted[0] != "a":
            raise ValueError(f'an array does not have the type "{wanted}"')
        found = self.items("]", [wanted[1:]] if wanted else [])
        if not found and not wanted:
            raise ValueError("an empty array needs its type, such as @as []")
        kind = wanted[1:] or found[0][0]
        if any(signature != kind for signature, _ in found):
            raise ValueError("all items of an array must have the same type")
        return f"a{kind}", [value for _, value in found]

    def struct(self, wanted: str) -> "tuple[str, object]":
        found = self.items(")", wire.split(wanted[1:-1]) if wanted else [])
        return f"({''.join(signature for signature, _ in found)})", tuple(value for _, value in found)


def _number(word: str, wanted: str) -> "tuple[str, object]":
    if not word or not (word[0].isdigit() or word[0] in "+-."):
        raise ValueError(f'"{word}" is not a value')
    if wanted and wanted not in "ynqiuxthd":
        raise ValueError(f'a number does not have the type "{wanted}"')
    hexadecimal = "x" in word.lower()
    if wanted == "d" or (not wanted and not hexadecimal and any(mark in word for mark in ".eE")):
        number = float(word)
        if number - number:  # not a finite one
            raise ValueError(f'"{word}" is too large for a double')
        return "d", number
    return (wanted or "i"), int(word, 0 if hexadecimal else 10)
