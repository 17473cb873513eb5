"""Failures that no command line brings about on a sound machine, called for in process."""

from __future__ import annotations

import posix
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyoci.base import boot
from pyoci.base.errors import OciError
from pyoci.cli import program
from pyoci.lifecycle import ps
from pyoci.lifecycle.exec import JoiningProcess


def test_the_interpreter_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(boot, "_STATIC", True)
    monkeypatch.setattr(boot, "interpreter", lambda: str(tmp_path / "python"))
    monkeypatch.setattr(boot, "package_directory", lambda: "/x")
    monkeypatch.setattr(boot, "build", lambda: "")
    with pytest.raises(OciError) as caught:
        boot.go_full(["list"])
    error = caught.value
    assert (error.code, error.status, error.fields()["errno"]) == ("no-python", 1, "ENOENT")
    assert error.text() == f"cannot start the interpreter {tmp_path}/python: no such file or directory"
    assert "install pyoci again" in error.hint


def test_a_cgroup_whose_processes_cannot_be_listed() -> None:
    def read() -> list[int]:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(OciError) as caught:
        ps._of_cgroup("/sys/fs/cgroup/x", read)
    assert (caught.value.code, caught.value.obj) == ("cgroup-read", "/sys/fs/cgroup/x")
    assert caught.value.text() == "processes of cgroup /sys/fs/cgroup/x: permission denied"


def test_a_container_that_ends_while_exec_looks_at_it() -> None:
    gone = posix.posix_spawn("/bin/true", ["true"], {})
    posix.waitpid(gone, 0)
    made: Any = JoiningProcess.__new__(JoiningProcess)
    made.spec, made.entry = {"linux": {"namespaces": [{"type": "user"}]}}, SimpleNamespace(id="box")
    with pytest.raises(OciError) as caught:
        made._gather_facts(gone, cgroup_fds=0)
    assert (caught.value.code, caught.value.obj) == ("not-running", "box")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_cannot_be_flushed(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    class Full:
        def flush(self) -> None:
            raise OSError(28, posix.strerror(28))

    monkeypatch.setattr(f"sys.{stream}", Full())
    failure = program.flush()
    assert failure is not None and failure.errno == 28
