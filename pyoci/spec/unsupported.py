"""What the specification or another runtime has and this version cannot run: the one list of it.

`validate` reports it, and create, run and exec refuse it before anything is made: better no container than one without what
was asked for. To support something is to take it off this list.
"""

from pyoci.spec.problem import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Spec

SECCOMP_ACTIONS = ("SCMP_ACT_NOTIFY",)
_HINT = "remove it, or use a runtime that has it"


def config(spec: "Spec", report: Report) -> None:
    """What a config.json asks for that cannot be had."""
    linux = spec.get("linux", {})
    rules = linux["seccomp"].get("syscalls", []) if "seccomp" in linux else []
    for index, rule in enumerate(rules):
        if rule["action"] in SECCOMP_ACTIONS:
            _report(report, f"/linux/seccomp/syscalls/{index}/action", f"the seccomp action {rule['action']}")


def _report(report: Report, at: str, what: str) -> None:
    report("unsupported", at, f"{what} is not supported by this version of pyoci", hint=_HINT)
