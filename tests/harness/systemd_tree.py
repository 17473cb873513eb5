"""A small root file system in which systemd is the first process, of this machine's own files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .bundle import busybox

MANAGER = Path("/usr/lib/systemd/systemd")
_PROGRAMS = ("systemctl", "journalctl", "systemd-tmpfiles", "systemd-cgls", "dbus-daemon", "mount", "umount")
_APPLETS = ("sh", "cat", "mkdir", "rmdir", "sleep", "sort", "stat", "touch")
_PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n"
)
_GROUP = "root:x:0:\nmessagebus:x:100:\nsystemd-journal:x:101:\nutmp:x:102:\ntty:x:5:\nnogroup:x:65534:\n"
# What is for consoles, and for machines that are no containers
_MASKED = (
    "console-getty.service",
    "getty.target",
    "systemd-udevd.service",
    "systemd-firstboot.service",
    "systemd-sysusers.service",
)
# It runs in a cgroup below that of the container, writes to the journal and to the console
_SERVICE = """
[Service]
Type=exec
ExecStart=/bin/sh -c 'echo words of a service; exec sleep 7000'
ExecStop=/bin/sh -c 'echo words of its end'
StandardOutput=journal+console
MemoryMax=32M
"""


def make(root: Path) -> Path:
    """Fill `root`; skips the test where there is no systemd, or no dbus-daemon, to be copied."""
    if not MANAGER.exists() or shutil.which("dbus-daemon") is None:
        pytest.skip("systemd and dbus-daemon are not installed: the container has nothing to run")
    for name in (
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "usr/lib64",
        "usr/share",
        "etc/systemd/system",
        "var/log/journal",
    ):
        (root / name).mkdir(parents=True)
    for name in ("proc", "sys", "dev", "run", "tmp", "root"):
        (root / name).mkdir()
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    shutil.copytree("/usr/lib/systemd", root / "usr/lib/systemd", symlinks=True)
    shutil.copytree("/usr/share/dbus-1", root / "usr/share/dbus-1", symlinks=True)
    for name in _PROGRAMS:
        shutil.copy(shutil.which(name) or name, root / "usr/bin" / name)
    shutil.copy(busybox(), root / "usr/bin/busybox")
    for name in _APPLETS:
        (root / "usr/bin" / name).symlink_to("busybox")
    (root / "usr/sbin/init").symlink_to("../lib/systemd/systemd")
    _copy_libraries(root)
    _configure(root)
    return root


def _copy_libraries(root: Path) -> None:
    """The shared libraries of all programs, and of what they bring."""
    files = [
        path
        for place in ("usr/bin", "usr/lib/systemd")
        for path in (root / place).rglob("*")
        if path.is_file() and not path.is_symlink() and path.read_bytes()[:4] == b"\x7fELF"
    ]
    found = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False).stdout
    for name in {*re.findall(r"(?:=> |^\s+)(/\S+) \(0x", found, re.MULTILINE)}:
        path = Path(name)
        target = root / path.resolve().relative_to("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path.resolve(), target)
        wanted = root / str(path).lstrip("/")
        if not wanted.exists():
            wanted.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path.resolve(), wanted)


def _configure(root: Path) -> None:
    units = root / "etc/systemd/system"
    (units / "told.service").write_text(_SERVICE)
    (units / "multi-user.target.wants").mkdir()
    (units / "multi-user.target.wants/told.service").symlink_to("../told.service")
    (units / "default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    for name in _MASKED:
        (units / name).symlink_to("/dev/null")
    for name, text in ("passwd", _PASSWD), ("group", _GROUP), ("machine-id", ""):
        (root / "etc" / name).write_text(text)
    shutil.copy("/etc/os-release", root / "etc/os-release")


# What a shell in the container tells of it, once it is up; systemctl answers no sooner than the bus is there
LOOK = r"""
n=0
until state=$(systemctl is-system-running --wait 2>/dev/null); [ "$state" = running ] || [ "$state" = degraded ]; do
    n=$((n + 1)); [ $n -lt 100 ] || break
    sleep 1
done
echo "state $state"
systemctl list-units --failed --no-legend --plain
for place in /run /run/lock /tmp; do
    echo "$place $(stat -f -c %T $place) $(touch $place/x && echo writable)"
done
echo "first $(cat /proc/1/cgroup)"
echo "here $(cat /proc/self/cgroup)"
echo "owner $(stat -c %u /sys/fs/cgroup /sys/fs/cgroup/cgroup.procs | sort -u)"
echo "controllers $(cat /sys/fs/cgroup/cgroup.controllers)"
mkdir /sys/fs/cgroup/own && rmdir /sys/fs/cgroup/own && echo may make cgroups
echo "container $(cat /run/systemd/container)"
echo "memory $(cat /sys/fs/cgroup/system.slice/told.service/memory.max)"
journalctl --no-pager -o cat -u told.service
"""
TOLD = (
    "/run tmpfs writable", "/run/lock tmpfs writable", "/tmp tmpfs writable", "first 0::/init.scope", "here 0::/init.scope",
    "owner 0", "may make cgroups", f"memory {32 << 20}", "words of a service",
)  # fmt: skip
