"""Taking the broken parts out of a document, so that the rules can look at the rest."""

from collections.abc import Callable
from typing import Any

from pyoci.spec.json_pointer import join, split

Path = tuple[str | int, ...]


def resolve(value: Any, at: str) -> Path | None:
    """The keys and indexes of a JSON pointer as far as they exist; None for the whole document."""
    path: list[str | int] = []
    for name in split(at):
        if isinstance(value, dict) and name in value:
            path.append(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            path.append(int(name))
        else:
            break
        value = value[path[-1]]
    return tuple(path) or None


def value(document: Any, at: str) -> Any:
    """What stands at a JSON pointer."""
    for name in split(at):
        document = document[int(name) if isinstance(document, list) else name]
    return document


def remove(value: Any, paths: set[Path]) -> Callable[[str], str]:
    """Take the given places out of a document; a place inside another one goes with it.

    In lists the later items move up; the function that comes back turns a pointer into the document as it is
    then into the pointer to the same place as it was before.
    """
    gone: dict[str, list[int]] = {}
    for path in sorted(paths, key=_order, reverse=True):
        if any(path[:length] in paths for length in range(1, len(path))):
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        del holder[path[-1]]
        if isinstance(path[-1], int):
            gone.setdefault(join(path[:-1]), []).insert(0, path[-1])
    return lambda at: _original(at, gone)


def _order(path: Path) -> list[tuple[int, str]]:
    """Sorts indexes as numbers, so that the last items of a list can go first."""
    return [(key, "") if isinstance(key, int) else (0, key) for key in path]


def _original(at: str, gone: dict[str, list[int]]) -> str:
    found = ""
    for part in at.split("/")[1:]:
        name = part
        if found in gone and part.isdecimal():
            index = int(part)
            for lost in gone[found]:
                if lost <= index:
                    index += 1
            name = str(index)
        found += f"/{name}"
    return found


class Places:
    """Some places of a document, to ask about pointers."""

    def __init__(self, paths: set[Path]) -> None:
        self.inside = {join(path) for path in paths}
        self.around = {join(path[:length]) for path in paths for length in range(len(path))}

    def touch(self, at: str) -> bool:
        """Whether a pointer leads to or into one of the places, or to something that holds one."""
        if at in self.around:
            return True
        while at:
            if at in self.inside:
                return True
            at = at.rpartition("/")[0]
        return False
