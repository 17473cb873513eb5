"""`pyoci exec`."""

from pyoci.base import termination
from pyoci.base.errors import OciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options


def run(context: "Context", options: "Options") -> int:
    """Run one more process in a container; in the foreground its status is ours."""
    from pyoci.cli.request import fill
    from pyoci.cli.root import choose
    from pyoci.lifecycle.exec import exec_process
    from pyoci.lifecycle.requests import ExecRequest

    request = ExecRequest(choose(options.settings), options.args[0])
    request.args = options.args[1:]
    if options.values.get("process") and request.args:
        raise OciError("usage", "exec takes a command or --process, not both")
    if not options.values.get("process") and not request.args:
        raise OciError("usage", "exec needs a command or --process")
    fill(context, request, options.values, "exec")
    termination.catch()
    return exec_process(context, request)
