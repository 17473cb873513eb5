"""The init itself: what it gives the container besides a program, and what others in the container can do to it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from harness.boxes import Boxes

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.init.process import InitProcess
from pyoci.plan import namespaces as namespace_ops
from pyoci.plan.ops import Plan
from pyoci.spec import namespaces

pytestmark = pytest.mark.only("pyoci")


@pytest.mark.parametrize("mask", [0, 0o077])
def test_the_mask_of_the_caller_counts_for_nothing(box: Boxes, mask: int) -> None:
    """Nodes and mount points have the modes they are to have: /dev/null of a user who is not root, for one."""
    made = box.sh("umask; stat -c %a /dev/null /made; echo > /dev/null")
    made.process["user"] = {"uid": 1000, "gid": 1000}
    made.mount("/made/inside", "tmpfs", "tmpfs")
    assert made.run(umask=mask).lines() == ["0022", "666", "755"]


def test_a_hook_inside_has_no_descriptor_of_ours(box: Boxes) -> None:
    made = box("/bin/true")
    for kind in ("createContainer", "startContainer"):
        script = f"ls /proc/self/fd >/{'dev/shm' if kind == 'startContainer' else made.rootfs}/{kind}; exit 0"
        made.config.setdefault("hooks", {})[kind] = [
            {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}
        ]
    made.sh("cat /createContainer /dev/shm/startContainer")
    # 0, 1, 2 and the one that ls opens; the second list is busybox's
    assert made.run().lines() == ["0", "1", "2", "3"] * 2


@pytest.fixture
def init() -> Iterator[InitProcess]:
    """An init that is not told anything."""
    made = InitProcess()
    yield made
    made.kill()


def test_root_of_a_user_namespace_can_not_look_into_an_init_that_joins(box: Boxes, init: InitProcess) -> None:
    """It holds descriptors of the host. CVE-2016-9962 was this, by ptrace(2)."""
    made = box("/bin/sleep", "1000")
    made.capabilities("CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_SETUID", "CAP_SETGID")
    made.user_namespace()
    made.launch()
    pidfd = os.pidfd_open(made.pid)
    kinds = ("user", "pid", "mount", "ipc", "uts", "network")
    plan = Plan()
    flags = sum(namespaces.FLAGS[kind] for kind in kinds)
    plan.add(ops.setns(fd=plan.carry("pidfd"), flags=flags))
    namespace_ops.add_fork(plan, 0, "")
    plan.add(ops.become_root())
    init.spawn(0)
    init.send("exec", plan, [pidfd])
    os.close(pidfd)
    init.expect_fork()
    init.send_byte()
    init.expect(lib.REPLY_DONE)
    inside = _pid_inside(init.pid)
    seen = made.exec(
        "/bin/sh", "-c", f"cat /proc/{inside}/comm; ls /proc/{inside}/fd /proc/{inside}/cwd/", check=False
    )
    assert seen.out.startswith("pyoci/init\n") and seen.rc != 0
    assert seen.err.count("Permission denied") == 2
    # the same of a process of the container: it is not for lack of privilege
    assert made.exec("/bin/sh", "-c", "ls /proc/1/fd /proc/1/cwd/").rc == 0
    init.kill()  # the pid namespace ends only after we, its parent, have waited for it
    made.stop()


def _pid_inside(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return int(next(line for line in status if line.startswith("NSpid:")).split()[-1])
