"""`pyoci kill`."""

from pyoci.base import signal_numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.parse import Options


def run(options: "Options") -> int:
    """Send a signal to a container's process, or with --all to all its processes."""
    from pyoci.cli.root import choose
    from pyoci.lifecycle import container

    root = choose(options.settings)
    number = signal_numbers.number(options.args[1]) if len(options.args) > 1 else signal_numbers.TERM
    everyone = options.values.get("all", False)
    if options.values.get("regex"):
        from pyoci.cli.matching import each

        return each(options, root, lambda name: container.kill(root, name, number, everyone))
    container.kill(root, options.args[0], number, everyone)
    return 0
