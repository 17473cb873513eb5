"""Security modules, and the library that compiles seccomp profiles."""

import os
import posix

from pyoci._shim import ffi, lib
from pyoci.doctor.check import NO, UNKNOWN, YES, Check, read
from pyoci.seccomp import compiler, filters

AREA = "security"


def checks() -> list[Check]:
    """All checks of security modules and of seccomp's library."""
    return [_modules(), _apparmor(), _selinux(), _library(), _cache()]


def _modules() -> Check:
    names = read("/sys/kernel/security/lsm")
    if names:
        return Check(AREA, "security modules", YES, names.replace(",", ", "))
    why = (
        "/sys/kernel/security is not mounted"
        if not os.path.ismount("/sys/kernel/security")
        else "there are none"
    )
    return Check(AREA, "security modules", UNKNOWN, why)


def _apparmor() -> Check:
    cost = "process.apparmorProfile: bundles that name a profile don't start"
    if read("/sys/module/apparmor/parameters/enabled") != "Y":
        return Check(AREA, "AppArmor", NO, "the kernel does not have it, or it is switched off", cost)
    if not os.path.exists("/proc/self/attr/apparmor/exec"):
        return Check(AREA, "AppArmor", NO, "/proc/self/attr/apparmor is missing (Linux 5.8)", cost)
    profile = read("/proc/self/attr/apparmor/current")
    return Check(AREA, "AppArmor", YES, f"this process: {profile}" if profile else "")


def _selinux() -> Check:
    enforce = read("/sys/fs/selinux/enforce")
    if enforce:
        return Check(AREA, "SELinux", YES, "enforcing" if enforce == "1" else "permissive")
    return Check(
        AREA, "SELinux", NO, "/sys/fs/selinux is not mounted", "process.selinuxLabel, linux.mountLabel"
    )


def _library() -> Check:
    """libseccomp is loaded when a profile is compiled, and only then missed."""
    name, cost = "libseccomp", "linux.seccomp: bundles with a profile that is not in the cache don't start"
    result = lib.pyoci_seccomp_open()
    if result < 0:
        hint = "install libseccomp2 (Debian), libseccomp (others)"
        return Check(AREA, name, NO, posix.strerror(-result).lower(), cost, hint)
    path = ffi.string(lib.pyoci_seccomp_path()).decode()
    cost = (
        ""
        if lib.pyoci_seccomp_version() >= 0x020500
        else "profiles are compiled without the binary tree of 2.5: long ones run slower"
    )
    return Check(AREA, name, YES, f"{compiler.library_version()}, {path}", cost)


def _cache() -> Check:
    """Where compiled profiles are kept."""
    name, cost = "cache of compiled seccomp profiles", "5 to 20 ms for each container with a profile"
    for base, below in filters.places():
        full = f"{base}/{below}"
        there = full if os.path.isdir(full) else base
        if os.access(there, os.W_OK):
            return Check(AREA, name, YES, full)
    hint = "set HOME or XDG_CACHE_HOME" if os.geteuid() != 0 else "make /var/cache"
    return Check(AREA, name, NO, "no directory for it can be written", cost, hint)
