"""`pyoci plan`."""

from pyoci.base.context import Context
from pyoci.cli.parse import Options


def run(context: Context, options: Options) -> int:
    """Show what a bundle asks of the kernel, step by step, without doing it."""
    from pyoci.preview.show import show

    return show(context, options.args[0] if options.args else ".", options.values.get("format", "text"))
