"""Root file systems to install into and to run in, as on another machine: they need root, and those of Debian mmdebstrap."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

# By pivot_root and not chroot: what a runtime's `exec` joins is the root of the mount namespace.
_ENTER = """
root=$1
shift
mount --bind "$root" "$root"
for directory in proc sys dev; do
    mkdir -p "$root/$directory"
    mount --rbind "/$directory" "$root/$directory"
done
mkdir -p "$root/run" "$root/tmp" "$root/old"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
cd "$root"
pivot_root . old
cd /
umount -l /old
exec "$@"
"""
_ENVIRONMENT = {
    "HOME": "/root",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
}
_FROM_HOST = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt", "/etc/apt/auth.conf", "/etc/pip.conf")


class Tree:
    """A root file system; programs in it see the host's /proc, /sys and /dev, and an empty /run."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def call(
        self, *command: str, env: Mapping[str, str] | None = None, timeout: int = 1200
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the tree, in a mount namespace of its own; standard error goes where standard output goes."""
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _ENTER, "sh"]
        return subprocess.run(
            [*enter, str(self.root), *command], env=_ENVIRONMENT | dict(env or {}), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout, check=False,
        )  # fmt: skip

    def run(self, script: str, *, timeout: int = 1200) -> str:
        """Run a shell script in the tree; returns what it printed. Raises AssertionError where a command of it fails."""
        done = self.call("sh", "-exc", script, timeout=timeout)
        assert done.returncode == 0, f"status {done.returncode}:\n{done.stdout}"
        return done.stdout


def debian(root: Path, suite: str = "bookworm") -> Tree:
    """A fresh Debian with apt, but for recommended packages."""
    # A machine whose clock is ahead of its mirror still gets what the mirror has.
    options = [
        'Acquire::Check-Valid-Until "false"',
        'Apt::Install-Recommends "false"',
        'Apt::Sandbox::User "root"',
    ]
    # In a mount namespace of its own: where it can't unmount, removing the tree later would reach the host's /sys.
    command = ["unshare", "--mount", "--propagation", "private"]
    command += ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt", "--include=ca-certificates,mount"]
    command += [f"--aptopt={option}" for option in options]
    done = subprocess.run(
        [*command, suite, str(root)], capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in filter(lambda name: Path(name).is_file(), _FROM_HOST):
        shutil.copy(name, root / name.lstrip("/"))
    tree = Tree(root)
    tree.run("apt-get -qq update")
    return tree


def remove(directory: Path) -> None:
    """Remove a directory with root file systems, but nothing that is mounted in one."""
    subprocess.run(["rm", "-rf", "--one-file-system", directory], check=True)


def busybox(root: Path, program: str) -> Tree:
    """Nothing but busybox."""
    (root / "bin").mkdir(parents=True)
    shutil.copy(program, root / "bin/busybox")
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    return Tree(root)
