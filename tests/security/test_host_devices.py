"""The host's device nodes: what covers a masked file, and what a user namespace finds in /dev, must not lead to their inodes.

A version that fails here would change /dev/null for every user of the machine. So the runtime is called in a mount namespace in
which /dev/null is a node of the test's own.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.box import Container
from harness.boxes import Boxes
from harness.programs import Programs
from harness.runtime import PATIENCE

APART = 'mount --bind "$0" /dev/null && exec "$@"'
MASKED = "/proc/cpuinfo"


class Node:
    """A device node in the place of one of the host's, which must stay as it is."""

    def __init__(self, path: Path, minor: int) -> None:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        path.chmod(0o666)
        os.utime(path, (1000, 1000))
        self.path = path
        self.before = self.look()

    def look(self) -> tuple[int, ...]:
        """Mode, owner and times."""
        found = self.path.stat()
        return (found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, found.st_ctime_ns)

    def untouched(self) -> None:
        """Assert that it is as it was."""
        assert self.look() == self.before


@pytest.fixture
def null(folder: Path) -> Node:
    """What the runtime takes for the host's /dev/null."""
    return Node(folder / "null", 3)


def command(made: Container, null: Node, *before: str) -> list[str]:
    """The command line of `run` in a mount namespace in which /dev/null is another node."""
    made.save()
    run = made.runtime.argv("run", "-b", str(made.directory), made.id)
    return [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        APART,
        str(null.path),
        *before,
        *run,
    ]


def run(made: Container, null: Node, *before: str) -> str:
    """Run a container so; returns what it printed."""
    argv = command(made, null, *before)
    done = subprocess.run(argv, input="", capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def touching(*paths: str) -> str:
    """A script that changes what can be changed of nodes, and then uses them as devices."""
    changes = (f"chmod 600 {path}; chown 1:1 {path}; touch {path}" for path in paths)
    uses = (f"echo x > {path} && head -c 1 {path} | wc -c" for path in paths)
    return f"({'; '.join(changes)}) 2>/dev/null; {' && '.join(uses)}"


@pytest.mark.only("pyoci")  # runc 1.1.5 writes a time into its own /dev/null: the node is bound writable
def test_a_masked_file_is_not_the_hosts_null_device(box: Boxes, null: Node) -> None:
    made = box.sh(touching(MASKED))
    made.linux["maskedPaths"] = [MASKED, "/proc/fs", "/proc/version"]
    assert run(made, null) == "0\n"
    null.untouched()


def test_a_masked_file_neither_locks_nor_watches_the_hosts_null_device(
    box: Boxes, programs: Programs, null: Node
) -> None:
    made = box()
    made.args(made.put(programs.path("hold")), MASKED)
    made.linux["maskedPaths"] = [MASKED]
    process = subprocess.Popen(command(made, null), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process, open(null.path) as ours:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == b"locked\n"
        with open(null.path):
            fcntl.flock(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError where the container holds it
        process.stdin.close()
        assert process.stdout.readline() == b"quiet\n"
        assert process.wait(PATIENCE) == 0


@pytest.mark.only("pyoci")  # runc 1.1.5 binds the node writable
def test_a_user_namespace_can_not_change_what_masks(box: Boxes, null: Node) -> None:
    """No node can be made there: it is the host's, and root of a namespace in which the host's root is mapped owns it."""
    made = box.sh(touching(MASKED))
    made.user_namespace(first=0)
    made.linux["maskedPaths"] = [MASKED, "/proc/fs"]
    assert run(made, null) == "0\n"
    null.untouched()


@pytest.mark.only("pyoci")  # runc 1.1.5 binds the nodes writable
@pytest.mark.parametrize("first", [0, 100000])
def test_a_user_namespace_can_not_change_the_hosts_devices(
    box: Boxes, folder: Path, null: Node, first: int
) -> None:
    """They are bound for it, and can be written to like any device."""
    zero = Node(folder / "zero", 5)
    made = box.sh(touching("/dev/null", str(zero.path)))
    made.user_namespace(first)
    made.linux["devices"] = [{"path": str(zero.path), "type": "c", "major": 1, "minor": 5}]
    assert run(made, null) == "0\n1\n"
    null.untouched()
    zero.untouched()


@pytest.mark.only("pyoci")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed: it starts the runtime")
def test_a_runtime_that_may_make_no_node_masks_read_only(box: Boxes, folder: Path, null: Node) -> None:
    (folder / "dev").mkdir()
    made = box.sh(touching(MASKED).replace("2>/dev/null", "2>&-"))
    made.mounts[:] = [mount for mount in made.mounts if not mount["destination"].startswith("/dev")]
    made.mount("/dev", "bind", str(folder / "dev"), "rbind")
    made.linux["maskedPaths"] = [MASKED]
    for names in made.process["capabilities"].values():
        names.remove("CAP_MKNOD")
    assert run(made, null, "setpriv", "--bounding-set=-mknod") == "0\n"
    null.untouched()


@pytest.mark.parametrize("link", ["/proc/sys/kernel/core_pattern", "../proc/sys/kernel/core_pattern"])
def test_cve_2025_31133(box: Boxes, folder: Path, link: str) -> None:
    """/dev/null of the container leads into procfs, and the mask of a path would be a writable file of the kernel's.

    On a /dev that is bound the runtime makes no devices, so that nothing else stops it.
    """
    (folder / "dev").mkdir()
    os.symlink(link, folder / "dev/null")
    made = box.sh(f"cat {MASKED}; grep -c core_pattern /proc/self/mountinfo")
    made.mounts[:] = [mount for mount in made.mounts if not mount["destination"].startswith("/dev")]
    made.mount("/dev", "bind", str(folder / "dev"), "rbind")
    made.linux["maskedPaths"] = [MASKED]
    made.linux["readonlyPaths"] = ["/proc/sys"]
    assert made.run(check=False).out in ("", "0\n")


def long_option(folder: Path) -> str:
    """An option of a mount that fsconfig(2) can't take: the lower directories of an overlay, in 256 bytes and more."""
    lower = []
    for number in range(8):
        lower.append(folder / f"lower{number}{'x' * 40}")
        lower[-1].mkdir()
    return "lowerdir=" + ":".join(str(path) for path in lower)


@pytest.fixture
def mounted(box: Boxes) -> Iterator[Container]:
    """A container with rootfsPropagation "shared" whose root filesystem is a mount, as engines have it: not part of "/"."""
    made = box.sh("true")
    made.linux["rootfsPropagation"] = "shared"
    subprocess.run(["mount", "--bind", made.rootfs, made.rootfs], check=True)
    yield made
    subprocess.run(["umount", made.rootfs], check=True)


@pytest.mark.only("pyoci")  # runc 1.1.5 mounts where the host sees it
@pytest.mark.parametrize("extra", ["nothing", "a mount of before", "masks"])
def test_a_shared_root_shows_no_mount_on_the_host_meanwhile(
    mounted: Container, folder: Path, extra: str
) -> None:
    """What is mounted on "/" for a moment is mounted on the host's "/", too, when they share propagation.

    The kernel tells of every change of a mount table by POLLPRI on its mountinfo (proc(5)).
    """
    if extra == "a mount of before":
        mounted.mount("/merged", "overlay", "overlay", long_option(folder))
    if extra == "masks":
        mounted.linux["maskedPaths"] = [MASKED, "/proc/fs"]
    with open("/proc/self/mountinfo") as table:
        before = table.read()
        watch = select.poll()
        watch.register(table, select.POLLPRI)
        mounted.run()
        assert not watch.poll(0)
        table.seek(0)
        assert table.read() == before


NO_PIVOT = """
mount --make-rshared / && mount --bind "$0" "$0" && before=$(cat /proc/self/mountinfo) && "$@" || exit
[ "$before" = "$(cat /proc/self/mountinfo)" ] && [ -d /sys/kernel ] && echo the same
"""


def test_a_shared_root_without_pivot_takes_nothing_from_the_host(box: Boxes) -> None:
    """In a mount namespace in the place of the host's: the machine would be lost otherwise."""
    made = box.sh("true")
    made.linux["rootfsPropagation"] = "shared"
    made.save()
    run = made.runtime.argv("run", "--no-pivot", "-b", str(made.directory), made.id)
    apart = ["unshare", "--mount", "--propagation", "private", "sh", "-c", NO_PIVOT, str(made.rootfs)]
    done = subprocess.run([*apart, *run], capture_output=True, text=True, timeout=PATIENCE, check=False)
    if "the same" not in done.stdout:
        made.delete("--force", check=False)
    assert done.stdout == "the same\n", done.stderr


@pytest.mark.only("pyoci")  # runc 1.1.5 starts nothing where /dev/null is missing
def test_a_standard_file_is_not_the_hosts_null_device(box: Boxes, folder: Path, null: Node) -> None:
    """As a descriptor it leads to its inode; where the container has no null device, it gets one of its own."""
    (folder / "dev").mkdir()
    made = box.sh(touching("/proc/self/fd/0").replace("2>/dev/null", "2>&-"))
    made.mounts[:] = [mount for mount in made.mounts if not mount["destination"].startswith("/dev")]
    made.mount("/dev", "bind", str(folder / "dev"), "rbind")
    with open(null.path, "r+b") as given:
        assert made.run(stdin=given).out == "0\n"
    null.untouched()


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("instead", ["true", "echo container > /dev/null", "ln -s /file /dev/null"])
def test_a_standard_file_of_exec_is_a_null_device(box: Boxes, null: Node, instead: str) -> None:
    """The container has removed its /dev/null, or put a file there."""
    made = box.sh(f"echo container > /file; rm /dev/null; {instead}; echo ready; exec sleep 1000")
    said = made.stream()
    made.launch(stdout=said)
    said.until("ready")
    script = f"cat; {touching('/proc/self/fd/0').replace('2>/dev/null', '2>&-')}"
    with open(null.path, "r+b") as given:
        assert made.exec("/bin/sh", "-c", script, stdin=given).out == "0\n"
    null.untouched()
    made.stop()
