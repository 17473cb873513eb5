"""The seccomp agent, which answers the system calls that a filter notifies (config-linux.md, The Container Process State)."""

from pyoci._shim import lib
from pyoci.base import jsontext
from pyoci.base.errors import OciError
from pyoci.spec.annotations import SECCOMP_RECEIVER
from pyoci.spec.versions import SPECIFICATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyoci.spec.spec_types import Spec

_DESCRIPTOR = "seccompFd"


class Agent:
    """Who listens on a socket for the listeners of new processes.

    path      of the socket: relative ones start from the bundle
    pointer   of what names it
    metadata  what the configuration has to say to it
    """

    __slots__ = ("path", "pointer", "metadata")

    def __init__(self, spec: "Spec", bundle: str) -> None:
        seccomp = spec["linux"]["seccomp"]
        path = seccomp.get("listenerPath")
        self.pointer = "/linux/seccomp/listenerPath"
        if not path:
            path = spec["annotations"][SECCOMP_RECEIVER]
            self.pointer = f"/annotations/{SECCOMP_RECEIVER}"
        self.path = path if path.startswith("/") else f"{bundle}/{path}"
        self.metadata = seccomp.get("listenerMetadata")

    def send(self, listener: int, pid: int, state: "Mapping[str, object]") -> None:
        """Send the listener of the filter of process `pid`, with the state of its container. Raises OciError."""
        values: dict[str, object] = {"ociVersion": SPECIFICATION, "fds": [_DESCRIPTOR], "pid": pid}
        if self.metadata:
            values["metadata"] = self.metadata
        text = jsontext.dumps(values | {"state": state}).encode()
        result = lib.pyoci_send_fd(self.path.encode("utf-8", "surrogateescape"), listener, text, len(text))
        if result < 0:
            message = f"failed to connect with seccomp agent {self.path}"
            hint = "start the agent before the container: it has to listen on the socket"
            raise OciError(
                "seccomp-agent", message, errno=-result, pointer=self.pointer, obj=self.path, hint=hint
            )
