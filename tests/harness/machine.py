"""What this machine offers: asked once, used to skip a test with its reason."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LIBC = ctypes.CDLL(None, use_errno=True)
_PTRACE_DETACH, _PTRACE_SEIZE, _PTRACE_INTERRUPT, _PTRACE_SECCOMP_GET_METADATA = 17, 0x4206, 0x4207, 0x420D
_WALL = 0x40000000
CGROUPS = Path("/sys/fs/cgroup")
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_REC, _MS_PRIVATE, _MS_SHARED = 0x4000, 1 << 18, 1 << 20
_PR_SET_CHILD_SUBREAPER = 36
_CAPABILITY_BITS = {"CAP_SYS_ADMIN": 21, "CAP_SYS_RESOURCE": 24, "CAP_MKNOD": 27}


def check_libc(result: int, what: str) -> None:
    """Raise OSError for a failed libc call."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def is_root() -> bool:
    """True for uid 0 with CAP_SYS_ADMIN, which is what making containers needs."""
    return os.geteuid() == 0 and has_capability("CAP_SYS_ADMIN")


@functools.cache
def has_capability(name: str) -> bool:
    """True when this process holds the capability in its effective set."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAPABILITY_BITS[name] & 1)
    return False


@functools.cache
def cgroup_version() -> int:
    """2 where /sys/fs/cgroup is the unified hierarchy, 1 where it holds one directory for each controller."""
    return 2 if (CGROUPS / "cgroup.controllers").exists() else 1


@functools.cache
def controllers() -> frozenset[str]:
    """The resource controllers that a container's cgroup can use."""
    if cgroup_version() == 2:
        return frozenset((CGROUPS / "cgroup.controllers").read_text().split())
    lines = Path("/proc/cgroups").read_text().splitlines()[1:]
    return frozenset(line.split()[0] for line in lines if (CGROUPS / line.split()[0]).is_dir())


@functools.cache
def namespace_kinds() -> frozenset[str]:
    """The names in /proc/self/ns."""
    return frozenset(os.listdir("/proc/self/ns"))


@functools.cache
def systemd_runs() -> bool:
    """True when systemd is the first process."""
    return Path("/run/systemd/system").is_dir()


@functools.cache
def seccomp_works() -> bool:
    """True when the kernel has seccomp filters."""
    return Path("/proc/sys/kernel/seccomp/actions_avail").exists()


# for tests that call by the numbers of x86_64
SECCOMP_BY_NUMBER = pytest.mark.skipif(
    platform.machine() != "x86_64" or not seccomp_works(),
    reason="the numbers of the calls are those of x86_64, and the kernel needs seccomp",
)


def seccomp_flags(pid: int) -> int | None:
    """SECCOMP_FILTER_FLAG_* of a process's last filter, as far as the kernel tells; None where it does not (ptrace(2))."""
    found = (ctypes.c_uint64 * 2)()  # struct seccomp_metadata: which filter, its flags

    def trace(request: int, address: int, data: object) -> int:
        return int(LIBC.ptrace(ctypes.c_long(request), ctypes.c_long(pid), ctypes.c_void_p(address), data))

    check_libc(trace(_PTRACE_SEIZE, 0, None), "ptrace(SEIZE)")
    try:
        check_libc(trace(_PTRACE_INTERRUPT, 0, None), "ptrace(INTERRUPT)")
        os.waitpid(pid, _WALL)
        size = trace(_PTRACE_SECCOMP_GET_METADATA, ctypes.sizeof(found), ctypes.byref(found))
    finally:
        trace(_PTRACE_DETACH, 0, None)
    return found[1] if size == ctypes.sizeof(found) else None


@functools.cache
def keyring_works() -> bool:
    """True when the kernel has keyrings."""
    return Path("/proc/keys").exists()


@functools.cache
def kernel() -> tuple[int, int]:
    """Major and minor version of the running kernel."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(c for c in minor if c.isdigit()))


@functools.cache
def user_namespaces_unprivileged() -> str:
    """Why an ordinary user can't make a user namespace here, or "" when it can."""
    if not Path("/proc/self/ns/user").exists():
        return "the kernel has no user namespaces"
    command = ["unshare", "-U", "-r", "true"]
    options: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    found = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    return "" if found.returncode == 0 else f"unshare -U as an ordinary user: {found.stderr.strip()}"


def need_controller(name: str) -> None:
    """Skip when the controller isn't there."""
    if name not in controllers():
        pytest.skip(f"no {name} controller on this machine")


def need_hard_limit(kind: int, value: int, name: str) -> None:
    """Skip when the hard limit of this process is below `value` and can't be raised."""
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY and hard < value and not has_capability("CAP_SYS_RESOURCE"):
        pytest.skip(f"{name} is {hard} here and root has no CAP_SYS_RESOURCE")


def own_mount_namespace() -> None:
    """Move this process to a mount namespace of its own that is shared within, as it is under systemd.

    A mount that a container lets out then shows in our mount table, and the machine's table stays as it was.
    """
    check_libc(LIBC.unshare(_CLONE_NEWNS), "unshare(CLONE_NEWNS)")
    for flags in (_MS_REC | _MS_PRIVATE, _MS_REC | _MS_SHARED):
        check_libc(LIBC.mount(b"none", b"/", None, ctypes.c_ulong(flags), None), "mount --make-r... /")


def become_subreaper() -> None:
    """Inherit the orphans of our children, as conmon and containerd-shim do."""
    check_libc(LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def repository() -> Path:
    """The top of the tree these tests are in."""
    return Path(__file__).resolve().parents[2]


def shared_folder() -> Path | None:
    """The folder with the project's shared material (engine driver, virtual machine), when it is there."""
    named = os.environ.get("PYOCI_SHARED")
    folder = Path(named) if named else repository().parent / "shared"
    return folder if folder.is_dir() else None


def beside_python(name: str) -> Path:
    """A program in the same environment as this Python."""
    return Path(sys.executable).parent / name


def identity_user_namespace() -> None:
    """Enter a user namespace whose map is that of the initial one, as some container managers make it."""
    ready_read, ready_write = os.pipe()
    mapped_read, mapped_write = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.read(ready_read, 1)
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{parent}/{name}").write_text("0 0 4294967295")
        os.write(mapped_write, b"x")
        os._exit(0)
    check_libc(LIBC.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), "unshare")
    os.write(ready_write, b"x")
    os.read(mapped_read, 1)
    os.waitpid(child, 0)
