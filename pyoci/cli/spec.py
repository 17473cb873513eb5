"""`pyoci spec`."""

import os

from pyoci.base import files
from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.cli.parse import Options
from pyoci.spec import template


def run(context: Context, options: Options) -> int:
    """Write a starter configuration. Raises OciError `file-exists` and `write-config`."""
    name = options.values.get("config", "config.json")
    path = os.path.join(options.values.get("bundle", ""), name)
    text = template.text(rootless=options.values.get("rootless", False))
    try:
        files.create(path, text.encode(), 0o666)
    except FileExistsError:
        raise OciError(
            "file-exists",
            f"{name} exists",
            obj=path,
            hint="remove the file first, or write to another directory",
        ) from None
    except OSError as error:
        raise OciError("write-config", f"write {path}", errno=error.errno or 0, obj=path) from None
    return 0
