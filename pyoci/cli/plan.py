"""`pyoci plan`."""

from pyoci.cli.parse import Options


def run(options: Options) -> int:
    """Show what a bundle asks of the kernel, step by step, without doing it."""
    from pyoci.preview.show import show

    return show(options.args[0] if options.args else ".", options.values.get("format", "text"))
