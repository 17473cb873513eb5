"""`pyoci engine-config`."""

from pyoci.base.context import Context
from pyoci.cli.parse import Options


def run(context: Context, options: Options) -> int:
    """Print, write or check what an engine has to be told to use pyoci."""
    from pyoci import engine_config

    return engine_config.main(
        options.args[0],
        write=options.values.get("write", False),
        check=options.values.get("check", False),
    )
