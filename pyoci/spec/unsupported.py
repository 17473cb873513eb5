"""What the specification or another runtime has and this version cannot run: the one list of it.

`validate` reports it, and create, run and exec refuse it before anything is made: better no container than one without what
was asked for. To support something is to take it off this list.
"""

from pyoci.spec.json_pointer import escape
from pyoci.spec.problem import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Spec

# crun's: what replaces the seccomp filter, or the agent that it notifies
ANNOTATIONS = ("run.oci.seccomp_bpf_data", "run.oci.seccomp.plugins")
_HINT = "remove it, or use a runtime that has it"


def config(spec: "Spec", report: Report) -> None:
    """What a config.json asks for that cannot be had."""
    annotations = spec.get("annotations") or {}
    for name in ANNOTATIONS:
        if name in annotations:
            _report(report, f"/annotations/{escape(name)}", f"the annotation {name}")


def _report(report: Report, at: str, what: str) -> None:
    report("unsupported", at, f"{what} is not supported by this version of pyoci", hint=_HINT)
