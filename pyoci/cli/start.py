"""`pyoci start`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options
    from pyoci.trace.recorder import Trace


def run(context: "Context", options: "Options") -> int:
    """Start the process of a created container."""
    from pyoci.cli.root import choose
    from pyoci.lifecycle.start import start

    def resume_trace(path: str, id: str, pid: int) -> "Trace":
        from pyoci.trace import recorder

        return recorder.begin_start(context, path, id, pid)

    start(context, choose(options.settings), options.args[0], resume_trace)
    return 0
