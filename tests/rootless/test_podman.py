"""podman of an ordinary user on the runtime, with both of its cgroup managers; in a session and in a service of the user."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import machine
from harness.engines import UsersPodman, opened, until

BOX = "localhost/box"
OFFLINE = ("--network", "none")
MANAGERS = ("systemd", "cgroupfs")
DOCKERFILE = """
FROM localhost/box AS one
RUN touch /f; chown 33:33 /f; echo map $(cat /proc/self/uid_map)
FROM scratch
COPY --from=one / /
RUN ["/bin/sh", "-c", "echo copied $(ls -n /f)"]
"""


@pytest.fixture(scope="module")
def podman() -> Iterator[UsersPodman]:
    if os.geteuid() == 0:
        pytest.skip("this is podman of an ordinary user")
    if os.environ.get("PYOCI_TEST_THROW_AWAY") != "1":
        pytest.skip(
            "podman leaves a process of its own: set PYOCI_TEST_THROW_AWAY=1 on a machine to be thrown away"
        )
    if not (shutil.which("podman") and shutil.which("newuidmap") and machine.systemd_runs()):
        pytest.skip("needs podman, newuidmap and a systemd of the user's own")
    yield from opened(UsersPodman)


@pytest.fixture
def start(podman: UsersPodman) -> Iterator[Callable[..., str]]:
    """Start a container with these options; return its name."""

    def run(*options: str, manager: str = "systemd") -> str:
        script = "echo a line; exec sleep 7000"
        podman("--cgroup-manager", manager, "run", "-d", "--name", "box", *options, BOX, "sh", "-c", script)
        return "box"

    yield run
    podman("rm", "-f", "-t", "0", "--ignore", "box")


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_container(podman: UsersPodman, start: Callable[..., str], manager: str) -> None:
    """exec, which enters the limits of the container, also where there is room for no other process; logs, stats, pause."""
    name = start("-m", "64m", "--pids-limit", "2", *OFFLINE, manager=manager)
    script = "cat /proc/self/cgroup /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max"
    assert podman("exec", name, "cat", *script.split()[1:]).splitlines() == ["0::/", str(64 << 20), "2"]
    assert podman("exec", name, "sh", "-c", "exec id -u") == "0"
    until("the container's line", lambda: podman("logs", name) == "a line")
    assert podman("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", name) == "box 1"
    podman("pause", name)
    assert podman("inspect", "-f", "{{.State.Status}}", name) == "paused"
    podman("unpause", name)
    place = Path(f"/proc/{podman('inspect', '-f', '{{.State.Pid}}', name)}/cgroup").read_text()
    assert f"user@{os.geteuid()}.service/" in place, "it is below the user's own systemd"


def test_ids_and_networks(podman: UsersPodman) -> None:
    def once(*options: str) -> str:
        script = "cat /proc/self/uid_map; ls /sys/class/net | wc -l; id -u"
        return podman("run", "--rm", *options, BOX, "sh", "-c", script)

    user, hosts = os.geteuid(), len(os.listdir("/sys/class/net"))
    ids = once("--network", "host").split()
    assert ids[:3] == ["0", str(user), "1"] and ids[-2:] == [str(hosts), "0"]
    kept = once("--userns", "keep-id", *OFFLINE).split()
    assert kept[-1] == str(user) and [str(user), "0", "1"] == kept[3:6]
    assert once("--uidmap", "0:1:100", "--gidmap", "0:1:100", *OFFLINE).split()[:3] == ["0", "1", "100"]
    assert once("--user", "1000:50", "--group-add", "7", *OFFLINE).split()[-1] == "1000"


def test_a_pod(podman: UsersPodman) -> None:
    podman("pod", "create", "--name", "pod", *OFFLINE)
    try:
        for name in ("a", "b"):
            podman("run", "-d", "--pod", "pod", "--name", name, BOX)
        networks = {podman("exec", name, "readlink", "/proc/self/ns/net") for name in ("a", "b")}
        assert len(networks) == 1 and os.readlink("/proc/self/ns/net") not in networks
        assert {"a", "b"} < set(podman("pod", "stats", "--no-stream", "--format", "{{.Name}}", "pod").split())
    finally:
        podman("pod", "rm", "-f", "-t", "0", "pod")


def test_a_build(podman: UsersPodman) -> None:
    context = podman.folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    told = podman("build", "--isolation", "oci", *OFFLINE, str(context))
    assert f"map 0 {os.geteuid()} 1 1 " in told and re.search("copied .* 33 +33 .* /f", told)
    assert podman.call(
        "build", "--isolation", "oci", *OFFLINE, "-f", "-", input=f"FROM {BOX}\nRUN exit 42\n"
    ).returncode
