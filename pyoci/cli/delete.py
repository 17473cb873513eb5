"""`pyoci delete`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.parse import Options


def run(options: "Options") -> int:
    """Remove a stopped container, with --force any container, and all it holds."""
    from pyoci.cli.root import choose
    from pyoci.lifecycle import container

    root = choose(options.settings)
    force = options.values.get("force", False)
    if options.values.get("regex"):
        from pyoci.cli.matching import each

        return each(options, root, lambda name: container.delete(root, name, force))
    container.delete(root, options.args[0], force)
    return 0
