"""An ordinary user in a login session, whose cgroup has no part in the tree of the user's own systemd.

To move a process from one into the other takes the right to write to the cgroup above both, which is root's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.engines import UsersPodman, opened

pytestmark = [
    pytest.mark.rootless,
    pytest.mark.skipif(
        os.geteuid() == 0 or "/session-" not in Path("/proc/self/cgroup").read_text(),
        reason="needs an ordinary user in a login session",
    ),
    pytest.mark.skipif(machine.cgroup_version() != 2, reason="needs cgroup v2"),
]
NOWHERE = {"XDG_RUNTIME_DIR": "/nonexistent", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}


@pytest.fixture
def scope(rootless: Boxes) -> Container:
    """A container in a scope of the user's systemd, which may write to its cgroup."""
    made = rootless("/bin/sleep", "1000")
    made.runtime.global_options = ["--systemd-cgroup"]
    made.linux["cgroupsPath"] = f"user.slice:pyocit:{made.id.replace('_', 'x')}"
    made.linux["resources"] = {"pids": {"limit": 33}}
    made.mount("/sys/fs/cgroup", "cgroup", "cgroup")
    return made.launch()


def place(made: Container, *options: str) -> str:
    """Where a further process is, by the container's own tree."""
    return made.exec("/bin/cat", "/proc/self/cgroup", options=options).out.strip()


@pytest.mark.only("pyoci")
def test_exec_comes_into_the_containers_cgroup(scope: Container) -> None:
    """By the user's systemd: at once, with --cgroup, at pids.limit, and below where the first process has moved."""
    assert f"user@{os.geteuid()}.service/" in Path(f"/proc/{scope.pid}/cgroup").read_text()
    assert place(scope) == "0::/"
    scope.exec("/bin/mkdir", "/sys/fs/cgroup/below")
    assert place(scope, "--cgroup", "below") == "0::/below"
    scope.runtime.call("update", "--pids-limit", "1", scope.id).ok()
    assert place(scope) == "0::/"
    scope.exec("/bin/cat", "/proc/self/cgroup", check=False, env=NOWHERE).failed(
        "cannot reach the user's systemd"
    )
    scope.runtime.call("update", "--pids-limit", "33", scope.id).ok()
    # as a systemd in the container does it
    down = "cd /sys/fs/cgroup; for pid in 1 $$; do echo $pid > below/cgroup.procs; done; echo +pids > cgroup.subtree_control"
    scope.exec("/bin/sh", "-c", down)
    assert place(scope) == "0::/below"


def test_where_no_cgroup_is_delegated(rootless: Boxes) -> None:
    """With cgroupfs the session's cgroup is root's: without limits the container and a further process run, with them neither."""
    made = rootless("/bin/sleep", "1000")
    made.linux.pop("resources", None)
    made.launch()
    assert made.exec("/bin/id", "-u").out == "0\n"
    made.stop()
    made.linux["resources"] = {"memory": {"limit": 64 << 20}}
    made.run(check=False).failed("cgroup")


@pytest.fixture
def podman() -> Iterator[UsersPodman]:
    if not shutil.which("podman") or os.environ.get("PYOCI_TEST_THROW_AWAY") != "1":
        pytest.skip("needs podman, and PYOCI_TEST_THROW_AWAY=1 on a machine to be thrown away")
    yield from opened(UsersPodman)


@pytest.mark.only("pyoci")
def test_podman(podman: UsersPodman, folder: Path) -> None:
    """With the user's systemd, and where none answers and so nothing is delegated."""
    podman("run", "-d", "--name", "box", "--pids-limit", "1", "--network", "none", "localhost/box")
    assert podman("exec", "box", "cat", "/proc/self/cgroup", "/sys/fs/cgroup/pids.max").split() == [
        "0::/",
        "1",
    ]
    podman("rm", "-f", "-t", "0", "box")
    (folder / "runtime").mkdir(mode=0o700)
    podman.environment |= NOWHERE | {"XDG_RUNTIME_DIR": str(folder / "runtime")}
    podman.command += ["--cgroup-manager", "cgroupfs"]
    podman("run", "-d", "--name", "box", "--network", "none", "localhost/box")
    assert podman("exec", "box", "id", "-u") == "0"
    podman("rm", "-f", "-t", "0", "box")
    refused = podman.call("run", "--rm", "-m", "64m", "--network", "none", "localhost/box", "true")
    assert refused.returncode == 126 and "no permission is granted for cgroups" in refused.stdout
