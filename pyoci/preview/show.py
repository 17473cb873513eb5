"""`pyoci plan`: what a create of a bundle does, in order, and which property asks for each step."""

from __future__ import annotations

import json

from pyoci.base import files, printable
from pyoci.base.context import Context
from pyoci.lifecycle.requests import CreateRequest
from pyoci.preview.create import Preview
from pyoci.preview.summary import Line, summary
from pyoci.preview.timeline import Step, timeline


def show(context: Context, request: CreateRequest, *, waits: bool, every_step: bool, as_json: bool) -> int:
    """Print the plan of a bundle. Raises OciError where `create` would for the same bundle.

    waits       as for `create`, else for `run`
    every_step  the ops of the init and what the runtime does itself, else a line for each thing that is asked for
    """
    preview = Preview(context, request, waits=waits)
    found = timeline(preview)
    lines = summary(preview.spec, found)
    if as_json:
        document: dict[str, object] = {"bundle": preview.bundle.path, "id": request.id}
        document["steps" if every_step else "lines"] = [
            each.document() for each in (found if every_step else lines)
        ]
        files.out(json.dumps(document, indent=2) + "\n")
    else:
        files.out(
            f"bundle {printable.line(preview.bundle.path)}\n"
            + (_steps(found) if every_step else _lines(lines))
        )
    return 0


def _steps(found: list[Step]) -> str:
    rows, section = [], ""
    for step in found:
        if step.section != section:
            section = step.section
            rows += ["", printable.line(section)]
        number = step.index if step.op else ""
        detail = step.detail()
        text = f"{number:>4}  {step.name:<20} {step.about}" + (f"  [{detail}]" if detail else "")
        rows.append(printable.line(f"{text:<100}  {step.pointer}".rstrip()))
    return "\n".join(rows) + "\n"


def _lines(lines: list[Line]) -> str:
    width = max(len(line.what) for line in lines)
    rows = [f"{line.what:<{width}}  {line.text}" for line in lines]
    return "".join(
        printable.line(f"{row:<{90}}  {line.pointer}".rstrip()) + "\n"
        for row, line in zip(rows, lines, strict=True)
    )
