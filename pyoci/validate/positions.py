"""Where things stand in a JSON text: lines and columns of JSON pointers, and what is wrong with the text.

Python's json module neither keeps positions nor reports a duplicate key; this reader does nothing
else. It uses no recursion, so that no depth of nesting troubles it.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import NamedTuple

from pyoci.spec import LARGEST
from pyoci.spec.json_pointer import join
from pyoci.spec.problem import Problem
from pyoci.validate import json_errors

_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(
    rf'(?P<string>{json_errors.STRING.pattern}")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![0-9A-Za-z.])"
    r"|(?P<word>true|false|null)(?![0-9A-Za-z_])"
    r"|(?P<mark>[\[\]{}:,])"
)
_LONE = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


class Place(NamedTuple):
    """A position in a text: line and column count from 1, in characters."""

    line: int
    column: int


class Broken(Exception):
    """The text is no JSON."""

    def __init__(self, message: str, offset: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


class Text:
    """A decoded document with an index of its lines."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts: list[int] = []

    def _index(self) -> list[int]:
        if not self._starts:
            self._starts = [0, *(found.end() for found in re.finditer("\n", self.text))]
        return self._starts

    def place(self, offset: int) -> Place:
        """Line and column of a character."""
        starts = self._index()
        row = bisect_right(starts, offset)
        return Place(row, offset - starts[row - 1] + 1)

    def line(self, number: int) -> tuple[int, int]:
        """Where a line begins, and where it ends without its line break."""
        starts = self._index()
        end = starts[number] - 1 if number < len(starts) else len(self.text)
        if end > starts[number - 1] and self.text[end - 1] == "\r":
            end -= 1
        return starts[number - 1], end


def decode(data: bytes) -> tuple[str, list[tuple[Problem, int]]]:
    """The text of a file, and what is wrong with its encoding, each with its offset in that text.

    Only a text with the problem "json-bom", or none, can be read on; the others are there to be shown.
    """
    if len(data) > LARGEST:
        limit = f"{LARGEST >> 20} MiB at most"
        return "", [(Problem("json-size", "", "the file is too large", expected=limit), 0)]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "", [(Problem("json-encoding", "", "the file is UTF-16", "UTF-8", "save it as UTF-8"), 0)]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        problem = Problem("json-encoding", "", message, expected="UTF-8", hint="save the file as UTF-8")
        return data.decode("utf-8", "backslashreplace"), [(problem, len(data[: error.start].decode("utf-8")))]
    if text.startswith("\ufeff"):
        message = "the file starts with a byte order mark"
        return text[1:], [(Problem("json-bom", "", message, hint="save it as UTF-8 without BOM"), 0)]
    return text, []


Visit = Callable[[list[str | int], int, int], None]


class _Frame:
    """An object or array that is still open."""

    __slots__ = ("is_object", "keys", "count", "start")

    def __init__(self, is_object: bool, start: int) -> None:
        self.is_object = is_object
        self.keys: set[str] = set()
        self.count = 0
        self.start = start


class Reader:
    """Walks once through a JSON text.

    visit(path, key, value)  called for every value: the keys and indexes that lead to it, the offset of its
                             key (of itself, without one) and its own offset
    twice(path, offset)      called for every key that its object has already
    Both get the same list `path` every time. `deepest` and `deepest_at` tell afterwards how deep it went.
    """

    def __init__(self, text: str, visit: Visit, twice: Callable[[list[str | int], int], None]) -> None:
        self.text = text
        self.visit = visit
        self.twice = twice
        self.path: list[str | int] = []
        self.frames: list[_Frame] = []
        self.deepest = 0
        self.deepest_at = 0

    def run(self) -> None:
        """Read it all. Raises `Broken` at the first place that is not JSON."""
        at = self._value(self._space(0), None)
        while self.frames:
            at = self._next(self._space(at))
        at = self._space(at)
        if at < len(self.text):
            raise Broken("unexpected text after the end of the document", at)

    def _space(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        return found.end() if found else at

    def _value(self, at: int, key: int | None) -> int:
        """Take a value, or the opening of one; the offset after it."""
        token = _TOKEN.match(self.text, at)
        if not token or token["mark"] in ("]", "}", ":", ","):
            raise self._wrong(at, json_errors.VALUE)
        self.visit(self.path, at if key is None else key, at)
        if token["mark"]:
            self.frames.append(_Frame(token["mark"] == "{", at))
            if len(self.frames) > self.deepest:
                self.deepest, self.deepest_at = len(self.frames), at
        elif self.path:
            self.path.pop()
        return token.end()

    def _next(self, at: int) -> int:
        """Go on inside the innermost open object or array."""
        frame = self.frames[-1]
        char = self.text[at : at + 1]
        if char == ("}" if frame.is_object else "]"):
            self.frames.pop()
            if self.path:
                self.path.pop()
            return at + 1
        if frame.count:
            if char != ",":
                raise self._wrong(at, '"," or "}"' if frame.is_object else '"," or "]"')
            comma, at = at, self._space(at + 1)
            if self.text[at : at + 1] in ("]", "}"):
                raise Broken("a comma before the closing bracket", comma, "remove the comma")
        frame.count += 1
        if not frame.is_object:
            self.path.append(frame.count - 1)
            return self._value(at, None)
        return self._member(frame, at)

    def _member(self, frame: _Frame, at: int) -> int:
        token = _TOKEN.match(self.text, at)
        if not token or not token["string"]:
            raise self._wrong(at, json_errors.NAME)
        name = json.loads(token["string"])
        self.path.append(name)
        if name in frame.keys:
            self.twice(self.path, at)
        frame.keys.add(name)
        colon = self._space(token.end())
        if self.text[colon : colon + 1] != ":":
            raise self._wrong(colon, '":"')
        return self._value(self._space(colon + 1), at)

    def _wrong(self, at: int, expected: str) -> Broken:
        if at < len(self.text):
            is_token = self.text[at] != '"' or _TOKEN.match(self.text, at)
            found = (
                json_errors.explain(self.text, at, expected)
                if is_token
                else json_errors.bad_string(self.text, at)
            )
            return Broken(*found)
        if not self.text.strip(" \t\n\r"):
            return Broken("the file is empty", 0)
        line = self.text.count("\n", 0, self.frames[-1].start) + 1 if self.frames else 0
        where = f" (opened on line {line})" if line else ""
        return Broken(f"the file ends too early: expected {expected}{where}", at)


def faults(text: str) -> tuple[list[tuple[Problem, int]], int, int]:
    """What is wrong with the text as JSON, each with its offset; and the deepest nesting with its offset."""
    found: list[tuple[Problem, int]] = []

    def twice(path: list[str | int], offset: int) -> None:
        message = f'the name "{path[-1]}" occurs twice in its object'
        hint = "parsers disagree on which one counts"
        found.append((Problem("json-duplicate", join(path), message, hint=hint), offset))

    reader = Reader(text, lambda path, key, value: None, twice)
    try:
        reader.run()
    except Broken as error:
        problem = Problem("json-syntax", "", error.message, hint=error.hint)
        found.append((problem, min(error.offset, len(text))))
    for match in _LONE.finditer(text):
        if match["lone"]:
            message = f"{match['lone']} is half of a surrogate pair, not a character"
            found.append((Problem("json-surrogate", "", message), match.start()))
    return found, reader.deepest, reader.deepest_at


def places(text: str, pointers: Iterable[str]) -> dict[str, tuple[int, int]]:
    """The offsets of key and value for some JSON pointers; those that lead nowhere are missing."""
    wanted = set(pointers)
    found: dict[str, tuple[int, int]] = {}

    def visit(path: list[str | int], key: int, value: int) -> None:
        name = join(path)
        if name in wanted:
            found[name] = (key, value)

    try:
        Reader(text, visit, lambda path, offset: None).run()
    except Broken:
        pass
    return found
