"""`pyoci plan`: what would be mounted, dropped, written, in which order, and which property asked for it."""

from __future__ import annotations

import json
import os

from pyoci import cgroups
from pyoci.base import files
from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.cgroups.base import Manager
from pyoci.lifecycle import facts
from pyoci.plan import compiler
from pyoci.plan import namespaces as namespace_ops
from pyoci.plan.ops import Plan
from pyoci.preview import steps
from pyoci.spec import bundle as bundles
from pyoci.spec import namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def show(context: Context, bundle: str, fmt: str) -> int:
    """Print the plan of a bundle as text or JSON. Raises OciError where `create` would for the same configuration."""
    loaded = bundles.load(bundle)
    loaded.check()
    plans = compile_bundle(context, loaded)
    if fmt == "json":
        document = {
            name: [steps.document(index, op) for index, op in enumerate(plan.ops)]
            for name, plan in plans.items()
        }
        files.out(json.dumps({"bundle": loaded.path, "plans": document}, indent=2) + "\n")
    else:
        files.out("".join(_as_text(loaded, plans)))
    return 0


def compile_bundle(context: Context, loaded: bundles.Bundle) -> dict[str, Plan]:
    """The plans of a bundle for this host, by name. Nothing is made, opened or changed for it."""
    id = os.path.basename(loaded.path) or "container"
    manager: Manager | None = None
    try:
        manager = cgroups.manager(loaded.spec, id)
    except OciError:
        pass  # a host without cgroups, or a path of another manager's form: the rest can still be shown
    gathered = facts.gather(loaded.spec, id, loaded.rootfs, context.spans, manager=manager)
    compiled = compiler.compile_container(loaded.spec, gathered)
    early = namespace_ops.early(loaded.spec, namespaces.sort(loaded.spec))
    return {"early": early, "prepare": compiled.prepare, "finish": compiled.finish}


def _as_text(loaded: bundles.Bundle, plans: dict[str, Plan]) -> list[str]:
    sorted_ = namespaces.sort(loaded.spec)
    rows = [f"bundle {loaded.path}\n"]
    born = [name for name, flag in namespaces.FLAGS.items() if sorted_.clone_flags & flag]
    if born and not sorted_.forks:
        rows.append(f"born in new namespaces: {', '.join(born)}\n")
    for name, plan in plans.items():
        rows.append(f"\n{name}\n")
        for index, op in enumerate(plan.ops):
            detail = steps.words(op)
            line = f"{index:4}  {op.name:<20} {op.about}" + (f"  [{detail}]" if detail else "")
            rows.append(f"{line:<100}  {op.pointer}".rstrip() + "\n")
        rows += _hooks_between(loaded.spec, name)
    return rows


def _hooks_between(spec: Any, name: str) -> list[str]:
    if name != "prepare":
        return []
    hooks = spec.get("hooks", {})
    return [
        f"      {kind} hook {hook['path']}  /hooks/{kind}/{index}\n"
        for kind, listed in (
            ("prestart", hooks.get("prestart")),
            ("createRuntime", hooks.get("createRuntime")),
        )
        for index, hook in enumerate(listed or [])
    ]
