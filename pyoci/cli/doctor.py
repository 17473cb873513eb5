"""`pyoci doctor`."""

from pyoci.cli.parse import Options
from pyoci.cli.root import choose


def run(options: Options) -> int:
    """Check what this machine offers to containers."""
    from pyoci import doctor

    return doctor.main(
        choose(options.settings),
        fmt=options.values.get("format", "text"),
        fix=options.values.get("fix", False),
    )
