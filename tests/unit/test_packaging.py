"""What a package of pyoci has beside the program, and how it is called."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from pyoci.cli import completion, manual

TREE = Path(__file__).resolve().parents[2]


def set_up(*words: str) -> str:
    """What setup.py prints."""
    pytest.importorskip("setuptools")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "setup.py", "--quiet", *words],
        cwd=TREE, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_manual_pages_and_completions_are_installed(tmp_path: Path) -> None:
    set_up("install_data", f"--install-dir={tmp_path}")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path)): path.read_text() for path in files} == {
        **{f"share/man/man1/{name}": text for name, text in manual.pages().items()},
        "share/bash-completion/completions/pyoci": completion.bash(),
        "share/zsh/site-functions/_pyoci": completion.zsh(),
        "share/fish/vendor_completions.d/pyoci.fish": completion.fish(),
    }


def test_a_wheel_is_for_this_python_and_this_kind_of_machine() -> None:
    pytest.importorskip("setuptools", minversion="70.1")
    program = """
import setuptools
from distutils.core import run_setup
command = run_setup("setup.py", stop_after="init").get_command_obj("bdist_wheel")
command.ensure_finalized()
print(*command.get_tag())
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=TREE, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert done.stdout.split() == [python, python, f"linux_{os.uname().machine}"], done.stderr
    # what makes that true: the extension modules are for this Python alone
    assert python[2:] in str(sysconfig.get_config_var("EXT_SUFFIX"))
