"""`pyoci resume`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options


def run(context: "Context", options: "Options") -> int:
    """Let the processes of a paused container go on."""
    from pyoci.cli.root import choose
    from pyoci.lifecycle import pause

    pause.resume(context, choose(options.settings), options.args[0])
    return 0
