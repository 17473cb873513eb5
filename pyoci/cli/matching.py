"""`--regex`: one command for all the containers whose ids match."""

from pyoci.base import boot
from pyoci.base.errors import OciError
from pyoci.lifecycle.states import list_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.base.context import Context
    from pyoci.cli.parse import Options


def each(context: "Context", options: "Options", root: str, act: "Callable[[str], object]") -> int:
    """Call `act` with every id the first argument matches somewhere; one failure does not spare the others.

    Returns 0 or, when any failed, 1; each failure is logged. Raises OciError `usage` for a bad expression.
    """
    boot.go_full(options.argv)
    import re

    try:
        expression = re.compile(options.args[0])
    except re.error as error:
        raise OciError("usage", f'invalid regular expression "{options.args[0]}": {error}') from None
    status = 0
    for state in list_states(context, root):
        name = str(state["id"])
        if not expression.search(name):
            continue
        try:
            act(name)
        except OciError as error:
            error.message = f"{name}: {error.message}"
            context.log.failure(error)
            status = 1
    return status
