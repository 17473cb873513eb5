"""One thing wrong with a document, the list that the rules put it on, and the errors for a document that is refused."""

from pyoci.base.errors import OciError


class Problem:
    """One thing wrong, or doubtful, in a document.

    code      stable kebab-case name of the rule
    pointer   JSON pointer (RFC 6901) of the place, "" is the whole document
    message   what is wrong, one line
    expected  what would be right, or ""
    hint      what to do about it, or ""
    severity  "error" (refused), "warning" (accepted, yet hardly meant) or "advice" (from the security review)
    """

    __slots__ = ("code", "pointer", "message", "expected", "hint", "severity")

    def __init__(
        self,
        code: str,
        pointer: str,
        message: str,
        expected: str = "",
        hint: str = "",
        severity: str = "error",
    ) -> None:
        self.code = code
        self.pointer = pointer
        self.message = message
        self.expected = expected
        self.hint = hint
        self.severity = severity

    def __repr__(self) -> str:
        return f"<{self.severity} {self.code} {self.pointer}: {self.message}>"


class Enough(Exception):
    """The first problem is found, and no more are wanted."""


class Report:
    """Takes problems in; a rule calls it with the fields of a `Problem`."""

    def __init__(self, first: bool = False, severity: str = "error") -> None:
        self.first = first
        self.severity = severity
        self.found: list[Problem] = []

    def __call__(self, code: str, pointer: str, message: str, *, expected: str = "", hint: str = "") -> None:
        """Note a problem. Raises `Enough` when one is all that was asked for."""
        self.found.append(Problem(code, pointer, message, expected, hint, self.severity))
        if self.first:
            raise Enough

    def nul(self, texts: "tuple[str, ...] | list[str]", pointer: str) -> None:
        """The rule for all texts that become C strings."""
        if "\0" in "".join(texts):
            self(
                "nul-byte",
                pointer,
                "a string contains a NUL byte, which the kernel does not take",
                hint="remove \\u0000",
            )


class RefusedDocument(OciError):
    """A document that the fast check refuses without saying why: `pyoci.validate.explain` finds that out from its bytes.

    raw   the document as it was read: it may have come through a pipe, or be another one by now
    name  what it is called in messages
    kind  "config", "process" or "resources"
    """

    def __init__(self, raw: bytes, name: str, kind: str) -> None:
        super().__init__("config", f"{name} is refused", obj=name, hint="run `pyoci validate` to see why")
        self.raw = raw
        self.name = name
        self.kind = kind
