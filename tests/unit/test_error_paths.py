"""Failures that no command line brings about on a sound machine, called for in process."""

from __future__ import annotations

import posix
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyoci.base import boot, jsontext
from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.cli import entry, program, refusal
from pyoci.cli import list as list_command
from pyoci.lifecycle import ps
from pyoci.lifecycle.exec import JoiningProcess
from pyoci.spec.problem import RefusedDocument


@pytest.fixture
def no_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """This process is one of the static launcher, which finds no interpreter; returns the path where it looks."""
    monkeypatch.setattr(boot, "_STATIC", True)
    monkeypatch.setattr(boot, "interpreter", lambda: str(tmp_path / "python"))
    monkeypatch.setattr(boot, "package_directory", lambda: "/x")
    monkeypatch.setattr(boot, "build", lambda: "")
    return str(tmp_path / "python")


def test_the_interpreter_is_gone(no_python: str) -> None:
    with pytest.raises(OciError) as caught:
        boot.go_full(["list"])
    error = caught.value
    assert (error.code, error.status, error.fields()["errno"]) == ("no-python", 1, "ENOENT")
    assert error.text() == f"cannot start the interpreter {no_python}: no such file or directory"
    assert f"needs python{sys.version_info[0]}.{sys.version_info[1]} with cffi and jsonschema" in error.hint
    assert "install pyoci again" in error.hint


def test_a_document_is_refused_where_there_is_no_interpreter(no_python: str) -> None:
    with pytest.raises(OciError) as caught:
        refusal.explained(RefusedDocument(b"{}", "config.json", "config"), ["create", "a"])
    text = f"config.json is refused, but why is not known: cannot start the interpreter {no_python}: no such "
    assert (caught.value.code, caught.value.text()) == ("no-python", f"{text}file or directory")


def test_a_document_with_very_many_members_needs_the_interpreter(no_python: str) -> None:
    with pytest.raises(OciError) as caught:
        refusal.hand_over(jsontext.ManyMembers(), ["create", "a"])
    assert (
        caught.value.message == f"a document has very many members: cannot start the interpreter {no_python}"
    )


@pytest.mark.parametrize(
    ("module", "hint"),
    [
        ("jsonschema", "(Debian: python3-cffi-backend, python3-jsonschema)"),
        ("_cffi_backend", "(Debian: python3-cffi-backend, python3-jsonschema)"),
        ("pyoci._shim", "built for another Python"),
    ],
)
def test_a_module_is_missing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], module: str, hint: str
) -> None:
    def fail(*_: object) -> int:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(list_command, "run", fail)
    assert entry.main(Context(), ["list"]) == 1
    told = capfd.readouterr().err
    assert told.startswith(f"pyoci: list: the interpreter {sys.executable} has no module {module}\n  hint: ")
    assert hint in told and "bug" not in told


def test_a_module_of_our_own_that_is_missing_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise ModuleNotFoundError("No module named 'pyoci.other'", name="pyoci.other")

    monkeypatch.setattr(list_command, "run", fail)
    assert entry.main(Context(), ["list"]) == 1
    assert "this is a bug in pyoci" in capfd.readouterr().err


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
