"""`pyoci plan`: what would be mounted, dropped, written, in which order, and which property asked for it."""

from __future__ import annotations

import json
import os
import stat
from typing import Any

from pyoci import cgroups
from pyoci._shim import lib
from pyoci.base import files
from pyoci.base.errors import OciError
from pyoci.plan import compiler, failure
from pyoci.plan import namespaces as namespace_ops
from pyoci.plan.facts import Facts, filter_of
from pyoci.plan.ops import Op, Plan
from pyoci.spec import bundle as bundles
from pyoci.spec import capabilities, mount_options, namespaces

_REGISTERS = {
    lib.REG_ROOT: "root",
    lib.REG_PROC: "proc",
    lib.REG_MOUNT: "mount",
    lib.REG_TARGET: "target",
    lib.REG_NULL: "null",
    lib.REG_MASK: "mask",
    lib.REG_CGROUP: "cgroup",
    lib.REG_PROCFS: "procfs",
    lib.REG_SYSFS: "sysfs",
}
_FLAGS = {
    lib.OPF_RECURSIVE: "recursive",
    lib.OPF_EARLY: "early",
    lib.OPF_RAISE: "raise",
    lib.OPF_NO_GROUPS: "no groups",
    lib.OPF_JOINED: "joined",
    lib.OPF_NO_SYMLINKS: "no symlinks",
    lib.OPF_OPTIONAL: "optional",
    lib.OPF_SHARED: "shared",
}


def show(bundle: str, fmt: str) -> int:
    """Print the plan of a bundle as text or JSON. Raises OciError where `create` would for the same configuration."""
    loaded = bundles.load(bundle)
    plans = compile_bundle(loaded)
    if fmt == "json":
        document = {
            name: [_as_json(index, op) for index, op in enumerate(plan.ops)] for name, plan in plans.items()
        }
        files.out(json.dumps({"bundle": loaded.path, "plans": document}, indent=2) + "\n")
    else:
        files.out("".join(_as_text(loaded, plans)))
    return 0


def compile_bundle(loaded: bundles.Bundle) -> dict[str, Plan]:
    """The plans of a bundle for this host, by name. Nothing is made, opened or changed for it."""
    facts = Facts(loaded.rootfs, os.path.basename(loaded.path) or "container")
    user = namespaces.has(loaded.spec, "user")
    facts.open_sources = user and namespaces.has(loaded.spec, "mount") and os.geteuid() == 0
    facts.capabilities = capabilities.ALL if user else capabilities.all_of_kernel()
    try:
        facts.cgroup = cgroups.manager(loaded.spec, facts.id).mount_facts()
    except OciError:
        facts.cgroup = (
            None  # a host without cgroups, or a path of another manager's form: the rest can still be shown
        )
    facts.kcore = os.path.exists("/proc/kcore")
    facts.seccomp = filter_of(loaded.spec)
    compiled = compiler.compile_container(loaded.spec, facts)
    return {"early": namespace_ops.early(loaded.spec), "prepare": compiled.prepare, "finish": compiled.finish}


def _as_text(loaded: bundles.Bundle, plans: dict[str, Plan]) -> list[str]:
    birth = namespaces.birth(loaded.spec)
    rows = [f"bundle {loaded.path}\n"]
    born = [name for name, flag in namespaces.FLAGS.items() if birth.born & flag]
    if born and not birth.forks:
        rows.append(f"born in new namespaces: {', '.join(born)}\n")
    for name, plan in plans.items():
        rows.append(f"\n{name}\n")
        for index, op in enumerate(plan.ops):
            line = f"{index:4}  {failure.op_name(op.code):<17} {op.about}"
            detail = _detail(op)
            if detail:
                line += f"  [{detail}]"
            rows.append(f"{line:<100}  {op.pointer}".rstrip() + "\n")
        rows += _hooks_between(loaded.spec, name)
    return rows


def _hooks_between(spec: dict[str, Any], name: str) -> list[str]:
    if name != "prepare":
        return []
    return [
        f"      {kind} hook {hook['path']}  /hooks/{kind}/{index}\n"
        for kind in ("prestart", "createRuntime")
        for index, hook in enumerate((spec.get("hooks") or {}).get(kind) or [])
    ]


def _detail(op: Op) -> str:
    words = [word for flag, word in _FLAGS.items() if op.flags & flag]
    if op.code == lib.OP_MOUNT_NEW:
        words += [str(item) for item in op.texts[2]]
        words += _attributes(op.numbers[0])
    elif op.code == lib.OP_MOUNT_ATTR:
        words += _attributes(op.numbers[0]) + [
            f"not {word}" for word in _attributes(op.numbers[1] & ~mount_options.ATIME_MASK)
        ]
        words += _propagation(op.numbers[2])
    elif op.code in (lib.OP_BOUNDING, lib.OP_CAPABILITIES):
        words.append(_capabilities(op))
    elif op.code == lib.OP_MKNOD:
        words.append(stat.filemode(op.numbers[0]))
    elif op.code == lib.OP_PROC_WRITE:
        words.append(f"{op.texts[1]!s}")
    elif op.code in (lib.OP_HOST_PROPAGATION, lib.OP_ROOT_PROPAGATION):
        words += _propagation(op.numbers[0])
    return ", ".join(words)


def _attributes(bits: int) -> list[str]:
    return [word for word, (added, _) in mount_options.ATTRIBUTES.items() if bits & added]


def _propagation(bits: int) -> list[str]:
    return [word for word, flag in mount_options.PROPAGATION.items() if bits == flag]


def _capabilities(op: Op) -> str:
    if op.code == lib.OP_BOUNDING:
        return " ".join(capabilities.names(op.numbers[0] & capabilities.all_of_kernel())) or "none"
    kinds = ("effective", "permitted", "inheritable", "ambient")
    known = capabilities.all_of_kernel()
    return "; ".join(
        [
            f"{kind}: {' '.join(capabilities.names(bits & known)) or 'none'}"
            for kind, bits in zip(kinds, op.numbers, strict=True)
        ]
    )


def _as_json(index: int, op: Op) -> dict[str, Any]:
    texts = [text if not isinstance(text, bytes) else {"bytes": len(text)} for text in op.texts]
    found: dict[str, Any] = {
        "index": index,
        "op": failure.op_name(op.code),
        "about": op.about,
        "pointer": op.pointer,
    }
    found["flags"] = [word for flag, word in _FLAGS.items() if op.flags & flag]
    for key, register in (("fd", op.fd), ("fd2", op.fd2)):
        if register:
            found[key] = _REGISTERS.get(register, f"passed {register - lib.REG_PASSED}")
    found["texts"], found["numbers"] = texts, list(op.numbers)
    return found
