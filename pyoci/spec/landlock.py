"""The rule set of Landlock: JSON in the annotation org.pyoci.landlock (docs/landlock.md; landlock(7)).

The numbers are the kernel's, the words its names in lower case without what they begin with: LANDLOCK_ACCESS_FS_READ_FILE is
"read_file". What a rule set means does not depend on the kernel: it needs a certain ABI, and an older one is refused.
"""

from pyoci.base import jsontext
from pyoci.base.errors import OciError
from pyoci.base.suggest import closest
from pyoci.spec.annotations import LANDLOCK
from pyoci.spec.fast import is_text
from pyoci.spec.problem import Enough, Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

POINTER = f"/annotations/{LANDLOCK}"
# the version of Linux that brought each ABI, from 1 on
KERNELS = ("5.13", "5.19", "6.2", "6.7", "6.10", "6.12", "6.15")

# Word -> the ABI that brought it; its bit is its place. LANDLOCK_ACCESS_FS_*:
RIGHTS: dict[str, int] = {
    "execute": 1,
    "write_file": 1,
    "read_file": 1,
    "read_dir": 1,
    "remove_dir": 1,
    "remove_file": 1,
    "make_char": 1,
    "make_dir": 1,
    "make_reg": 1,
    "make_sock": 1,
    "make_fifo": 1,
    "make_block": 1,
    "make_sym": 1,
    "refer": 2,
    "truncate": 3,
    "ioctl_dev": 5,
}
TCP: dict[str, int] = {"bind": 4, "connect": 4}  # LANDLOCK_ACCESS_NET_*_TCP
SCOPES: dict[str, int] = {"abstract_unix_socket": 6, "signal": 6}  # LANDLOCK_SCOPE_*
LOG: dict[str, int] = {
    "same_exec_off": 7,
    "new_exec_on": 7,
    "subdomains_off": 7,
}  # LANDLOCK_RESTRICT_SELF_LOG_*

# Words for several rights. To make device nodes, and what ioctl(2) does to a device, is to be named.
GROUPS: dict[str, tuple[str, ...]] = {
    "read": ("read_file", "read_dir"),
    "write": (
        *("write_file", "remove_dir", "remove_file", "make_dir", "make_reg", "make_sock", "make_fifo"),
        *("make_sym", "refer", "truncate"),
    ),
}
# the rights that the kernel grants on what is no directory
OF_FILES = ("execute", "write_file", "read_file", "truncate", "ioctl_dev")
MEMBERS = ("abi", "paths", "tcp", "scope", "log")
MOST = 1000  # items of a list
MOST_PATH = 4095  # bytes


class PathRule:
    """What is allowed at a path and below it.

    path    absolute, in the container         optional  it may be missing
    rights, file_rights  bits, where the path leads to a directory, and where to anything else
    allow   the words                          place     where in the rule set it stands
    """

    __slots__ = ("path", "optional", "rights", "file_rights", "allow", "place")

    def __init__(self, path: str, allow: list[str], *, optional: bool, handled: int, place: str) -> None:
        self.path = path
        self.allow = allow
        self.optional = optional
        self.place = place
        named = bits([word for word in allow if word in RIGHTS], RIGHTS)
        grouped = bits([right for word in allow for right in GROUPS.get(word, ())], RIGHTS)
        self.rights = (named | grouped) & handled
        self.file_rights = (named | grouped & bits(OF_FILES, RIGHTS)) & handled


class Rules:
    """A rule set that was read.

    handled  rights on files that are denied unless a rule allows them, 0 without "paths"
    paths    the rules                           ports  (word of TCP, number)
    tcp      the same of rights on TCP ports     scope, log  bits
    abi      that it needs at least, and `reason`, what of it needs that
    """

    def __init__(self) -> None:
        self.handled = 0
        self.paths: list[PathRule] = []
        self.tcp = 0
        self.ports: list[tuple[str, int]] = []
        self.scope = 0
        self.log = 0
        self.abi = 1
        self.reason = "a rule set"

    def need(self, abi: int, reason: str) -> None:
        """Something in it takes an ABI."""
        if abi > self.abi:
            self.abi, self.reason = abi, reason


def bits(words: "Collection[str]", table: dict[str, int]) -> int:
    """The bit mask of some words."""
    return sum(1 << place for place, word in enumerate(table) if word in words)


def parse(text: str) -> Rules:
    """The rule set in an annotation. Raises OciError."""
    report = Report(first=True)
    try:
        return read(text, report)
    except Enough:
        found = report.found[0]
        hint = found.hint or (f"expected {found.expected}" if found.expected else "")
        raise OciError("landlock", f"{LANDLOCK}: {found.message}", pointer=POINTER, hint=hint) from None


def read(text: str, report: Report) -> Rules:
    """The same; what is wrong goes onto the report, and what is left of the rules comes back."""
    value: object
    try:
        value = jsontext.loads(text, unique=True)
        if not is_text(text.encode(), value):
            raise ValueError
    except ValueError:
        why = "the value is not JSON, or an object in it has two members of one name"
        report("landlock-json", POINTER, why, expected='an object such as {"paths": [...]}')
        return Rules()
    except jsontext.ManyMembers:
        report("landlock-rules", POINTER, f"the rule set has a list of more than {MOST} items")
        return Rules()
    return _Reader(report).rules(value)


def too_old(rules: Rules, abi: int) -> str:
    """Why a kernel can't enforce the rules, "" when it can; `abi` is its own, or -errno where it has no Landlock."""
    if abi >= rules.abi:
        return ""
    kernel = f"Linux {KERNELS[rules.abi - 1]}" if rules.abi <= len(KERNELS) else "a newer Linux"
    needed = f"{rules.reason} needs ABI {rules.abi} of Landlock ({kernel})"
    if abi <= 0:
        return f"this kernel has no Landlock, or it is switched off: {needed}"
    return f"this kernel has ABI {abi} of Landlock: {needed}"


class _Reader:
    """Reads a rule set; each problem names its place in it, such as paths[0].allow[1]."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.found = Rules()
        self.most = 0  # the ABI that the rule set is for, 0 when it does not say

    def wrong(self, place: str, message: str, *, expected: str = "", hint: str = "") -> None:
        """Report a problem."""
        text = f"{place}: {message}" if place else message
        self.report("landlock-rules", POINTER, text, expected=expected, hint=hint)

    def rules(self, value: object) -> Rules:
        """All of it."""
        given = self.members(value, "", MEMBERS)
        found = self.found
        if "abi" in given:
            self.abi(given["abi"])
        if "paths" in given:
            self.paths(given["paths"])
        if "tcp" in given:
            self.tcp(given["tcp"])
        if "scope" in given:
            found.scope = bits(self.words(given["scope"], "scope", SCOPES), SCOPES)
        if "log" in given:
            found.log = bits(self.words(given["log"], "log", LOG), LOG)
        if isinstance(value, dict) and not {"paths", "tcp", "scope"} & given.keys():
            self.wrong("", "the rule set restricts nothing", expected='"paths", "tcp" or "scope"')
        return found

    def abi(self, value: object) -> None:
        if type(value) is not int or not 1 <= value <= len(KERNELS):
            self.wrong("abi", "not an ABI that this version knows", expected=f"1 to {len(KERNELS)}")
            return
        self.most = value
        self.found.need(value, f'"abi": {value}')

    def paths(self, value: object) -> None:
        """Without "abi" every right is handled that this version knows, and a kernel that lacks one is refused."""
        known = [right for right, abi in RIGHTS.items() if not self.most or abi <= self.most]
        self.found.handled = bits(known, RIGHTS)
        if not self.most:
            newest = max(RIGHTS, key=lambda right: RIGHTS[right])
            self.found.need(RIGHTS[newest], f'"paths" without "abi" (for its right {newest})')
        for index, item in enumerate(self.items(value, "paths")):
            place = f"paths[{index}]"
            given = self.members(item, place, ("path", "allow", "optional"))
            path, optional = given.get("path"), given.get("optional", False)
            if not isinstance(item, dict):
                continue
            if type(path) is not str or path[:1] != "/" or "\0" in path or len(path.encode()) > MOST_PATH:
                expected = "a text, an absolute path in the container"
                self.wrong(f"{place}.path", "not an absolute path", expected=expected)
            if type(optional) is not bool:
                self.wrong(f"{place}.optional", "not true or false", expected="true or false")
            allow = self.words(given.get("allow", []), f"{place}.allow", RIGHTS, GROUPS)
            if "allow" not in given or given["allow"] == []:
                self.wrong(f"{place}.allow", "nothing is allowed", hint="omit the path: it is denied anyway")
            rule = PathRule(
                str(path), allow, optional=optional is True, handled=self.found.handled, place=place
            )
            self.found.paths.append(rule)

    def tcp(self, value: object) -> None:
        """Both are handled as soon as one is there."""
        self.known_to("tcp", "tcp", TCP["bind"])
        self.found.tcp = bits(TCP, TCP)
        given = self.members(value, "tcp", tuple(TCP))
        for word in TCP:
            for index, port in enumerate(self.items(given.get(word, []), f"tcp.{word}")):
                if type(port) is int and 0 <= port <= 65535:
                    self.found.ports.append((word, port))
                else:
                    self.wrong(f"tcp.{word}[{index}]", "not a port", expected="a number from 0 to 65535")

    def members(self, value: object, place: str, known: tuple[str, ...]) -> dict[str, object]:
        """The members of an object. Not one of them passes unknown: it might be meant to restrict something."""
        if not isinstance(value, dict):
            self.wrong(place, "not an object", expected=f"an object with {', '.join(known)}")
            return {}
        for name in value:
            if name not in known:
                self.unknown(place, "member", name, known)
        return value

    def items(self, value: object, place: str) -> list[object]:
        if not isinstance(value, list):
            self.wrong(place, "not a list", expected="a list")
            return []
        if len(value) > MOST:
            self.wrong(place, f"a list of more than {MOST} items", expected=f"{MOST} at most")
            return []
        return value

    def words(
        self,
        value: object,
        place: str,
        table: dict[str, int],
        groups: "dict[str, tuple[str, ...]] | None" = None,
    ) -> list[str]:
        """A list of words of a table, or of groups of them, that the rule set's ABI has."""
        found = []
        for index, word in enumerate(self.items(value, place)):
            here = f"{place}[{index}]"
            if type(word) is str and word in table:
                self.known_to(here, word, table[word])
                found.append(word)
            elif type(word) is str and groups and word in groups:
                found.append(word)
            else:
                self.unknown(here, "word", word, (*(groups or ()), *table))
        return found

    def known_to(self, place: str, what: str, abi: int) -> None:
        """What is named has to be in the ABI that the rule set is for; without one it is what decides."""
        if self.most and abi > self.most:
            text = f'"{what}" needs ABI {abi} of Landlock, and the rule set is for ABI {self.most}'
            self.wrong(place, text, hint='raise "abi", or omit it')
        else:
            self.found.need(abi, f'{place} "{what}"' if place != what else f'"{what}"')

    def unknown(self, place: str, kind: str, name: object, known: tuple[str, ...]) -> None:
        text = name[:60] if isinstance(name, str) else ""
        near = closest(text, known)
        shown = f'"{text}" is not a known {kind}' if isinstance(name, str) else "not a text"
        hint = f'did you mean "{near}"?' if near else ""
        self.wrong(place, shown, expected=", ".join(known), hint=hint)
