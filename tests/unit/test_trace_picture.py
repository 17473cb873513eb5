"""The picture of a trace."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pyoci.base.errors import OciError
from pyoci.trace import picture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.trace.events import Document, Event

SVG = "{http://www.w3.org/2000/svg}"


def event(name: str, ts: float, dur: float, *, cat: str = "runtime", pid: int = 1, **args: str) -> Event:
    return {"name": name, "cat": cat, "ph": "X", "ts": ts, "dur": dur, "pid": pid, "tid": pid, "args": args}


def document(*events: Event) -> Document:
    title: Event = {"name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": "pyoci run"}}
    return {"displayTimeUnit": "ms", "otherData": {"began": 1, "id": "box"}, "traceEvents": [title, *events]}


def rows(*events: Event) -> list[tuple[str, int]]:
    return [(row.name, row.depth) for row in picture._rows(list(events))]


class Picture:
    """The drawn rows: label, title, and the bars as (left, width, colour, title)."""

    def __init__(self, *events: Event) -> None:
        self.root = ElementTree.fromstring(picture.draw(document(*events)))
        self.width = float(self.root.attrib["width"])
        self.rows = []
        for group in self.root.findall(f"{SVG}g"):
            bars = [
                (
                    float(bar.attrib["x"]),
                    float(bar.attrib["width"]),
                    bar.attrib["fill"],
                    bar.findtext(f"{SVG}title") or "",
                )
                for bar in group.findall(f"{SVG}rect")
            ]
            self.rows.append((group.findall(f"{SVG}text")[0].text, group.findtext(f"{SVG}title") or "", bars))

    @property
    def texts(self) -> list[str]:
        return [text.text or "" for text in self.root.iter(f"{SVG}text")]


def test_rows_are_in_the_order_of_their_beginning() -> None:
    assert rows(event("b", 10, 5), event("a", 0, 10), event("init", 5, 3, pid=2)) == [
        ("a", 0),
        ("init", 0),
        ("b", 0),
    ]


def test_ops_of_one_mount_share_a_row() -> None:
    found = picture._rows(
        [
            event("tmpfs on /t", 0, 1, cat="op", pointer="/mounts/0", op="fsmount"),
            event("tmpfs on /t", 1, 1, cat="op", pointer="/mounts/0", op="move_mount"),
            event("tmpfs on /t", 2, 1, cat="op", pointer="/mounts/1", op="fsmount"),
            event("session", 3, 1, cat="op"),
            event("session", 4, 1, cat="op"),
        ]
    )
    assert [(row.name, row.pointer, len(row.bars)) for row in found] == [
        ("tmpfs on /t", "/mounts/0", 2),
        ("tmpfs on /t", "/mounts/1", 1),
        ("session", "", 1),
        ("session", "", 1),
    ]


def test_a_part_stands_below_what_it_is_part_of() -> None:
    assert rows(
        event("hooks", 0, 30),
        event("hook one", 1, 10, cat="hook"),
        event("init", 1.5, 1, pid=2),
        event("hook two", 11, 10, cat="hook"),
        event("next", 30.001, 5),
    ) == [("hooks", 0), ("hook one", 1), ("hook two", 1), ("init", 0), ("next", 0)]


def test_steps_that_touch_are_not_parts_of_each_other() -> None:
    """The file holds thousandths of microseconds, of which sums are not exact."""
    assert rows(event("a", 0.1, 0.2), event("b", 0.3, 0.1)) == [("a", 0), ("b", 0)]
    assert rows(event("a", 0.1 + 0.2, 0.4), event("b", 0.7, 0.1)) == [("a", 0), ("b", 0)]


def test_picture() -> None:
    found = Picture(
        event("load", 0, 1000),
        event("tmpfs on /t", 1000, 3000, cat="op", pid=2, pointer="/mounts/0", op="fsmount"),
    )
    (label, _, [load]), (name, title, [mount]) = found.rows
    assert (label, name) == ("load", "tmpfs on /t")
    assert title == "tmpfs on /t: 3 ms\n/mounts/0"
    assert mount[3] == "fsmount: 3 ms\n/mounts/0"
    assert mount[1] == pytest.approx(3 * load[1], abs=0.3)
    assert mount[0] == pytest.approx(load[0] + load[1], abs=0.2)
    assert load[2] != mount[2]
    assert "pyoci run: 4 ms" in found.texts
    assert "container's init" in found.texts and "hook" not in found.texts


def test_nothing_lies_outside_of_the_picture() -> None:
    found = Picture(*[event(f"step {index}", index * 7.3, 7.3 * (index % 3)) for index in range(200)])
    for _, _, bars in found.rows:
        for left, width, _, _ in bars:
            assert left >= 0 and width >= 1 and left + width <= found.width
    height = float(found.root.attrib["height"])
    assert all(float(text.attrib["y"]) < height for text in found.root.iter(f"{SVG}text"))


def test_long_waits_for_others_are_cut() -> None:
    hour = 3.6e9
    found = Picture(
        event("create", 0, 1000),
        event("wait for start", 500, hour, cat="idle", pid=2),
        event("start", hour, 1000),
        event("the program runs", hour + 1000, 50, cat="idle"),
        event("removal", hour + 1050, 1000),
    )
    widths = {name: bars[0][1] for name, _, bars in found.rows}
    assert (
        widths["create"]
        == pytest.approx(widths["start"], rel=0.01)
        == pytest.approx(widths["removal"], rel=0.01)
    )
    assert widths["the program runs"] < widths["create"] / 10
    assert "3600 s cut" in found.texts
    assert "pyoci run: 3.05 ms" in found.texts


def test_nobody_busy_at_all() -> None:
    assert len(Picture(event("waits", 0, 5, cat="idle")).rows) == 1


def test_names_are_escaped_and_cut() -> None:
    name = "bind of <&\"'> on /" + "x" * 100
    found = Picture(event(name, 0, 1, pointer="/mounts/<0>"))
    label, title, _ = found.rows[0]
    assert label is not None and len(label) <= 50 and "…" in label
    assert title.startswith(name) and title.endswith("/mounts/<0>")


@pytest.mark.parametrize(
    ("microseconds", "words"),
    [(0.4, "0 µs"), (999, "999 µs"), (1500, "1.5 ms"), (99_900, "99.9 ms"), (123_456, "123 ms"),
     (2.5e6, "2.5 s"), (3.6e9, "3600 s")],
)  # fmt: skip
def test_durations(microseconds: float, words: str) -> None:
    assert picture._duration(microseconds) == words


@pytest.mark.parametrize(("least", "step"), [(0.3, 1), (1.1, 2), (3, 5), (7, 10), (120, 200), (5000, 5000)])
def test_steps_of_the_axis(least: float, step: float) -> None:
    assert picture._round_step(least) == step


def test_command(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (tmp_path / "t").write_text(json.dumps(document(event("a", 0, 1))))
    assert picture.main(str(tmp_path / "t"), svg="") == 0
    printed = capfdbinary.readouterr().out
    assert picture.main(str(tmp_path / "t"), svg=str(tmp_path / "t.svg")) == 0
    assert (tmp_path / "t.svg").read_bytes() == printed
    ElementTree.fromstring(printed)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b"{}", b'{"traceEvents": 3}', b'{"traceEvents": [3]}', b'{"traceEvents": []}',
     b'{"traceEvents": [{"ph": "X"}]}', b'{"traceEvents": [{"ph": "M", "args": []}]}', b"\xff\xfe"],
)  # fmt: skip
def test_what_is_no_trace_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(OciError) as caught:
        picture.main(str(tmp_path / "t"), svg="")
    assert caught.value.code == "trace-file"
    assert "is not a trace file of pyoci" in caught.value.text()


def test_files_that_can_not_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(OciError) as caught:
        picture.main(str(tmp_path / "missing"), svg="")
    assert "no such file" in caught.value.text()
    (tmp_path / "t").write_text(json.dumps(document(event("a", 0, 1))))
    with pytest.raises(OciError) as caught:
        picture.main(str(tmp_path / "t"), svg="/missing/t.svg")
    assert "picture /missing/t.svg: no such file" in caught.value.text()
