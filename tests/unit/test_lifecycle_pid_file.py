"""The pid file is whole or not there, and nothing else is left, wherever the runtime is killed."""

from __future__ import annotations

import errno
import os
import posix
import signal
from pathlib import Path
from typing import Any

import pytest

from pyoci.base.errors import OciError
from pyoci.lifecycle import pid_file

CALLS = ("open", "write", "link", "unlink", "close", "rename")


def without_tmpfile(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that has no O_TMPFILE."""
    real = posix.open

    def open_(path: str, flags: int, *mode: int, **options: Any) -> int:
        if flags & posix.O_TMPFILE == posix.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, path)
        return real(path, flags, *mode, **options)

    monkeypatch.setattr(posix, "open", open_)


def killed_before(number: int, path: Path) -> bool:
    """Write the file in a child that is killed before one of its system calls; whether it came so far."""
    child = os.fork()
    if child == 0:
        count = 0

        def fatal(real: Any) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **options)

            return call

        for name in CALLS:
            setattr(posix, name, fatal(getattr(posix, name)))
        try:
            pid_file.write(str(path), 12345)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("older", [None, "99"])
def test_a_kill_leaves_the_file_or_none(tmp_path: Path, older: str | None) -> None:
    path = tmp_path / "pid"
    for number in range(1, 30):
        if older:
            path.write_text(older)
        else:
            path.unlink(missing_ok=True)
        killed = killed_before(number, path)
        assert os.listdir(tmp_path) in ([], ["pid"])
        assert not path.exists() or path.read_text() in (older, "12345")
        if not killed:
            break
    else:
        pytest.fail("it is never written")
    assert number > 3 and path.read_text() == "12345"


def test_a_kill_without_unnamed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_tmpfile(monkeypatch)
    path = tmp_path / "pid"
    number = 1
    while killed_before(number, path):
        assert os.listdir(tmp_path) in ([], ["pid"])
        number += 1
    assert number > 3 and path.read_text() == "12345"


@pytest.mark.parametrize("unnamed", [True, False])
def test_what_is_there_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unnamed: bool) -> None:
    if not unnamed:
        without_tmpfile(monkeypatch)
    target, path = tmp_path / "target", tmp_path / "pid"
    target.write_text("as it was")
    path.symlink_to("target")
    pid_file.write(str(path), 7)
    assert target.read_text() == "as it was" and not path.is_symlink() and path.read_text() == "7"
    assert path.stat().st_mode & 0o777 == 0o644 & ~umask()
    pid_file.write(str(path), 8)
    assert path.read_text() == "8"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OciError) as caught:
        pid_file.write(str(tmp_path / "folder"), 8)
    assert caught.value.code == "pid-file"
    assert sorted(os.listdir(tmp_path)) == ["folder", "pid", "target"]


def test_without_procfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*arguments: Any, **options: Any) -> None:
        raise FileNotFoundError(errno.ENOENT, "/proc/self/fd")

    monkeypatch.setattr(posix, "link", link)
    pid_file.write(str(tmp_path / "pid"), 7)
    assert os.listdir(tmp_path) == ["pid"] and (tmp_path / "pid").read_text() == "7"


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*arguments: Any) -> int:
        raise OSError(errno.ENOSPC, "full")

    without_tmpfile(monkeypatch)
    monkeypatch.setattr(posix, "write", write)
    with pytest.raises(OciError):
        pid_file.write(str(tmp_path / "pid"), 7)
    assert os.listdir(tmp_path) == []


def test_only_the_own_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("8")
    pid_file.remove(str(path), 7)
    assert path.exists()
    pid_file.remove(str(path), 8)
    assert not path.exists()


def umask() -> int:
    """The umask of this process."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
