"""`pyoci exec`."""

from pyoci.base.errors import OciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.parse import Options


def run(options: "Options") -> int:
    """Run one more process in a container; in the foreground its status is ours."""
    from pyoci.cli.request import fill
    from pyoci.cli.root import choose
    from pyoci.lifecycle import execute
    from pyoci.lifecycle.requests import ExecRequest

    request = ExecRequest(choose(options.settings), options.args[0])
    fill(request, options.values)
    request.args = options.args[1:]
    if request.process and request.args:
        raise OciError("usage", "exec takes a command or --process, not both")
    if not request.process and not request.args:
        raise OciError("usage", "exec needs a command or --process")
    return execute.execute(request)
