"""Positions in a JSON text, and what is wrong with the text itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyoci.spec import LARGEST, json_pointer
from pyoci.validate import positions

CONFIGS = sorted((Path(__file__).resolve().parents[1] / "data" / "engine-configs").glob("*.json"))
# text, a part of the message, its place, a part of the hint
BROKEN = [
    ('{"a": [1,2,],}', "a comma before the closing bracket", (1, 11), "remove the comma"),
    ('{"a":1\n "b":2}', 'expected "," or "}" after this', (1, 6), "a comma is missing here"),
    ('{"a":"x" "b":2}', 'expected "," or "}" after this', (1, 8), "a comma is missing here"),
    ("[1 2]", 'expected "," or "]" after this', (1, 2), "a comma is missing here"),
    ("[{}\n{}]", 'expected "," or "]" after this', (1, 3), "a comma is missing here"),
    ('{"a":1;"b":2}', "found ;", (1, 7), "a comma separates"),
    ('{"a"=1}', 'expected ":", found =', (1, 5), "a colon stands between"),
    ('["say "hi""]', "found hi", (1, 8), 'is written \\"'),
    ("{a:1}", "a name in double quotes, found a", (1, 2), 'write "a"'),
    ("{'a':1}", "double quotes", (1, 2), 'write "a"'),
    ("['it is']", "double quotes", (1, 2), "instead of '"),
    ("{\u201ca\u201d:1}", "typographic quote", (1, 2), "a straight one"),
    ('{"a":NaN}', "not a number", (1, 6), ""),
    ('{"a":-Infinity}', "not a number", (1, 6), ""),
    ('{"a":01}', "leading zero", (1, 6), ""),
    ('{"a":0755}', "leading zero", (1, 6), "in decimal: 493"),
    ('{"a":0o644}', "leading zero", (1, 6), "in decimal: 420"),
    ('{"a":0x1}', "decimal", (1, 6), ""),
    ('{"a":+1}', "starts with a digit", (1, 6), ""),
    ('{"a":1.}', "a value", (1, 6), ""),
    ('{"a":.5}', "starts with a digit", (1, 6), ""),
    ('{"a":1e}', "this is not a number", (1, 6), "no units"),
    ('{"a":512m}', "this is not a number", (1, 6), "no units"),
    ('{"a":"x\ny"}', "the line ends inside a string", (1, 8), "close it"),
    ('{"a":"x\x0by"}', "control character (0x0b)", (1, 8), "write \\u000b"),
    ('{"a":"\\q"}', "\\q is not an escape", (1, 7), "written \\\\"),
    ('{"a":"\\u12"}', "\\u is not an escape", (1, 7), "written \\\\"),
    ('{"a":"xyz', "is not closed", (1, 6), ""),
    ("[1,2", "opened on line 1", (1, 5), ""),
    ('{\n"a":[\n1,\n2\n', "opened on line 2", (5, 1), ""),
    ('{"a":1}}', "unexpected text after", (1, 8), ""),
    ("", "the file is empty", (1, 1), ""),
    ("  \n ", "the file is empty", (1, 1), ""),
    ("ociVersion: 1.3.0\n", "expected a value, found ociVersion", (1, 1), "starts with {"),
    ('{"a":tru}', "a value, found tru", (1, 6), 'write "tru"'),
    ('{"a":/bin/sh}', "a value, found /bin/sh", (1, 6), 'write "/bin/sh"'),
    ('{"a":True}', "lower case", (1, 6), "write true"),
    ('{"a":None}', "null is written", (1, 6), "write null"),
    ('{"a":nullx}', "a value", (1, 6), 'write "nullx"'),
    ('{"a":${HOME}}', "a template", (1, 6), ""),
    ('{"a":{{ .Home }}}', "a template", (1, 7), ""),
    ("// x\n{}", "no comments", (1, 1), "remove the comment"),
    ('{"a" 1}', 'expected ":"', (1, 6), ""),
    ('{"a"', 'expected ":"', (1, 5), ""),
    ('{"a":1,', "expected a name in double quotes", (1, 8), ""),
    ("{,}", "a name in double quotes", (1, 2), ""),
    ("[,]", "a value", (1, 2), ""),
    ("]", "a value", (1, 1), "starts with {"),
    ('{"a":}', "a value", (1, 6), ""),
    ("\ufeff{}", "only looks like a space", (1, 1), "delete it"),
    ("[1\u00a0]", "only looks like a space", (1, 3), "delete it"),
]


@pytest.mark.parametrize(("text", "message", "place", "hint"), BROKEN, ids=repr)
def test_broken(text: str, message: str, place: tuple[int, int], hint: str) -> None:
    faults, _, _ = positions.faults(text)
    (problem, offset) = faults[-1]
    assert problem.code == "json-syntax" and message in problem.message
    assert positions.Text(text).place(offset) == place
    assert hint in problem.hint and bool(hint) == bool(problem.hint)
    with pytest.raises(ValueError):
        json.loads(text, parse_constant=int)


@pytest.mark.parametrize(
    "text",
    ["1", '"x"', "[]", "{}", " [ ] ", '{"a":[{},[],{"b":null}],"c":-0.5e+7}', '"\\u00e9\\/"', "[1,[2,[3]]]"],
)
def test_sound(text: str) -> None:
    json.loads(text)
    assert positions.faults(text)[0] == []


def walk(value: object, at: str = "") -> list[tuple[str, object]]:
    found = [(at, value)]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += walk(item, at + json_pointer.join([key]))
    return found


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("path", CONFIGS[:6], ids=lambda path: path.stem)
def test_every_place_of_a_config(path: Path, indent: int | None) -> None:
    """Reading on from the place that is told gives the value that is there."""
    text = json.dumps(json.loads(path.read_text()), indent=indent)
    every = dict(walk(json.loads(text)))
    places = positions.places(text, every)
    assert set(places) == set(every)
    decoder = json.JSONDecoder()
    for at, (key, value) in places.items():
        assert decoder.raw_decode(text, value)[0] == every[at]
        last = json_pointer.split(at)[-1:]
        assert key == value or [decoder.raw_decode(text, key)[0]] == last


def test_names_with_slashes_and_escapes() -> None:
    text = '{"a/b": {"c~d": 1, "\\u00e9": 2, "": 3}}'
    places = positions.places(text, ["/a~1b/c~0d", "/a~1b/\u00e9", "/a~1b/", "/nothing"])
    assert {at: text[value] for at, (_, value) in places.items()} == {
        "/a~1b/c~0d": "1",
        "/a~1b/\u00e9": "2",
        "/a~1b/": "3",
    }


def test_the_same_name_twice() -> None:
    text = '{"a": 1,\n "b": {"c": 1, "\\u0063": 2},\n "a": {"a": 3}}'
    faults, _, _ = positions.faults(text)
    source = positions.Text(text)
    found = [(problem.code, problem.pointer, source.place(offset)) for problem, offset in faults]
    assert found == [("json-duplicate", "/b/c", (2, 16)), ("json-duplicate", "/a", (3, 2))]
    assert text[positions.places(text, ["/a"])["/a"][1]] == "{", "the last one counts, as for json"


def test_halves_of_pairs() -> None:
    text = '["\\ud83d\\ude00", "\\\\ud83d", "\\ud83d", "\\uDE00x"]'
    found = [(problem.code, text[offset : offset + 6]) for problem, offset in positions.faults(text)[0]]
    assert found == [("json-surrogate", "\\ud83d"), ("json-surrogate", "\\uDE00")]


def test_depth_is_no_trouble() -> None:
    text = "[" * 200_000 + "]" * 200_000
    faults, deepest, at = positions.faults(text)
    assert (faults, deepest, at) == ([], 200_000, 199_999)


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"\xef\xbb\xbf{}", "json-bom", "byte order mark"),
        ("{}".encode("utf-16"), "json-encoding", "UTF-16"),
        (b'{"a":\n "\xff"}', "json-encoding", "0xff"),
        (b'{"a": "\xed\xa0\x80"}', "json-encoding", "0xed"),
        (b" " * (LARGEST + 1), "json-size", "too large"),
    ],
    ids=["bom", "utf16", "latin1", "surrogate", "large"],
)
def test_encoding(data: bytes, code: str, words: str) -> None:
    _, problems = positions.decode(data)
    assert [problem.code for problem, _ in problems] == [code]
    assert words in problems[0][0].message


def test_a_wrong_byte_is_shown_at_its_place() -> None:
    text, ((_, offset),) = positions.decode('{"a": "\u00e9",\n "b\u00fc": "'.encode() + b'\xfcber"}')
    assert text[offset:] == '\\xfcber"}'
    assert positions.Text(text).place(offset) == (2, 9)


def test_lines() -> None:
    source = positions.Text("ab\r\n\ncd")
    lines = [source.line(number) for number in (1, 2, 3)]
    assert [source.text[start:end] for start, end in lines] == ["ab", "", "cd"]
    assert [source.place(offset) for offset in (0, 3, 4, 5, 7)] == [(1, 1), (1, 4), (2, 1), (3, 1), (3, 3)]
