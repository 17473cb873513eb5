"""`pyoci seccomp check`."""

from pyoci.base import files
from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.cli.parse import FAILURE, Options
from pyoci.seccomp import check, check_report, docker
from pyoci.validate import seccomp_profile

_DOCKER = "docker"  # ./docker is a file


def run(context: Context, options: Options) -> int:
    """Show what a profile allows beyond docker's default profile, or another one; 1 when there is anything."""
    values = options.values
    try:
        report = _compare(options.args[0], values.get("like", _DOCKER))
    except OciError as error:
        error.status = FAILURE["seccomp check"]
        raise
    if values.get("format") == "json":
        files.out(check_report.as_json(report))
    else:
        files.out(check_report.as_text(report, verbose=values.get("verbose", False)))
    return 1 if report.is_beyond() else 0


def _compare(target: str, like: str) -> check_report.Report:
    """Compare two profiles. Raises OciError where one is not right."""
    default = docker.default()
    file = seccomp_profile.load(target, default.capabilities)
    profile = check.Profile(file.seccomp, file.pointer)
    if like == _DOCKER:
        title, base = f"docker's default profile (docker {default.version})", check.Profile(default.seccomp)
    else:
        other = seccomp_profile.load(like, default.capabilities)
        title, base = other.name, check.Profile(other.seccomp, other.pointer)
    return check_report.Report(file.name, like, title, profile, base, check.compare(profile, base))
