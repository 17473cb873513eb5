"""What MkDocs is told beyond mkdocs.yml: pages from outside docs/, links that work in the repository too, tables."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

TOP = Path(__file__).resolve().parents[2]
# Documents outside docs/ -> where they are in the site
OUTSIDE = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "RELEASING.md": "project/releasing.md",
    "SECURITY.md": "project/security-policy.md",
    "bench/README.md": "project/benchmark.md",
    "bundles/README.md": "project/bundles.md",
    "schemas/README.md": "project/schemas.md",
    "tests/README.md": "project/tests.md",
    "tests/fuzz/README.md": "project/tests-fuzz.md",
    "tests/vm/README.md": "project/tests-vm.md",
}
_PLACES = {there: here for here, there in OUTSIDE.items()}
_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
_ROW = re.compile(r"<tr>.*?</tr>", re.DOTALL)
_CODE = re.compile(r"<code>([^\n<]+)</code>")
_HYPHENATED = re.compile(r"(?<![^ ])[^ &]{0,24}-[^ &]{0,24}(?![^ ])")
_TESTS = re.compile(r"<code>[\w/<>.]+py:")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents from outside docs/."""
    for name, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(TOP / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that are right in the repository into links that are right in the site.

    One to a file that the site does not have stays as it is: MkDocs warns of it.
    """
    here = page.file.src_uri
    origin = posixpath.dirname(_PLACES.get(here, f"docs/{here}"))

    def rewritten(link: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(origin, link[1]))
        target = OUTSIDE.get(place) or place.removeprefix("docs/")
        return f"]({posixpath.relpath(target, posixpath.dirname(here))}"

    return _LINK.sub(rewritten, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Prepare names and tables for narrow screens."""
    return _TABLE.sub(lambda table: _prepared(table[0]), _CODE.sub(_breakable, html))


def _breakable(code: re.Match[str]) -> str:
    """A long name breaks between its parts, a short one, such as an option, nowhere; a short command between its words."""
    text = code[1]
    if len(text) <= 24 and " " not in text:
        return f"<code class=whole>{text}</code>"
    if len(text) <= 48 and " " in text:
        return "<code>" + _HYPHENATED.sub(r"<span class=whole>\g<0></span>", text) + "</code>"
    return f"<code>{re.sub(r'(?<=[,/:._])(?=[^,/:._])', '<wbr>', text)}</code>"


def _prepared(table: str) -> str:
    """A table whose cells know the head of their column, which style.css shows where rows become blocks.

    GitHub wants a backslash before a bar in a code span of a table; here it would be shown.
    """
    heads = [re.sub("<.*?>", "", head) for head in re.findall("<th.*?>(.*?)</th>", table, re.DOTALL)]

    def row(found: re.Match[str]) -> str:
        cells = found[0].split("<td")
        for column in range(1, len(cells)):
            attributes, _, text = cells[column].partition(">")
            text, end, rest = text.replace(r"\|", "|").rpartition("</td>")
            head = heads[column - 1]
            cells[column] = f'<td data-head="{head}"{attributes}>{_folded(text)}{end}{rest}'
        return "".join(cells)

    return f'<table data-columns="{len(heads)}">' + _ROW.sub(row, table).removeprefix("<table>")


def _folded(cell: str) -> str:
    """A cell that lists tests shows how many there are, and which when it is clicked at."""
    count = len(_TESTS.findall(cell))
    if not cell.startswith("<code") or not count:
        return cell
    lines = re.sub(r"</code>, (?=<code)", "</code><br>", cell)
    return f"<details><summary>{count} test{'s' if count > 1 else ''}</summary>{lines}</details>"
