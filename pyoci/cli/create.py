"""`pyoci create`."""

from pyoci.base import termination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options


def run(context: "Context", options: "Options") -> int:
    """Create a container; it waits for `start`."""
    from pyoci.cli.request import create_request
    from pyoci.lifecycle.create import create

    termination.catch()
    return create(context, create_request(context, options, "create"))
