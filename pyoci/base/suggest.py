"""What a mistyped word was probably meant to be. Errors of hot commands come here: no imports."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


_LONGEST = 40  # no mistyped word is longer, and looking for one in megabytes takes minutes


def closest(word: str, candidates: "Iterable[str]") -> str:
    """The candidate that was probably meant, or "": one in other letter case, a longer one, or the one with the fewest edits."""
    if not 2 <= len(word) <= _LONGEST:
        return ""
    word = word.lower()
    longer = best = ""
    allowed = 0 if len(word) < 3 else 1 if len(word) < 5 else 2
    for candidate in candidates:
        other = candidate.lower()
        if other == word:
            return candidate
        if not longer and len(word) > 3 and other.startswith(word):
            longer = candidate
        distance = edits(word, other, allowed)
        if distance <= allowed:
            best, allowed = candidate, distance - 1
    return longer or best


def edits(left: str, right: str, limit: int) -> int:
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
