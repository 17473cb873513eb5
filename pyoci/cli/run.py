"""`pyoci run`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.parse import Options


def run(options: "Options") -> int:
    """Create a container, start it and, unless detached, wait for it and delete it; its status is ours."""
    from pyoci.cli.request import create_request
    from pyoci.lifecycle import container

    return container.run(create_request(options))
