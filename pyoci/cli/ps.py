"""`pyoci ps`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options


def run(context: "Context", options: "Options") -> int:
    """Print a container's processes: what the host's ps says of them, or their ids as JSON."""
    from pyoci.base import boot, files, jsontext
    from pyoci.cli.root import choose
    from pyoci.lifecycle import ps

    as_json = options.values.get("format") == "json"
    if not as_json:
        boot.go_full(options.argv)
    found = ps.pids(context, choose(options.settings), options.args[0])
    files.out(jsontext.dumps(found) + "\n" if as_json else ps.table(found, options.args[1:]))
    return 0
