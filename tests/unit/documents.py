"""The project's documents, taken apart: their prose, code spans, command lines and the places they name."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from harness import machine

TOP = machine.repository()
FOLDERS = [path.name for path in TOP.iterdir() if path.is_dir() and path.name not in (".git", "build")]
_PLACE = re.compile(rf"(?<![\w./$~<>-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*{{}},-]*")


@dataclass(frozen=True)
class Document:
    """One file of documentation."""

    path: Path

    @property
    def name(self) -> str:
        """Its place in the tree."""
        return str(self.path.relative_to(TOP))

    @cached_property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text()

    @cached_property
    def prose(self) -> str:
        """What is neither indented nor fenced; a line break inside a paragraph is a blank."""
        lines = [line for line in self.text.splitlines() if not line.startswith("    ")]
        text = re.sub(r"^```.*?^```", "", "\n".join(lines), flags=re.DOTALL | re.MULTILINE)
        return re.sub(r"\n(?=[^\n|#*])", " ", text)

    @cached_property
    def blocks(self) -> list[str]:
        """The indented lines, without what is said about them at their right."""
        return [line.strip() for line in self.text.splitlines() if line.startswith("    ")]

    @cached_property
    def spans(self) -> list[str]:
        """What stands between backquotes."""
        return [" ".join(span.split()) for span in re.findall(r"`([^`\n]+)`", self.prose)]

    @cached_property
    def headings(self) -> list[str]:
        """The headings, without their marks."""
        return re.findall(r"^#+ (.*)$", self.text, re.MULTILINE)

    @cached_property
    def anchors(self) -> set[str]:
        """The names under which GitHub links to the headings."""
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in self.headings}

    def places(self) -> Iterator[str]:
        """The paths below the tree that it names, anywhere."""
        for found in _PLACE.findall(self.text):
            yield found.rstrip(".,-")

    def links(self) -> list[str]:
        """The targets of its links within the project."""
        found = re.findall(r"\]\(([^)\s]+)\)", self.text)
        return [target for target in found if not re.match(r"[a-z]+:", target)]

    def commands(self, program: str) -> Iterator[list[str]]:
        """The words behind the name of a program, where a line or a span is a call of it."""
        for text in [*self.blocks, *self.spans]:
            words = text.removeprefix("+ ").removeprefix("sudo ").removeprefix("python ")
            call = re.split(r"\s{2,}| # ", words)[0]
            if call == program or call.startswith(f"{program} "):
                yield call.split()[1:]


@cache
def files_of_the_project() -> list[Path]:
    """The files that git has or would take."""
    command = ["git", "-c", f"safe.directory={TOP}", "-C", str(TOP), "ls-files", "-z", "--cached", "--others"]
    command.append("--exclude-standard")
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    paths = (TOP / name for name in sorted(names) if name)
    return [path for path in paths if path.is_file()]  # one that was just removed is still in the index


def documents() -> list[Document]:
    """Every document of the project."""
    return [Document(path) for path in files_of_the_project() if path.suffix == ".md"]


def document(name: str) -> Document:
    """The document at a place in the tree."""
    return Document(TOP / name)


def table(document: Document, heading: str) -> list[list[str]]:
    """The cells of the first table whose head begins with a text, without the head."""
    lines = iter(document.text.splitlines())
    for line in lines:
        if line.startswith(f"| {heading} "):
            next(lines)
            break
    else:
        raise AssertionError(f"{document.name} has no table with the head {heading!r}")
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
