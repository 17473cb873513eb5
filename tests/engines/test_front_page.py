"""docs/index.md: what it tells people to type after the installation leads to a container under podman."""

from __future__ import annotations

import pytest
from harness.engines import Podman
from unit.documents import document

pytestmark = pytest.mark.only("pyoci")

# /etc is a copy, with a podman that writes nowhere else and has no network; the image is there, for there is no registry.
PLACES = """
mkdir etc storage2
mount -t tmpfs tmpfs etc && mkdir etc/upper etc/work
mount -t overlay -o lowerdir=/etc,upperdir=etc/upper,workdir=etc/work none /etc
mkdir -p /etc/containers/containers.conf.d
cat >/etc/containers/containers.conf.d/10-test.conf <<END
[containers]
netns = "none"
cgroups = "disabled"
[engine]
lock_type = "file"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
cat >/etc/containers/storage.conf <<END
[storage]
driver = "overlay"
runroot = "$PWD/run2"
graphroot = "$PWD/storage2"
END
podman import -c "ENV PATH=/bin" layer.tar docker.io/library/busybox:latest >/dev/null
"""


def test_the_commands_of_the_front_page(podman: Podman) -> None:
    """Without cgroups, too: podman allows that where the configuration says that the runtime can do it."""
    commands = [line.removeprefix("sudo ") for line in document("docs/index.md").blocks][2:]
    assert len(commands) == 3
    for name in ("CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF"):  # podman would look at nothing else
        podman.environment.pop(name)
    lines = [command.replace(".venv/bin/pyoci", str(podman.runtime)) for command in commands]
    shown = podman.shell("\n".join([PLACES, *lines])).splitlines()
    assert shown[-2:] == [f"podman and buildah: {podman.runtime}", "Hello from a container"]
