"""`pyoci state`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options


def run(context: "Context", options: "Options") -> int:
    """Print the state of a container as JSON (runtime-spec, runtime.md: state)."""
    from pyoci.base import files, jsontext
    from pyoci.cli.root import choose
    from pyoci.lifecycle import states

    state = states.state(context, choose(options.settings), options.args[0])
    files.out(jsontext.dumps_pretty(state) + "\n")
    return 0
