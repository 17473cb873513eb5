"""What the documents promise is so: places exist, commands parse, variables are read, names are those of the code."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from unit import hot
from unit.documents import TOP, Document, document, documents, files_of_the_project, table

from pyoci._ops import OPS
from pyoci.base.errors import OciError
from pyoci.cli import manual, parse, usage
from pyoci.cli.table import COMMANDS, GLOBALS, HELP_OPTION, NAME, NAMES, OPTIONS
from pyoci.doctor.check import Check, Leftover, Report
from pyoci.spec import unsupported
from pyoci.trace import picture
from pyoci.validate import report_formats
from pyoci.validate.explain import examine

sys.path += [str(TOP / "bench"), str(TOP / "schemas")]

import generate
import run as bench_run

DOCUMENTS = documents()
every = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)


# -- places


@cache
def ignored(place: str) -> bool:
    """True for what the build or a script makes: git leaves it alone."""
    command = ["git", "-c", f"safe.directory={TOP}", "-C", str(TOP), "check-ignore", "-q", place]
    return subprocess.run(command, check=False).returncode == 0


@every
def test_a_place_that_is_named_exists(document: Document) -> None:
    missing = [place for place in document.places() if not exists(place) and not ignored(place)]
    assert missing == []


def exists(place: str) -> bool:
    """True when something has this path, in which `*` and `{a,b}` are a shell's, and NAME stands for any name."""
    first, brace, rest = place.replace("NAME", "*").partition("{")
    inside, _, last = rest.partition("}")
    words = inside.split(",") if brace else [""]
    return all(next(TOP.glob(first.rstrip("/") + word + last), None) for word in words)


@every
def test_a_link_leads_somewhere(document: Document) -> None:
    broken = []
    for target in document.links():
        name, _, anchor = target.partition("#")
        path = (document.path.parent / name).resolve() if name else document.path
        if not path.exists() or (anchor and anchor not in Document(path).anchors):
            broken.append(target)
    assert broken == []


@every
def test_a_section_that_is_named_exists(document: Document) -> None:
    """Such as ([CONTRIBUTING.md](CONTRIBUTING.md), "The launcher")."""
    named = re.findall(r'([\w./]+\.md)\)?, "([^"]+)"', document.prose)
    missing = []
    for name, heading in named:
        beside = document.path.parent / name
        if heading not in Document(beside if beside.exists() else TOP / name).headings:
            missing.append((name, heading))
    assert missing == []


@every
def test_a_file_that_is_named_alone_exists(document: Document) -> None:
    """`ops.py` in a paragraph on a folder: somewhere a file has this name."""
    named = {
        span for span in document.spans if re.fullmatch(r"[\w-]+\.(yml|py|pyi|c|h|def|md|svg|txt|sh)", span)
    }
    assert named - {path.name for path in files_of_the_project()} == set()


# -- names in the code


@cache
def modules() -> dict[str, Path]:
    """The modules of the package by their full names."""
    found = {}
    for path in (TOP / "pyoci").rglob("*.py*"):
        if path.suffix in (".py", ".pyi"):
            parts = path.relative_to(TOP).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def resolves(name: str) -> bool:
    """True for a module of the package, or something that one has at its top level or in a class there."""
    known = modules()
    for module in (name, name.rpartition(".")[0], name.rpartition(".")[0].rpartition(".")[0]):
        if module in known:
            rest = name.removeprefix(module).strip(".").split(".")
            return rest == [""] or has(ast.parse(known[module].read_text()).body, rest)
    return False


def has(body: list[ast.stmt], names: list[str]) -> bool:
    """True when a statement of a body defines the first name, and its own body the next one."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == names[0]:
            return len(names) == 1 or has(node.body, names[1:])
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == names[0] for target in targets):
            return len(names) == 1
    return False


@cache
def properties() -> set[str]:
    """The path of every property in config.json, with dots, from each of its parts on."""
    schemas = generate.Schemas()
    found: set[str] = set()

    def walk(node: Any, file: str, path: tuple[str, ...]) -> None:
        if isinstance(node, list):
            for each in node:
                walk(each, file, path)
        elif isinstance(node, dict):
            if "$ref" in node:
                address, target = schemas.find(node["$ref"], file)
                walk(target, address.partition("#")[0], path)
            for name, below in node.get("properties", {}).items():
                here = (*path, name)
                found.update(".".join(here[start:]) for start in range(len(here)))
                walk(below, file, here)
            for word in ("items", "anyOf", "allOf"):
                walk(node.get(word), file, path)

    walk(schemas.files["config-schema.json"], "config-schema.json", ())
    return found


OTHER_NAMES = {
    "sys.argv",  # Python's
    "cgroup.procs",  # the kernel's
    "cgroup.kill",
    "org.systemd.property.",  # runc's
    "run.oci.keep_original_groups",  # crun's
    "run.oci.hooks.stdout",
    "run.oci.hooks.stderr",
    "run.oci.pidfd_receiver",
    "run.oci.mount_context_type",
    "notify.sock",
    *("run.oci.seccomp.receiver", "run.oci.seccomp_fail_unknown_syscall"),
    *("run.oci.seccomp_bpf_data", "run.oci.seccomp.plugins"),
    "org.systemd.property.NAME",
    "org.opencontainers.runc.checkpoint.enabled",
    "io.github.seccomp.libseccomp.version",
    "org.pyoci.version",  # of the features document
    "org.pyoci.commit",
    "org.pyoci.landlock.abi",
    "org.pyoci.landlock",  # ours, of config.json
    "seccomp.archs",
    "seccomp.supportedFlags",
}


@every
def test_a_name_with_dots_is_one_of_the_code_or_of_a_configuration(document: Document) -> None:
    named = {
        span.removesuffix("()")
        for span in document.spans
        if re.fullmatch(r"[a-z_]\w*(\.\w+)+\.?(\(\))?", span)
    }
    named = {name for name in named if not re.search(r"\.(json|yml|py|pyi|c|h|def|md|svg|txt|sh)$", name)}
    unknown = {
        name
        for name in named
        if not resolves(name) and not any(resolves(f"{above}.{name}") for above in packages())
    }
    assert unknown - properties() - OTHER_NAMES == set()


def packages() -> list[str]:
    """Where a module may be that is named without its package, such as `bundle.load`."""
    return sorted({name.rpartition(".")[0] for name in modules()} - {""})


# -- command lines


def words_of_usage(words: list[str]) -> list[str]:
    """A usage as a command line: what may be left out is there, and of several values the first."""
    plain = [word.strip("[],") for word in words]
    return [word.partition("|")[0] for word in plain if word not in ("...", "options", "global")]


def refusal(words: list[str]) -> str:
    """Why the command line is none of pyoci's, or "". In a sentence `pyoci delete --force` does without its arguments."""
    for arguments in ([], ["ID"]):
        try:
            settings, at = parse.global_options(words)
            parse.command_options(parse.Options([*words, *arguments], settings), at)
            return ""
        except OciError as error:
            message = error.message
    return message


@every
def test_a_command_line_is_one_of_pyoci(document: Document) -> None:
    lines = [words for program in ("pyoci", ".venv/bin/pyoci") for words in document.commands(program)]
    lines = [words for words in lines if words != ["version", "X"]]  # what --version prints
    refused = {" ".join(words): refusal(words_of_usage(words)) for words in lines}
    assert {line: why for line, why in refused.items() if why} == {}


def test_a_wrong_command_line_is_seen() -> None:
    assert refusal(words_of_usage("[--root DIR] doctor [--format text|json] [--fix]".split())) == ""
    assert (
        refusal(["doctor", "--repair"])
        and refusal(["run", "--bundle", "x", "a", "b"])
        and refusal(["feature"])
    )


def options_of(*commands: str) -> set[str]:
    """The options of commands, with their dashes; of all commands and the global ones when none is named."""
    chosen = [command for command in COMMANDS if not commands or command[NAME] in commands]
    options = [*GLOBALS, HELP_OPTION, *(option for command in chosen for option in command[OPTIONS])]
    return {("-" if len(name) == 1 else "--") + name for option in options for name in option[NAMES]}


# Documents about a program of their own, and its options.
OPTIONS_ELSEWHERE = {
    "bench/README.md": {option for action in bench_run.parser()._actions for option in action.option_strings},
    "tests/vm/README.md": {"--user", "--venv"},
}


@every
def test_an_option_that_is_named_exists(document: Document) -> None:
    """`--strict`, or `exec --process` with its command."""
    unknown = []
    for span in document.spans:
        words = span.split() if span != "kill -l" else [""]  # the shell's
        command = words[0] if words[0] in {command[NAME] for command in COMMANDS} else ""
        if command or words[0].startswith("--"):
            known = (
                options_of(command) if command else options_of() | OPTIONS_ELSEWHERE.get(document.name, set())
            )
            unknown += [
                span for word in words if word.startswith("-") and word.partition("=")[0] not in known
            ]
    assert unknown == []


@every
def test_a_command_line_is_one_of_the_benchmark(
    document: Document, capfd: pytest.CaptureFixture[str]
) -> None:
    for words in document.commands("bench/run.py"):
        bench_run.parser().parse_args(words)  # ends the program for a wrong one


@every
def test_a_test_that_is_called_exists(document: Document) -> None:
    for words in document.commands("tests/vm/run"):
        assert all(word.startswith("-") or word in ("root", "tester") or exists(word) for word in words)


# -- variables of the environment

_READ = (
    r"""environ(?:\.get\(|\[|\.pop\()\s*b?["'](PYOCI_\w+)""",
    r"""getenv\("(PYOCI_\w+)"\)""",
    r"""\$\{?(PYOCI_\w+)""",
)


def variables_read() -> set[str]:
    """The variables that some program of the project reads."""
    found: set[str] = set()
    for path in files_of_the_project():
        if path.suffix in (".py", ".c", ".h", ".yml", ""):
            text = path.read_text(errors="replace")
            found.update(*(re.findall(pattern, text) for pattern in _READ))
    return found


def test_variables_are_documented_and_read() -> None:
    documented = {name for each in DOCUMENTS for name in re.findall(r"\bPYOCI_[A-Z_]+\b", each.text)}
    assert documented == variables_read()


# -- the manual page


def variables_of_the_package() -> set[str]:
    """The variables that functions read which look into the environment."""
    found: set[str] = set()
    for path in modules().values():
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef) and reads_environment(function):
                values = [node.value for node in ast.walk(function) if isinstance(node, ast.Constant)]
                texts = [value.decode() if isinstance(value, bytes) else value for value in values]
                found |= {
                    text for text in texts if isinstance(text, str) and re.fullmatch("[A-Z][A-Z_]{3,}", text)
                }
    return found


def reads_environment(function: ast.FunctionDef) -> bool:
    names = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    return bool(names & {"environ", "_environment"})


def test_variables_of_the_manual_are_those_of_the_package() -> None:
    documented = {name for names, _ in manual.ENVIRONMENT for name in names.split(", ")}
    assert documented == variables_of_the_package()


def test_the_manual_has_every_exit_status() -> None:
    statuses = {row[0] for row in table(document("docs/errors.md"), "status")} - {"any"}
    assert {status for status, _ in manual.STATUS} == statuses


def test_help_has_every_command_in_a_group() -> None:
    assert sorted(name for _, names in usage.GROUPS for name in names) == sorted(
        row[NAME] for row in COMMANDS
    )
    assert set(usage.MORE) <= {row[NAME] for row in COMMANDS}


# -- docs/trace.md and docs/performance.md


def steps() -> set[str]:
    """The names of the runtime's steps in a trace; a part of one that is not constant is a `*`."""
    found: set[str] = set()
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "attr", getattr(node.func, "id", "")) == "lap"
            ):
                name = node.args[0]
                if isinstance(name, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "*" for part in name.values]
                    found.add("".join(map(str, parts)))
                elif isinstance(name, ast.Constant):
                    found.add(str(name.value))
    return found


def is_step(name: str) -> bool:
    """True for the name of a step; `...` at its end stands for the rest."""
    pattern = re.escape(name.removesuffix("...").strip()).replace(r"\*", ".*")
    whole = pattern + (" .*" if name.endswith("...") else "")
    return any(
        re.fullmatch(re.escape(step).replace(r"\*", r"\w+"), name) or re.fullmatch(whole, step)
        for step in steps()
    )


def test_steps_in_the_page_on_traces_are_those_of_the_runtime() -> None:
    named = re.findall(r"(?<![\w*])\*(?![\s*])([^*\n]*[^\s*])\*(?![\w*])", document("docs/trace.md").prose)
    assert len(named) >= 4
    assert [name for name in named if not is_step(name)] == []


def test_steps_in_the_page_on_performance_are_those_of_the_runtime() -> None:
    named = [name for row in table(document("docs/performance.md"), "step") for name in row[0].split(", ")]
    assert len(named) >= 10
    assert [name for name in named if not is_step(name)] == []


def test_kinds_in_the_page_on_traces_are_those_of_the_picture() -> None:
    (line,) = re.findall(r"^`cat` is one of (.*)\.$", document("docs/trace.md").text, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", line)) == set(picture._KINDS)


def test_the_example_of_a_trace_has_names_that_there_are() -> None:
    example = json.loads(
        re.sub(r"\b[A-Z]{2,}[A-Za-z ]*(?=[,}\]])", "1", "\n".join(document("docs/trace.md").blocks[2:]))
    )
    for event in example["traceEvents"]:
        assert event["ph"] == "M" or event["cat"] in picture._KINDS
        assert event["args"].get("op", "execve") in OPS
        assert event.get("cat") != "runtime" or is_step(event["name"])


def ratios(line: str) -> set[str]:
    return set(re.findall(r"(?<![\d.])[01]\.\d\d(?![\d.])", line))


def test_figures_in_the_readme_are_those_of_the_page() -> None:
    page = document("docs/performance.md")
    rows = [row for row in table(page, "min / median") if len(row) > 5]
    known = {ratio for row in rows for cell in row[5:] for ratio in ratios(cell)}
    section = document("README.md").text.partition("## How fast it is")[2].partition("\n## ")[0]
    assert len(ratios(section)) >= 10
    assert ratios(section) <= known
    (created,) = [row for row in rows if row[0] == "created container, resident"]
    for cell in created[2:5]:
        assert f" {cell.partition(' / ')[0]}" in section


# -- lists that stand in a document and in the code


def test_the_packages_in_the_readme_are_those_that_are_installed() -> None:
    (named,) = re.findall(r"Debian packages ([^)]+)\)", document("README.md").prose)
    (installed,) = re.findall(r'^packages="([^"$]*) \$', (TOP / "scripts/set-up").read_text(), re.MULTILINE)
    assert sorted(named.split(", ")) == sorted(installed.split())


def test_what_hot_modules_may_import_is_what_the_test_allows() -> None:
    (named,) = re.findall(r"may import only `([^`]+)`", document("CONTRIBUTING.md").prose)
    assert set(named.split()) == hot.ALLOWED
    (verbs,) = re.findall(r"The verbs ([^`]+) may import only", document("CONTRIBUTING.md").prose)
    assert set(re.findall(r"\w+", verbs)) - {"and"} == set(hot.VERBS)


def test_the_example_of_an_op_is_in_the_code() -> None:
    """Lines such as `csrc/init/process.c   void op_ioprio_set(...) {`."""
    lines = [re.split(r"\s{2,}", line, maxsplit=1) for line in document("CONTRIBUTING.md").blocks]
    examples = [line for line in lines if len(line) == 2 and re.fullmatch(r"[\w/]+\.(py|c|def)", line[0])]
    assert len(examples) == 4
    assert [(path, text) for path, text in examples if text not in (TOP / path).read_text()] == []


def test_what_is_not_there_yet_is_what_is_refused() -> None:
    section = document("docs/compatibility.md").prose.partition("## Not there yet")[2]
    commands, _, rest = section.partition(";")
    assert not set(re.findall(r"`(\w+)`", commands)) & {command[NAME] for command in COMMANDS}
    assert sorted(re.findall(r"`([^`]+)`", rest)) == sorted(unsupported.ANNOTATIONS)


def test_every_folder_of_tests_is_in_their_table() -> None:
    named = {
        name for row in table(document("tests/README.md"), "folder") for name in re.findall("`(.*?)`", row[0])
    }
    folders = {
        path.parent.name for path in (TOP / "tests").glob("*/*") if path.suffix in (".py", ".json", ".md")
    }
    assert named == folders | {"data"}


def test_every_folder_of_the_project_is_in_the_map() -> None:
    text = document("CONTRIBUTING.md").text
    folders = [path.parent for path in (TOP / "pyoci").glob("*/__init__.py")]
    folders += [path for path in (TOP / "csrc").iterdir() if path.is_dir()]
    assert [str(path.relative_to(TOP)) for path in folders if f"`{path.relative_to(TOP)}/`" not in text] == []


def test_the_cases_of_the_benchmark_are_in_their_table() -> None:
    named = [row[0] for row in table(document("bench/README.md"), "`--only`")]
    assert named == [case.name for case in bench_run.CASES]


def test_the_modules_of_the_benchmark_are_listed() -> None:
    section = document("bench/README.md").text.partition("## Where things are")[2]
    modules = {path.name for path in (TOP / "bench/measure").glob("*.py")} - {"__init__.py"}
    assert modules | {"run.py"} == set(re.findall(r"`(\w+\.py)`", section))


def test_the_schemas_are_listed() -> None:
    named = {
        name
        for row in table(document("schemas/README.md"), "File")
        for name in re.findall(r"`(.*?)`", row[0])
    }
    files = {path.name for path in (TOP / "schemas").iterdir() if path.suffix in (".json", ".py")}
    assert named == files


def test_the_areas_of_the_doctor_are_listed() -> None:
    named = [row[0] for row in table(document("docs/doctor.md"), "area")]
    areas = {node.value for path in (TOP / "pyoci/doctor").glob("*.py") for node in constants(path, "AREA")}
    assert set(named) == areas | {"leftovers"}


def constants(path: Path, name: str) -> Iterator[ast.Constant]:
    """The values that a module gives to a name at its top level."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            assert isinstance(node.value, ast.Constant)
            yield node.value


def test_the_members_of_the_doctors_json_are_named() -> None:
    page = document("docs/doctor.md").prose
    check = Check("kernel", "x", "no", "why", "cost", "hint")
    report: Any = Report("/run/pyoci", [check], [Leftover("container", "x", "why")]).values()
    assert set(report) == {"root", "ready", "checks", "leftovers"}
    for name in (*report, *report["checks"][0], *report["leftovers"][0]):
        assert f"`{name}`" in page


def test_the_example_of_a_report_is_what_validate_says() -> None:
    lines = document("docs/validation.md").text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("    config.json:"))
    example = [line[4:] for line in lines[start : start + 5]]
    ((number, source),) = re.findall(r"^ *(\d+) \| (.*)$", example[1])
    head = '{"ociVersion": "1.3.0", "root": {"path": "x"}, "process": {"args": ["x"], "cwd": "/"}, "linux": {'
    text = head + "\n" * (int(number) - 1) + source + '\n"resources": {}}}\n'
    report = examine(text.encode(), "config.json")
    assert report_formats.text(report).splitlines()[:5] == example
