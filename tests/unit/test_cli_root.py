"""ROOT: which directory it is for whom, and how it is made."""

from __future__ import annotations

import os
import posix
from pathlib import Path

import pytest

from pyoci import userns
from pyoci.base.errors import OciError
from pyoci.cli import root


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The host's root with an empty environment."""
    monkeypatch.setattr(posix, "environ", {})
    monkeypatch.setattr(posix, "geteuid", lambda: 0)
    monkeypatch.setattr("pyoci.userns.is_nested", lambda: False)
    return monkeypatch


@pytest.mark.parametrize(
    ("environment", "user", "nested", "expected"),
    [
        ({}, 0, False, "/run/pyoci"),
        ({b"XDG_RUNTIME_DIR": b""}, 0, False, "/run/pyoci"),
        ({b"XDG_RUNTIME_DIR": b"/run/user/0"}, 0, False, "/run/pyoci"),
        ({b"XDG_RUNTIME_DIR": b"/run/user/7"}, 0, True, "/run/user/7/pyoci"),
        ({b"XDG_RUNTIME_DIR": b"/run/user/7", b"USER": b"me"}, 0, True, "/run/user/7/pyoci"),
        ({b"XDG_RUNTIME_DIR": b"/run/user/7", b"USER": b"root"}, 0, True, "/run/pyoci"),
        ({b"XDG_RUNTIME_DIR": b"/x"}, 7, False, "/x/pyoci"),
        ({}, 7, False, "/run/user/7/pyoci"),
        ({b"XDG_RUNTIME_DIR": b""}, 7, False, "/run/user/7/pyoci"),
    ],
)
def test_default(
    surroundings: pytest.MonkeyPatch, environment: dict[bytes, bytes], user: int, nested: bool, expected: str
) -> None:
    surroundings.setattr(posix, "environ", environment)
    surroundings.setattr(posix, "geteuid", lambda: user)
    surroundings.setattr("pyoci.userns.is_nested", lambda: nested)
    assert root.choose({}) == expected


@pytest.mark.parametrize("given", ["", "/", "//", "/..", "/run/..", "/./", "/run/../."])
def test_the_root_directory_is_refused(given: str) -> None:
    with pytest.raises(OciError) as caught:
        root.choose({"root": given})
    assert caught.value.code == "bad-root"


def test_a_relative_way_to_the_root_directory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/usr")
    with pytest.raises(OciError):
        root.choose({"root": ".."})
    monkeypatch.chdir("/")
    with pytest.raises(OciError):
        root.choose({"root": "."})
    assert root.choose({"root": "run/x"}) == "/run/x"


def test_it_is_made_with_its_parents_for_the_owner_only(tmp_path: Path) -> None:
    wanted = tmp_path / "a" / "b" / "c"
    assert root.make({"root": str(wanted)}) == str(wanted)
    assert [path.stat().st_mode & 0o7777 for path in (wanted, wanted.parent, wanted.parent.parent)] == [
        0o700
    ] * 3
    wanted.chmod(0o711)
    root.make({"root": str(wanted)})
    assert wanted.stat().st_mode & 0o7777 == 0o711


def test_the_default_below_xdg_runtime_dir_is_sticky(
    surroundings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    surroundings.setattr(posix, "environ", {b"XDG_RUNTIME_DIR": os.fsencode(tmp_path)})
    surroundings.setattr(posix, "geteuid", lambda: 7)
    assert Path(root.make({})).stat().st_mode & 0o7777 == 0o1700


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OciError) as caught:
        root.make({"root": str(tmp_path / "file" / "root")})
    assert (caught.value.code, caught.value.text().rpartition(": ")[2]) == ("bad-root", "not a directory")


def test_a_user_namespace_by_its_inode(monkeypatch: pytest.MonkeyPatch) -> None:
    """The initial one has a number of its own in every kernel, whatever its map."""
    for inode, expected in ((0xEFFFFFFD, False), (0xEFFFFFFC, True), (0xF0000321, True)):
        found = os.stat_result((0o100444, inode, 4, 1, 0, 0, 0, 0, 0, 0))
        monkeypatch.setattr(posix, "stat", lambda path, found=found: {"/proc/self/ns/user": found}[path])
        assert userns.is_nested() is expected


def test_a_kernel_without_user_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: str) -> os.stat_result:
        raise FileNotFoundError(path)

    monkeypatch.setattr(posix, "stat", missing)
    assert userns.is_nested() is False
