"""`pyoci create`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.parse import Options


def run(options: "Options") -> int:
    """Create a container; it waits for `start`."""
    from pyoci.cli.request import create_request
    from pyoci.lifecycle import container

    return container.create(create_request(options))
