"""Rules for the other documents: the state of a container and the features of a runtime."""

from pyoci.spec.check import HOOKS
from pyoci.spec.problem import Problem, Report
from pyoci.spec.versions import SPECIFICATION, semver_major

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from pyoci.spec.spec_types import Features, State


def state_problems(state: "State") -> list[Problem]:
    """The errors of a state document that its schema accepts (runtime.md, State)."""
    report = Report()
    _version(state["ociVersion"], "/ociVersion", report)
    if not state["id"]:
        report("state-id", "/id", "the id is empty")
    if not state["bundle"].startswith("/"):
        report("state-bundle", "/bundle", "the path of the bundle is not absolute")
    if state["status"] in ("created", "running", "paused") and not state.get("pid"):
        report("state-pid", "/pid", f"a container that is {state['status']} has a process")
    if "" in state.get("annotations", {}):
        report("annotation-empty", "/annotations/", "an annotation has an empty name")
    return report.found


def features_problems(features: "Features") -> list[Problem]:
    """The errors of a features document that its schema accepts (features.md)."""
    report = Report()
    versions = []
    name: Literal["ociVersionMin", "ociVersionMax"]
    for name in ("ociVersionMin", "ociVersionMax"):
        _version(features[name], f"/{name}", report)
        numbers = features[name].partition("-")[0].split(".")
        versions.append([(len(part), part) for part in numbers if part.isdecimal()])
    if versions[0] > versions[1]:
        report("features-versions", "/ociVersionMax", "the newest version is older than the oldest")
    for index, hook in enumerate(features.get("hooks", [])):
        if hook not in HOOKS:
            report(
                "features-hook", f"/hooks/{index}", f'there is no hook "{hook}"', expected=", ".join(HOOKS)
            )
    return report.found


def _version(version: str, at: str, report: Report) -> None:
    if semver_major(version) < 0:
        report(
            "version-format", at, f'"{version}" is not a version', expected=f"SemVer, such as {SPECIFICATION}"
        )
