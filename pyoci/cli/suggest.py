"""What a mistyped word was probably meant to be. Hot commands' errors come here: no imports."""

from pyoci.cli.table import GLOBALS, HELP, NAME, NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.table import Command, Option


def closest(word: str, candidates: list[str]) -> str:
    """The candidate that fewest typing slips lead to, or "" when none is near."""
    if not 2 <= len(word) <= 40:
        return ""
    allowed = 1 if len(word) < 5 else 2
    best = ""
    for candidate in candidates:
        distance = slips(word, candidate, allowed)
        if distance <= allowed:
            best, allowed = candidate, distance - 1
    return best


def slips(left: str, right: str, limit: int) -> int:
    """How many letters were added, left out, changed or swapped; limit + 1 for more than `limit`."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, one in enumerate(left):
        earlier, before, row = before, row, [i + 1]
        for j, other in enumerate(right):
            cost = min(before[j] + (one != other), before[j + 1] + 1, row[j] + 1)
            if i and j and one == right[j - 1] and other == left[i - 1]:
                cost = min(cost, earlier[j - 1] + 1)
            row.append(cost)
    return min(row[-1], limit + 1)


def option_hint(name: str, known: "tuple[Option, ...]", command: "Command | None") -> str:
    """A hint for an unknown option, or "" for none better than the usage."""
    if command is not None and any(name in option[NAMES] for option in GLOBALS):
        return f"--{name} is a global option: it goes before the command"
    near = closest(name, [option[NAMES][0] for option in known if option[HELP]])
    if near:
        return f"did you mean --{near}?"
    return f"pyoci {command[NAME]} --help lists the options" if command else ""
