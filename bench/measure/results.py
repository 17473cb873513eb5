"""Samples, and the figures made of them; pure functions, and the JSON form of everything measured."""

import statistics
from dataclasses import dataclass, field
from typing import Any

from .rows import BY_KEY, ROWS, Row


@dataclass
class Series:
    """The samples of one row and one runtime, in the unit of the row; CPU times in ms where there are any."""

    values: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Figures:
    """The summary of a series."""

    minimum: float
    median: float
    cpu: float | None
    samples: int


@dataclass(frozen=True)
class Mark:
    """How the subject meets one target: the two ratios (or values) and whether both are low enough."""

    peer: str
    minimum: float
    median: float
    target: float

    @property
    def met(self) -> bool:
        """Both are at most the target, as they are printed: rounded to hundredths."""
        return round(self.minimum, 2) <= self.target and round(self.median, 2) <= self.target


@dataclass
class Results:
    """Everything that one run of the benchmark found.

    `subject` is the runtime that the targets are for; `failures` and `notes` map "row or case: runtime" to
    a text.
    """

    subject: str
    runtimes: dict[str, str]
    facts: dict[str, str]
    series: dict[str, dict[str, Series]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, key: str, runtime: str, value: float, cpu: float | None = None) -> None:
        """Add one sample to the row KEY."""
        series = self.series.setdefault(BY_KEY[key].key, {}).setdefault(runtime, Series())
        series.values.append(value)
        if cpu is not None:
            series.cpu.append(cpu)

    def figures(self, row: Row, runtime: str) -> Figures | None:
        """The summary of a row for a runtime; None if there is nothing."""
        if row.quotient:
            upper, lower = (self.figures(BY_KEY[key], runtime) for key in row.quotient)
            if upper is None or lower is None:
                return None
            samples = min(upper.samples, lower.samples)
            return Figures(upper.minimum / lower.minimum, upper.median / lower.median, None, samples)
        series = self.series.get(row.key, {}).get(runtime)
        if series is None or not series.values:
            return None
        cpu = statistics.median(series.cpu) if series.cpu else None
        return Figures(min(series.values), statistics.median(series.values), cpu, len(series.values))

    def ratio(self, row: Row, peer: str) -> tuple[float, float] | None:
        """Subject to peer: of the minimum and of the median."""
        ours, theirs = self.figures(row, self.subject), self.figures(row, peer)
        if ours is None or theirs is None or not theirs.minimum or not theirs.median:
            return None
        return ours.minimum / theirs.minimum, ours.median / theirs.median

    def marks(self, row: Row) -> list[Mark]:
        """How the subject meets the targets of a row; those without figures are left out."""
        found = []
        for peer, target in row.targets.items():
            ratio = self.ratio(row, peer) if peer != self.subject else None
            if ratio:
                found.append(Mark(peer, *ratio, target))
        ours = self.figures(row, self.subject)
        if row.limit is not None and ours is not None:
            found.append(Mark("itself", ours.minimum, ours.median, row.limit))
        return found

    def to_json(self) -> dict[str, Any]:
        """All of it, samples too, in plain types."""
        return {
            "subject": self.subject,
            "runtimes": self.runtimes,
            "facts": self.facts,
            "rows": [self._row_json(row) for row in ROWS if self._has(row)],
            "failures": self.failures,
            "notes": self.notes,
        }

    def _has(self, row: Row) -> bool:
        return any(self.figures(row, runtime) for runtime in self.runtimes)

    def _row_json(self, row: Row) -> dict[str, Any]:
        found: dict[str, Any] = {"key": row.key, "title": row.title, "unit": row.unit, "runtimes": {}}
        for runtime in self.runtimes:
            figures = self.figures(row, runtime)
            if figures is None:
                continue
            told: dict[str, Any] = {
                "minimum": figures.minimum,
                "median": figures.median,
                "samples": figures.samples,
            }
            if figures.cpu is not None:
                told["cpu"] = figures.cpu
            series = self.series.get(row.key, {}).get(runtime)
            if series:
                told["values"], told["cpus"] = series.values, series.cpu
            found["runtimes"][runtime] = told
        found["marks"] = [
            {"peer": m.peer, "minimum": m.minimum, "median": m.median, "target": m.target, "met": m.met}
            for m in self.marks(row)
        ]
        return found

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> "Results":
        """The results of an earlier run; rows that are not known any more are left out."""
        results = cls(told["subject"], told["runtimes"], told["facts"])
        results.failures, results.notes = told["failures"], told["notes"]
        for row in told["rows"]:
            if row["key"] in BY_KEY and not BY_KEY[row["key"]].quotient:
                results.series[row["key"]] = {
                    name: Series(found["values"], found["cpus"]) for name, found in row["runtimes"].items()
                }
        return results
