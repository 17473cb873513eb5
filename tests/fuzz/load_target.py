"""What the fuzzers of the front half call: bytes of a config.json in, and only a proper error may come out."""

from __future__ import annotations

import os
from typing import Any

from pyoci.base.errors import OciError
from pyoci.plan import compiler
from pyoci.plan import namespaces as namespace_ops
from pyoci.plan.facts import Facts
from pyoci.spec import check, documents, fast, namespaces
from pyoci.validate import explain, schema


def load(raw: bytes) -> Any:
    """The checked spec, as `create` gets it from a bundle. Raises the OciError that is told where it is refused."""
    spec = fast.load(raw)
    if spec is None:
        raise explain.refusal(raw, "config.json")
    problems = check.problems(spec, first=True, rootless=os.geteuid() != 0)
    documents.raise_first("config.json", problems)
    return spec


def load_and_compile(raw: bytes) -> str:
    """Load, check, compile and encode, as `create` does it without touching the machine.

    Returns "refused" or "compiled". Raises whatever should not come out, AssertionError among it.
    """
    report = explain.examine(raw, "config.json")
    try:
        spec = load(raw)
    except OciError as error:
        assert report.count("error"), f"refused, and the full check finds nothing: {error.text()}"
        assert error.code != "config-invalid", error.text()
        assert "\n" not in error.message.split("; ")[0][:80] or error.code, error.message
        error.fields()
        return "refused"
    assert not report.count("error"), f"accepted, and the full check refuses it: {report.findings[0].problem}"
    assert schema.accepts(spec, "config"), "accepted, and the schema refuses it"
    facts = Facts("/bundle/rootfs", "fuzz")
    try:
        namespace_ops.early(spec, namespaces.sort(spec)).encode()
        plans = compiler.compile_container(spec, facts)
        plans.prepare.encode(timed=True)
        plans.finish.encode()
    except OciError as error:
        assert error.text() and error.fields()
        return "refused"
    return "compiled"
