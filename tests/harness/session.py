"""Login sessions of an ordinary user in the virtual machine."""

from __future__ import annotations

import pwd
import subprocess

USER = "tester"  # of the virtual machine: with subordinate ids and a systemd of its own
PATIENCE = 600


def session(*words: str, env: dict[str, str], user: str = USER) -> str:
    """The output of a program in a login session of the user's."""
    uid = pwd.getpwnam(user).pw_uid
    given = [f"-E{name}={value}" for name, value in {**env, "XDG_RUNTIME_DIR": f"/run/user/{uid}"}.items()]
    begin = [
        "systemd-run",
        "--wait",
        "--pipe",
        "--collect",
        "--quiet",
        "-p",
        f"User={user}",
        "-p",
        "PAMName=login",
    ]
    ended = subprocess.run(
        [*begin, *given, "--", *words], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
