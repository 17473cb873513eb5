"""podman of an ordinary user with the systemd manager, its default: uid 0 of its user namespace is not the host's root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import machine
from harness.bundle import FOLDERS, busybox, chown_tree
from harness.runtime import Runtime
from harness.session import USER, session

SCRIPT = """
set -eu
cat /proc/self/cgroup
podman() { command podman --runtime "$RUNTIME" --cgroup-manager systemd "$@"; }
id=$(podman run -d --network none -m 64m --rootfs "$ROOTFS" sleep 1000)
trap 'podman rm -f -t 0 "$id"' EXIT
systemctl --user show -p ActiveState -p ControlGroup -p MemoryMax "libpod-$id.scope"
podman exec "$id" cat /sys/fs/cgroup/memory.max
podman run --rm --network none --rootfs "$ROOTFS" id -u
"""


@pytest.fixture
def rootfs(folder: Path) -> Iterator[Path]:
    if not (machine.is_root() and machine.systemd_runs() and shutil.which("podman")):
        pytest.skip("needs root, systemd and podman")
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        pytest.skip(f"there is no user {USER}")
    top = Path(f"/home/{USER}/{folder.name}")
    made = top / "rootfs"
    for name in FOLDERS:
        (made / name).mkdir(parents=True)
    shutil.copy(busybox(), made / "bin/busybox")
    for name in ("cat", "id", "sh", "sleep"):
        (made / "bin" / name).symlink_to("busybox")
    chown_tree(top, user.pw_uid, user.pw_gid)
    yield made
    shutil.rmtree(top)


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("place", ["session", "service"])
def test_a_scope_of_the_users_own_systemd(runtime: Runtime, rootfs: Path, place: str) -> None:
    env = {"RUNTIME": str(runtime.path), "ROOTFS": str(rootfs), "PYTHONDONTWRITEBYTECODE": "1"}
    words = ["sh", "-c", SCRIPT]
    if place == "service":
        given = [f"-E{name}={value}" for name, value in env.items()]
        words = ["systemd-run", "--user", "--wait", "--pipe", "--collect", "--quiet", *given, "--", *words]
    lines = session(*words, env=env).splitlines()
    assert ("/session-" if place == "session" else "/app.slice/") in lines[0]
    assert "ActiveState=active" in lines and f"MemoryMax={64 << 20}" in lines
    scope = next(line for line in lines if line.startswith("ControlGroup="))
    assert f"/user@{pwd.getpwnam(USER).pw_uid}.service/" in scope
    assert str(64 << 20) in lines, "exec"
    assert "0" in lines, "run"


ONE_ID = """
set -eu
cd
mkdir -p .config/containers context
cat > .config/containers/storage.conf <<END
[storage]
driver = "overlay"
[storage.options.overlay]
ignore_chown_errors = "true"
END
podman() { command podman --log-level error --runtime "$RUNTIME" "$@"; }
tar -C "$ROOTFS" -cf image.tar .
podman import -q -c 'CMD sleep 7000' -c 'ENV PATH=/bin' image.tar localhost/box
podman run -d --name box --network none localhost/box
podman exec box cat /proc/self/uid_map
podman rm -f -t 0 box
printf 'FROM localhost/box\\nRUN cat /proc/self/setgroups; id -u\\n' > context/Dockerfile
podman build --isolation oci --network none context
"""


@pytest.fixture
def user_of_one_id(rootfs: Path) -> Iterator[str]:
    """A user without subordinate ids, with a systemd that lingers; and the root file system is everybody's to read."""
    if os.environ.get("PYOCI_TEST_THROW_AWAY") != "1" or not shutil.which("useradd"):
        pytest.skip("makes a user: set PYOCI_TEST_THROW_AWAY=1 on a machine to be thrown away")
    name = "pyoci-one"
    subprocess.run(["useradd", "--system", "--create-home", name], check=True)
    Path(f"/home/{USER}").chmod(0o755)
    subprocess.run(["loginctl", "enable-linger", name], check=True)
    yield name
    subprocess.run(["loginctl", "disable-linger", name], check=True)


def test_a_user_without_subordinate_ids(runtime: Runtime, rootfs: Path, user_of_one_id: str) -> None:
    """The map has one id, and setgroups(2) is denied, while buildah asks for a group in every RUN."""
    env = {"RUNTIME": str(runtime.path), "ROOTFS": str(rootfs), "PYTHONDONTWRITEBYTECODE": "1"}
    env["HOME"] = f"/home/{user_of_one_id}"
    lines = session("sh", "-c", ONE_ID, env=env, user=user_of_one_id).splitlines()
    assert ["0", str(pwd.getpwnam(user_of_one_id).pw_uid), "1"] in [line.split() for line in lines], lines
    assert lines[lines.index("deny") + 1] == "0", lines
