"""Help, manual page and completion: each shows all of the table and is well-formed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.cli import completion, help, manual, parse
from pyoci.cli.entry import main
from pyoci.cli.table import COMMANDS, GLOBALS, HELP, NAME, NAMES, OPTIONS


def page_name(command: str) -> str:
    return f"pyoci-{command.replace(' ', '-')}"


def test_overview_shows_every_command_once() -> None:
    text = help.overview()
    for command in COMMANDS:
        assert len(re.findall(rf"^  {command[NAME]} ", text, re.MULTILINE)) == 1
    for option in GLOBALS:
        assert (f"--{option[NAMES][0]}" in text) == bool(option[HELP])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[NAME])
def test_command_help_shows_every_option(command: Any) -> None:
    text = help.command_help(command)
    for option in command[OPTIONS]:
        for name in option[NAMES]:
            assert (f"-{name}" in text) == bool(option[HELP]), name


def test_help_fits_into_a_terminal() -> None:
    for text in (help.overview(), *[help.command_help(command) for command in COMMANDS]):
        assert max(len(line) for line in text.splitlines()) <= 112


def test_there_is_a_manual_page_for_each_command() -> None:
    pages = manual.pages()
    names = ["pyoci", "pyoci-seccomp", *(page_name(command[NAME]) for command in COMMANDS)]
    assert sorted(pages) == sorted(f"{name}.1" for name in names)
    assert ".BR pyoci\\-seccomp\\-record (1)" in pages["pyoci-seccomp.1"]
    for name, text in pages.items():
        assert text.startswith(f".TH {name[:-2].upper()} 1 ")
        for line in text.splitlines():
            assert not line.startswith(".") or re.match(r"\.[A-Z]{1,2}( |$)", line), line


def test_the_manual_names_everything() -> None:
    pages = {name: text.replace("\\-", "-") for name, text in manual.pages().items()}
    for option in GLOBALS:
        assert (f"--{option[NAMES][0]}" in pages["pyoci.1"]) == bool(option[HELP])
    for command in COMMANDS:
        assert rf"\fB{command[NAME]}\fR" in pages["pyoci.1"]
        assert f".BR {page_name(command[NAME])} (1)" in pages["pyoci.1"]
        for option in command[OPTIONS]:
            assert not option[HELP] or f"--{option[NAMES][0]}" in pages[f"{page_name(command[NAME])}.1"]


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff")
def test_the_manual_is_good_troff() -> None:
    command = ["groff", "-man", "-ww", "-z", "-Tutf8"]
    text = "".join(manual.pages().values())
    done = subprocess.run(command, input=text, text=True, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_writes_the_manual_pages(capfd: pytest.CaptureFixture[str]) -> None:
    for words, expected in (
        (["help", "--man"], "PYOCI"),
        (["help", "--man", "seccomp"], "PYOCI-SECCOMP"),
        (["help", "--man", "exec"], "PYOCI-EXEC"),
        (["help", "--man", "seccomp", "record"], "PYOCI-SECCOMP-RECORD"),
    ):
        assert main(Context(), words) == 0
        assert capfd.readouterr().out.startswith(f".TH {expected} 1 ")


@pytest.mark.parametrize(
    "words", ["help seccomp", "seccomp --help", "help seccomp record", "seccomp record -h"]
)
def test_help_of_a_group(words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(Context(), words.split()) == 0
    out = capfd.readouterr().out
    shown = [command for command in COMMANDS if f"pyoci {command[NAME]}: " in out]
    assert shown == (parse.group("seccomp") if "record" not in words else [parse.find("seccomp record")])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_good_shell(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if not program:
        pytest.skip(f"no {shell}")
    script = tmp_path / "script"
    script.write_text({"bash": completion.bash, "zsh": completion.zsh, "fish": completion.fish}[shell]())
    done = subprocess.run(
        [program, "-n", str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def bash_completes(tmp_path: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    (tmp_path / "pyoci").write_text(
        '#!/bin/sh\n[ "$1" = --root ] && echo "in$2" && exit\necho one; echo two\n'
    )
    (tmp_path / "pyoci").chmod(0o755)
    quoted = " ".join(f"'{word}'" for word in words)
    script = f"{completion.bash()}\nCOMP_WORDS=(pyoci {quoted}); COMP_CWORD={len(words)}; _pyoci\n"
    script += 'printf "%s\\n" "${COMPREPLY[@]}"\n'
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_what_bash_offers(tmp_path: Path) -> None:
    assert bash_completes(tmp_path, "st") == ["start", "state"]
    assert bash_completes(tmp_path, "--log", "F", "st") == ["start", "state"]
    assert bash_completes(tmp_path, "--log-format", "") == ["text", "json"]
    assert bash_completes(tmp_path, "--ro") == ["--root", "--rootless"]
    assert bash_completes(tmp_path, "create", "--b") == ["--bundle"]
    assert bash_completes(tmp_path, "delete", "") == ["one", "two"]
    assert bash_completes(tmp_path, "--root", "R", "start", "") == ["inR"]
    assert bash_completes(tmp_path, "list", "--format", "") == ["table", "json"]
    assert bash_completes(tmp_path, "run", "") == []
    assert bash_completes(tmp_path, "completion", "") == ["bash", "zsh", "fish"]
    assert bash_completes(tmp_path, "sec") == ["seccomp"]
    assert "record" in bash_completes(tmp_path, "seccomp", "")
    assert bash_completes(tmp_path, "--root", "R", "seccomp", "record", "--o") == ["--output"]


def test_an_unknown_shell() -> None:
    from pyoci.cli.parse import Options, command_options

    options = Options(["completion", "csh"], {})
    command_options(options, 0)
    with pytest.raises(OciError, match='no completion for "csh"'):
        completion.run(Context(), options)
