"""The check that a test left nothing behind: processes, cgroups, mounts, state."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from . import machine

_MNT_DETACH = 2
# A killed process, and with it its cgroup, may need a moment to be gone: the kernel does this after the call returned.
_SETTLE = 5.0


def children(pid: int) -> list[int]:
    """The children of a process, zombies included."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    except OSError:
        return found
    return found


def descendants() -> Iterator[int]:
    """Everything that descends from this process."""
    waiting = children(os.getpid())
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children(pid)


def is_zombie(pid: int) -> bool:
    """True when the process has ended and waits to be reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] == "Z"


def reap() -> None:
    """Collect the orphans that ended and came to us as subreaper."""
    for pid in children(os.getpid()):
        if is_zombie(pid):
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def describe(pid: int) -> str:
    """One line about a process."""
    try:
        command = (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        )
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return f"process {pid} (gone)"
    return f"process {pid} ({state}) {command or '[no arguments]'}"


def mounts() -> list[str]:
    """The mount table of our mount namespace: mount point and type, in order."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        found.append(f"{left.split()[4]} ({right.split()[0]})")
    return found


def cgroup_places() -> list[Path]:
    """The cgroup directories in which containers of the tests come to lie, whatever path they ask for.

    Not a walk over all of the hierarchy: in an emulated machine under systemd that takes longer than a container.
    """
    if machine.cgroup_version() == 1:
        found = [top for top in machine.CGROUPS.iterdir() if top.is_dir() and not top.is_symlink()]
        own = {}
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            own[names.removeprefix("name=") or "unified"] = path
        return found + [top / own[top.name].strip("/") for top in found if own.get(top.name, "/") != "/"]
    places = [machine.CGROUPS, machine.CGROUPS / "system.slice"]
    (line,) = [line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
    own_path = machine.CGROUPS / line[3:].lstrip("/")
    while own_path != machine.CGROUPS:
        places += [own_path, own_path / "user.slice"]
        own_path = own_path.parent
    return places


def cgroups(prefix: str) -> list[str]:
    """The cgroup directories of all hierarchies with a name that contains `prefix`, and those below; deepest first."""
    found: set[str] = set()
    for place in cgroup_places():
        try:
            names = [name for name in os.listdir(place) if prefix in name]
        except FileNotFoundError:
            continue
        for name in names:
            found.update(folder for folder, _, _ in os.walk(place / name))
    return sorted(found, key=len, reverse=True)


class LeakChecker:
    """Remembers the machine before a test and tells what the test added.

    prefix   what the names of this session's containers and cgroups contain
    root     the state directory
    """

    def __init__(self, prefix: str, root: Path) -> None:
        self.prefix = prefix
        self.root = root
        self.processes_before = set(descendants())
        self.mounts_before = mounts()
        self.cgroups_before = set(cgroups(prefix))

    def state_entries(self) -> list[str]:
        """The names in the state directory."""
        return sorted(os.listdir(self.root)) if self.root.is_dir() else []

    def mounts_added(self) -> list[str]:
        """What the mount table has more than before, in its order."""
        before = list(self.mounts_before)
        added = []
        for mount in mounts():
            if mount in before:
                before.remove(mount)
            else:
                added.append(mount)
        return added

    def found(self) -> list[str]:
        """What is there now and was not before; one line for each thing."""
        reap()
        lines = [describe(pid) for pid in descendants() if pid not in self.processes_before]
        lines += [f"cgroup {path}" for path in cgroups(self.prefix) if path not in self.cgroups_before]
        lines += [f"mount {mount}" for mount in self.mounts_added()]
        lines += [f"state {name}" for name in self.state_entries()]
        return lines

    def settled(self) -> list[str]:
        """`found`, after giving the kernel a bounded time to finish what was ended."""
        end = time.monotonic() + _SETTLE
        while (lines := self.found()) and time.monotonic() < end:
            time.sleep(0.02)
        return lines

    def clean(self) -> None:
        """Remove what a failed test left, so that the next one starts clean."""
        for pid in list(descendants()):
            if pid not in self.processes_before:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        end = time.monotonic() + _SETTLE
        while time.monotonic() < end:
            reap()
            for path in cgroups(self.prefix):
                if path not in self.cgroups_before:
                    empty_cgroup(Path(path))
            cgroups_left = [path for path in cgroups(self.prefix) if path not in self.cgroups_before]
            processes_left = [pid for pid in descendants() if pid not in self.processes_before]
            if not cgroups_left and not processes_left:
                break
            time.sleep(0.02)
        for point in reversed([mount.rpartition(" (")[0] for mount in self.mounts_added()]):
            machine.LIBC.umount2(point.encode(), ctypes.c_int(_MNT_DETACH))


def empty_cgroup(path: Path) -> None:
    """Kill what is in a cgroup and remove its directory; fails silently, the caller looks again."""
    try:
        for pid in (path / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        path.rmdir()
    except OSError:
        pass
