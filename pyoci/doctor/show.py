"""The report on paper: a table for people, JSON for programs."""

import json

from pyoci.base.printable import line as clean
from pyoci.doctor.check import NO, Check, Leftover, Report

_WIDTH = 44  # of the column with the names


def as_json(report: Report) -> str:
    """One JSON document."""
    return json.dumps(report.values(), indent=2) + "\n"


def as_text(report: Report) -> str:
    """One line for each check, and after each "no" what it costs and what to do."""
    lines = []
    area = ""
    for check in report.checks:
        if check.area != area:
            area = check.area
            lines += ["", area]
        lines += _check(check)
    lines += ["", "leftovers", *(_leftover(item) for item in report.leftovers)]
    if not report.leftovers:
        lines.append(f"  none in {report.root}")
    return "\n".join([*lines[1:], "", *_summary(report)]) + "\n"


def _check(check: Check) -> list[str]:
    head = f"  {check.result:<7}  {check.name}"
    if check.why:
        head = f"  {check.result:<7}  {check.name:<{_WIDTH}}  {clean(check.why)}"
    details = [(label, text) for label, text in (("costs", check.cost), ("do", check.hint)) if text]
    return [head, *(f"{'':11}{label + ':':<7}{clean(text)}" for label, text in details)]


def _leftover(leftover: Leftover) -> str:
    text = f"  {leftover.kind} {clean(leftover.name)}: {clean(leftover.why)}"
    if leftover.removed:
        return text + " - removed"
    if leftover.failure:
        return f"{text} - can't be removed: {clean(leftover.failure)}"
    return text


def _summary(report: Report) -> list[str]:
    missing = [check.name for check in report.checks if check.fatal]
    lines = [
        "Ordinary containers do not run here: " + ", ".join(missing)
        if missing
        else "Ordinary containers run here."
    ]
    others = sum(check.result == NO and not check.needed for check in report.checks)
    if others:
        lines.append(f"What else is missing ({others}) costs what is said there.")
    if any(not leftover.removed for leftover in report.leftovers):
        lines.append("`pyoci doctor --fix` removes what is left of dead containers.")
    return lines
