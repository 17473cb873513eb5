"""`pyoci plan`."""

from __future__ import annotations

from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.cli import request as requests
from pyoci.cli import root
from pyoci.cli.parse import Options
from pyoci.lifecycle import store
from pyoci.lifecycle.requests import CreateRequest


def run(context: Context, options: Options) -> int:
    """Show what `create` of a bundle does, without doing it."""
    from pyoci.preview.show import show

    values = options.values
    bundle = root.absolute(options.args[0] if options.args else "")
    wanted = CreateRequest(root.choose(options.settings), _id(values.get("id", ""), bundle), bundle)
    wanted.rootless = options.settings.get("rootless")
    wanted.cgroup_manager = requests.cgroup_manager(options.settings)
    wanted.config = values.get("config", wanted.config)
    wanted.no_pivot = values.get("no_pivot", False)
    wanted.no_new_keyring = values.get("no_new_keyring", False)
    wanted.pid_file = values.get("pid_file", "")
    wanted.preserve_fds = values.get("preserve_fds", 0)
    return show(
        context,
        wanted,
        waits=not values.get("run", False),
        every_step=values.get("steps", False),
        as_json=values.get("format") == "json",
    )


def _id(given: str, bundle: str) -> str:
    """The id asked for, else the name of the bundle's directory where that is one. Raises OciError."""
    if given:
        store.check_id(given)
        return given
    name = bundle.rstrip("/").rpartition("/")[2]
    try:
        store.check_id(name)
    except OciError:
        return "container"
    return name
