"""Hooks that the init runs: createContainer before the pivot, startContainer before the program (config.md, POSIX hooks)."""

from pyoci._shim import lib
from pyoci.plan.ops import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def add(plan: Plan, spec: "dict[str, Any]", name: str, states: dict[str, tuple[bytes, bytes]]) -> None:
    """The ops of all hooks of one kind. `states`: the state document before and behind the pid, which the init fills in."""
    before, behind = states.get(name, (b"", b""))
    for index, hook in enumerate((spec.get("hooks") or {}).get(name) or ()):
        path = hook["path"]
        arguments = [path, *(hook.get("args") or ())]
        # Not the runtime's: the program may be the container's. Nor the container's: it may be the host's (LD_PRELOAD).
        environment = hook.get("env") or []
        counts = len(arguments) << 32 | len(environment)
        plan.add(
            lib.OP_HOOK,
            f"/hooks/{name}/{index}",
            f"{name} hook {path}",
            texts=(arguments, environment, before + behind),
            numbers=(counts, hook.get("timeout") or 0, len(before), len(before) + len(behind)),
        )
