"""`pyoci doctor`."""

from pyoci.base.context import Context
from pyoci.cli.parse import Options
from pyoci.cli.root import choose


def run(context: Context, options: Options) -> int:
    """Check what this machine offers to containers."""
    from pyoci import doctor

    return doctor.main(
        context,
        choose(options.settings),
        fmt=options.values.get("format", "text"),
        fix=options.values.get("fix", False),
    )
