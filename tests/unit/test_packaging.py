"""What a package of pyoci has beside the program, and how it is called."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import build_shim
import cffi_source
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


def test_docker_s_profile_is_installed(tmp_path: Path) -> None:
    set_up("build_py", f"--build-lib={tmp_path}")
    file = "pyoci/seccomp/docker-default.json"
    assert (tmp_path / file).read_bytes() == (TREE / file).read_bytes()


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


# -- the Debian package

CONTROL = (TREE / "packaging/debian/control").read_text()
RULES = (TREE / "packaging/debian/rules").read_text()


def field(name: str) -> list[str]:
    """The items of a field of the control file."""
    found = re.search(rf"^{name}:((?:.*\n)(?: .*\n)*)", CONTROL, re.MULTILINE)
    assert found, name
    return [item.strip() for item in found[1].replace("\n", " ").split(",") if item.strip()]


def test_the_debian_package_depends_on_what_the_project_does() -> None:
    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[><=]", item)[0] for item in project["dependencies"]}
    packages = {"cffi": "python3-cffi-backend", "jsonschema": "python3-jsonschema"}
    assert set(packages) == names
    assert set(field("Depends")) == {
        *packages.values(), "libseccomp2", "${python3:Depends}", "${shlibs:Depends}", "${misc:Depends}"
    }  # fmt: skip
    assert f"python3-dev ({project['requires-python'].replace('>=', '>= ')})" in field("Build-Depends")
    assert {"python3-cffi", "python3-setuptools", "musl-tools"} < set(field("Build-Depends"))


def test_the_debian_package_names_what_is_in_the_launcher(static: Path) -> None:
    """But for cffi, which is a component of its source package."""
    shown = subprocess.run([static, "--version", "--verbose"], capture_output=True, text=True, check=True)
    embedded = set(re.findall(r"^embedded: (\S+) ", shown.stdout, re.MULTILINE))
    (line,) = re.findall(r"^EMBEDDED = lib\$\(notdir \$\(PYTHON\)\)-dev (.*)$", RULES, re.MULTILINE)
    assert set(line.split()) == {f"{name}-dev" for name in embedded - {"Python", "cffi"}}
    assert embedded > {"Python", "cffi"}
    assert "PYOCI_CFFI_SOURCE = $(CURDIR)/cffi\n" in RULES


def test_the_runtime_has_no_profile_of_apparmor() -> None:
    """docker's default profile takes signals from unconfined programs, runc and crun alone: `docker stop` would fail."""
    debian = [path.name for path in (TREE / "packaging/debian").iterdir()]
    assert "control" in debian and not [name for name in debian if "apparmor" in name]
    assert "apparmor" not in RULES + CONTROL


def test_who_builds_the_package_may_be_its_maintainer(tmp_path: Path) -> None:
    if not shutil.which("dpkg-source"):
        pytest.skip("dpkg-source is missing")
    try:
        cffi_source.package()
    except build_shim.BuildError as reason:
        pytest.skip(str(reason))
    done = subprocess.run(
        [TREE / "packaging/build-deb", "--source", tmp_path],
        env=os.environ | {"DEBFULLNAME": "A & B/C", "DEBEMAIL": "ab@example.org", "XZ_OPT": "-0"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (description,) = tmp_path.glob("*.dsc")
    assert "\nMaintainer: A & B/C <ab@example.org>\n" in description.read_text()


def test_programs_of_packaging_can_be_run() -> None:
    for name in ("install", "build-archive", "build-deb", "debian/rules"):
        assert (TREE / "packaging" / name).stat().st_mode & 0o111, name
