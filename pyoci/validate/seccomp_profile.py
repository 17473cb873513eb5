"""A seccomp profile from a file: linux.seccomp alone, that of a config.json, or a profile in docker's form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, cast

from pyoci.base.errors import OciError
from pyoci.seccomp import docker
from pyoci.spec.fast import drop_nulls
from pyoci.spec.problem import Problem
from pyoci.spec.versions import SPECIFICATION
from pyoci.validate import command, positions
from pyoci.validate.explain import Finding, examine, first_of, placed

if TYPE_CHECKING:
    from pyoci.spec.spec_types import Seccomp

_POINTER = "/linux/seccomp"
_CONFIG = ("ociVersion", "linux", "process", "root")  # members that tell a config.json


class ProfileFile(NamedTuple):
    """A profile without problems.

    name     of its file for messages
    pointer  of the profile in the file
    seccomp  the profile; None where a config.json has none
    """

    name: str
    pointer: str
    seccomp: Seccomp | None


def load(target: str, capabilities: list[str]) -> ProfileFile:
    """Read a profile.

    target        a file, a bundle's directory, or "-" for standard input
    capabilities  of the container: a profile in docker's form has rules for some of them
    Raises OciError with the pointer of what is wrong, as `validate` has it.
    """
    data, name, _ = command.read(target, "config")
    errors = examine(data, name).errors()
    value = _object(data, name, errors)
    if any(member in value for member in _CONFIG):
        _refuse([finding for finding in errors if finding.problem.pointer.startswith(_POINTER)], name)
        linux = value.get("linux")
        drop_nulls(linux)
        seccomp = linux.get("seccomp") if isinstance(linux, dict) else None
        return ProfileFile(name, _POINTER, cast("Seccomp | None", seccomp))
    if "defaultAction" not in value and "syscalls" not in value:
        hint = "name linux.seccomp of a config.json, a config.json, a bundle, or a profile in docker's form"
        raise OciError("seccomp-profile", f"{name} is no seccomp profile", obj=name, hint=hint)
    _refuse(_placed(_problems(docker.common(value)) + docker.problems(value), data), name)
    seccomp = docker.resolve(value, capabilities)
    drop_nulls(seccomp)
    return ProfileFile(name, "", cast("Seccomp", seccomp))


def _object(data: bytes, name: str, errors: list[Finding]) -> docker.Object:
    """The object of a JSON text. Raises OciError."""
    _refuse([finding for finding in errors if finding.problem.code.startswith("json-")], name)
    value = json.loads(data)
    if not isinstance(value, dict):
        raise OciError("seccomp-profile", f"{name} is no seccomp profile: it is no JSON object", obj=name)
    return value


def _problems(profile: docker.Object) -> list[Problem]:
    """The errors of linux.seccomp alone, with pointers from there."""
    config = {"ociVersion": SPECIFICATION, "linux": {"seccomp": profile}}
    found = []
    for problem, *_ in examine(json.dumps(config).encode(), "").errors():
        if problem.pointer.startswith(_POINTER):
            problem.pointer = problem.pointer.removeprefix(_POINTER)
            found.append(problem)
    return found


def _placed(problems: list[Problem], data: bytes) -> list[Finding]:
    """The problems with their places in the file, in its order."""
    findings = placed(positions.Text(positions.decode(data)[0]), problems)
    return sorted(findings, key=lambda finding: (finding.line, finding.column))


def _refuse(findings: list[Finding], name: str) -> None:
    """Raise OciError for the first problem, if there is any."""
    if findings:
        raise first_of(findings, name)
