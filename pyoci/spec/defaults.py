"""What a container gets though its configuration does not ask for it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Process, Spec

# the PATH of a process whose environment has none, as execvp(3) and the engines have it
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# the devices of config-linux.md, "Default Devices": major and minor; all of them character devices that all may read and write
DEVICES: dict[str, tuple[int, int]] = {
    "/dev/null": (1, 3),
    "/dev/zero": (1, 5),
    "/dev/full": (1, 7),
    "/dev/random": (1, 8),
    "/dev/urandom": (1, 9),
    "/dev/tty": (5, 0),
}


def process(spec: "Spec") -> "Process":
    """The process of a container, or, where there is none, what its init waits as: root in /, without any capability."""
    return spec.get("process") or {"cwd": "/"}
