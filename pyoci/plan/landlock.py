"""The rule set of the annotation org.pyoci.landlock -> ops (docs/landlock.md)."""

from pyoci import _ops as ops
from pyoci.base.errors import OciError
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec.landlock import POINTER, TCP, Rules, bits, parse, too_old


def rules(text: str, facts: Facts) -> Rules:
    """The rules, which the kernel can enforce. Raises OciError."""
    found = parse(text)
    why = too_old(found, facts.landlock_abi)
    if why:
        hint = 'use a newer kernel, or write the rules for an older one ("abi"): what that lacks is not restricted then'
        raise OciError("landlock-abi", why, pointer=POINTER, hint=hint)
    return found


def add_ruleset(plan: Plan, found: Rules) -> None:
    """The ruleset, made while there is privilege to reach every path. After the pivot: it is the container's tree that counts."""
    op = ops.landlock_ruleset(paths=found.handled, ports=found.tcp, scoped=found.scope)
    plan.add(op, POINTER, f"Landlock ruleset of ABI {found.abi}")
    for rule in found.paths:
        path_op = ops.landlock_path(
            path=rule.path, rights=rule.rights, file_rights=rule.file_rights, optional=rule.optional
        )
        plan.add(path_op, POINTER, f"Landlock {rule.place} {rule.path}: {' '.join(rule.allow)}")
    for word, port in found.ports:
        plan.add(
            ops.landlock_port(rights=bits([word], TCP), port=port), POINTER, f"Landlock tcp.{word} {port}"
        )


def add_restriction(plan: Plan, found: Rules) -> None:
    """From here on it is in force: what the init still opens itself must come before."""
    plan.add(ops.landlock(flags=found.log), POINTER, "Landlock ruleset in force")
