"""The init itself: what it gives the container besides a program, and what others in the container can do to it."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.boxes import Boxes
from harness.terminal import ConsoleSocket

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
    with open("/dev/zero") as given:  # for the program
        words = ("--preserve-fds", "1")
        found = made.run(*words, close_fds=False, preexec_fn=lambda: os.dup2(given.fileno(), 3))
    # 0, 1, 2 and the one that ls opens; the second list is busybox's
    assert found.lines() == ["0", "1", "2", "3"] * 2


@pytest.fixture
def init() -> Iterator[InitProcess]:
    """An init that is not told anything."""
    made = InitProcess()
    yield made
    made.kill()


DUMPABLE = Path("/proc/sys/fs/suid_dumpable")


@pytest.fixture(params=["0", "1"])
def suid_dumpable(request: pytest.FixtureRequest) -> Iterator[str]:
    """fs.suid_dumpable: 1 makes a process dumpable whose credentials change, for all of the machine."""
    before = DUMPABLE.read_text()
    if request.param != before.strip() and not os.environ.get("PYOCI_TEST_THROW_AWAY"):
        pytest.skip("PYOCI_TEST_THROW_AWAY is not set: sysctls of the whole machine stay as they are")
    DUMPABLE.write_text(request.param)
    yield request.param
    DUMPABLE.write_text(before)


def test_root_of_a_user_namespace_can_not_look_into_an_init_that_joins(
    box: Boxes, init: InitProcess, suid_dumpable: str
) -> None:
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


SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def test_the_image_of_the_init_is_sealed(box: Boxes) -> None:
    """CVE-2019-5736: all inits of a machine could be another program from then on."""
    made = box("/bin/true")
    made.create()
    fd = os.open(f"/proc/{made.pid}/exe", os.O_RDONLY)
    try:
        assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) == SEALS
    finally:
        os.close(fd)


def test_the_waiting_init_is_not_dumpable(box: Boxes) -> None:
    """The files of its /proc/PID belong to root then, not to the user that it has become (proc(5))."""
    made = box("/bin/sleep", "1000")
    made.process["user"] = {"uid": 1000, "gid": 1000}
    made.create()
    assert f"Uid:\t{1000}" in Path(f"/proc/{made.pid}/status").read_text()
    assert os.stat(f"/proc/{made.pid}/environ").st_uid == 0
    made.start()
    made.first = made.pid
    assert os.stat(f"/proc/{made.pid}/environ").st_uid == 1000
    made.stop()


def test_the_descriptors_of_the_waiting_init(box: Boxes) -> None:
    """Three streams, and the two fifos of `start`: nothing that leads to a file system of the host."""
    made = box("/bin/true")
    made.create()
    found = {
        int(name): os.readlink(f"/proc/{made.pid}/fd/{name}") for name in os.listdir(f"/proc/{made.pid}/fd")
    }
    others = [Path(path).name for number, path in found.items() if number > 2]
    assert sorted(others) == ["failure", "start"]


def test_a_console_that_is_a_link(box: Boxes, folder: Path) -> None:
    """The terminal is bound on /dev/console, and nothing is made where a link there leads."""
    console = ConsoleSocket(folder / "console.sock")
    made = box.sh("true")
    made.mounts[:] = [mount for mount in made.mounts if not mount["destination"].startswith("/dev")]
    os.symlink("/elsewhere", made.rootfs / "dev/console")
    (made.rootfs / "dev/pts").mkdir(exist_ok=True)
    made.mount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666", "mode=0620")
    made.process["terminal"] = True
    found = made.create("--console-socket", str(console.path), check=False)
    console.close()
    assert found.rc != 0 and "/dev/console" in found.err
    assert not (made.rootfs / "elsewhere").exists()


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_the_signals_of_the_caller_count_for_nothing(box: Boxes, verb: str) -> None:
    """It may ignore and block what it likes: the program has neither, nor what Python ignores."""

    def prepare() -> None:
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGPIPE, signal.SIGRTMIN + 3):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGCHLD, signal.SIGRTMAX])

    look = ("/bin/grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status")
    if verb == "run":
        found = box(*look).run(preexec_fn=prepare)
    else:
        found = box("/bin/sleep", "1000").launch().exec(*look, preexec_fn=prepare)
    assert {int(line.split()[1], 16) for line in found.lines()} == {0}
