"""Bundles: a root filesystem of Debian's static busybox and a config.json that each test changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDERS = ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "var")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n"
GROUP = "root:x:0:\nstaff:x:50:user\nuser:x:1000:\n"
CAPABILITIES = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETUID",
]


def busybox() -> str:
    """The static busybox; skips the test when there is none."""
    found = shutil.which("busybox")
    if found is None:
        pytest.skip("busybox-static is not installed: the containers have no root filesystem")
    return found


class RootFilesystem:
    """Makes root filesystems, each with links to one copy of busybox.

    directory   a directory on the same filesystem as the bundles
    """

    def __init__(self, directory: Path) -> None:
        source = busybox()
        self.binary = directory / "busybox"
        shutil.copyfile(source, self.binary)
        self.binary.chmod(0o755)
        self.applets = subprocess.run(
            [source, "--list"], capture_output=True, text=True, check=True
        ).stdout.split()
        self.applets.remove("busybox")

    def make(self, target: Path) -> Path:
        """Fill `target` with a small root filesystem."""
        for name in FOLDERS:
            (target / name).mkdir(parents=True)
        (target / "tmp").chmod(0o1777)
        os.link(self.binary, target / "bin/busybox")
        for name in self.applets:
            os.symlink("busybox", target / "bin" / name)
        (target / "etc/passwd").write_text(PASSWD)
        (target / "etc/group").write_text(GROUP)
        return target


def default_mounts() -> list[dict[str, Any]]:
    """The mounts that `runc spec` writes, without the cgroup filesystem."""
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        },
        {
            "destination": "/dev/mqueue",
            "type": "mqueue",
            "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"],
        },
        {
            "destination": "/sys",
            "type": "sysfs",
            "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"],
        },
    ]


def cgroup_mount() -> dict[str, Any]:
    """The mount of the cgroup filesystem that `runc spec` writes."""
    return {
        "destination": "/sys/fs/cgroup",
        "type": "cgroup",
        "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", "relatime", "ro"],
    }


def default_config(cgroup: str) -> dict[str, Any]:
    """A config.json that asks for what most containers ask for; `cgroup` is its linux.cgroupsPath."""
    sets = ("bounding", "effective", "permitted")
    kinds = ("pid", "network", "ipc", "uts", "mount")
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/true"],
            "env": ["PATH=/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {name: list(CAPABILITIES) for name in sets},
        },
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": default_mounts(),
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": kind} for kind in kinds],
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        },
    }


def write_config(bundle: Path, config: dict[str, Any]) -> None:
    """Write config.json."""
    (bundle / "config.json").write_text(json.dumps(config, indent=1))


def chown_tree(top: Path, uid: int, gid: int) -> None:
    """Give a tree to another owner; hard-linked files keep theirs."""
    os.chown(top, uid, gid)
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            if os.path.islink(path) or os.stat(path).st_nlink == 1 or os.path.isdir(path):
                os.chown(path, uid, gid, follow_symlinks=False)
