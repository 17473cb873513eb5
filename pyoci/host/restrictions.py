"""The switches of a machine that keep user namespaces from its users: which one is off, and what to do about it."""

import posix

from pyoci.base import files

_SWITCHES = "/proc/sys/kernel"


def user_namespaces() -> str:
    """What to do where no user namespace can be made, or none that is of use; "" where no switch says so."""
    if _value("/proc/sys/user/max_user_namespaces") == "0":
        return "sysctl user.max_user_namespaces=15000"
    if posix.geteuid() == 0:
        return ""
    if _value(f"{_SWITCHES}/unprivileged_userns_clone") == "0":
        return "sysctl kernel.unprivileged_userns_clone=1"
    return apparmor()


def apparmor() -> str:
    """What to do where AppArmor leaves no capability in a user namespace to programs without a profile; "" elsewhere.

    Ubuntu has it since 23.10. There a user namespace is made or refused with EACCES, by its release; in one that was made it is
    the first mount, or name of the host, that fails.
    """
    if _value(f"{_SWITCHES}/apparmor_restrict_unprivileged_userns") != "1":
        return ""
    if _value("/proc/self/attr/apparmor/current") not in ("", "unconfined"):
        return ""  # by a profile of ours, which has an answer of its own
    return (
        "AppArmor gives user namespaces to no program without a profile (kernel.apparmor_restrict_unprivileged_userns is 1): "
        "give pyoci one with `userns,`, or set that sysctl to 0 (docs/rootless.md)"
    )


def _value(path: str) -> str:
    try:
        return files.read(path).decode().strip()
    except OSError:
        return ""
