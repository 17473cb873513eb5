"""pyoci's own JSON reader and writer, held against the standard library's."""

import contextlib
import ctypes
import json
import math
import random
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from fuzz.json_target import same
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.check_cases import BASE

from pyoci import _json
from pyoci.base import jsontext
from pyoci.spec import fast
from pyoci.validate import explain

CONFIGS = sorted((Path(__file__).parents[1] / "data/engine-configs").iterdir())
TEXTS = [
    *(
        "",
        " ",
        "null",
        " true ",
        "false\n",
        "nul",
        "nulll",
        "True",
        "None",
        "NaN",
        "Infinity",
        "-Infinity",
        "undefined",
    ),
    *(
        "0",
        "-0",
        "-",
        "+1",
        "01",
        "-01",
        "00",
        "1.",
        ".5",
        "1.5",
        "1e",
        "1e+",
        "1E+2",
        "1e-2",
        "-1.5e3",
        "1e999",
        "1.e3",
    ),
    *(
        "-0.0",
        "0e0",
        "1_000",
        "0x10",
        "12a",
        "1 2",
        "1,",
        str(2**62),
        str(-(2**63)),
        str(2**64),
        "9" * 18,
        "9" * 19,
    ),
    *("-" + "9" * 18, "1" * 4301, "1" * 4300, "1.0000000000000000000001", "5e-324", "123456789012345678.5"),
    *(
        '""',
        '"',
        '"a',
        'a"',
        '"a"b',
        "'a'",
        '"\\"',
        '"\\""',
        '"\\\\"',
        '"\\\\',
        '"\\',
        '"\\x"',
        '"\\u12"',
        '"\\u12',
    ),
    *(
        '"\\u0041"',
        '"\\u004g"',
        '"\\uD83D\\uDE00"',
        '"\\ud83d"',
        '"\\ude00"',
        '"\\ud83d\\u0041"',
        '"\\ud83d\\ude0"',
    ),
    *(
        '"\\ud83dx"',
        '"\\ud83d\\n"',
        '"\\ud83d\\ud83d\\ude00"',
        '"\\ude00\\ud83d"',
        '"\\u0000"',
        '"\\u00e9"',
        '"\x7f"',
    ),
    *(
        '"\\b\\f\\n\\r\\t\\/\\\\\\""',
        '"\\B"',
        '"\\\0"',
        '"\0"',
        '"\n"',
        '"\t"',
        '"\x1f"',
        '"é"',
        '"é\\n"',
        '"日本"',
        '"😀"',
    ),
    *(
        "[]",
        "[ ]",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,2]",
        "[[],[[]]]",
        "[1]]",
        "[\n1\t,\r2 ]",
        "[1;2]",
    ),
    *(
        "{}",
        "{ }",
        "{",
        "}",
        '{"a"',
        '{"a":',
        '{"a":1',
        '{"a":1,',
        '{"a":1,}',
        '{,"a":1}',
        '{"a" 1}',
        "{a:1}",
        "{1:2}",
    ),
    *(
        '{"a":1}',
        '{ "a" : 1 , "b" : [ ] }',
        '{"a":{"a":{}}}',
        '{"":0}',
        '{"a":1}x',
        '{"a":1}{',
        '{"é":"é"}',
        "{null:1}",
    ),
    *(
        "[tru]",
        "[nul]",
        "[fals]",
        "\ufeff{}",
        "\x0b1",
        "1\x0c",
        "/**/1",
        "[1]//",
        '{"a":1 "b":2}',
        "[true,false,null]",
    ),
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_text(text: str) -> None:
    assert same(text) == same(text.encode())


@pytest.mark.parametrize(
    "raw",
    [
        *(b'"\xff"', b'"\xc3"', b'"\xc3', b'"\xc3\x28"', b'"\xc0\xaf"', b'"\xe0\x80\x80"', b'"\xed\xa0\x80"'),
        *(b'"\xf0\x80\x80\x80"', b'"\xf4\x90\x80\x80"', b'"\xf5\x80\x80\x80"', b'"\xf0\x9f\x98"', b'"\x80"'),
        *(
            b'"\xed\x9f\xbf"',
            b'"\xee\x80\x80"',
            b'"\xf4\x8f\xbf\xbf"',
            b'"\xc2\x80"',
            b"\xef\xbb\xbf{}",
            b"{\xa0}",
        ),
    ],
)
def test_bytes(raw: bytes) -> None:
    same(raw)


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_engine_config(path: Path) -> None:
    raw = path.read_bytes()
    assert same(raw)
    value = jsontext.loads(raw, unique=True)
    assert json.loads(jsontext.dumps(value)) == value
    assert json.loads(jsontext.dumps_pretty(value)) == value


def test_halves_of_characters_are_kept_in_texts() -> None:
    with pytest.raises(UnicodeEncodeError):
        jsontext.loads('"\ud800"')
    assert jsontext.loads('"\\ud800"') == "\ud800"


def test_names_that_come_twice() -> None:
    text = '{"a": 1, "b": {"c": 1, "\\u0063": 2}}'
    assert jsontext.loads(text) == {"a": 1, "b": {"c": 2}}
    with pytest.raises(ValueError, match="same name"):
        jsontext.loads(text, unique=True)


@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}")])
def test_depth(start: str, end: str) -> None:
    middle = "" if start == "[" else "1"
    deepest = start * jsontext.DEPTH + middle + end * jsontext.DEPTH
    assert jsontext.loads(deepest)
    for depth in (jsontext.DEPTH + 1, 1_000_000):
        with pytest.raises(ValueError, match="too deeply"):
            jsontext.loads(start * depth + middle + end * depth)
        with pytest.raises(ValueError):
            jsontext.loads(start * depth)


def test_other_types_are_refused() -> None:
    for wrong in (None, 1, ["[]"]):
        with pytest.raises(TypeError):
            jsontext.loads(wrong)  # type: ignore[arg-type]
    for value in (b"x", {1: 2}, {None: 1}, object(), {"a": {1}}, [print]):
        with pytest.raises(TypeError):
            jsontext.dumps(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_without_a_text(value: float) -> None:
    with pytest.raises(ValueError):
        jsontext.dumps([value])


def test_a_value_in_itself() -> None:
    endless: list[Any] = []
    endless.append({"again": endless})
    with pytest.raises(RecursionError):
        jsontext.dumps(endless)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_there_and_back(value: Any) -> None:
    text = json.dumps(value, separators=(",", ":"))
    assert jsontext.dumps(value) == text
    assert repr(jsontext.loads(text)) == repr(value)
    if "\\ud" not in text:
        assert repr(jsontext.loads(json.dumps(value, ensure_ascii=False, indent=1))) == repr(value)


def test_mutations_of_real_configs() -> None:
    """Ten thousand damaged documents: whatever the library says, ours says."""
    chance = random.Random(20)
    pieces = [
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\\u",
        b"\xc3",
        b"0",
        b"-",
        b"e",
        b" ",
        b"\n",
        b"null",
        b"\xed\xa0",
    ]
    bases = [path.read_bytes()[:3000] for path in CONFIGS] + [
        b'{"a":[1,-2.5e3,"\\u00e9\xc3\xa9",true,null,{}]}'
    ] * 40
    taken = 0
    for _ in range(10_000):
        raw = bytearray(chance.choice(bases))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(raw) + 1)
            raw[at : at + chance.randint(0, 3)] = chance.choice(pieces) if chance.random() < 0.7 else b""
        taken += same(bytes(raw))
    assert 0 < taken < 10_000


# One text with all that is allocated for, and one for each way in which it can be refused.
RICH = (
    b'{"name":"plain","names":["\\u00e9\\ud83d\\ude00\\n","\xc3\xa9",'
    + b"9" * 40
    + b',-1.5e3,7,{"a":true,"b":[null,[]],"c":{}}]}'
)
BROKEN = [
    *(RICH[:end] for end in range(len(RICH))),
    *(RICH[:at] + b"\x01" + RICH[at + 1 :] for at in range(len(RICH))),
    b'{"name":1,"name":[]}',
    b'["\\ud800",NaN]',
    b'["' + b"x" * 5000 + b'",\xff]',
    b"[" + b"9" * 5000 + b"]",
    b"[" * (jsontext.DEPTH + 1),
]


def exactly(raw: bytes) -> Any:
    """A buffer without the NUL that is behind all bytes: a sanitizer sees a step beyond its end."""
    raw = b" " * 64 + raw
    return (ctypes.c_char * len(raw)).from_buffer_copy(raw)


def test_no_step_leads_beyond_the_end() -> None:
    value = jsontext.loads(RICH)
    assert jsontext.loads(exactly(RICH), unique=True) == value
    for raw in BROKEN:
        with pytest.raises(ValueError):
            jsontext.loads(exactly(raw), unique=True)
    for text in TEXTS:
        with contextlib.suppress(ValueError):
            jsontext.loads(exactly(text.encode()), unique=True)


def test_nothing_is_left_behind() -> None:
    """Neither a text that is taken nor one that is refused keeps memory, or a hold on a value."""
    held: list[Any] = [None, True, False, "name", "a", sys.intern("names"), 7]
    endless: list[Any] = [[{"name": RICH.decode()}]]
    endless[0].append(endless)

    def cycle() -> None:
        for raw in [*BROKEN, RICH, CONFIGS[0].read_bytes()]:
            with contextlib.suppress(ValueError):
                jsontext.dumps(jsontext.loads(raw, unique=True))
        for value in (endless, [1.5, math.nan], {"name": {"a", "b"}}, {"a": {7: "name"}}):
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                jsontext.dumps(value)

    cycle()
    tracemalloc.start()
    try:
        cycle()
        before, holds = tracemalloc.get_traced_memory()[0], [sys.getrefcount(value) for value in held]
        for _ in range(100):
            cycle()
        grown = tracemalloc.get_traced_memory()[0] - before
        more = [sys.getrefcount(value) - count for value, count in zip(held, holds, strict=True)]
    finally:
        tracemalloc.stop()
    assert grown < 2_000
    assert max(map(abs, more)) < 50


def test_memory_may_fail_anywhere() -> None:
    """Each allocation in turn fails: that is told as such, leaves nothing behind, and ends nothing else."""
    failing = pytest.importorskip("_testcapi")
    value = jsontext.loads(RICH)
    text = jsontext.dumps(value)

    def sweep() -> list[int]:
        failed = [0, 0]
        for kind, work, expected in ((0, jsontext.loads, value), (1, jsontext.dumps, text)):
            argument = RICH if kind == 0 else value
            for number in range(200):
                failing.set_nomemory(number, number + 2)  # those between the two: one
                try:
                    found = work(argument)
                except MemoryError:
                    failed[kind] += 1
                    continue
                finally:
                    failing.remove_mem_hooks()
                assert found == expected
        return failed

    sweep()
    tracemalloc.start()
    try:
        sweep()
        before = tracemalloc.get_traced_memory()[0]
        failed = sweep()
        assert tracemalloc.get_traced_memory()[0] - before < 2_000
    finally:
        tracemalloc.stop()
    assert failed[0] > 10 and failed[1] > 2


def member(text: bytes) -> bytes:
    """A config.json that has a text as the value of a member that nobody knows."""
    return json.dumps(BASE).encode()[:-1] + b',"x":' + text + b"}"


NESTED = [b"[" * depth + b"]" * depth for depth in (jsontext.DEPTH - 1, jsontext.DEPTH)]


@pytest.mark.parametrize("text", [*map(str.encode, TEXTS), RICH, *BROKEN, *NESTED], ids=lambda text: "")
def test_the_explainer_agrees(text: bytes) -> None:
    """What this reader refuses has a problem to tell, and what it takes has none."""
    raw = member(text)
    report = explain.examine(raw, "config.json")
    codes = {finding.problem.code for finding in report.findings if finding.problem.severity == "error"}
    assert all(code.startswith("json-") for code in codes)
    assert (fast.load(raw) is None) == bool(codes)


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "c": 3}', "[1, 2, 3]", '["a", {"a": [1, 2, 3]}]'])
def test_a_limit_of_members(text: str) -> None:
    """As the reader of the static launcher has it."""
    assert _json.loads(text, True, 3) == _json.loads(text, True, 0) == json.loads(text)
    with pytest.raises(OverflowError):
        _json.loads(text, True, 2)


def test_a_limit_of_names() -> None:
    """In all objects together: five times as many as members in one."""
    most = [{"a": 1, "b": 2} for _ in range(5)]
    assert _json.loads(json.dumps([most, most, most[:2]]), True, 5)
    assert _json.loads(json.dumps([most, most, most[:3]]), True, 6)
    with pytest.raises(OverflowError):
        _json.loads(json.dumps([most, most, most[:3]]), True, 5)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({f"{number}": 0 for number in range(6)})[:-1],
        json.dumps({"x": {f"{number}": 0 for number in range(6)}})[:-2],
        json.dumps([{f"{number}": 0 for number in range(6)}])[:-2],
        json.dumps(list(range(6)))[:-1],
        json.dumps({"x": ["text"] * 6})[:-2],
        json.dumps([{f"{number}": 0 for number in range(5)}] * 5 + [{"last": 0}])[:-2],
    ],
)
def test_nothing_is_read_after_too_many_members(text: str) -> None:
    """Whatever comes then costs nothing under the seed that is known: it is not even seen that it is no JSON."""
    with pytest.raises(OverflowError):
        _json.loads(text + "!", True, 5)
    with pytest.raises(ValueError):
        _json.loads(text + "!", True, 0)
