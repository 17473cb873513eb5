"""Hooks that the init runs: createContainer before the pivot, startContainer before the program (config.md, POSIX hooks)."""

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.plan.ops import Plan
from pyoci.spec.annotations import HOOK_OUTPUTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import HookName, Spec


def add(plan: Plan, spec: "Spec", name: "HookName", states: dict[str, tuple[bytes, bytes]]) -> None:
    """The ops of all hooks of one kind. `states`: the state document before and after the pid, which the init fills in."""
    before, after = states.get(name, (b"", b""))
    inside = name == "startContainer"
    annotations = spec.get("annotations") or {}
    out, err = lib.REG_NONE, lib.REG_NONE
    if (spec.get("hooks") or {}).get(name):
        out, err = (
            plan.carry("hook-output", key, annotations[key]) if key in annotations else lib.REG_NONE
            for key in HOOK_OUTPUTS
        )
    for index, hook in enumerate(spec.get("hooks", {}).get(name, [])):
        path = hook["path"]
        op = ops.hook(
            path=path,
            args=hook.get("args") or [path],
            # Never the runtime's: the hook may be the container's. A createContainer hook does not get the container's
            # either: it may be the host's (LD_PRELOAD).
            env=hook.get("env") or [],
            before=before,
            after=after,
            timeout=min(hook.get("timeout") or 0, lib.PLAN_MAX_TIMEOUT),
            as_program=inside,
            program_env=inside and "env" not in hook,
            out=out,
            err=err,
        )
        plan.add(op, f"/hooks/{name}/{index}", f"{name} hook {path}")
