"""`pyoci seccomp record`."""

from __future__ import annotations

from pyoci.base.context import Context
from pyoci.cli.parse import Options, usage_error


def run(context: Context, options: Options) -> int:
    """Run a container and write the seccomp profile that it needs."""
    if not options.values.get("output"):
        raise usage_error("seccomp record needs --output", options.command)
    raise usage_error("seccomp record is not there yet", options.command)
