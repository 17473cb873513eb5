"""Everything that is wrong with a document, with line and column: the slow and thorough side of the check."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from pyoci import _generated
from pyoci.base import jsontext
from pyoci.base.errors import OciError
from pyoci.spec import check
from pyoci.spec.fast import drop_nulls
from pyoci.spec.json_pointer import join
from pyoci.spec.problem import Problem
from pyoci.spec.versions import SPECIFICATION
from pyoci.validate import documents, landlock, positions, repair, schema, warnings

SEVERITIES = ("error", "warning", "advice")
WIDTH = 100  # a source line is shown around the column: engines write the whole file in one line


class Finding(NamedTuple):
    """A problem and its place in the file; line and column are 0 where there is none."""

    problem: Problem
    line: int
    column: int
    source: str  # the part of the line that is shown
    mark: int  # where in `source` the column is, from 0


class Report(NamedTuple):
    """What was found in one document, in the order of the file."""

    name: str
    findings: list[Finding]

    def errors(self) -> list[Finding]:
        """Those for which the document is refused."""
        return [finding for finding in self.findings if finding.problem.severity == "error"]

    def count(self, severity: str) -> int:
        """How many problems of a severity there are."""
        return sum(finding.problem.severity == severity for finding in self.findings)


def examine(
    data: bytes,
    name: str,
    *,
    kind: str = "config",
    systemd: bool = False,
    strict: bool = False,
    bundle: str | None = None,
) -> Report:
    """Find every problem of a document.

    data     the bytes of the file
    name     what the file is called in the report
    kind     "config", "state", "features", "process" or "resources"
    systemd  the cgroups are to be made by systemd
    strict   add the advice of the security review (config only)
    bundle   the bundle's directory, to look at what is around the file too (config only)
    """
    text, encoding = positions.decode(data)
    source = positions.Text(text)
    found = [_finding(source, problem, offset) for problem, offset in encoding]
    if any(problem.code != "json-bom" for problem, _ in encoding):
        return Report(name, found if text else [Finding(found[0].problem, 0, 0, "", 0)])
    faults, depth, deepest_at = positions.faults(text)
    if kind == "config" and not text.strip():
        faults[0][0].hint = "`pyoci spec` makes a config.json"
    found += [_finding(source, problem, offset) for problem, offset in faults]
    if depth > jsontext.DEPTH:
        problem = Problem("json-depth", "", "the document is nested too deeply to be read")
        found.append(_finding(source, problem, deepest_at))
    elif not any(problem.code == "json-syntax" for problem, _ in faults):
        try:
            value = json.loads(text)
        except ValueError as error:  # a number of thousands of digits
            found.append(_finding(source, Problem("json-number", "", str(error).partition(";")[0]), 0))
        else:
            found += placed(source, _judge(value, text, kind, systemd, strict, bundle))
    return Report(name, sorted(found, key=lambda finding: (finding.line, finding.column)))


def _judge(
    value: Any, text: str, kind: str, systemd: bool, strict: bool, bundle: str | None
) -> list[Problem]:
    """Schema, then rules on what the schema leaves standing."""
    found = _schema_problems(value, kind)
    if found:
        nulls = _nulls(value)
        if nulls and drop_nulls(value):
            found = _schema_problems(value, kind) + nulls
    unknown = [problem for problem in schema.unknown(value, kind) if problem.hint or strict]
    for problem in unknown:
        problem.severity = "warning" if problem.hint else "advice"
    broken = [problem for problem in found if problem.severity == "error"]
    return found + unknown + _rules(value, text, broken, kind, systemd, strict, bundle)


def _schema_problems(value: object, kind: str) -> list[Problem]:
    """What the schema says; the quick checker, which agrees with it, knows a thousand times sooner when that is nothing."""
    return [] if getattr(_generated, kind)(value) else schema.problems(value, kind)


def _rules(
    value: Any, text: str, broken: list[Problem], kind: str, systemd: bool, strict: bool, bundle: str | None
) -> list[Problem]:
    """The rules, on what is left of the document when all that breaks its schema is taken out."""
    if not broken:
        return _apply(value, kind, systemd, strict, bundle)
    given: Any = value if kind == "config" and isinstance(value, dict) else {}
    other = check.other_platform(given)
    rest = _repaired(text, broken, kind)
    if rest is None:
        return []
    value, paths, original = rest
    if other:
        value.setdefault(other, {})  # without it the rest would be judged as one for Linux
    namespaces = any(path[:2] == ("linux", "namespaces") for path in paths)
    gone = repair.Places(paths)
    result = []
    for problem in _apply(value, kind, systemd, strict, bundle):
        problem.pointer = original(problem.pointer)
        follows = namespaces and (problem.severity == "advice" or problem.code.endswith("-namespace"))
        if not follows and not gone.touch(problem.pointer):
            result.append(problem)
    return result


def _repaired(
    text: str, broken: list[Problem], kind: str
) -> tuple[Any, set[repair.Path], Callable[[str], str]] | None:
    """The document without what breaks its schema, the places taken out, and the way back for pointers.

    None when nothing worth looking at would be left. What goes may leave its holder incomplete, which then
    has to go as well: hence the loop.
    """
    whole = json.loads(text)
    drop_nulls(whole)
    if not isinstance(whole, dict):
        return None
    required = {"ociVersion": SPECIFICATION} if kind == "config" else {}
    paths: set[repair.Path] = set()
    while True:
        for problem in broken:
            path = repair.resolve(whole, problem.pointer)
            if path is None and problem.pointer.removeprefix("/") not in required:
                return None
            if path:
                paths.add(path)
        value = json.loads(text)
        drop_nulls(value)
        original = repair.remove(value, paths)
        for name, default in required.items():
            value.setdefault(name, default)
        broken = _schema_problems(value, kind)
        if not broken:
            return value, paths, original
        for problem in broken:
            problem.pointer = original(problem.pointer.rpartition("/")[0])


def _apply(value: Any, kind: str, systemd: bool, strict: bool, bundle: str | None) -> list[Problem]:
    """The rules for a document that its schema accepts."""
    if kind == "state":
        return documents.state_problems(value)
    if kind == "features":
        return documents.features_problems(value)
    if kind == "process":
        return check.process_problems(value, first=False)
    if kind == "resources":
        return []  # what the limits exclude depends on those that are in force
    found = config_problems(value, systemd=systemd)
    if check.other_platform(value):
        return found
    if bundle is not None:
        from pyoci.validate.bundle_files import missing_files

        found += missing_files(value, bundle)
    if strict:
        from pyoci.validate.security import review

        found += review(value)
    return found


def config_problems(spec: Any, *, systemd: bool = False) -> list[Problem]:
    """The errors and warnings of a config.json that its schema accepts.

    One for another platform is as it should be, and only its schema is known: that create refuses it is a warning.
    """
    found = check.problems(spec, first=False, systemd=systemd)
    if check.other_platform(spec):
        for problem in found:
            problem.severity = "warning" if problem.code == "wrong-platform" else problem.severity
        return found
    for problem in found:
        if problem.code == "mount-option-bind":
            problem.hint = warnings.option_hint(repair.value(spec, problem.pointer)) or problem.hint
        elif problem.code == "landlock-json":
            landlock.explain_json(problem, repair.value(spec, problem.pointer))
    return found + warnings.find(spec, systemd=systemd)


def _nulls(value: object) -> list[Problem]:
    """A warning for every member with value null."""
    found = []
    waiting = [("", value)]
    while waiting:
        at, node = waiting.pop()
        if isinstance(node, dict):
            for key, item in node.items():
                below = at + join([key])
                if item is None:
                    problem = Problem(
                        "null-member", below, "null counts as missing", "", "remove it", "warning"
                    )
                    found.append(problem)
                waiting.append((below, item))
        elif isinstance(node, list):
            waiting.extend((f"{at}/{index}", item) for index, item in enumerate(node))
    return found


def placed(source: positions.Text, problems: list[Problem]) -> list[Finding]:
    """Look up where the problems are; what is missing is shown at the object that should have it."""
    chains = {problem.pointer: _ancestors(problem.pointer) for problem in problems}
    places = positions.places(source.text, {place for chain in chains.values() for place in chain})
    found = []
    for problem in problems:
        at, (key, value) = next(
            (place, places[place]) for place in chains[problem.pointer] if place in places
        )
        whole_member = at != problem.pointer or problem.code in ("property-unknown", "null-member")
        found.append(_finding(source, problem, key if whole_member else value))
    return found


def _ancestors(at: str) -> list[str]:
    """A pointer and those of all that contain it, the innermost first."""
    found = [at]
    while at:
        at = at.rpartition("/")[0]
        found.append(at)
    return found


def _finding(source: positions.Text, problem: Problem, offset: int) -> Finding:
    line, column = source.place(offset)
    first, last = source.line(line)
    start = max(first, min(offset - WIDTH // 3, last - WIDTH)) if last - first > WIDTH else first
    end = min(start + WIDTH, last)
    head, tail = "..." if start > first else "", "..." if end < last else ""
    return Finding(problem, line, column, head + source.text[start:end] + tail, offset - start + len(head))


def refusal(data: bytes, name: str, *, kind: str = "config", systemd: bool = False) -> OciError:
    """The error with which a document is refused: its first problem in one line, and how many more there are.

    For documents that the quick check or a rule has refused.
    """
    errors = examine(data, name, kind=kind, systemd=systemd).errors()
    if not errors:
        return OciError("internal", f"{name} is refused, but no rule explains why: this is a bug in pyoci")
    return first_of(errors, name, 'run "pyoci validate" to see all')


def first_of(errors: list[Finding], name: str, more_hint: str = "") -> OciError:
    """The first error in one line, and how many more there are; `more_hint` says how to see these."""
    problem, line, column = errors[0][:3]
    place = f"{name}:{line}:{column}" if line else name
    where = f"{problem.pointer}: " if problem.pointer else ""
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    hints = [problem.hint, f"expected {problem.expected}" if problem.expected else ""]
    if more:
        hints.append(more_hint)
    return OciError(
        problem.code,
        f"{place}: {where}{problem.message}{more}",
        pointer=problem.pointer,
        obj=name,
        hint="; ".join(hint for hint in hints if hint),
    )
