"""Capabilities by name and as bit masks (capabilities(7))."""

from pyoci.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import CapabilitySet


# In the order of their numbers, from 0, as of Linux 5.9.
NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)

# the sets of process.capabilities
SETS: "tuple[CapabilitySet, ...]" = ("bounding", "effective", "inheritable", "permitted", "ambient")
ALL = (1 << 64) - 1  # whatever a kernel has: what a process holds in a user namespace of its own


def mask(wanted: list[str]) -> tuple[int, list[str]]:
    """The bits of these names, and the names that mean nothing here, each once and in their order."""
    bits = 0
    unknown: list[str] = []
    for name in wanted:
        if name in NAMES:
            bits |= 1 << NAMES.index(name)
        elif name not in unknown:
            unknown.append(name)
    return bits, unknown


def names(bits: int) -> list[str]:
    """The names of the bits of a mask; CAP_41 and the like where a newer kernel has named them."""
    numbers = (number for number in range(bits.bit_length()) if bits >> number & 1)
    return [NAMES[number] if number < len(NAMES) else f"CAP_{number}" for number in numbers]


def all_of_kernel() -> int:
    """The mask of all capabilities that the running kernel has. Raises OSError when /proc is not there."""
    return (2 << int(files.read("/proc/sys/kernel/cap_last_cap"))) - 1
