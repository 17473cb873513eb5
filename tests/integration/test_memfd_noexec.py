"""vm.memfd_noexec=2: no program runs from a memfd. The setting belongs to a pid namespace, and so do these tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from harness.boxes import Boxes
from harness.runtime import PATIENCE

pytestmark = pytest.mark.skipif(
    not Path("/proc/sys/vm/memfd_noexec").exists(), reason="the kernel has no vm.memfd_noexec (Linux 6.3)"
)
INSIDE = """
echo 2 > /proc/sys/vm/memfd_noexec || exit 3
$RUNTIME run -d -b "$0" "$1" </dev/null && $RUNTIME exec "$1" /bin/sh -c 'until [ -e /dev/started ]; do :; done; echo executed'
$RUNTIME kill "$1" KILL; while $RUNTIME state "$1" | grep -q running; do :; done; $RUNTIME delete --force "$1"
"""


@pytest.mark.parametrize("user", [False, True])
def test_a_container_starts(box: Boxes, user: bool) -> None:
    """With hooks inside, whose state document is in a memfd, too."""
    made = box.sh("cat /state; echo started; : > /dev/started; exec sleep 1000")
    if user:
        made.user_namespace()
    else:
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat > {made.rootfs}/state"], "env": ["PATH=/bin"]}
        made.config["hooks"] = {"createRuntime": [hook], "createContainer": [hook]}
    made.save()
    command = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", INSIDE, str(made.directory), made.id]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "RUNTIME": " ".join(made.runtime.argv())}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "started" in done.stdout and "executed" in done.stdout, done.stderr
    assert done.stdout.count('"status"') == (0 if user else 1)
