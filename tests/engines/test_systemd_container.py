"""systemd as the program of a container, on cgroup v2: below podman, of root and of an ordinary user, and by hand."""

from __future__ import annotations

import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import machine, systemd_tree
from harness.boxes import Boxes
from harness.bundle import chown_tree
from harness.engines import until
from harness.runtime import Runtime
from harness.session import PATIENCE, USER, session

# Those that podman gives
CAPABILITIES = [
    f"CAP_{name}"
    for name in "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split()
]
# A process in the container's own cgroup, where an exec goes until systemd has enabled controllers, would keep it from doing so.
# The stop has ten minutes before it kills: who is killed ends with status 137, and its services say nothing.
SCRIPT = """
set -eu
podman() { command podman --runtime "$RUNTIME" --cgroup-manager systemd "$@"; }
id=$(podman run -d -t --network none --systemd=always --rootfs "$ROOTFS" /sbin/init)
trap 'podman rm -f -t 0 "$id"' EXIT
pid=$(podman inspect -f '{{.State.Pid}}' "$id")
until grep -q /init.scope "/proc/$pid/cgroup"; do sleep 1; done
cgroup=$(sed -n 's/^0:://; s,/init.scope$,,p' "/proc/$pid/cgroup")
until grep -q memory "/sys/fs/cgroup$cgroup/cgroup.subtree_control"; do sleep 1; done
podman exec "$id" sh -c "$LOOK"
podman stop -t 600 "$id"
podman inspect -f 'exit {{.State.Status}} {{.State.ExitCode}}' "$id"
echo the log:
podman logs "$id"
"""


@pytest.fixture(autouse=True)
def systemd_and_cgroup_v2() -> None:
    if not (machine.is_root() and machine.systemd_runs() and machine.cgroup_version() == 2):
        pytest.skip("needs root, systemd and cgroup v2, as the virtual machine has them")


@pytest.fixture
def top(user: str) -> Iterator[Path]:
    """A folder of the user's own."""
    try:
        owner = pwd.getpwnam(user)
    except KeyError:
        pytest.skip(f"there is no user {user}")
    made = Path(owner.pw_dir) / "pyoci-systemd"
    made.mkdir()
    yield made
    shutil.rmtree(made)


def check(text: str) -> None:
    """What LOOK printed is right."""
    assert "state running" in text, text
    lines = text.splitlines()
    assert [told for told in systemd_tree.TOLD if told not in lines] == [], text


@pytest.mark.parametrize("user", ["root", USER])
def test_below_podman(runtime: Runtime, top: Path, user: str) -> None:
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    rootfs = systemd_tree.make(top / "rootfs")
    env = {
        "RUNTIME": str(runtime.path),
        "ROOTFS": str(rootfs),
        "LOOK": systemd_tree.LOOK,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if user == "root":
        ended = subprocess.run(
            ["sh", "-c", SCRIPT],
            env={"PATH": "/usr/sbin:/usr/bin", "HOME": "/root"} | env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        printed = ended.stdout
    else:
        owner = pwd.getpwnam(user)
        chown_tree(top, owner.pw_uid, owner.pw_gid)
        printed = session("sh", "-c", SCRIPT, env=env)
    looked, _, log = printed.partition("the log:\n")
    check(looked)
    assert "exit exited 0" in looked.splitlines(), printed
    assert "words of a service" in log and "words of its end" in log, printed


@pytest.mark.parametrize("ids", ["of the host", "of a user namespace"])
def test_by_hand(box: Boxes, ids: str) -> None:
    made = box("/sbin/init")
    shutil.rmtree(made.rootfs)
    systemd_tree.make(made.rootfs)
    if "user" in ids:
        made.user_namespace()
        chown_tree(made.rootfs, 100000, 100000)
    made.config["root"]["readonly"] = False
    made.process["env"] = ["PATH=/usr/sbin:/usr/bin", "container=oci"]
    made.capabilities(*CAPABILITIES)
    made.namespace("cgroup")
    for place in ("/run", "/run/lock", "/tmp"):
        made.mount(place, "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777")
    made.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "rw")
    made.launch()
    pid = made.pid
    own = Path(f"/proc/{pid}/cgroup")
    until("a cgroup of systemd's own", lambda: own.read_text().endswith("/init.scope\n"))
    cgroup = machine.CGROUPS / own.read_text().strip().removeprefix("0::/").removesuffix("/init.scope")
    until("its controllers", lambda: "memory" in (cgroup / "cgroup.subtree_control").read_text())
    told = made.exec("/bin/sh", "-c", systemd_tree.LOOK).out
    check(told)
    assert "container oci" in told.splitlines(), told
    made.kill("RTMIN+3")
    assert made.wait_for(pid) == 0
    until("the end of the container", lambda: made.status == "stopped")
    made.delete()
