"""The report of `pyoci seccomp check`: text for people, JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from pyoci.base import printable
from pyoci.seccomp.check import ALWAYS, NEVER, PASSING, SOMETIMES, Call, Comparison, Profile
from pyoci.seccomp.compiler import alternatives
from pyoci.seccomp.risks import RISKS
from pyoci.spec.seccomp_words import ARCHITECTURE, OPERATORS

if TYPE_CHECKING:
    from pyoci.spec.spec_types import SyscallArg

# how each is written here; SCMP_CMP_MASKED_EQ, the last, has a form of its own
_SIGNS = dict(zip(OPERATORS, ("!=", "<", "<=", "==", ">=", ">"), strict=False))
# what it means that these let a system call pass
_DECIDED = {"SCMP_ACT_LOG": "and logged", "SCMP_ACT_TRACE": "by a tracer", "SCMP_ACT_NOTIFY": "by an agent"}
_SMALL = 10  # numbers below it are shown in decimal


class Report(NamedTuple):
    """A comparison, and all that it takes to show it.

    name          of the profile's file
    like, title   what it was compared with, in a word and as it is called
    profile, base  both with their filters
    """

    name: str
    like: str
    title: str
    profile: Profile
    base: Profile
    comparison: Comparison

    def is_beyond(self) -> bool:
        """Whether the profile allows anything that the baseline does not."""
        return bool(self.comparison.beyond) or self.comparison.looser


def as_text(report: Report, *, verbose: bool) -> str:
    """What is beyond, with the reason to care; how many system calls are less, or (verbose) which."""
    found = report.comparison
    name, title = printable.line(report.name), printable.line(report.title)
    lines = []
    if report.profile.seccomp is None:
        lines += [f"{name} has no seccomp profile: every system call is allowed.", ""]
    if found.beyond:
        lines += [f"Allowed beyond {title}:", "", *_entries(found.beyond, report), ""]
    lines += _remarks(report)
    if found.less and verbose:
        lines += [f"Denied, always or with some arguments, and allowed by {title}:", ""]
        lines += [*_entries(found.less, report, reasons=False), ""]
    elif found.less:
        lines.append(
            f"{_count(found.less)} that {title} allows: denied, always or with some arguments (--verbose names them)."
        )
    beyond = _count(found.beyond) if found.beyond else "more" if found.looser else "nothing"
    return "\n".join([*lines, f"{name}: {beyond} beyond {title}", ""])


def _count(calls: list[Call]) -> str:
    number = len({call.name for call in calls})
    return f"{number} system call{'' if number == 1 else 's'}"


def _entries(calls: list[Call], report: Report, *, reasons: bool = True) -> list[str]:
    """The system calls, those together of which all the same is to be said."""
    entries: dict[tuple[str, str, str], list[str]] = {}
    for call in calls:
        name = printable.line(call.name)
        example = f"for example {name}({', '.join(map(_number, call.example))})" if call.example else ""
        key = (
            f"{_where(call, report)}{_answers(call, report)}",
            example,
            RISKS.get(call.name, "") if reasons else "",
        )
        entries.setdefault(key, []).append(name)
    rows = []
    for (answers, *more), names in entries.items():
        rows += [f"  {', '.join(names)}", *(f"      {text}" for text in (answers, *more) if text)]
    return rows


def _where(call: Call, report: Report) -> str:
    """The architectures, where they are not all that both have."""
    if not call.architectures:
        return ""
    if set(call.architectures) >= set(report.profile.architectures()):
        return ""
    return ", ".join(name.removeprefix(ARCHITECTURE).lower() for name in call.architectures) + ": "


def _answers(call: Call, report: Report) -> str:
    """Both answers in words."""
    if not call.architectures:
        return "allowed by name, which this machine's libseccomp does not know: a newer one does"
    if not call.actions:
        return "more conditions than can be compared"
    decided = " ".join(_DECIDED[action] for action in call.actions if action in _DECIDED)
    own = conditions(report.profile, call.name, call.profile) + (
        f" {decided}" if decided and call.profile != NEVER else ""
    )
    other = conditions(report.base, call.name, call.base)
    return f"{own}; {printable.line(report.like)}: {other}"


def conditions(profile: Profile, name: str, when: str) -> str:
    """When a profile allows a system call, in words."""
    if when != SOMETIMES:
        return "allowed" if when == ALWAYS else "denied"
    denies = profile.default() not in PASSING.values()
    groups = [
        group
        for rule in profile.rules(name)
        if (rule["action"] in PASSING.values()) == denies and rule.get("args")
        for group in alternatives(rule["args"])
    ]
    words = " or ".join(" and ".join(_condition(arg) for arg in group) for group in groups)
    if not words:  # such as socketcall(2), of which a rule for socket(2) speaks
        return "allowed with some arguments"
    return f"allowed if {words}" if denies else f"denied if {words}"


def _condition(arg: SyscallArg) -> str:
    argument, value = f"arg{arg['index']}", _number(arg["value"])
    if arg["op"] == "SCMP_CMP_MASKED_EQ":
        return f"{argument} & {value} == {_number(arg.get('valueTwo', 0))}"
    return f"{argument} {_SIGNS[arg['op']]} {value}"


def _number(value: int) -> str:
    return str(value) if value < _SMALL else hex(value)


def _remarks(report: Report) -> list[str]:
    """What the two differ in otherwise."""
    found, like = report.comparison, printable.line(report.like)
    lines = []
    if found.looser:
        action = report.profile.default()
        text = "system calls that no rule names, those of later kernels too, are not denied"
        lines.append(f"Default action {action}: {text}.")
    for names, text in (
        (found.added, f"has rules, and has none in {printable.line(report.title)}"),
        (found.missing, "without rules: a process of this kind is killed at its first system call"),
        (found.foreign, "not compared, as this machine does not run it"),
    ):
        lines += [f"Architecture {name}: {text}." for name in names]
    flags, usual = report.profile.flags(), report.base.flags()
    if flags != usual:
        lines.append(f"Flags: {', '.join(flags) or 'none'}; {like}: {', '.join(usual) or 'none'}.")
    return lines


def as_json(report: Report) -> str:
    """The same for programs."""
    other, found = report.base, report.comparison
    values = {
        "file": report.name,
        "like": report.title,
        "seccomp": report.profile.seccomp is not None,
        "beyond": [_call(call, report, other) for call in found.beyond],
        "less": [_call(call, report, other) for call in found.less],
        "defaultAction": {
            "profile": report.profile.default(),
            "like": other.default(),
            "looser": found.looser,
        },
        "architectures": {"added": found.added, "missing": found.missing, "notCompared": found.foreign},
        "flags": {"profile": report.profile.flags(), "like": other.flags()},
    }
    return json.dumps(values, indent=2) + "\n"


def _call(call: Call, report: Report, other: Profile) -> dict[str, object]:
    return {
        "name": call.name,
        "architectures": list(call.architectures),
        "known": bool(call.architectures),
        "actions": list(call.actions),
        "profile": {"allows": call.profile, "words": conditions(report.profile, call.name, call.profile)},
        "like": {"allows": call.base, "words": conditions(other, call.name, call.base)},
        "example": list(call.example),
        "risk": RISKS.get(call.name, ""),
    }
