"""Docker's form of a seccomp profile, and its default profile.

Beside what linux.seccomp has there are `archMap` and rules that count for some capabilities, architectures and kernels only. An
engine resolves it when it makes a container: a runtime gets what is left. This does the same.
"""

from __future__ import annotations

import errno
import json
import posix
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict, cast

from pyoci.base.suggest import closest
from pyoci.spec.capabilities import NAMES
from pyoci.spec.problem import Problem, Report

if TYPE_CHECKING:
    from pyoci.spec.spec_types import Seccomp

_DEFAULT = Path(__file__).with_name("docker-default.json")
_OWN = ("archMap", "defaultErrno")  # members that linux.seccomp does not have, ...
_OWN_OF_RULES = ("name", "comment", "errno", "includes", "excludes")  # ... and those of a rule
_CONDITIONS = ("arches", "caps", "minKernel")
# a machine in `archMap`, and in the conditions of a rule
_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}

Object = dict[str, object]


class _When(TypedDict, total=False):
    arches: list[str] | None
    caps: list[str] | None
    minKernel: str | None


class Default(NamedTuple):
    """Docker's default profile, resolved for this machine and an ordinary container.

    version       of docker
    capabilities  of an ordinary container
    """

    version: str
    capabilities: list[str]
    seccomp: Seccomp


def default() -> Default:
    """Docker's default profile."""
    content = json.loads(_DEFAULT.read_text("utf-8"))
    capabilities: list[str] = content["capabilities"]
    seccomp = cast("Seccomp", resolve(content["profile"], capabilities))
    return Default(content["version"], capabilities, seccomp)


def _rules(profile: Object) -> list[tuple[int, Object]]:
    """The rules with their indexes, as far as they are objects."""
    rules = profile.get("syscalls")
    return [
        (index, rule)
        for index, rule in enumerate(rules if isinstance(rules, list) else ())
        if isinstance(rule, dict)
    ]


def resolve(profile: Object, capabilities: list[str]) -> Object:
    """The linux.seccomp of a profile without problems, for a container with these capabilities and any kernel of today."""
    left = common(profile)
    machine = posix.uname().machine
    for entry in cast("list[Object]", profile.get("archMap") or []):
        if entry["architecture"] == _ARCHITECTURES.get(machine):
            left["architectures"] = [
                entry["architecture"],
                *cast("list[str]", entry.get("subArchitectures") or []),
            ]
    common_rules = cast("list[Object]", left.get("syscalls", []))
    left["syscalls"] = [
        common_rules[index]
        for index, rule in _rules(profile)
        if _counts(rule, _MACHINES.get(machine, machine), capabilities)
    ]
    return left


def _counts(rule: Object, machine: str, capabilities: list[str]) -> bool:
    """Whether all that a rule includes is so, and nothing that it excludes. The kernel is newer than any that is named."""
    without = cast(_When, rule.get("excludes") or {})
    if machine in (without.get("arches") or ()) or without.get("minKernel"):
        return False
    if any(name in capabilities for name in without.get("caps") or ()):
        return False
    wanted = cast(_When, rule.get("includes") or {})
    if wanted.get("arches") and machine not in (wanted["arches"] or ()):
        return False
    return all(name in capabilities for name in wanted.get("caps") or ())


def common(profile: Object) -> Object:
    """What linux.seccomp has of a profile, each rule at its place."""
    left = {name: value for name, value in profile.items() if name not in _OWN and value is not None}
    if "defaultErrno" in profile and "defaultErrnoRet" not in left:
        left["defaultErrnoRet"] = _error(profile["defaultErrno"])
    if isinstance(profile.get("syscalls"), list):
        rules = cast("list[object]", profile["syscalls"])
        left["syscalls"] = [_common_rule(rule) if isinstance(rule, dict) else rule for rule in rules]
    return left


def _common_rule(rule: Object) -> Object:
    left = {name: value for name, value in rule.items() if name not in _OWN_OF_RULES and value is not None}
    if "name" in rule and "names" not in left:
        left["names"] = [rule["name"]]
    if rule.get("errno") and "errnoRet" not in left:
        left["errnoRet"] = _error(rule["errno"])
    return left


def _error(name: object) -> int:
    """The number of an errno; problems() refuses what has none."""
    number = getattr(errno, name, 0) if isinstance(name, str) else 0
    return number if isinstance(number, int) else 0  # such as errno.errorcode


def problems(profile: Object) -> list[Problem]:
    """What is wrong with the members that linux.seccomp does not have."""
    report = Report()
    if profile.get("archMap") and profile.get("architectures"):
        _wrong(report, "/archMap", "archMap and architectures exclude each other")
    entries = profile.get("archMap") or []
    for index, entry in enumerate(entries if isinstance(entries, list) else [None]):
        if not isinstance(entry, dict) or not isinstance(entry.get("architecture"), str):
            _wrong(
                report,
                f"/archMap/{index}",
                "an entry of archMap has an architecture",
                '{"architecture": ...}',
            )
        elif not _texts(entry.get("subArchitectures")):
            _wrong(report, f"/archMap/{index}/subArchitectures", "subArchitectures is a list of texts")
    if "defaultErrno" in profile and not _error(profile["defaultErrno"]):
        _wrong(report, "/defaultErrno", f"there is no errno {profile['defaultErrno']}")
    for index, rule in _rules(profile):
        at = f"/syscalls/{index}"
        if rule.get("name") and rule.get("names"):
            _wrong(report, f"{at}/name", "name and names exclude each other")
        if rule.get("errno") and not _error(rule["errno"]):
            _wrong(report, f"{at}/errno", f"there is no errno {rule['errno']}")
        for name in ("includes", "excludes"):
            _condition(rule.get(name), f"{at}/{name}", report)
    return report.found


def _wrong(report: Report, at: str, message: str, expected: str = "", hint: str = "") -> None:
    report("seccomp-profile", at, message, expected=expected, hint=hint)


def _texts(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _condition(when: object, at: str, report: Report) -> None:
    """The problems of `includes` and `excludes`: what is not understood would make another rule of it."""
    if not isinstance(when, dict | None):
        _wrong(report, at, "a condition is an object", '{"caps": ["CAP_SYS_ADMIN"]}')
    for name, value in when.items() if isinstance(when, dict) else ():
        if name not in _CONDITIONS:
            _wrong(
                report,
                f"{at}/{name}",
                f'there is no condition "{name}"',
                ", ".join(_CONDITIONS),
                _near(name, _CONDITIONS),
            )
        elif name == "minKernel" and not isinstance(value, str | None):
            _wrong(report, f"{at}/{name}", "the version of a kernel is a text", '"5.10"')
        elif name != "minKernel" and not _texts(value):
            _wrong(report, f"{at}/{name}", f"{name} is a list of texts")
        elif name == "caps":
            for index, capability in enumerate(value or ()):
                if capability not in NAMES:
                    message = f'there is no capability "{capability}"'
                    _wrong(report, f"{at}/caps/{index}", message, hint=_near(capability, NAMES))


def _near(word: str, words: tuple[str, ...]) -> str:
    near = closest(word, words)
    return f"did you mean {near}?" if near else ""
