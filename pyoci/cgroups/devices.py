"""Device rules: what `devices.deny` and `devices.allow` of cgroup v1 get, and the eBPF program for v2.

runtime-spec config-linux.md, "Allowed Device list"; bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE. Rules count in their
order: for each of read, write and mknod the last rule that matches decides, and what no rule matches is
denied. Making lines and program is pure; only `attach` acts.
"""

import posix
import sys

from pyoci.base import files
from pyoci.base.errors import OciError
from pyoci.spec import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import DeviceCgroup, Resources

    Rule = tuple[bool, str, int, int, int]  # allow, "a"/"b"/"c", major, minor (ANY for all), ACCESS bits

POINTER = "/linux/resources/devices"
ANY = -1
MKNOD, READ, WRITE = 1, 2, 4  # BPF_DEVCG_ACC_*
FULL = MKNOD | READ | WRITE
_LETTERS = (("r", READ), ("w", WRITE), ("m", MKNOD))
_DEVICE_TYPES = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*

# What every container may use, as runc has it: mknod of everything, the default devices, pseudo terminals, and /dev/net/tun,
# which VPN programs in containers came to rely on.
DEFAULT: "tuple[Rule, ...]" = (
    (True, "c", ANY, ANY, MKNOD),
    (True, "b", ANY, ANY, MKNOD),
    *[(True, "c", major, minor, FULL) for major, minor in defaults.DEVICES.values()],
    (True, "c", 136, ANY, FULL),  # pts
    (True, "c", 5, 2, FULL),  # ptmx
    (True, "c", 10, 200, FULL),  # net/tun
)


def rules(resources: "Resources") -> "list[Rule]":
    """The rules of `linux.resources.devices` with the default ones after them. Raises OciError."""
    return parse(resources.get("devices") or []) + list(DEFAULT)


def parse(entries: "list[DeviceCgroup]") -> "list[Rule]":
    """Rules of the configuration as tuples; those before the last one for everything are dropped."""
    found: list[Rule] = []
    for entry in entries:
        allow, access = entry["allow"], _access(entry["access"])
        kind = entry.get("type") or "a"
        major, minor = _node(entry.get("major")), _node(entry.get("minor"))
        if kind != "a":
            found.append((allow, kind, major, minor, access))
        elif (major, minor, access) == (ANY, ANY, FULL):
            found = [(allow, "a", ANY, ANY, FULL)]
        else:
            found += [(allow, "b", major, minor, access), (allow, "c", major, minor, access)]
    return found


def allows_all(found: "list[Rule]") -> bool:
    """Whether the rules deny nothing, so that nothing has to watch."""
    return bool(found) and found[0] == (True, "a", ANY, ANY, FULL) and all(rule[0] for rule in found)


def v1_lines(found: "list[Rule]") -> list[tuple[str, str]]:
    """`(file, line)` to write into a cgroup of v1.

    v1 knows a default and exceptions from it. An exception from an exception it would silently ignore: that
    is refused here. Raises OciError.
    """
    default = bool(found) and found[0][1] == "a" and found[0][0]
    exceptions: dict[tuple[str, int, int], int] = {}
    for allow, kind, major, minor, access in found:
        if kind == "a":
            continue
        key = (kind, major, minor)
        if allow != default:
            exceptions[key] = exceptions.get(key, 0) | access
        else:
            _take_back(exceptions, key, access, default)
    everything, exception = (
        ("devices.allow", "devices.deny") if default else ("devices.deny", "devices.allow")
    )
    return [(everything, "a *:* rwm")] + [
        (exception, line(*key, access)) for key, access in exceptions.items() if access
    ]


def line(kind: str, major: int, minor: int, access: int) -> str:
    """A rule as the kernel and systemd write it, such as "c 1:3 rwm"."""
    letters = "".join(letter for letter, bit in _LETTERS if access & bit)
    return f"{kind} {_star(major)}:{_star(minor)} {letters}"


def in_words(found: "list[Rule]") -> list[str]:
    """The rules as people read them, in their order: "deny all", "allow c 1:3 rwm"."""
    return [
        f"{'allow' if allow else 'deny'} {'all' if kind == 'a' else line(kind, major, minor, access)}"
        for allow, kind, major, minor, access in found
    ]


def program(found: "list[Rule]") -> bytes:
    """The eBPF instructions that decide by these rules; returns 1 to allow and 0 to deny. Raises OciError."""
    default = bool(found) and found[0][1] == "a" and found[0][0]
    code = _Assembler()
    code.load(2, 0)  # r2 = access << 16 | type
    code.alu(_MOV_REG, 3, src=2)
    code.alu(_RSH, 3, 16)  # r3 = access that no rule has decided on yet
    code.alu(_AND, 2, 0xFFFF)  # r2 = type
    code.load(4, 4)  # r4 = major
    code.load(5, 8)  # r5 = minor
    for rule in reversed(_without_covered(found)):
        _rule_code(code, *rule)
    return code.finish(default)


def _rule_code(code: "_Assembler", allow: bool, kind: str, major: int, minor: int, access: int) -> None:
    verdict = "allow" if allow else "deny"
    tests = [(2, _DEVICE_TYPES[kind])]
    tests += [(4, major)] if major != ANY else []
    tests += [(5, minor)] if minor != ANY else []
    if access == FULL:
        for register, value in tests[:-1]:
            code.jump(_JNE, register, value, "next")
        code.jump(_JEQ, *tests[-1], verdict)
    else:
        for register, value in tests:
            code.jump(_JNE, register, value, "next")
        if allow:
            code.alu(_AND, 3, FULL & ~access)
            code.jump(_JEQ, 3, 0, verdict)
        else:
            code.jump(_JSET, 3, access, verdict)
    code.label("next")


def attach(directory: str, found: "list[Rule]", *, fresh: bool) -> None:
    """Make these rules the cgroup's; one of ours from before is replaced in one step, `fresh` says there is
    none.

    Raises OciError with the kernel's errno: EPERM without CAP_BPF or CAP_SYS_ADMIN.
    """
    if fresh and allows_all(found):
        return
    from pyoci._shim import ffi, lib

    code = program(found)
    cgroup = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        log = ffi.new("char[]", 4096)
        loaded = lib.pyoci_bpf_load(code, len(code), log, 4096)
        if loaded < 0:
            raise _failed("load", loaded, ffi.string(log).decode("utf-8", "replace"))
        try:
            result = lib.pyoci_bpf_attach(cgroup, loaded, 1 if fresh else 0)
        finally:
            files.close(loaded)
        if result < 0:
            raise _failed("attach", result, "")
    finally:
        files.close(cgroup)


def _failed(what: str, result: int, log: str) -> OciError:
    last = log.strip().rpartition("\n")[2]
    message = f"cgroup: cannot {what} the device program" + (f" ({last})" if last else "")
    hint = "device rules on cgroup v2 need CAP_BPF and CAP_NET_ADMIN in the initial user namespace"
    return OciError(
        "cgroup-devices", message, pointer=POINTER, errno=-result, hint=hint if result == -1 else ""
    )


def _access(text: str) -> int:
    return sum(bit for letter, bit in _LETTERS if letter in text)


def _node(number: int | None) -> int:
    """A major or minor number; missing and -1 stand for all."""
    return ANY if number is None or number < 0 else number


def _star(number: int) -> str:
    return "*" if number == ANY else str(number)


def _take_back(
    exceptions: dict[tuple[str, int, int], int], key: tuple[str, int, int], access: int, default: bool
) -> None:
    """Remove what a rule covers from the exceptions; refuse where it covers a part of one."""
    kind, major, minor = key
    for other, bits in exceptions.items():
        if other[0] != kind or not bits & access:
            continue
        if major in (ANY, other[1]) and minor in (ANY, other[2]):
            exceptions[other] &= ~access
        elif _overlap(major, other[1]) and _overlap(minor, other[2]):
            word = "allow" if default else "deny"
            what = line(*key, access)
            message = f"devices: cgroup v1 cannot {word} {what} as an exception from {line(*other, bits)}"
            raise OciError(
                "cgroup-devices", message, pointer=POINTER, hint="list the devices one by one instead"
            )


def _overlap(one: int, other: int) -> bool:
    return ANY in (one, other) or one == other


def _without_covered(found: "list[Rule]") -> "list[Rule]":
    """The rules without the first one for everything, and without those a later one for the same device
    replaces.
    """
    kept: list[Rule] = []
    later: dict[tuple[str, int, int], int] = {}
    for rule in reversed(found):
        _, kind, major, minor, access = rule
        key = (kind, major, minor)
        if kind == "a" or not access & ~later.get(key, 0):
            continue
        later[key] = later.get(key, 0) | access
        kept.append(rule)
    kept.reverse()
    return kept


# Operation codes of eBPF (32 bit classes): linux/bpf_common.h, linux/bpf.h.
_LDX_W = 0x61
_MOV, _MOV_REG, _RSH, _AND = 0xB4, 0xBC, 0x74, 0x54
_JEQ, _JNE, _JSET = 0x16, 0x56, 0x46
_EXIT = 0x95


class _Assembler:
    """eBPF instructions with forward jumps to the labels "next", "allow" and "deny"."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int, int]] = []  # opcode, dst, src, offset, immediate
        self._open: dict[str, list[int]] = {"next": [], "allow": [], "deny": []}

    def load(self, register: int, offset: int) -> None:
        """register = 32 bits of the context (r1) at `offset`."""
        self._code.append((_LDX_W, register, 1, offset, 0))

    def alu(self, opcode: int, register: int, value: int = 0, *, src: int = 0) -> None:
        self._code.append((opcode, register, src, 0, value))

    def jump(self, opcode: int, register: int, value: int, target: str) -> None:
        self._open[target].append(len(self._code))
        self._code.append((opcode, register, 0, 0, value))

    def label(self, name: str) -> None:
        """Here is where the jumps to `name` lead."""
        for index in self._open[name]:
            opcode, dst, src, _, value = self._code[index]
            distance = len(self._code) - index - 1
            if distance > 0x7FFF:
                raise OciError("cgroup-devices", "devices: too many rules for one program", pointer=POINTER)
            self._code[index] = (opcode, dst, src, distance, value)
        self._open[name] = []

    def finish(self, default: bool) -> bytes:
        """The program, ended with the default and with those verdicts that are jumped to (unreachable code is
        refused).
        """
        self._verdict(default)
        for name, verdict in (("allow", True), ("deny", False)):
            if self._open[name]:
                self.label(name)
                self._verdict(verdict)
        return b"".join(map(_instruction, self._code))

    def _verdict(self, allow: bool) -> None:
        self.alu(_MOV, 0, int(allow))
        self._code.append((_EXIT, 0, 0, 0, 0))


def _instruction(parts: tuple[int, int, int, int, int]) -> bytes:
    opcode, dst, src, offset, value = parts
    order = sys.byteorder
    registers = dst | src << 4 if order == "little" else dst << 4 | src
    return bytes((opcode, registers)) + offset.to_bytes(2, order) + (value & 0xFFFFFFFF).to_bytes(4, order)
