"""The picture of a trace: one row for each step or mount, from the left as time goes on, drawn as SVG without any library."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from pyoci.base import files
from pyoci.base.errors import OciError, from_os_error
from pyoci.trace import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.trace.events import Document, Event

_LABELS, _CHART, _TAIL = 330, 760, 90  # widths in pixels: names, bars, the figure after a bar
_ROW, _HEAD, _MARGIN = 18, 74, 12
_NOTHING = 0.005  # microseconds: the file holds nanoseconds as fractions
_LONG_PAUSE = 0.25  # of the busy time: a pause that is longer is cut out of the picture ...
_CUT = 0.03  # ... and shown as this part of it
_COLOURS = {
    "runtime": "#3b73b9",
    "cgroup": "#7a5195",
    "hook": "#d1495b",
    "op": "#2a9d6f",
    "idle": "#c4c8ce",
}
_KINDS = {
    "runtime": "runtime",
    "cgroup": "cgroup file",
    "op": "container's init",
    "hook": "hook",
    "idle": "waiting for others",
}
_STYLE = (
    "text{font:12px sans-serif;fill:#222}.small{font-size:10.5px;fill:#777}.title{font-size:15px;font-weight:bold}"
    ".grid{stroke:#e3e6ea}.cut{stroke:#999;stroke-dasharray:2 3}.even{fill:#f6f7f9}"
)


@dataclass
class Bar:
    """One event: what it is, when it began and ended (microseconds), and what asked for it."""

    name: str
    kind: str
    began: float
    ended: float
    pointer: str
    op: str


@dataclass
class Row:
    """Events that follow each other in one process for the same cause, such as the ops of one mount.

    outer   the row of the event of the same process that it lies in, or None
    """

    name: str
    pointer: str
    outer: Row | None
    bars: list[Bar] = field(default_factory=list)

    @property
    def began(self) -> float:
        """When the first began."""
        return self.bars[0].began

    @property
    def ended(self) -> float:
        """When the last ended."""
        return self.bars[-1].ended

    @property
    def depth(self) -> int:
        """How many others it lies in."""
        return 0 if self.outer is None else self.outer.depth + 1

    def place(self) -> tuple[float, ...]:
        """What rows are sorted by: each stands right below the one that it lies in."""
        return (*(self.outer.place() if self.outer else ()), self.began)


def main(path: str, *, svg: str) -> int:
    """`trace`: draw a trace file as an SVG picture, into the file `svg` or to standard output. Raises OciError."""
    try:
        picture = draw(recorder.read(path))
    except OSError as error:
        raise from_os_error("trace-file", f"trace file {path}", error, obj=path) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        hint = "write one with `create`, `run` or `exec` and --trace"
        raise OciError("trace-file", f"{path} is not a trace file of pyoci", obj=path, hint=hint) from None
    if not svg:
        files.out(picture)
        return 0
    try:
        with open(svg, "w", encoding="utf-8") as file:
            file.write(picture)
    except OSError as error:
        raise from_os_error("trace-file", f"picture {svg}", error, obj=svg) from None
    return 0


def draw(document: Document) -> str:
    """The SVG text for the content of a trace file. Raises ValueError, KeyError, TypeError for anything else."""
    events = document["traceEvents"]
    titles = [event["args"]["name"] for event in events if event["ph"] == "M"]
    rows = _rows([event for event in events if event["ph"] == "X"])
    if not rows:
        raise ValueError("no events")
    axis = Axis([bar for row in rows for bar in row.bars])
    height = _HEAD + _ROW * len(rows) + _MARGIN + 16
    width = _LABELS + _CHART + _TAIL
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n',
        f'<style>{_STYLE}</style>\n<rect width="{width}" height="{height}" fill="#fff"/>\n',
        _text(_MARGIN, 24, f"{', '.join(dict.fromkeys(titles))}: {_duration(axis.busy)}", "title"),
        *_legend(rows),
        *_stripes(len(rows)),
        *_grid(axis, height),
    ]
    for index, row in enumerate(rows):
        parts += _draw_row(row, _HEAD + _ROW * index, axis)
    return "".join([*parts, "</svg>\n"])


def _rows(events: list[Event]) -> list[Row]:
    """The events by rows, in the order of their beginning."""
    ordered = sorted(events, key=lambda event: (float(event["ts"]), -float(event["dur"])))
    rows: list[Row] = []
    under_way: dict[int, list[Row]] = {}  # by process, the outer ones first
    for event in ordered:
        bar, stack = _bar(event), under_way.setdefault(int(event["pid"]), [])
        last = stack[-1] if stack else None
        while stack and stack[-1].ended <= bar.began + _NOTHING:
            stack.pop()
        if last is None or not _belongs(bar, last):
            last = Row(bar.name, bar.pointer, stack[-1] if stack else None)
            rows.append(last)
        last.bars.append(bar)
        stack.append(last)
    return sorted(rows, key=Row.place)


def _belongs(bar: Bar, row: Row) -> bool:
    """Whether an event is one more step of the same thing, such as of one mount."""
    same = row.pointer == bar.pointer != "" and row.name == bar.name
    return same and bar.kind == row.bars[-1].kind == "op"


def _bar(event: Event) -> Bar:
    began, args = float(event["ts"]), event["args"]
    return Bar(
        str(event["name"]),
        str(event["cat"]),
        began,
        began + float(event["dur"]),
        str(args.get("pointer", "")),
        str(args.get("op", "")),
    )


class Axis:
    """Where a moment lies in the picture. Long times in which no process was busy are cut.

    busy   microseconds that are shown in full
    cuts   (began, ended) of what is cut, in microseconds
    """

    def __init__(self, bars: list[Bar]) -> None:
        stretches = _union([(bar.began, bar.ended) for bar in bars if bar.kind != "idle"]) or [(0.0, 1.0)]
        working = sum(ended - began for began, ended in stretches)
        self.start = stretches[0][0]
        gaps = [(one[1], two[0]) for one, two in itertools.pairwise(stretches)]
        self.cuts = [gap for gap in gaps if gap[1] - gap[0] > _LONG_PAUSE * working]
        lost = sum(ended - began for began, ended in self.cuts)
        self.busy = max(stretches[-1][1] - self.start - lost, 0.001)
        self._cut = _CUT * self.busy
        self._scale = _CHART / (self.busy + self._cut * len(self.cuts))

    def x(self, moment: float) -> float:
        """The horizontal place of a moment, in pixels."""
        shown = moment - self.start
        for began, ended in self.cuts:
            if moment >= ended:
                shown -= ended - began - self._cut
            elif moment > began:
                shown -= (moment - began) * (1 - self._cut / (ended - began))
        return _LABELS + min(max(shown * self._scale, 0.0), _CHART)

    def ticks(self) -> list[tuple[float, str]]:
        """Places of the vertical lines and what stands at them: the time that has been shown up to there."""
        step = _round_step(self.busy / 8)
        found: list[tuple[float, str]] = []
        shown, moment = 0.0, self.start
        while shown <= self.busy:
            found.append((self.x(moment), _duration(shown)))
            shown += step
            moment = self._after(shown)
        return found

    def _after(self, shown: float) -> float:
        """The moment at which so much time has been shown."""
        moment = self.start + shown
        for began, ended in self.cuts:
            if moment > began:
                moment += ended - began
        return moment


def _union(stretches: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches of time, those that touch joined."""
    found: list[tuple[float, float]] = []
    for began, ended in sorted(stretches):
        if found and began <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ended))
        else:
            found.append((began, ended))
    return found


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 ... that is not below `least`."""
    step = 1.0
    while True:
        for factor in (1, 2, 5):
            if step * factor >= least:
                return step * factor
        step *= 10


def _duration(microseconds: float) -> str:
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    value, unit = (microseconds / 1000, "ms") if microseconds < 1_000_000 else (microseconds / 1_000_000, "s")
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


# -- drawing -------------------------------------------------------------------------------------------------------------


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "") -> str:
    more = (f' class="{style}"' if style else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>\n'


def _legend(rows: list[Row]) -> list[str]:
    used = {bar.kind for row in rows for bar in row.bars}
    parts, x = [], float(_MARGIN)
    for kind, words in _KINDS.items():
        if kind in used:
            parts.append(f'<rect x="{x}" y="36" width="12" height="12" rx="2" fill="{_COLOURS[kind]}"/>\n')
            parts.append(_text(x + 17, 46, words))
            x += 34 + 6.5 * len(words)
    return parts


def _stripes(count: int) -> list[str]:
    width = _LABELS + _CHART + _TAIL
    return [
        f'<rect class="even" y="{_HEAD + _ROW * index}" width="{width}" height="{_ROW}"/>\n'
        for index in range(0, count, 2)
    ]


def _grid(axis: Axis, height: int) -> list[str]:
    parts = []
    for x, words in axis.ticks():
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD}" y2="{height - _MARGIN - 14}"/>\n'
        )
        parts.append(_text(x, _HEAD - 6, words, "small", "middle"))
    for began, ended in axis.cuts:
        for x in (axis.x(began), axis.x(ended)):
            parts.append(
                f'<line class="cut" x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD}" y2="{height - _MARGIN - 14}"/>\n'
            )
        words = f"{_duration(ended - began)} cut"
        parts.append(_text((axis.x(began) + axis.x(ended)) / 2, height - _MARGIN, words, "small", "middle"))
    return parts


def _draw_row(row: Row, y: float, axis: Axis) -> list[str]:
    """The name, the bars, the time that all of them took; what it all means shows when the mouse rests on it."""
    taken = sum(bar.ended - bar.began for bar in row.bars)
    cause = f"\n{row.pointer}" if row.pointer else ""
    parts = [f"<g>\n<title>{escape(f'{row.name}: {_duration(taken)}{cause}')}</title>\n"]
    parts.append(_text(_MARGIN + 14 * row.depth, y + 13, _short(row.name, 50 - 2 * row.depth)))
    for bar in row.bars:
        left, right = axis.x(bar.began), axis.x(bar.ended)
        words = f"{bar.op or bar.name}: {_duration(bar.ended - bar.began)}{cause}"
        parts.append(
            f'<rect x="{left:.1f}" y="{y + 4}" width="{max(right - left, 1):.1f}" height="{_ROW - 8}" '
            f'fill="{_COLOURS.get(bar.kind, "#888")}"><title>{escape(words)}</title></rect>\n'
        )
    parts.append(_text(axis.x(row.ended) + 5, y + 13, _duration(taken), "small"))
    return [*parts, "</g>\n"]


def _short(text: str, most: int) -> str:
    """A text cut to a length, in the middle: both ends of a path say something."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
