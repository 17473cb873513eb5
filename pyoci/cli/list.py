"""`pyoci list`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyoci.base.context import Context
    from pyoci.cli.parse import Options

_COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")
_LEAST_WIDTH = 12
_GAP = 3


def run(context: "Context", options: "Options") -> int:
    """Print the containers of ROOT, sorted by id: as a table, as one line of JSON, or the ids only."""
    from pyoci.base import files, jsontext
    from pyoci.cli.root import choose
    from pyoci.lifecycle.states import list_states

    states = sorted(list_states(context, choose(options.settings)), key=lambda state: str(state["id"]))
    if options.values.get("quiet"):
        files.out("".join(f"{state['id']}\n" for state in states))
    elif options.values.get("format") == "json":
        files.out(jsontext.dumps(states) + "\n")
    else:
        files.out(table(states))
    return 0


def table(states: "Sequence[Mapping[str, object]]") -> str:
    """The table, its columns as wide as runc's."""
    from pyoci.base.printable import line as clean

    rows = [[column.upper() for column in _COLUMNS]]
    rows += [[clean(str(state.get(column, ""))) for column in _COLUMNS] for state in states]
    widths = [max(_LEAST_WIDTH, _GAP + max(len(row[i]) for row in rows)) for i in range(len(_COLUMNS))]
    lines = [
        "".join([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]).rstrip() for row in rows
    ]
    return "\n".join(lines) + "\n"
