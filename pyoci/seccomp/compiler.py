"""The compiler of seccomp profiles: rules by libseccomp, and a stub for system calls newer than they are."""

import errno
import posix

from pyoci._shim import ffi, lib
from pyoci.base import files
from pyoci.base.errors import OciError
from pyoci.base.files import read_fd
from pyoci.seccomp import bpf
from pyoci.spec.seccomp_words import (
    ACTIONS,
    ARCHITECTURE,
    DEFAULT_FLAG,
    FLAG_NEW_LISTENER,
    FLAG_SINCE,
    FLAGS,
    LARGEST_DATA,
    OPERATORS,
    PERMISSIVE,
    notifies,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci._shim import CData, Pointer, PyociSeccompTest
    from pyoci.spec.spec_types import Seccomp, SyscallArg

_TSYNC = FLAGS["SECCOMP_FILTER_FLAG_TSYNC"]
_WAIT_KILLABLE_RECV = FLAGS["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
ARCH_X86_64 = 0xC000003E
ARCH_X32 = 0x4000003E  # libseccomp's own token: to the kernel these are calls of x86_64 with a bit set
X32_BIT = 0x40000000
_ARCH_S390 = (0x00000016, 0x80000016)
_MANY_RULES = 32


def compile_profile(seccomp: "Seccomp", pointer: str, fail_unknown: bool = False) -> tuple[bytes, int, str]:
    """The program and flags of a profile, and the path of the library that made it. Raises OciError.

    fail_unknown  so does the name of a system call that the library has not heard of
    """
    open_library(pointer)
    flags = _flags(seccomp, pointer)
    default = _action(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
    arches = _arches(seccomp, pointer)
    handle = lib.pyoci_seccomp_new(default)
    if handle == ffi.NULL:
        message = f"seccomp: the default action {seccomp['defaultAction']} is not supported here"
        raise OciError("seccomp", message, pointer=f"{pointer}/defaultAction")
    try:
        for arch, (name, where) in arches.items():
            result = lib.pyoci_seccomp_add_arch(handle, arch)
            if result == -errno.EDOM:
                hint = "omit architectures that this machine cannot run"
                message = f"seccomp: the architecture {name} has another byte order than this machine"
                raise OciError("seccomp", message, pointer=where, hint=hint)
            _check(result, f"seccomp: the architecture {name} cannot be added", where)
        added = _add_rules(handle, seccomp, default, pointer, fail_unknown)
        if added > _MANY_RULES:  # a binary tree; libraries before 2.5 do without
            lib.pyoci_seccomp_optimize(handle, 2)
        rules = _export(handle, pointer)
    finally:
        lib.pyoci_seccomp_free(handle)
    instructions = _stub_of(seccomp, list(arches)) + rules
    if len(instructions) > bpf.LONGEST * bpf.SIZE:
        count = len(instructions) // bpf.SIZE
        message = f"seccomp: the filter has {count} instructions, above {bpf.LONGEST}"
        raise OciError("seccomp", message, pointer=pointer)
    return instructions, flags, ffi.string(lib.pyoci_seccomp_path()).decode()


def open_library(pointer: str) -> None:
    """Load libseccomp. Raises OciError with the pointer of what needs it."""
    result = lib.pyoci_seccomp_open()
    if result == 0:
        return
    trouble = "libseccomp.so.2 cannot be loaded" if result == -errno.ENOENT else "libseccomp is too old"
    hint = "install libseccomp 2.4 or newer (Debian: libseccomp2)"
    raise OciError("seccomp", f"seccomp: {trouble}", pointer=pointer, obj="libseccomp.so.2", hint=hint)


def library_version() -> str:
    """The version of libseccomp, "" where it cannot be loaded."""
    if lib.pyoci_seccomp_open() < 0:
        return ""
    number = lib.pyoci_seccomp_version()
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


def _check(result: int, message: str, pointer: str) -> None:
    if result < 0:
        raise OciError("seccomp", message, pointer=pointer, errno=-result)


def _flags(seccomp: "Seccomp", pointer: str) -> int:
    """The flags for seccomp(2): the specification's default when they are unset.

    One that needs another one is left out where that is not there: WAIT_KILLABLE_RECV means nothing without a listener. So is
    TSYNC with a listener, which the kernel takes together in one way only; there are no threads to synchronise.
    """
    names = seccomp.get("flags")
    listener = FLAG_NEW_LISTENER if notifies(seccomp) else 0
    if names is None:
        return FLAGS[DEFAULT_FLAG] | listener
    flags = listener
    for index, name in enumerate(names):
        if not kernel_has(name):
            where = f"{pointer}/flags/{index}"
            hint = f"omit the flag, or use a kernel that has it: Linux {FLAG_SINCE[name]} or newer"
            raise OciError("seccomp", f"seccomp: this kernel has no flag {name}", pointer=where, hint=hint)
        flags |= FLAGS[name]
    return flags & ~(_TSYNC if listener else _WAIT_KILLABLE_RECV)


def kernel_has(name: str) -> bool:
    """Whether this kernel knows a flag of linux.seccomp.flags."""
    flag = FLAGS[name]
    # The kernel knows this one together with a listener only, and without a listener it means nothing.
    companion = FLAG_NEW_LISTENER if flag == _WAIT_KILLABLE_RECV else 0
    return bool(lib.pyoci_seccomp_flags_known(flag | companion))


def _action(name: str, number: int | None) -> int:
    """The filter's return value of an action, with its errno or tracer's number."""
    if name not in LARGEST_DATA:
        return ACTIONS[name]
    return ACTIONS[name] | (errno.EPERM if number is None else number)


def _arches(seccomp: "Seccomp", pointer: str) -> dict[int, tuple[str, str]]:
    """Tokens of the architectures, this machine's own included, each with its name and the pointer of its cause."""
    arches: dict[int, tuple[str, str]] = {}
    for index, name in enumerate(seccomp.get("architectures") or ()):
        where = f"{pointer}/architectures/{index}"
        token = _token(name)
        if not token:
            hint = "omit architectures that this machine cannot run; a newer libseccomp may know the name"
            raise OciError("seccomp", f"seccomp: unknown architecture {name}", pointer=where, hint=hint)
        arches[token] = (name, where)
    arches.setdefault(lib.pyoci_seccomp_native(), ("of this machine", pointer))
    return arches


def _token(architecture: str) -> int:
    """libseccomp's number of an architecture of linux.seccomp.architectures, 0 where it has none."""
    return lib.pyoci_seccomp_arch(architecture[len(ARCHITECTURE) :].lower().encode())


def machine_has(architecture: str) -> bool:
    """Whether a filter of this machine takes an architecture: libseccomp knows it, and its byte order is ours.

    The library has to be open.
    """
    token = _token(architecture)
    handle = lib.pyoci_seccomp_new(ACTIONS["SCMP_ACT_ALLOW"])
    try:
        return token != 0 and lib.pyoci_seccomp_add_arch(handle, token) == 0
    finally:
        lib.pyoci_seccomp_free(handle)


def _add_rules(handle: "CData", seccomp: "Seccomp", default: int, pointer: str, fail_unknown: bool) -> int:
    """Add the rules to a filter; returns how many system calls got one."""
    native = lib.pyoci_seccomp_native()
    added = 0
    for index, rule in enumerate(seccomp.get("syscalls") or ()):
        where = f"{pointer}/syscalls/{index}"
        action = _action(rule["action"], rule.get("errnoRet"))
        groups = _comparisons(rule.get("args") or [])
        if action == default:  # libseccomp refuses what changes nothing
            continue
        for position, name in enumerate(rule["names"]):
            place = f"{where}/names/{position}"
            number = lib.pyoci_seccomp_number(native, name.encode())
            if number == -1:
                if fail_unknown:
                    hint = "correct the name, use a newer libseccomp, or remove run.oci.seccomp_fail_unknown_syscall"
                    raise OciError(
                        "seccomp", f"seccomp: unknown system call {name}", pointer=place, hint=hint
                    )
                continue
            message = f"seccomp: the rule for {name} cannot be added"
            for group in groups:
                _check(lib.pyoci_seccomp_add_rule(handle, action, number, len(group), group), message, place)
            added += 1
    return added


def alternatives(args: "list[SyscallArg]") -> "list[list[SyscallArg]]":
    """The conditions of a rule, as groups of which one must match in full.

    Where an argument occurs twice each comparison is a group of its own: libseccomp cannot join them,
    and this is how profiles with them have always been read.
    """
    return [args] if len({arg["index"] for arg in args}) == len(args) else [[arg] for arg in args]


def _comparisons(args: "list[SyscallArg]") -> "list[Pointer[PyociSeccompTest]]":
    """The same for libseccomp."""
    tests = [
        [(arg["index"], OPERATORS[arg["op"]], arg["value"], arg.get("valueTwo", 0)) for arg in group]
        for group in alternatives(args)
    ]
    return [ffi.new("struct pyoci_seccomp_test[]", group) for group in tests]


def _export(handle: "CData", pointer: str) -> bytes:
    """The program that libseccomp makes of its rules."""
    fd = posix.memfd_create("seccomp", posix.MFD_CLOEXEC)
    try:
        _check(lib.pyoci_seccomp_export(handle, fd), "seccomp: the filter cannot be compiled", pointer)
        posix.lseek(fd, 0, 0)
        return read_fd(fd)
    finally:
        files.close(fd)


def _stub_of(seccomp: "Seccomp", arches: list[int]) -> bytes:
    """The stub for a profile whose default action denies; nothing where it would change nothing."""
    if seccomp["defaultAction"] in PERMISSIVE or seccomp.get("defaultErrnoRet") == errno.ENOSYS:
        return b""
    last = {arch: last_named(seccomp, arch) for arch in arches}
    return stub({arch: number for arch, number in last.items() if number >= 0})


def last_named(seccomp: "Seccomp", arch: int) -> int:
    """The highest number on an architecture of what a profile names, or below 0."""
    names = [name.encode() for rule in seccomp.get("syscalls") or () for name in rule["names"]]
    return max([lib.pyoci_seccomp_number(arch, name) for name in names], default=-1)


def stub(last: dict[int, int]) -> bytes:
    """BPF that answers ENOSYS to system calls above the last that a profile names, per architecture token.

    A profile cannot mean system calls that came after it. To deny these with EPERM breaks programs which
    try a new one and fall back to an old one on ENOSYS. All others go on to what follows the stub.
    """
    sections = [
        (ARCH_X86_64 if arch == ARCH_X32 else arch, _section(arch, number, last.get(ARCH_X32)))
        for arch, number in last.items()
        if arch != ARCH_X32 or ARCH_X86_64 not in last
    ]
    if not sections:
        return b""
    length = sum(len(section) + 2 for _, section in sections)
    code = [bpf.instruction(bpf.LOAD, bpf.ARCH_AT)]
    for arch, section in sections:
        code += [bpf.instruction(bpf.EQUAL, arch, 0, len(section) + 1), *section]
        code.append(bpf.instruction(bpf.JUMP, length - len(code)))
    return b"".join(code)


def _section(arch: int, last: int, last_x32: int | None) -> list[bytes]:
    """The tests of one architecture: ends with ENOSYS, which what is known jumps over."""
    if arch == ARCH_X86_64 and last_x32 is not None:
        tests = [bpf.instruction(bpf.ANY_BIT, X32_BIT, 1, 0), bpf.instruction(bpf.ABOVE, last, 1, 2)]
        tests.append(bpf.instruction(bpf.ABOVE, last_x32, 0, 1))
    else:
        tests = [bpf.instruction(bpf.ABOVE, last, 0, 1)]
    if arch == ARCH_X86_64 and last_x32 is None:  # the filter has its own word on a foreign interface
        tests.insert(0, bpf.instruction(bpf.ANY_BIT, X32_BIT, 2, 0))
    if arch in _ARCH_S390:  # 0 stands there for a number that no table has
        tests.insert(0, bpf.instruction(bpf.EQUAL, 0, 1, 0))
    return [
        bpf.instruction(bpf.LOAD, bpf.NUMBER_AT),
        *tests,
        bpf.instruction(bpf.RETURN, ACTIONS["SCMP_ACT_ERRNO"] | errno.ENOSYS),
    ]
