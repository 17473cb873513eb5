"""`python -m pyoci.validate.compare DIR`: how our schemas differ from an upstream checkout's."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pyoci._generated_schemas import DEVIATIONS, SCHEMAS
from pyoci.spec.json_pointer import escape

PROSE = {"description", "title"}
NAMES = {"properties", "patternProperties", "definitions"}  # below these, a key is a name of the author's


class Difference(NamedTuple):
    """One place where the two differ; None stands for "not there"."""

    file: str
    pointer: str
    upstream: object
    here: object

    def text(self) -> str:
        """One line for people."""
        sides = [
            f"{name} {'has none' if value is None else json.dumps(value)}"
            for name, value in (("upstream", self.upstream), ("here", self.here))
        ]
        return f"{self.file}#{self.pointer}: {sides[0]}, {sides[1]}"


def differences(
    upstream: object, here: object, file: str, pointer: str = "", named: bool = False
) -> Iterator[Difference]:
    """The places where two schemas differ, prose left out. `named`: the keys here are names, not keywords."""
    if isinstance(upstream, dict) and isinstance(here, dict):
        for key in sorted({*upstream, *here}):
            if key in PROSE and not named:
                continue
            below = key in NAMES and not named
            yield from differences(upstream.get(key), here.get(key), file, f"{pointer}/{escape(key)}", below)
    elif (
        isinstance(upstream, list)
        and isinstance(here, list)
        and any(isinstance(item, dict) for item in upstream)
    ):
        for index in range(max(len(upstream), len(here))):
            sides = [side[index] if index < len(side) else None for side in (upstream, here)]
            yield from differences(sides[0], sides[1], file, f"{pointer}/{index}")
    elif upstream != here or isinstance(upstream, bool) != isinstance(here, bool):
        yield Difference(file, pointer, upstream, here)


def _nearest(directory: Path) -> list[Path]:
    """The main schemas in a directory or in folders of it, those that lie least deep first."""
    return sorted(directory.rglob("config-schema.json"), key=lambda path: (len(path.parts), path))


def compare(directory: Path) -> tuple[list[Difference], list[Difference], list[Difference]]:
    """The unlisted differences to upstream's schemas, the listed ones, and the listed ones not found.

    They are looked for in the directory and below it: a checkout will do, or a folder with one.

    Raises OSError or ValueError when a file of the directory cannot be read.
    """
    directory = next((main.parent for main in _nearest(directory)), directory)
    upstream = {path.name: json.loads(path.read_text("utf-8")) for path in sorted(directory.glob("*.json"))}
    if not upstream:
        raise OSError(f"{directory}: no schema here")
    found = [
        difference
        for name in sorted({*upstream, *SCHEMAS})
        for difference in differences(upstream.get(name), SCHEMAS.get(name), name)
    ]
    listed = [Difference(*(entry[field] for field in Difference._fields)) for entry in DEVIATIONS]
    unlisted = [difference for difference in found if difference not in listed]
    return (
        unlisted,
        [item for item in listed if item in found],
        [item for item in listed if item not in found],
    )


def main(argv: list[str]) -> int:
    """Print the comparison; 0 when all differences are listed with a reason, 1 when not, 2 on misuse."""
    if len(argv) != 2:
        print("usage: python -m pyoci.validate.compare CHECKOUT-OR-ITS-SCHEMAS", file=sys.stderr)
        return 2
    try:
        unlisted, listed, stale = compare(Path(argv[1]))
    except (OSError, ValueError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    reasons = {(entry["file"], entry["pointer"]): entry["reason"] for entry in DEVIATIONS}
    for item in listed:
        print(f"listed: {item.text()}\n    {reasons[item.file, item.pointer]}")
    for item in stale:
        print(f"listed, but not so: {item.text()}")
    for item in unlisted:
        print(f"differs: {item.text()}")
    print(f"{len(unlisted)} unlisted differences, {len(listed)} listed, {len(stale)} listed and not found")
    return 1 if unlisted or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
