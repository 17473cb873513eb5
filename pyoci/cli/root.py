"""ROOT, the directory of the containers' state: which one it is, and making it."""

import posix

from pyoci.base.errors import OciError
from pyoci.spec import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.values import Settings

_STICKY = 0o1700


def choose(settings: "Settings") -> str:
    """The absolute path of ROOT for these options. Raises OciError `bad-root` for "/" and for no name."""
    if "root" not in settings:
        return default()
    given = settings["root"]
    root = absolute(given)
    if not given or paths.clean(root) == "/":
        raise OciError(
            "bad-root",
            f'--root must not be "{given}"',
            obj=given,
            hint="use a directory that holds nothing else, such as /run/pyoci",
        )
    return root


def default() -> str:
    """/run/pyoci for the host's root; below $XDG_RUNTIME_DIR for everybody else."""
    base = _runtime_dir()
    return f"{base}/pyoci" if base else "/run/pyoci"


def make(settings: "Settings") -> str:
    """ROOT, made with mode 0700 when it is missing. Raises OciError `bad-root`."""
    root = choose(settings)
    try:
        posix.mkdir(root, 0o700)
    except FileExistsError:
        return root
    except FileNotFoundError:
        _make_parents(root)
    except OSError as error:
        raise _failed(root, error) from None
    if "root" not in settings and root != "/run/pyoci":
        # Without the sticky bit whoever cleans XDG_RUNTIME_DIR may remove what has not been used for hours.
        posix.chmod(root, _STICKY)
    return root


def absolute(path: str) -> str:
    """The path seen from "/"; links and ".." stay as they are. Raises OciError `usage` where no working directory is left."""
    if path[:1] == "/":
        return path
    try:
        here = posix.getcwd()
    except OSError as error:
        hint = "change to an existing directory, or use absolute paths, also for --bundle"
        raise OciError("usage", "the working directory", errno=error.errno or 0, hint=hint) from None
    return f"{here.rstrip('/')}/{path}" if path else here


def _make_parents(root: str) -> None:
    at = 0
    while at >= 0:
        at = root.find("/", at + 1)
        part = root[:at] if at > 0 else root
        try:
            posix.mkdir(part, 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise _failed(root, error) from None


def _failed(root: str, error: OSError) -> OciError:
    hint = "use --root with a directory that you may write, or set XDG_RUNTIME_DIR" if posix.geteuid() else ""
    return OciError(
        "bad-root", f"make the state directory {root}", errno=error.errno or 0, obj=root, hint=hint
    )


def _runtime_dir() -> str:
    """XDG_RUNTIME_DIR where it counts: not for root, unless of a user namespace and not named root."""
    environment = posix.environ
    base = environment.get(b"XDG_RUNTIME_DIR", b"")
    user = posix.geteuid()
    if user:
        return base.decode("utf-8", "surrogateescape") or f"/run/user/{user}"
    if not base or environment.get(b"USER") == b"root":
        return ""
    from pyoci import userns

    if not userns.is_nested():
        return ""
    return base.decode("utf-8", "surrogateescape")
