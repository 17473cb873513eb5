"""scripts/apt-get waits for the package manager's locks. The real apt-get runs here on a directory tree of its own."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import machine

SCRIPTS = machine.repository() / "scripts"
APT_GET = SCRIPTS / "apt-get"
LOCKS = {
    "var/lib/apt/lists/lock": ["-qq", "update"],
    "var/lib/dpkg/lock-frontend": ["-qq", "install", "-y"],
    "var/lib/dpkg/lock": ["-qq", "install", "-y"],
    "var/cache/apt/archives/lock": ["-qq", "install", "-y"],
}
needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt-get on this machine")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Returns a tree without packages, which apt-get takes for the machine's."""
    for name in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/dpkg/updates"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").touch()
    (tmp_path / "etc/apt/sources.list").touch()
    status = tmp_path / "var/lib/dpkg/status"
    (tmp_path / "apt.conf").write_text(f'Dir "{tmp_path}";\nDir::State::status "{status}";\n')
    return tmp_path


def start(tree: Path, *arguments: str, timeout: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "APT_CONFIG": str(tree / "apt.conf"), "LOCK_TIMEOUT": str(timeout)}
    return subprocess.Popen(
        [APT_GET, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@needs_apt
@pytest.mark.parametrize("lock", LOCKS)
def test_it_waits_until_the_lock_is_free(tree: Path, lock: str) -> None:
    with open(tree / lock, "w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        process = start(tree, *LOCKS[lock], timeout=600)
        assert process.stderr is not None
        line = process.stderr.readline()
    _, err = process.communicate()
    assert line.startswith("waiting up to 600 seconds for the package manager: ")
    assert str(tree / lock).removesuffix("/lock") in line
    assert process.returncode == 0, err


@needs_apt
@pytest.mark.parametrize("lock", LOCKS)
def test_it_gives_up_and_says_so(tree: Path, lock: str) -> None:
    with open(tree / lock, "w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        process = start(tree, *LOCKS[lock], timeout=0)
        _, err = process.communicate()
    assert process.returncode == 100
    assert "scripts/apt-get: the package manager is still locked after 0 seconds" in err
    assert re.search(r"^E: .*lock", err, re.MULTILINE)


@needs_apt
def test_another_failure_ends_it_at_once(tree: Path) -> None:
    process = start(tree, "no-such-operation", timeout=600)
    _, err = process.communicate()
    assert process.returncode == 100
    assert "no-such-operation" in err and "lock" not in err


def test_scripts_install_packages_through_it_alone() -> None:
    calls = [
        f"{script.name}: {line.strip()}"
        for script in SCRIPTS.iterdir()
        if script != APT_GET
        for line in script.read_text().splitlines()
        if re.search(r"(?<!scripts/)\bapt(-get)? ", line.partition("#")[0])
    ]
    assert calls == []
