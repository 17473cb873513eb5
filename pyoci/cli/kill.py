"""`pyoci kill`."""

from pyoci.base import signal_numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options


def run(context: "Context", options: "Options") -> int:
    """Send a signal to a container's process, or with --all to all its processes."""
    from pyoci.cli.root import choose
    from pyoci.lifecycle.kill import kill

    root = choose(options.settings)
    number = signal_numbers.number(options.args[1]) if len(options.args) > 1 else signal_numbers.TERM
    everyone = options.values.get("all", False)
    if options.values.get("regex"):
        from pyoci.cli.matching import each

        return each(context, options, root, lambda name: kill(context, root, name, number, everyone=everyone))
    kill(context, root, options.args[0], number, everyone=everyone)
    return 0
