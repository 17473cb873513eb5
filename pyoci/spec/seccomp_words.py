"""The words of linux.seccomp and what they mean to the kernel and to libseccomp (config-linux.md, Seccomp; seccomp(2))."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Seccomp

# action: what a filter returns; errno or a tracer's number go into the lower 16 bits
ACTIONS: dict[str, int] = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
DATA_BITS = 0xFFFF
# Under these the system call runs, ...
PASSING = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
# ... and under these one of the future does no harm: it runs, or a tracer knows what to do.
PERMISSIVE = (*PASSING, "SCMP_ACT_TRACE")
# the largest number that may go with an action, of those that take one; the kernel knows the errno 4095, libseccomp does not
LARGEST_DATA: dict[str, int] = {"SCMP_ACT_ERRNO": 4094, "SCMP_ACT_TRACE": DATA_BITS}

FLAGS: dict[str, int] = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
# the version of Linux that brought each
FLAG_SINCE: dict[str, str] = {
    "SECCOMP_FILTER_FLAG_TSYNC": "3.17",
    "SECCOMP_FILTER_FLAG_LOG": "4.14",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": "4.17",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": "5.19",
}
DEFAULT_FLAG = "SECCOMP_FILTER_FLAG_SPEC_ALLOW"  # where a profile has no `flags`
FLAG_NEW_LISTENER = 8  # not a word of config.json: it comes with SCMP_ACT_NOTIFY


def notifies(seccomp: "Seccomp") -> bool:
    """Whether a rule asks an agent, who then needs the listener of the filter."""
    return any(rule["action"] == "SCMP_ACT_NOTIFY" for rule in seccomp.get("syscalls") or ())


OPERATORS: dict[str, int] = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
ARCHITECTURE = "SCMP_ARCH_"  # what the names of architectures begin with
ARCHITECTURES = tuple(
    ARCHITECTURE + name
    for name in (
        "X86 X86_64 X32 ARM AARCH64 LOONGARCH64 M68K MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 "
        "MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X SH SHEB PARISC PARISC64 RISCV64"
    ).split()
)
ARGUMENTS = 6  # of a system call
