"""`pyoci validate`."""

from pyoci.base.context import Context
from pyoci.cli.parse import Options, usage_error


def run(context: Context, options: Options) -> int:
    """Show every problem of a configuration, a state or a features document; 1 when there is an error."""
    from pyoci.validate.command import validate

    values = options.values
    if values.get("state") and values.get("features"):
        raise usage_error("use either --state or --features, not both", options.command)
    kind = "state" if values.get("state") else "features" if values.get("features") else "config"
    target = options.args[0] if options.args else "."
    return validate(target, kind=kind, fmt=values.get("format", "text"), strict=values.get("strict", False))
