"""Fills the lifecycle's requests from a command line; the table's keys are the requests' field names."""

from pyoci.cli import root
from pyoci.lifecycle.requests import CreateRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options
    from pyoci.cli.values import Settings, Values
    from pyoci.lifecycle.requests import ProcessRequest


def create_request(context: "Context", options: "Options", command: str) -> CreateRequest:
    """The request of `create` and `run`. Raises OciError `usage`, `bad-root` and `trace-file`."""
    request = new(options.settings, options.args[0], options.values.get("bundle", ""))
    fill(context, request, options.values, command)
    return request


def new(settings: "Settings", id: str, bundle: str) -> CreateRequest:
    """A request without options of its own. Raises OciError `bad-root`."""
    request = CreateRequest(root.make(settings), id, root.absolute(bundle))
    request.rootless = settings.get("rootless")
    request.cgroup_manager = cgroup_manager(settings)
    return request


def fill(context: "Context", request: "ProcessRequest", values: "Values", command: str) -> None:
    """Lay the given options over the request's defaults, and begin to measure where --trace asks for it. Raises OciError."""
    for key, value in values.items():
        if key == "trace":
            from pyoci.trace import recorder

            request.trace = recorder.begin(context, root.absolute(str(value)), command, request.id)
        elif key and key != "bundle":
            setattr(request, key, root.absolute(str(value)) if key == "pid_file" else value)


def cgroup_manager(settings: "Settings") -> str:
    """One of "cgroupfs", "systemd" and "disabled"; --systemd-cgroup is the older way to say "systemd"."""
    if settings.get("systemd_cgroup"):
        return "systemd"
    return settings.get("cgroup_manager", "cgroupfs")
