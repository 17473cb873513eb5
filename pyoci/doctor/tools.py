"""Programs and services on the host that some commands lean on: systemd and criu."""

import os
import shutil
import subprocess

from pyoci.base.errors import OciError
from pyoci.cgroups.dbus import bus
from pyoci.doctor.check import NO, UNKNOWN, YES, Check
from pyoci.doctor.trial import reason
from pyoci.spec import defaults

AREA = "tools"
_SECONDS = 20


def checks() -> list[Check]:
    """All checks of systemd and criu."""
    return [_systemd(), *_criu()]


def _systemd() -> Check:
    """Asked for its version over its bus, as for a container's scope."""
    user = os.geteuid() != 0
    name = "systemd of the user" if user else "systemd"
    cost = "--systemd-cgroup, and with it limits without root" if user else "--systemd-cgroup"
    try:
        with bus.Connection(user=user) as connection:
            version = connection.manager_property("Version")
        return Check(AREA, name, YES, f"version {version}")
    except OciError as error:
        hint = (
            error.hint if user else "" if os.path.isdir("/run/systemd/system") else "cgroups work without it"
        )
        return Check(AREA, name, NO, error.message, cost, hint)
    except (OSError, bus.BusError) as error:
        why = reason(error) if isinstance(error, OSError) else error.text
        return Check(AREA, name, NO, why, cost)


def _criu() -> list[Check]:
    path = shutil.which("criu") or shutil.which("criu", path=defaults.PATH)
    cost = "checkpoint and restore"
    if not path:
        return [
            Check(
                AREA,
                "criu",
                NO,
                "it is not installed",
                cost,
                "install it (Debian 12: from bookworm-backports)",
            )
        ]
    status, output = _run(path, "--version")
    if status != 0:
        return [Check(AREA, "criu", NO, output or f"{path} --version fails", cost)]
    version = output.splitlines()[0].removeprefix("Version: ")
    found = [Check(AREA, "criu", YES, f"version {version}, {path}")]
    if os.geteuid() != 0:
        return [*found, Check(AREA, "criu check", UNKNOWN, "only root can run it")]
    status, output = _run(path, "check")
    if status == 0:
        return [*found, Check(AREA, "criu check", YES)]
    why = next((line for line in output.splitlines() if "Error" in line or "error" in line), output[-200:])
    hint = "a newer criu may know this kernel; `criu check` tells more"
    return [*found, Check(AREA, "criu check", NO, " ".join(why.split()), cost, hint)]


def _run(*command: str) -> tuple[int, str]:
    """Exit status, and both streams; a status of 124 when it took too long."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        return 124, f"no end within {_SECONDS} s"
    except OSError as error:
        return 127, reason(error)
    return done.returncode, done.stdout.decode("utf-8", "replace").strip()
