"""The picture of the results: one small panel per case, one bar per runtime."""

from pathlib import Path
from typing import Any

from .report import number
from .results import Results
from .rows import BY_KEY, Row

PANELS = [
    "run",
    "podman-warm",
    "sequence",
    "exec",
    "state",
    "mounts",
    "parallel",
    "created-rss",
    "memory-limit",
]
COLOURS = ["#1f6feb", "#8c959f", "#d0a215", "#2da44e", "#a475f9"]
COLUMNS = 3


def draw(results: Results, file: Path) -> bool:
    """Write the picture, an SVG. False where matplotlib is not installed or there is nothing to draw."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "pyoci"  # the same results make the same file
    from matplotlib import pyplot

    rows = [
        BY_KEY[key] for key in PANELS if any(results.figures(BY_KEY[key], name) for name in results.runtimes)
    ]
    if not rows:
        return False
    lines = -(-len(rows) // COLUMNS)
    height = 0.7 + lines * (0.75 + 0.3 * len(results.runtimes))
    figure, grid = pyplot.subplots(lines, COLUMNS, figsize=(11, height), squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place < len(rows):
            _panel(axes, results, rows[place])
        else:
            axes.axis("off")
    facts = results.facts
    figure.suptitle("Minimum (bar) and median (line) of interleaved runs; shorter is better", fontsize=11)
    figure.text(
        0.01,
        0.01,
        f"{facts['date'][:10]}; {facts['machine']}; {facts['kernel']}",
        fontsize=7,
        color="#57606a",
    )
    figure.tight_layout(rect=(0, 0.03, 1, 0.98))
    figure.savefig(file, format="svg", facecolor="white", metadata={"Date": None})
    pyplot.close(figure)
    _strip(file)
    return True


def _strip(file: Path) -> None:
    """Remove the blanks that matplotlib leaves at the ends of lines: what is kept in git has none."""
    lines = file.read_text().splitlines()
    file.write_text("".join(f"{line.rstrip()}\n" for line in lines))


def _panel(axes: Any, results: Results, row: Row) -> None:
    names = [name for name in results.runtimes if results.figures(row, name)]
    colours = dict(zip(results.runtimes, COLOURS * len(results.runtimes), strict=False))
    widest = 0.0
    for place, name in enumerate(names):
        figures = results.figures(row, name)
        if figures is None:
            continue
        axes.barh(place, figures.minimum, color=colours[name], height=0.62)
        axes.plot([figures.median] * 2, [place - 0.31, place + 0.31], color="#24292f", linewidth=1.2)
        end = max(figures.minimum, figures.median)
        told, beside = number(figures.minimum, row.unit), {"xytext": (4, 0), "textcoords": "offset points"}
        axes.annotate(told, (end, place), **beside, va="center", fontsize=8)
        widest = max(widest, end)
    axes.set_xlim(0, widest * 1.25)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.invert_yaxis()
    axes.set_title(f"{row.title} ({row.unit})", fontsize=9, loc="left")
    axes.tick_params(axis="x", labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
