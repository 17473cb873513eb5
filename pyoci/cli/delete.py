"""`pyoci delete`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options


def run(context: "Context", options: "Options") -> int:
    """Remove a stopped container, with --force any container, and all it holds."""
    from pyoci.cli.root import choose
    from pyoci.lifecycle.delete import delete

    root = choose(options.settings)
    force = options.values.get("force", False)
    if options.values.get("regex"):
        from pyoci.cli.matching import each

        return each(context, options, root, lambda name: delete(context, root, name, force=force))
    delete(context, root, options.args[0], force=force)
    return 0
