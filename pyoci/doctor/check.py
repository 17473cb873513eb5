"""One thing that was looked at, and the three answers."""

from dataclasses import asdict, dataclass, field

YES, NO, UNKNOWN = "yes", "no", "unknown"


@dataclass
class Check:
    """What was looked at and what came of it.

    area    which group of the report it belongs to, such as "kernel"
    name    what is there or not, such as "time namespaces"
    result  YES, NO or UNKNOWN (it can't be found out from here)
    why     how one knows: a version, the kernel's words; ""
    cost    what can't be done without it, "" when that needs no words
    hint    what to do to get it, or ""
    needed  without it no ordinary container runs
    """

    area: str
    name: str
    result: str
    why: str = ""
    cost: str = ""
    hint: str = ""
    needed: bool = False

    @property
    def fatal(self) -> bool:
        """Whether this alone keeps containers from running."""
        return self.needed and self.result == NO


@dataclass
class Leftover:
    """What is left of a dead container.

    kind     "container" (an entry of the state store) or "process"
    name     the container's id, or the pid
    why      how we know that it is not in use
    removed  whether --fix has removed it
    failure  why it could not be removed, or ""
    """

    kind: str
    name: str
    why: str
    removed: bool = False
    failure: str = ""


@dataclass
class Report:
    """Everything that was found."""

    root: str
    checks: list[Check] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """Whether ordinary containers run here."""
        return not any(check.fatal for check in self.checks)

    def values(self) -> dict[str, object]:
        """The report as JSON values."""
        return {
            "root": self.root,
            "ready": self.ready,
            "checks": [asdict(check) for check in self.checks],
            "leftovers": [asdict(leftover) for leftover in self.leftovers],
        }


def answer(works: bool) -> str:
    """YES or NO."""
    return YES if works else NO


def read(path: str) -> str:
    """The stripped text of a small file of the kernel's, "" when it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
