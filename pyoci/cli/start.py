"""`pyoci start`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.parse import Options


def run(options: "Options") -> int:
    """Start the process of a created container."""
    from pyoci.cli.root import choose
    from pyoci.lifecycle import container

    container.start(choose(options.settings), options.args[0])
    return 0
