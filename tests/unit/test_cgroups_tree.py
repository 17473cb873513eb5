"""Walking and removing trees, on directories of an ordinary file system."""

from __future__ import annotations

import errno
import os
import posix
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyoci.base.errors import OciError
from pyoci.cgroups import tree, writer


@pytest.fixture(autouse=True)
def ordinary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories of an ordinary file system count as cgroups here, but for the tests that say otherwise."""
    if "outside" in request.node.name:
        return

    def open_cgroup(path: str, directory: int = -1) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        return os.open(path, flags, dir_fd=None if directory < 0 else directory)

    monkeypatch.setattr(tree, "open_cgroup", open_cgroup)


def test_nothing_outside_of_cgroups_is_walked(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    acts: list[Callable[[], object]] = [
        lambda: tree.remove(str(tmp_path), time.monotonic() + 1),
        lambda: tree.walk(str(tmp_path), lambda _above, _name, _fd: None),
        lambda: tree.identity(str(tmp_path)),
        lambda: tree.pids(str(tmp_path)),  # also where cgroup.procs is missing
    ]
    for act in acts:
        with pytest.raises(OSError) as caught:
            act()
        assert caught.value.errno == errno.EXDEV
    assert (tmp_path / "a" / "b").is_dir()


def test_make_gives_what_it_made(tmp_path: Path) -> None:
    path = f"{tmp_path}/a/b/c"
    assert tree.make(path, str(tmp_path)) == [f"{tmp_path}/a", f"{tmp_path}/a/b", path]
    assert tree.make(path, str(tmp_path)) == []
    tree.unmake([f"{tmp_path}/a", f"{tmp_path}/a/b", path])
    assert not list(tmp_path.iterdir())


def test_make_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        tree.make(f"{tmp_path}/a/{'x' * 300}", str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_make_does_not_make_the_mount_point(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tree.make(f"{tmp_path}/gone/a/b", f"{tmp_path}/gone")


def test_remove_a_wide_and_deep_tree(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    for name in ("a", "b", "c"):
        for below in ("x", "y"):
            (top / name / below).mkdir(parents=True)
    fd = os.open(top, os.O_RDONLY)
    for _ in range(1500):  # far beyond PATH_MAX and the limit on descriptors
        os.mkdir("0123456789", dir_fd=fd)
        below_fd = os.open("0123456789", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below_fd
    os.close(fd)
    tree.remove(str(top), time.monotonic() + 10)
    assert not top.exists()


def test_remove_nothing() -> None:
    tree.remove("/nowhere/at/all", 0)


def test_remove_gives_up_in_time(tmp_path: Path) -> None:
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "file").touch()
    start = time.monotonic()
    with pytest.raises(OSError) as caught:
        tree.remove(str(tmp_path / "busy"), start + 0.05)
    assert caught.value.errno == errno.ENOTEMPTY and time.monotonic() - start < 1


def test_walk_follows_no_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "precious").mkdir(parents=True)
    top = tmp_path / "top"
    top.mkdir()
    (top / "dir").mkdir()
    (top / "link").symlink_to(outside)
    seen: list[str] = []
    tree.walk(str(top), lambda _above, name, _fd: seen.append(name))
    assert seen == ["dir"]
    assert (outside / "precious").is_dir()


def test_pids_of_a_tree(tmp_path: Path) -> None:
    for path, text in (("", "1\n2\n"), ("a", "3\n"), ("a/b", ""), ("c", "4\n")):
        (tmp_path / path).mkdir(exist_ok=True)
        (tmp_path / path / "cgroup.procs").write_text(text)
    assert sorted(tree.pids(str(tmp_path))) == [1, 2, 3, 4]
    assert tree.pids(str(tmp_path), recursive=False) == [1, 2]
    assert tree.pids(f"{tmp_path}/none") == []


def test_writes_that_bound_one_another_are_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with cpu.cfs_burst_us, which must not be above the quota of the moment."""
    state = {"quota": 10, "burst": 10}
    order: list[str] = []

    def put(path: str, text: str) -> None:
        name, value = path.rpartition(".")[2], int(text)
        order.append(name)
        if {**state, name: value}["burst"] > {**state, name: value}["quota"]:
            raise OSError(errno.EINVAL, "")
        state[name] = value

    monkeypatch.setattr(writer, "put", put)
    writes = [("cpu.quota", "5", "/q"), ("cpu.burst", "4", "/b")]
    writer.write_limits(writes, lambda controller, pointer: controller)
    assert state == {"quota": 5, "burst": 4} and order == ["quota", "burst", "quota"]
    with pytest.raises(OciError) as caught:
        writer.write_limits([("cpu.burst", "6", "/b")], lambda controller, pointer: controller)
    assert (
        caught.value.pointer == "/b"
        and caught.value.errno == errno.EINVAL
        and 'burst to "6"' in caught.value.message
    )


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    def here(controller: str, pointer: str) -> str:
        return str(tmp_path)

    writer.write_limits([("memory.swap.max", "max", "/linux/resources/memory/swap")], here)
    with pytest.raises(OciError) as caught:
        writer.write_limits([("memory.max", "5", "/linux/resources/memory/limit")], here)
    assert (
        caught.value.code == "cgroup-file-missing" and "linux.resources.memory.limit" in caught.value.message
    )


def test_what_would_be_made(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert tree.missing(str(tmp_path / "there")) == []
    assert tree.missing(str(tmp_path / "there/a/b")) == [f"{tmp_path}/there/a", f"{tmp_path}/there/a/b"]
    assert list((tmp_path / "there").iterdir()) == []


def test_who_may_not_write_above_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def access(path: str, mode: int, **_options: bool) -> bool:
        asked.append((path, mode))
        return mode == posix.F_OK and path == str(tmp_path)

    monkeypatch.setattr(posix, "access", access)
    error = tree.refusal(f"{tmp_path}/a/b")
    assert error and (error.errno, error.strerror) == (errno.EACCES, str(tmp_path))
    assert asked[-1] == (str(tmp_path), posix.W_OK | posix.X_OK)
    assert tree.refusal(str(tmp_path)) is None
