"""`pyoci run`."""

from pyoci.base import termination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options


def run(context: "Context", options: "Options") -> int:
    """Create a container, start it and, unless detached, wait for it and delete it; its status is ours."""
    from pyoci.cli.request import create_request
    from pyoci.lifecycle import run as lifecycle

    termination.catch()
    return lifecycle.run(context, create_request(context, options, "run"))
