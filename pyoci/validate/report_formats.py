"""The forms of a report: text for people, JSON for programs, annotations for GitHub, SARIF for scanners."""

import json
import os
from urllib.parse import quote

from pyoci import __version__
from pyoci.base import printable
from pyoci.validate.explain import SEVERITIES, Finding, Report

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
SARIF_LEVELS = {"error": "error", "warning": "warning", "advice": "note"}
GITHUB_LEVELS = {"error": "error", "warning": "warning", "advice": "notice"}


def text(report: Report) -> str:
    """Every problem with its source line and a mark below it, and the sum."""
    name = printable.line(report.name)
    rows: list[str] = []
    for finding in report.findings:
        rows += _rows(name, finding)
        rows.append("")
    return "\n".join([*rows, f"{name}: {summary(report)}", ""])


def _rows(name: str, finding: Finding) -> list[str]:
    problem = finding.problem
    place = f"{name}:{finding.line}:{finding.column}" if finding.line else name
    where = f"{problem.pointer}: " if problem.pointer else ""
    rows = [f"{place}: {problem.severity}: {where}{printable.line(problem.message)} [{problem.code}]"]
    if finding.source:
        margin = f"{finding.line:>6} | "
        rows.append(margin + printable.line(finding.source))
        rows.append(
            " " * (len(margin) - 2) + "| " + " " * len(printable.line(finding.source[: finding.mark])) + "^"
        )
    if problem.expected:
        rows.append(f"       expected: {printable.line(problem.expected)}")
    if problem.hint:
        rows.append(f"       hint: {printable.line(problem.hint)}")
    return rows


def summary(report: Report) -> str:
    """How many of each: "2 errors, 1 warning", or "no problems"."""
    parts = []
    for severity in SEVERITIES:
        count = report.count(severity)
        plural = "s" if count != 1 and severity != "advice" else ""
        noun = "pieces of advice" if severity == "advice" and count != 1 else "piece of advice"
        if count:
            parts.append(f"{count} {noun if severity == 'advice' else severity + plural}")
    return ", ".join(parts) or "no problems"


def as_json(report: Report) -> str:
    """One JSON object: file, valid, and a list of problems with all their fields."""
    found = {
        "file": report.name,
        "valid": not report.count("error"),
        "problems": [
            {
                "severity": finding.problem.severity,
                "code": finding.problem.code,
                "pointer": finding.problem.pointer,
                "line": finding.line,
                "column": finding.column,
                "message": finding.problem.message,
                "expected": finding.problem.expected,
                "hint": finding.problem.hint,
            }
            for finding in report.findings
        ],
    }
    return json.dumps(found, indent=2) + "\n"


def github(report: Report) -> str:
    """Workflow commands that make GitHub Actions mark the lines."""
    return "".join(_github_row(report.name, finding) for finding in report.findings)


def _github_row(name: str, finding: Finding) -> str:
    problem = finding.problem
    fields = {"file": name, "line": finding.line, "col": finding.column, "title": problem.code}
    head = ",".join(f"{key}={_github(str(value), True)}" for key, value in fields.items() if value)
    return f"::{GITHUB_LEVELS[problem.severity]} {head}::{_github(sentence(finding), False)}\n"


def _github(words: str, is_property: bool) -> str:
    words = words.encode("utf-8", "backslashreplace").decode()  # halves of characters
    for char, escape in (
        ("%", "%25"),
        ("\r", "%0D"),
        ("\n", "%0A"),
        *([(":", "%3A"), (",", "%2C")] * is_property),
    ):
        words = words.replace(char, escape)
    return words


def sentence(finding: Finding) -> str:
    """A problem in one line: pointer, message, what was expected, hint."""
    problem = finding.problem
    where = f"{problem.pointer}: " if problem.pointer else ""
    expected = f"; expected {problem.expected}" if problem.expected else ""
    hint = f"; {problem.hint}" if problem.hint else ""
    return f"{where}{problem.message}{expected}{hint}"


def sarif(report: Report) -> str:
    """A SARIF 2.1.0 log with one run."""
    rules = sorted({finding.problem.code for finding in report.findings})
    run = {
        "tool": {
            "driver": {
                "name": "pyoci validate",
                "version": __version__,
                "rules": [{"id": code} for code in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(report.name, finding, rules) for finding in report.findings],
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def uri(name: str) -> str:
    """The name of a file as a URI reference (RFC 3986): SARIF 2.1.0, section 3.4.3."""
    path = quote(os.fsencode(name), safe="/")
    return f"file://{path}" if path.startswith("/") else path


def _sarif_result(name: str, finding: Finding, rules: list[str]) -> dict[str, object]:
    physical: dict[str, dict[str, str | int]] = {"artifactLocation": {"uri": uri(name)}}
    if finding.line:
        physical["region"] = {"startLine": finding.line, "startColumn": finding.column}
    location: dict[str, object] = {"physicalLocation": physical}
    if finding.problem.pointer:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.problem.pointer}]
    return {
        "ruleId": finding.problem.code,
        "ruleIndex": rules.index(finding.problem.code),
        "level": SARIF_LEVELS[finding.problem.severity],
        "message": {"text": sentence(finding)},
        "locations": [location],
    }


FORMATS = {"text": text, "json": as_json, "github": github, "sarif": sarif}
