"""The documentation as a site: every page is in the menu, the generated one is up to date, MkDocs has no warning."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from unit.documents import TOP, Document, document, documents

sys.path.append(str(TOP / "docs/site"))

import commands_page

MENU = (TOP / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
# What people are told to type, in the order in which they read it
GUIDES = [document(f"docs/{name}.md") for name in ("index", "install", "first-container", "rootless")]
# Programs of others that they call. tests/packaging runs the lines of the front page, of the package and of the archive,
# tests/integration/test_first_container.py those of the other two guides, but for what changes settings of the machine's.
OTHERS = {
    *("apt-get", "podman", "tar", "ln", "python3", "pip", ".venv/bin/pip"),
    *("mkdir", "cp", "for", "sed", "skopeo", "umoci"),
    *("sysctl", "apparmor_parser"),
}


def test_every_page_is_in_the_menu() -> None:
    listed = re.findall(r": ([\w/.-]+\.md)$", MENU, re.MULTILINE)
    assert len(set(listed)) == len(listed)
    pages = {path.name for path in (TOP / "docs").glob("*.md")}
    assert {name for name in listed if not name.startswith("project/")} == pages


def test_every_document_outside_docs_is_in_the_menu() -> None:
    """README alone is not: the front page has its place."""
    text = (TOP / "docs/site/hooks.py").read_text()
    found = dict(re.findall(r'^    "([\w/.]+\.md)": "(project/[\w-]+\.md)",$', text, re.MULTILINE))
    names = {each.name for each in documents()}
    elsewhere = {name for name in names if not name.startswith(("docs/", "tests/data/", "."))}
    assert set(found) == elsewhere - {"README.md"}
    assert set(found.values()) == set(re.findall(r": (project/.*\.md)$", MENU, re.MULTILINE))


def test_the_page_of_commands_is_that_of_the_table() -> None:
    assert (TOP / "docs/commands.md").read_text() == commands_page.page(), (
        "python docs/site/commands_page.py > docs/commands.md"
    )


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_what_people_are_told_to_type_is_good_shell(guide: Document) -> None:
    script = "\n".join(guide.blocks)
    assert script
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for line in guide.blocks:
        words = [word for word in line.removeprefix("sudo ").split() if not re.match("[A-Z_]+=", word)]
        program = words[0].removeprefix("./")
        assert program in ("pyoci", ".venv/bin/pyoci", *OTHERS) or os.access(TOP / program, os.X_OK), line


def test_the_front_page_takes_five_commands() -> None:
    lines = [line.removeprefix("sudo ") for line in document("docs/index.md").blocks]
    assert len(lines) == 5 and lines[1] == "./scripts/set-up .venv ."
    assert "\nscripts/set-up .venv .\n" in (TOP / "scripts/try").read_text()


def test_the_page_on_rootless_has_the_switches_that_the_doctor_looks_at() -> None:
    switch = "apparmor_restrict_unprivileged_userns"
    assert f"/{switch}" in (TOP / "pyoci/host/restrictions.py").read_text()
    assert f"kernel.{switch}" in document("docs/rootless.md").text


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """A link or an anchor that leads nowhere is a warning."""
    mkdocs = TOP / ".venv-docs/bin/mkdocs"
    if not mkdocs.exists():
        pytest.skip("MkDocs is not installed: scripts/docs --install")
    command = [str(mkdocs), "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=TOP, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert {"index.html", "config.html", "project/contributing.html"} < {
        str(page.relative_to(tmp_path)) for page in pages
    }
    assert not list(tmp_path.rglob("*.py*")), "programs are in the site"
    assert "<span class=whole>--log-format</span> text|json<" in (tmp_path / "commands.html").read_text()
    fetched = [
        (page.name, address)
        for page in pages
        for address in re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(https?:[^"]*)"', page.read_text())
    ]
    assert fetched == [], "the site fetches nothing from elsewhere"


def test_what_the_site_needs_is_an_extra_of_its_own() -> None:
    extras = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [re.split("[~>=]", each)[0] for each in extras["docs"]] == ["mkdocs-material"]
    script = (TOP / "scripts/docs").read_text()
    assert '["docs"]' in script and "\nvenv=.venv-docs\n" in script
    assert re.search(r"^scripts/docs --install \|\|", (TOP / "scripts/test").read_text(), re.MULTILINE), (
        "CI builds it"
    )
