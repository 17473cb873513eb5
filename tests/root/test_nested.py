"""A runtime in a privileged container of podman's, as in docker-in-docker, on cgroup v2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import bundle, machine
from harness.engines import Podman, need, opened

pytestmark = pytest.mark.skipif(machine.cgroup_version() != 2, reason="needs cgroup v2")
BOX = "localhost/box"


@pytest.fixture(scope="module")
def podman(apart: None) -> Iterator[Podman]:
    need("podman")
    yield from opened(Podman)


def nested(podman: Podman, script: str) -> list[str]:
    """The lines of a shell script in a privileged container. `$RUN BUNDLE ID` runs the runtime under test there.

    The bundles /b/plain, /b/limits and /b/threaded say who they are; the last two have limits.
    """
    top = podman.folder / "bundles"
    for name, limits in (
        ("plain", {}),
        ("limits", {"memory": {"limit": 64 << 20}, "pids": {"limit": 33}}),
    ):
        config = bundle.default_config(f"/{name}")
        config["hostname"] = name
        config["root"]["path"] = "/b/rootfs"
        config["process"]["args"] = ["/bin/hostname"]
        config["linux"]["resources"].update(limits)
        (top / name).mkdir(parents=True, exist_ok=True)
        bundle.write_config(top / name, config)
    volumes = [f"{podman.folder / 'image'}:/b/rootfs", f"{top}:/b"]
    for place in ("/usr", "/lib", "/lib64", str(machine.repository()), str(podman.runtime.parent)):
        volumes.append(f"{Path(place).resolve()}:{place}:ro")
    options = [f"--volume={volume}" for volume in sorted(set(volumes), key=lambda text: text.split(":")[1])]
    begin = f"RUN='{podman.runtime} --root /run/state run -b'; cd /sys/fs/cgroup; "
    given = ("--rm", "--privileged", "--network", "none", "--cgroup-parent", f"/{podman.tag}")
    return podman("run", *given, *options, BOX, "sh", "-c", begin + script).splitlines()


def test_a_container_without_limits(podman: Podman) -> None:
    assert nested(podman, "$RUN /b/plain one && $RUN /b/plain two")[-2:] == ["plain", "plain"]


@pytest.mark.only("pyoci")
def test_limits_below_a_cgroup_with_processes(podman: Podman) -> None:
    """They are refused and the cgroup stays as it was, so that what docker-in-docker does about it still works: runc leaves it
    threaded, and then no limit can be had any more.
    """
    refused = "$RUN /b/limits one 2>&1 && exit 9; cat cgroup.type; echo [$(cat cgroup.subtree_control)]; "
    move = "mkdir init; for pid in $(cat cgroup.procs); do echo $pid > init/cgroup.procs 2>/dev/null; done; "
    lines = nested(podman, refused + move + "$RUN /b/limits one; grep -c memory cgroup.subtree_control")
    text = "\n".join(lines)
    assert "/sys/fs/cgroup has processes of its own" in text and "into a sub-cgroup" in text
    assert lines[-4:] == ["domain", "[]", "limits", "1"]


@pytest.mark.only("pyoci")
def test_limits_where_another_runtime_has_left_a_threaded_cgroup(podman: Podman) -> None:
    """What is refused says so; without limits a container runs."""
    lines = nested(
        podman,
        "echo +pids > cgroup.subtree_control; mkdir left && echo threaded > left/cgroup.type; cat cgroup.type; "
        "mkdir init; for pid in $(cat cgroup.procs); do echo $pid > left/cgroup.procs 2>/dev/null; done; "
        "$RUN /b/limits one 2>&1 && exit 9; $RUN /b/plain two",
    )
    text = "\n".join(lines)
    assert "domain threaded" in lines and "cannot have memory" in text and lines[-1] == "plain", text
