"""The store: an entry that others take away while it is being made is made again."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from pyoci.base import files
from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.lifecycle import store


def test_an_entry_that_is_removed_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, made = os.mkdir, []

    def mkdir(path: str, mode: int) -> None:
        real(path, mode)
        made.append(path)
        if len(made) == 1:
            os.rmdir(path)

    monkeypatch.setattr("pyoci.lifecycle.store.posix.mkdir", mkdir)
    entry = store.create(Context(), str(tmp_path), "x")
    assert len(made) == 2
    files.create("config.json", b"{}", dir_fd=entry.directory)
    entry.close()


def test_an_entry_that_is_removed_before_it_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, locked = fcntl.flock, []

    def flock(fd: int, how: int) -> None:
        locked.append(fd)
        if len(locked) == 1:
            os.rmdir(tmp_path / "x")
        real(fd, how)

    monkeypatch.setattr("pyoci.lifecycle.store.fcntl.flock", flock)
    entry = store.create(Context(), str(tmp_path), "x")
    assert len(locked) == 2
    assert os.stat(tmp_path / "x").st_ino == os.fstat(entry.directory).st_ino
    entry.close()


def test_a_root_that_is_removed_is_no_reason_to_try_for_ever(tmp_path: Path) -> None:
    with pytest.raises(OciError, match="cannot write the state"):
        store.create(Context(), str(tmp_path / "gone"), "x")


def test_a_null_in_the_saved_configuration_counts_as_nothing(tmp_path: Path) -> None:
    """It is saved as it was given, and `create` took a null for a member that is missing."""
    entry = store.create(Context(), str(tmp_path), "x")
    raw = b'{"ociVersion":"1.0.0","process":{"cwd":"/","user":null,"env":["A=null"]},"linux":null}'
    files.create("config.json", raw, dir_fd=entry.directory)
    assert entry.config() == {"ociVersion": "1.0.0", "process": {"cwd": "/", "env": ["A=null"]}}
    entry.close()
