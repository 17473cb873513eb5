"""The project's own papers: its version, changelog, workflow, templates and the form of its files."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from unit.documents import files_of_the_project

import pyoci

TOP = machine.repository()
CHANGELOG = (TOP / "CHANGELOG.md").read_text()
WORKFLOW = TOP / ".github/workflows/ci.yml"
PROJECT: dict[str, Any] = tomllib.loads((TOP / "pyproject.toml").read_text())
RELEASE = re.compile(r"^## \[(\d+)\.(\d+)\.(\d+)\] - (Unreleased|\d{4}-\d\d-\d\d)$", re.MULTILINE)
FORMS = [
    ("vendor.github-workflows", ".github/workflows/ci.yml"),
    ("custom.github-workflows-require-timeout", ".github/workflows/ci.yml"),
    ("vendor.github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
    ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/bug.yml"),
    ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/feature.yml"),
]
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


# -- the version


def test_the_package_gets_its_version_from_the_module() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"] == {"version": {"attr": "pyoci.__version__"}}
    assert re.fullmatch(r"\d+\.\d+\.\d+", pyoci.__version__)


def test_setuptools_finds_it() -> None:
    pytest.importorskip("setuptools")
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "setup.py", "--quiet", "--version"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.splitlines()[-1:] == [pyoci.__version__], found.stderr


def test_the_version_is_written_in_one_place() -> None:
    version = re.compile(rf"(?<![\d.]){re.escape(pyoci.__version__)}(?![\d.])")
    places = []
    for path in files_of_the_project():
        name = str(path.relative_to(TOP))
        if not name.startswith(("tests/data/", "tests/fuzz/corpus/")) and version.search(path.read_text()):
            places.append(name)
    assert places == ["CHANGELOG.md", "pyoci/__init__.py"]


# -- the changelog


def test_the_newest_release_in_the_changelog_is_this_version() -> None:
    releases = RELEASE.findall(CHANGELOG)
    numbers = [tuple(map(int, release[:3])) for release in releases]
    dates = [release[3] for release in releases]
    assert ".".join(map(str, numbers[0])) == pyoci.__version__
    assert numbers == sorted(numbers, reverse=True) and len(set(numbers)) == len(numbers)
    assert "Unreleased" not in dates[1:]
    assert dates[1:] == sorted(dates[1:], reverse=True)


def test_the_changelog_has_no_other_headings() -> None:
    assert len(re.findall("^## ", CHANGELOG, re.MULTILINE)) == len(RELEASE.findall(CHANGELOG))
    for section in RELEASE.split(CHANGELOG)[5::5]:
        kinds = re.findall("^###+ (.*)$", section, re.MULTILINE)
        assert kinds and set(kinds) <= KINDS and len(set(kinds)) == len(kinds)


# -- GitHub's files


def yaml(path: Path) -> Any:
    reader = pytest.importorskip("ruamel.yaml")
    return reader.YAML(typ="safe", pure=True).load(path.read_text())


def pythons() -> list[str]:
    """The versions of Python that the package says it runs on."""
    words = [line.rpartition(" :: ")[2] for line in PROJECT["project"]["classifiers"]]
    return [word for word in words if re.fullmatch(r"3\.\d+", word)]


@pytest.mark.parametrize(("schema", "file"), FORMS)
def test_form(schema: str, file: str) -> None:
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(TOP / file)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_file_for_github_has_its_form_checked() -> None:
    files = {str(path.relative_to(TOP)) for path in (TOP / ".github").rglob("*.yml")}
    assert files == {file for _, file in FORMS}


def test_the_workflow_runs_everything_on_everything() -> None:
    job = yaml(WORKFLOW)["jobs"]["suite"]
    matrix = job["strategy"]["matrix"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert matrix["debian"] == ["bookworm", "trixie"]
    assert matrix["python"] == pythons() and PROJECT["project"]["requires-python"] == f">={pythons()[0]}"
    assert matrix["arch"] == ["amd64", "arm64"]


def test_the_kinds_of_launcher_in_the_workflow_are_those_of_ci() -> None:
    job = yaml(WORKFLOW)["jobs"]["suite"]
    (kinds,) = re.findall(r"\$\{LAUNCHERS:-(.*)\}", (TOP / ".ci/run").read_text())
    entries = job["strategy"]["matrix"]["include"]
    assert {entry["launchers"] for entry in entries} == {kinds}
    # these replace nothing in the matrix but add to what is there
    assert all(entry["debian"] and entry["python"] in pythons() for entry in entries)


def test_the_workflow_tries_the_newest_python() -> None:
    steps = [step["run"] for step in yaml(WORKFLOW)["jobs"]["newest-python"]["steps"] if "run" in step]
    assert any("mmdebstrap" in step for step in steps) and steps[-1].endswith("scripts/newest-python")
    assert (TOP / "scripts/newest-python").stat().st_mode & 0o111


def test_the_workflow_builds_the_site() -> None:
    assert [step["run"] for step in yaml(WORKFLOW)["jobs"]["docs"]["steps"] if "run" in step] == [
        "scripts/docs"
    ]
    script = TOP / "scripts/docs"
    assert script.stat().st_mode & 0o111 and " build --quiet --strict " in script.read_text()


def test_the_workflow_runs_what_takes_minutes_and_is_asked_for() -> None:
    job = yaml(WORKFLOW)["jobs"]["engines"]
    assert {entry["tests"] for entry in job["strategy"]["matrix"]["include"]} == {"engines", "packaging"}
    assert job["steps"][-1]["run"].endswith(" scripts/test tests/${{ matrix.tests }}")
    for name, value in job["env"].items():
        words = f'environ.get("{name}", "")'
        asking = [path for path in (TOP / "tests").rglob("*.py") if words in path.read_text()]
        assert any(f'"{value}"' in path.read_text() for path in asking), name


# -- the form of the files


def complaints(path: Path) -> list[str]:
    """How a file differs from what .editorconfig says of it."""
    import editorconfig

    rules, text = editorconfig.get_properties(str(path)), path.read_bytes().decode()
    found = []
    if rules["end_of_line"] == "lf" and "\r" in text:
        found.append("carriage return")
    if rules["insert_final_newline"] == "true" and text and not text.endswith("\n"):
        found.append("no newline at the end")
    if rules["trim_trailing_whitespace"] == "true" and re.search(r"[ \t]$", text, re.MULTILINE):
        found.append("blanks at the end of a line")
    if rules["indent_style"] == "space" and re.search(r"^ *\t", text, re.MULTILINE):
        found.append("a tab in front of a line")
    return found


def test_every_file_is_as_editorconfig_says() -> None:
    """What can't be decoded is no text: pictures and other generated files don't belong into git."""
    pytest.importorskip("editorconfig")
    found = {str(path.relative_to(TOP)): complaints(path) for path in files_of_the_project()}
    assert {name: told for name, told in found.items() if told} == {}
