"""`pyoci seccomp record`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from pyoci.base import files, jsontext, termination
from pyoci.base.context import Context
from pyoci.base.errors import OciError, from_os_error
from pyoci.cli import request as requests
from pyoci.cli.parse import Options, usage_error
from pyoci.lifecycle.run import run_container
from pyoci.seccomp import record
from pyoci.spec import documents
from pyoci.validate import seccomp_profile

if TYPE_CHECKING:
    from pyoci.spec.spec_types import Seccomp


def run(context: Context, options: Options) -> int:
    """Run a container and write the profile that it needs; its status is ours, and there is a profile whatever it is."""
    values, (bundle, *command) = options.values, options.args
    output = values.get("output", "")
    if not output:
        raise usage_error("seccomp record needs --output", options.command)
    if not os.path.isdir(os.path.dirname(output) or "."):
        raise OciError("seccomp-record", f"cannot write {output}: its directory is missing", obj=output)
    if os.path.isdir(output):
        raise OciError("seccomp-record", f"cannot write {output}: it is a directory", obj=output)
    older = _older(values["merge"]) if "merge" in values else None
    request = requests.new(options.settings, values.get("id", f"record-{os.getpid()}"), bundle)
    request.config = values.get("config", request.config)
    if command:
        context.document = _with_command(os.path.join(request.bundle, request.config), command)
    request.supervisor = recorder = record.Recorder()
    termination.catch()
    try:
        return run_container(context, request)
    finally:
        recorder.finish()
        if recorder.began:
            _write(context, recorder, output, older)


def _with_command(path: str, command: list[str]) -> bytes:
    """A configuration with another process.args. What is wrong with it is told by who runs it. Raises OciError."""
    raw = documents.read_document(
        "config-file", f"configuration {path}", path, missing="make one with `pyoci spec`"
    )
    try:
        config = jsontext.loads(raw, unique=True)
        config["process"]["args"] = command
    except (ValueError, TypeError, KeyError, jsontext.ManyMembers):
        return raw
    return json.dumps(config).encode()


def _older(path: str) -> Seccomp:
    """The profile to be joined. Raises OciError for one that can't be."""
    file = seccomp_profile.load(path, [])
    return record.check_older(file.seccomp, file.name, file.pointer)


def _write(context: Context, recorder: record.Recorder, output: str, older: Seccomp | None) -> None:
    """Raises OciError; what was there before is then as it was."""
    if recorder.lost:
        hint = "run it again"
        raise OciError(
            "seccomp-record", "what was recorded is lost: the process that had it was killed", hint=hint
        )
    recorder.report(context.log)
    profile = recorder.profile()
    if older:
        profile = record.joined(profile, older)
    try:
        files.replace(output, json.dumps(profile, indent=2).encode() + b"\n", 0o644)
    except OSError as error:
        raise from_os_error("seccomp-record", f"cannot write {output}", error, obj=output) from None
    files.err(f"pyoci: seccomp record: {output} allows {len(profile['syscalls'][0]['names'])} system calls\n")
