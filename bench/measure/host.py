"""The place where all runtimes are measured: one private mount namespace with one tmpfs.

crun 1.8 refuses the hybrid cgroup layout (version 1 controllers with an extra version 2 tree in
`/sys/fs/cgroup/unified`). In our own mount namespace that tree can be taken away without anybody else
seeing it, so that all runtimes meet the same, pure version 1 host. Where the host has cgroup version 2
only, nothing is taken away.
"""

import contextlib
import ctypes
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
CACHES = Path("/var/cache")
OUR_CGROUP = "pyoci-bench"  # every id and cgroupsPath of the benchmark starts with it

_CLONE_NEWNS = 0x20000
_MS_RDONLY = 1
_MS_REMOUNT = 1 << 5
_MS_BIND = 1 << 12
_MS_PRIVATE = 1 << 18
_MS_REC = 1 << 14
_MNT_DETACH = 2
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount_tmpfs(target: Path) -> None:
    """Mount a new tmpfs on TARGET (mount(2))."""
    _checked(
        _libc.mount(b"tmpfs", os.fsencode(target), b"tmpfs", 0, b"mode=755"), f"mount a tmpfs on {target}"
    )


@contextlib.contextmanager
def read_only(file: Path) -> Iterator[None]:
    """Have FILE on a read-only mount, a bind of itself, for a while."""
    target = os.fsencode(file)
    _checked(_libc.mount(target, target, None, _MS_BIND, None), f"bind {file} on itself")
    try:
        flags = _MS_BIND | _MS_REMOUNT | _MS_RDONLY
        _checked(_libc.mount(None, target, None, flags, None), f"make {file} read-only")
        yield
    finally:
        _libc.umount2(target, _MNT_DETACH)


def become_subreaper() -> None:
    """Make the orphans of the runtimes our children, as conmon and containerd-shim do (prctl(2))."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def unified_trees(mountinfo: str) -> list[str]:
    """The cgroup version 2 mounts below, but not at, /sys/fs/cgroup, from the text of a mountinfo file."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        target = before.split()[4]
        if after.split()[0] == "cgroup2" and target.startswith(f"{CGROUPS}/"):
            found.append(target)
    return found


@contextlib.contextmanager
def private_place() -> Iterator[Path]:
    """Unshare the mounts and yield a directory on a tmpfs of our own; needs root.

    /var/cache is a tmpfs as well, so that a runtime's caches start empty and leave the host's alone.
    """
    work = Path(tempfile.mkdtemp(prefix="pyoci-bench-"))
    try:
        _checked(_libc.unshare(_CLONE_NEWNS), "unshare the mounts (root is needed)")
        _checked(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "make all mounts private")
        for target in unified_trees(Path("/proc/self/mountinfo").read_text()):
            _checked(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"unmount {target}")
        mount_tmpfs(CACHES)
        mount_tmpfs(work)
        become_subreaper()
        try:
            yield work
        finally:
            end_orphans()
            remove_cgroups()
            _libc.umount2(os.fsencode(work), _MNT_DETACH)
    finally:
        work.rmdir()


def drop_caches_of_runtimes(roots: list[Path]) -> None:
    """Remove what runtimes keep from one run to the next: /var/cache (ours) and ROOT/.cache (newer crun)."""
    for entry in CACHES.iterdir():
        shutil.rmtree(entry, ignore_errors=True)
    for root in roots:
        shutil.rmtree(root / ".cache", ignore_errors=True)


def children(pid: int) -> list[int]:
    """All descendants of process PID that are alive now, in no order."""
    found: list[int] = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return found
    for task in tasks:
        with contextlib.suppress(OSError):
            for word in (task / "children").read_text().split():
                found += [int(word), *children(int(word))]
    return found


def end_orphans() -> None:
    """Kill and wait for everything that the runtimes left with us, at most for five seconds."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        for pid in children(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def remove_cgroups() -> None:
    """Remove our cgroups that were left, in every hierarchy; none has processes any more."""
    for pattern in (f"{OUR_CGROUP}*", f"*/{OUR_CGROUP}*", f"*/*/{OUR_CGROUP}*"):
        for top in CGROUPS.glob(pattern):
            for directory, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)


def facts() -> dict[str, str]:
    """What the figures depend on: machine, kernel, date, load."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    version2 = (CGROUPS / "cgroup.controllers").exists()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "machine": f"{model}, {os.cpu_count()} processors, {memory} MiB",
        "virtual": virtualisation(),
        "kernel": f"{platform.system()} {platform.release()}, cgroup version {2 if version2 else 1}",
        "python": platform.python_version(),
        "load": " ".join(f"{figure:.2f}" for figure in os.getloadavg()),
    }


def virtualisation() -> str:
    """The virtual machine that systemd-detect-virt sees ("none" on metal), or "unknown" without it."""
    program = shutil.which("systemd-detect-virt")
    if program is None:
        return "unknown"
    answer = subprocess.run([program, "--vm"], capture_output=True, text=True, check=False, timeout=10)
    return answer.stdout.strip() or "unknown"
