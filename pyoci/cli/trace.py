"""`pyoci trace`."""

from pyoci.base.context import Context
from pyoci.cli.parse import Options


def run(context: Context, options: Options) -> int:
    """Draw a file written by --trace as an SVG picture."""
    from pyoci.trace import picture

    return picture.main(options.args[0], svg=options.values.get("svg", ""))
