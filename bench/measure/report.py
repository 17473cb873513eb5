"""The results as tables of text."""

import textwrap

from .results import Figures, Results
from .rows import ROWS, Row


def number(value: float, unit: str) -> str:
    """VALUE as it is printed: milliseconds and quotients with two digits, the rest whole with separators."""
    return f"{value:.2f}" if unit in ("ms", "x") else f"{value:,.0f}"


def cell(figures: Figures | None, row: Row) -> str:
    """Minimum and median, or one figure where they are the same."""
    if figures is None:
        return "-"
    low, middle = number(figures.minimum, row.unit), number(figures.median, row.unit)
    return low if low == middle else f"{low} / {middle}"


def pair(ratio: tuple[float, float] | None) -> str:
    """The ratio of the minimum and of the median, or one where they are the same."""
    if ratio is None:
        return "-"
    low, middle = f"{ratio[0]:.2f}", f"{ratio[1]:.2f}"
    return low if low == middle else f"{low} / {middle}"


def grid(lines: list[list[str]]) -> str:
    """A Markdown table, aligned so that it reads as plain text: the first line is the head."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in [lines[0], rule, *lines[1:]]
    )


def _rows(results: Results) -> list[Row]:
    return [row for row in ROWS if any(results.figures(row, runtime) for runtime in results.runtimes)]


def figures_table(results: Results) -> str:
    """Every row: the runtimes' figures, and the subject's ratios to the others."""
    peers = [runtime for runtime in results.runtimes if runtime != results.subject]
    lines = [["min / median", "unit", *results.runtimes, *(f"to {peer}" for peer in peers)]]
    for row in _rows(results):
        figures = [cell(results.figures(row, runtime), row) for runtime in results.runtimes]
        ratios = ["" if row.quotient else pair(results.ratio(row, peer)) for peer in peers]
        lines.append([row.title, row.unit, *figures, *ratios])
    return grid(lines)


def cpu_table(results: Results) -> str:
    """The median CPU time, user and system with the children waited for, of the rows that have one, in ms."""
    lines = [["CPU time, median", *results.runtimes]]
    for row in _rows(results):
        all_figures = [results.figures(row, runtime) for runtime in results.runtimes]
        times = ["-" if found is None or found.cpu is None else f"{found.cpu:.2f}" for found in all_figures]
        if set(times) != {"-"}:
            lines.append([row.title, *times])
    return grid(lines)


def targets_table(results: Results) -> str:
    """Every target and whether it is met; a target without figures is missing, which is not met either."""
    lines = [["case", "ratio to", "min / median", "target", "mark"]]
    for row in ROWS:
        marks = {mark.peer: mark for mark in results.marks(row)}
        wanted = dict(row.targets) | ({"itself": row.limit} if row.limit is not None else {})
        for peer, target in wanted.items():
            mark = marks.get(peer)
            told = pair((mark.minimum, mark.median)) if mark else "-"
            verdict = "not measured" if mark is None else "met" if mark.met else "MISSED"
            lines.append([row.title, peer, told, f"<= {target:g}", verdict])
    return grid(lines)


def missed(results: Results) -> list[str]:
    """The titles of the measured rows that miss a target."""
    return [row.title for row in ROWS if any(not mark.met for mark in results.marks(row))]


def text(results: Results) -> str:
    """The whole report."""
    parts = ["\n".join(f"{name}: {value}" for name, value in {**results.facts, **results.runtimes}.items())]
    parts.append(figures_table(results))
    if any(series.cpu for row in results.series.values() for series in row.values()):
        parts.append(cpu_table(results))
    if results.subject not in ("crun", "runc"):
        parts.append(
            f"Targets of {results.subject}: ratio of the minimum and of the median, both have to be met:"
        )
        parts.append(targets_table(results))
    for title, lines in (("Notes", results.notes), ("Failures", results.failures)):
        if lines:
            told = [textwrap.shorten(line, 600) for line in lines]
            parts.append("\n".join([f"{title}:", *(f"* {line}" for line in told)]))
    return "\n\n".join(parts)
