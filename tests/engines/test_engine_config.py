"""`pyoci engine-config --write`, in a mount namespace with an /etc of its own, then `--check`: the engine itself is asked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import machine
from harness.runtime import PATIENCE, Runtime

pytestmark = pytest.mark.only("pyoci")

# /etc is a copy there, so that nothing of the machine's own configuration changes; `$0` is pyoci, `$1` the folder.
OWN_ETC = 'mkdir -p "$1/upper" "$1/work" && mount -t overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" none /etc && '


def apart(runtime: Runtime, folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """The result of a shell script that may write to /etc."""
    if not machine.is_root():
        pytest.skip("it takes root to give a process an /etc of its own")
    scratch = folder / "etc"
    scratch.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", scratch], check=True)  # overlay takes no overlay below
    try:
        return subprocess.run(
            ["unshare", "-m", "sh", "-ec", OWN_ETC + script, str(runtime.path), str(scratch)],
            capture_output=True,
            text=True,
            timeout=10 * PATIENCE,
            check=False,
        )
    finally:
        subprocess.run(["umount", "-l", scratch], check=True)


def installed(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


@pytest.mark.parametrize(("engine", "program"), [("podman", "podman"), ("containerd", "containerd")])
def test_an_engine_says_that_it_uses_the_runtime(
    runtime: Runtime, folder: Path, engine: str, program: str
) -> None:
    installed(program)
    call = f'"$0" engine-config {engine}'
    script = f"{call} --check && exit 9; {call} --write; {call} --check"
    ended = apart(runtime, folder, script)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1].endswith(f": {runtime.path}"), ended.stdout


def test_an_engine_that_is_not_there_is_no_success(runtime: Runtime, folder: Path) -> None:
    if shutil.which("crio"):
        pytest.skip("CRI-O is installed")
    ended = runtime.call("engine-config", "crio", "--check")
    assert ended.rc == 1 and "not installed" in ended.out


@pytest.fixture
def dockerd(folder: Path) -> Iterator[Path]:
    """A script that starts a dockerd of its own and leaves its socket in the folder; the daemon ends with the test."""
    installed("dockerd")
    yield folder / "docker"
    pidfile = folder / "docker/pid"
    if pidfile.exists():
        pid = int(pidfile.read_text())
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)  # an orphan of the script, and the session is the subreaper


def test_docker_says_that_it_uses_the_runtime(runtime: Runtime, folder: Path, dockerd: Path) -> None:
    dockerd.mkdir()
    script = (
        f'"$0" engine-config docker --write; cd {dockerd}; '
        f"dockerd --data-root {dockerd}/data --exec-root {dockerd}/exec --pidfile {dockerd}/pid -H unix://{dockerd}/socket"
        " --bridge=none --iptables=false --ip-forward=false --ip-masq=false --storage-driver vfs >log 2>&1 & "
        f"export DOCKER_HOST=unix://{dockerd}/socket; "
        f'for _ in $(seq 100); do docker version >/dev/null 2>&1 && break; sleep 0.2; done; "$0" engine-config docker --check'
    )
    ended = apart(runtime, folder, script)
    log = (dockerd / "log").read_text() if (dockerd / "log").exists() else ""
    assert ended.returncode == 0, ended.stdout + ended.stderr + log[-2000:]
    assert f"docker: {runtime.path}" in ended.stdout
