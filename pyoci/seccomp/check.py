"""What a profile allows beyond another one: of every system call, by what the two filters answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from pyoci._shim import lib
from pyoci.seccomp import bpf, filters, names, paths
from pyoci.seccomp.compiler import ARCH_X86_64, X32_BIT, open_library
from pyoci.spec.seccomp_words import ACTIONS, DATA_BITS, DEFAULT_FLAG, PERMISSIVE

if TYPE_CHECKING:
    from pyoci.spec.spec_types import Seccomp, Syscall

# What each kind of machine runs: the word in `architectures`, that in struct seccomp_data, and the bits that all numbers have.
_MACHINES = (
    (
        ("SCMP_ARCH_X86_64", ARCH_X86_64, 0),
        ("SCMP_ARCH_X86", 0x40000003, 0),
        ("SCMP_ARCH_X32", ARCH_X86_64, X32_BIT),
    ),
    (("SCMP_ARCH_AARCH64", 0xC00000B7, 0), ("SCMP_ARCH_ARM", 0x40000028, 0)),
)
# the numbers of system calls: from 0 on, and those that are Arm's own
_NUMBERS = (*range(1024), *range(0xF0000, 0xF0010))

# A system call that a filter lets pass, by itself or because somebody else decides so. All other actions deny it.
PASSING = {ACTIONS[name]: name for name in (*PERMISSIVE, "SCMP_ACT_NOTIFY")}
ALWAYS, SOMETIMES, NEVER = "always", "sometimes", "never"


class Call(NamedTuple):
    """A system call that one of two profiles allows where the other one denies it.

    architectures  on which it is so; none where libseccomp does not know the name, and so the filter has no rule for it yet
    actions        by which it is allowed there
    profile, base  when each allows it: ALWAYS, SOMETIMES, NEVER
    example        arguments that only the one allows; those after the last that matters are left out
    """

    name: str
    architectures: tuple[str, ...]
    actions: tuple[str, ...]
    profile: str
    base: str
    example: tuple[int, ...]


class Comparison(NamedTuple):
    """What a profile and a baseline differ in.

    beyond   what the profile allows and the baseline does not; a name comes again where architectures differ
    less     what the baseline allows and the profile does not, on the architectures of both
    looser   a system call without a rule passes in the profile, but not in the baseline
    added, missing  architectures of this machine that only the profile has, or only the baseline
    foreign  architectures of the profile that this machine does not run: nothing is said of them
    """

    beyond: list[Call]
    less: list[Call]
    looser: bool
    added: list[str]
    missing: list[str]
    foreign: list[str]


class Profile:
    """A profile with its filter. None is no filter at all. Raises OciError where there is no filter for it."""

    def __init__(self, seccomp: Seccomp | None, pointer: str = "/linux/seccomp") -> None:
        open_library(pointer)
        self.seccomp = seccomp
        program = filters.program(seccomp, pointer=pointer, keep=False)[0] if seccomp else b""
        self.program = program or bpf.instruction(bpf.RETURN, ACTIONS["SCMP_ACT_ALLOW"])

    def default(self) -> str:
        """The default action."""
        return self.seccomp["defaultAction"] if self.seccomp else "SCMP_ACT_ALLOW"

    def architectures(self) -> list[str]:
        """The architectures of this machine that the filter has rules for; no filter makes no difference."""
        family = [name for name, _, _ in _family()]
        named = self.seccomp.get("architectures", []) if self.seccomp else family
        return [name for at, name in enumerate(family) if at == 0 or name in named]

    def flags(self) -> list[str]:
        """The flags that the filter is loaded with."""
        if self.seccomp is None:
            return []
        return sorted(self.seccomp.get("flags", [DEFAULT_FLAG]))

    def rules(self, name: str) -> list[Syscall]:
        """The rules for a system call."""
        rules = self.seccomp.get("syscalls", []) if self.seccomp else []
        return [rule for rule in rules if name in rule["names"]]

    def answers(self, number: int, arch: int) -> set[bool]:
        """Whether a system call passes: for some arguments, or all."""
        effort = paths.Effort()
        return {passes(value) is not None for _, value in paths.paths(self.program, number, arch, effort)}

    def names(self) -> set[str]:
        """The system calls that some rule lets pass."""
        rules = self.seccomp.get("syscalls", []) if self.seccomp else []
        return {name for rule in rules if rule["action"] in PASSING.values() for name in rule["names"]}


def passes(value: int) -> str | None:
    """The action by which a filter's return value lets a system call pass, None where it does not."""
    return PASSING.get(value & ~DATA_BITS)


def compare(profile: Profile, base: Profile) -> Comparison:
    """What a profile allows beyond another one, the baseline, and what less."""
    family = _family()
    mine, theirs = profile.architectures(), base.architectures()
    beyond, less = [], []
    for arch, token, bit in family:
        for name, number in _calls(arch, bit):
            beyond += excess(name, arch, (number, token), profile, base)
            if arch in mine and arch in theirs:
                less += [
                    call._replace(profile=call.base, base=call.profile)
                    for call in excess(name, arch, (number, token), base, profile)
                ]
    looser = profile.default() in PASSING.values() and base.default() not in PASSING.values()
    if profile.default() not in PASSING.values():
        beyond += _unknown(profile, base)
    named = profile.seccomp.get("architectures", []) if profile.seccomp else []
    return Comparison(
        _joined(beyond),
        _joined(less),
        looser,
        added=[name for name in mine if name not in theirs],
        missing=[name for name in theirs if name not in mine],
        foreign=[name for name in named if name not in [arch for arch, _, _ in family]],
    )


def _family() -> tuple[tuple[str, int, int], ...]:
    """The architectures that this machine runs, its own first."""
    native = lib.pyoci_seccomp_native()
    return next(machine for machine in _MACHINES if machine[0][1] == native)


def _calls(arch: str, bit: int) -> Iterator[tuple[str, int]]:
    """Every system call of an architecture that libseccomp knows, with the number that the kernel is given."""
    token = lib.pyoci_seccomp_arch(arch.removeprefix("SCMP_ARCH_").lower().encode())
    for number in _NUMBERS:
        name = names.call(token, number | bit)
        if name:
            yield name, number | bit


def excess(name: str, arch: str, call: tuple[int, int], profile: Profile, base: Profile) -> list[Call]:
    """A system call, by number and architecture, if the first profile allows it with arguments that the second denies."""
    try:
        actions, example = _difference(call, profile, base)
        if not actions:
            return []
        when = _when(profile.answers(*call)), _when(base.answers(*call))
    except paths.TooManyPaths:  # what cannot be told is no promise
        return [Call(name, (arch,), (), SOMETIMES, SOMETIMES, ())]
    return [Call(name, (arch,), tuple(sorted(actions)), when[0], when[1], tuple(example))]


def _difference(call: tuple[int, int], profile: Profile, base: Profile) -> tuple[set[str], list[int]]:
    """The actions by which only the first profile lets a system call pass, and the least arguments for it."""
    actions, examples, effort = set(), [], paths.Effort()
    for conditions, value in paths.paths(profile.program, *call, effort):
        action = passes(value)
        if action is None:
            continue
        for both, other in paths.paths(base.program, *call, effort, conditions):
            if passes(other) is None:
                actions.add(action)
                examples.append(paths.example(both))
    return actions, min(examples, default=[])


def _when(answers: set[bool]) -> str:
    return SOMETIMES if len(answers) == 2 else ALWAYS if True in answers else NEVER


def _unknown(profile: Profile, base: Profile) -> list[Call]:
    """System calls that the profile allows by name, but not the baseline, and of which libseccomp has not heard.

    The filter does without these rules. Another libseccomp knows them.
    """
    native = lib.pyoci_seccomp_native()
    names = sorted(profile.names() - base.names())
    return [
        Call(name, (), (), NEVER, NEVER, ())
        for name in names
        if lib.pyoci_seccomp_number(native, name.encode("utf-8", "surrogatepass")) == -1
    ]


def _joined(calls: list[Call]) -> list[Call]:
    """One entry for a name that differs in the same way on several architectures, by name."""
    found: dict[Call, tuple[str, ...]] = {}
    for call in calls:
        key = call._replace(architectures=())
        found[key] = (*found.get(key, ()), *call.architectures)
    joined = [key._replace(architectures=architectures) for key, architectures in found.items()]
    return sorted(joined, key=lambda call: call.name)
