"""The names of system calls and architectures, by the kernel's numbers. libseccomp, which has them, must be open."""

from pyoci._shim import ffi, lib
from pyoci.seccomp.compiler import ARCH_X32, ARCH_X86_64, X32_BIT

_LONGEST = 64
_ARCHITECTURES = ("x86_64", "x86", "x32", "aarch64", "arm")  # those of the machines that pyoci runs on


def token(arch: int, number: int) -> int:
    """libseccomp's number of an architecture, which is the kernel's but for x32: there the numbers of the calls differ."""
    return ARCH_X32 if arch == ARCH_X86_64 and number & X32_BIT else arch


def call(token: int, number: int) -> str:
    """The name of a system call, "" where libseccomp has not heard of it."""
    room = ffi.new("char[]", _LONGEST)
    return ffi.string(room).decode() if lib.pyoci_seccomp_name(token, number, room, _LONGEST) > 0 else ""


def architecture(token: int) -> str:
    """The name of an architecture as linux.seccomp.architectures has it after SCMP_ARCH_."""
    for name in _ARCHITECTURES:
        if lib.pyoci_seccomp_arch(name.encode()) == token:
            return name.upper()
    return hex(token)
