"""`pyoci --version` and `pyoci version`.

The first line is "pyoci version X", whatever name pyoci was started by. dockerd takes the words before and
after "version" as the runtime's name and version (moby: parseRuntimeVersion in daemon/info_unix.go), so no
other line may contain that word; "commit:" is shown beside it. podman shows the text as it is, CRI-O its first
line. crun's tests look for words in the line that begins with "+", which are crun's own. crun and youki name themselves
in the same way.
"""

from pyoci.base import boot, files
from pyoci.spec.versions import SPECIFICATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options
    from pyoci.doctor.launcher import Part

_FEATURES = "+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF"


def run(context: "Context", options: "Options") -> int:
    """Print the program's and the specification's versions; with --verbose also what runs it."""
    import pyoci

    lines = [
        f"pyoci version {pyoci.__version__}",
        f"commit: {boot.commit()}",
        f"spec: {SPECIFICATION}",
        _FEATURES,
    ]
    if options.settings.get("verbose") or options.values.get("verbose"):
        boot.go_full(options.argv)
        lines += verbose()
    files.out("\n".join(lines) + "\n")
    return 0


def verbose() -> list[str]:
    """The launcher with what is embedded in it, the interpreter and the kernel."""
    import posix
    import sys

    from pyoci.doctor import launcher

    found = launcher.running()
    sources = launcher.installed_sources()
    system = posix.uname()
    return [
        f"launcher: {found.kind}",
        *([f"no static launcher: {found.reason}"] if found.reason else []),
        *(_embedded(part, sources) for part in found.parts),
        "python: " + ".".join(str(part) for part in sys.version_info[:3]),
        f"interpreter: {boot.interpreter()}",
        f"package: {boot.package_directory()}",
        f"kernel: {system.release} {system.machine}",
    ]


def _embedded(part: "Part", sources: dict[str, list[str]]) -> str:
    from pyoci.doctor import launcher

    own = launcher.own_version(part, sources)
    line = f"embedded: {part.name} {part.version}"
    if own and launcher.is_newer(own, part, sources):
        line += f" (this machine has {own}: {launcher.rebuild(part)})"
    return line
