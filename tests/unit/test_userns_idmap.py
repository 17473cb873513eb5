"""Id maps: the parts that need no user namespace."""

from __future__ import annotations

import errno
import os
import posix
from pathlib import Path

import pytest

from pyoci import userns
from pyoci.base.errors import OciError
from pyoci.userns import idmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import IDMapping


def entry(container: int, host: int, size: int) -> IDMapping:
    return {"containerID": container, "hostID": host, "size": size}


def users(own: int = 1000, ranges: str = "/etc/subuid") -> idmap.Kind:
    return idmap.Kind("uid", own, "newuidmap", ranges, "uidMappings")


@pytest.mark.parametrize(
    ("maps", "expected"),
    [
        ([entry(0, 1000, 1)], True),
        ([entry(5, 1000, 1)], True),
        ([entry(0, 1001, 1)], False),
        ([entry(0, 1000, 2)], False),
        ([entry(0, 1000, 1), entry(1, 5000, 1)], False),
        ([], False),
    ],
)
def test_only_own(maps: list[IDMapping], expected: bool) -> None:
    assert idmap._only_own(users(), maps) is expected


@pytest.mark.parametrize(
    ("maps", "expected"),
    [
        ([entry(0, 1000, 1), entry(1, 5000, 10)], ""),
        ([entry(0, 5000, 11)], "range 5000 to 5010"),
        ([entry(0, 4999, 2)], "range 4999 to 5000"),
        ([entry(0, 1000, 1), entry(1, 7, 1)], "7"),
    ],
)
def test_uncovered(maps: list[IDMapping], expected: str) -> None:
    assert idmap._uncovered(maps, [(1000, 1), (5000, 10)]) == expected


def test_granted_ranges(tmp_path: Path) -> None:
    table = tmp_path / "subuid"
    table.write_text(f"someone:1:2\nme:100000:65536\n# me:1:1\nme:x:1\nme\n{os.getuid()}:7:8\n")
    assert idmap.granted(users(ranges=str(table)), "me") == [(100000, 65536), (7, 8)]
    assert idmap.granted(users(ranges=str(tmp_path / "none")), "me") == []


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a newuidmap of the test's making is looked for."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(idmap, "_TOOL_PLACES", (str(tmp_path / "none"), str(tmp_path / "bin")))
    return tmp_path / "bin/newuidmap"


def script(path: Path, text: str, mode: int = 0o755) -> None:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(mode)


MAPS = [entry(0, 1000, 1), entry(1, 100000, 65536)]


def refusal(kind: idmap.Kind) -> OciError:
    with pytest.raises(OciError) as caught:
        idmap._write_by_tool(4711, kind, MAPS)
    assert caught.value.code == "idmap"
    assert caught.value.pointer == "/linux/uidMappings"
    return caught.value


def test_tool_gets_pid_and_numbers(tool: Path, tmp_path: Path) -> None:
    script(tool, f'echo "$@" > {tmp_path}/args')
    idmap._write_by_tool(4711, users(), MAPS)
    assert (tmp_path / "args").read_text() == "4711 0 1000 1 1 100000 65536\n"


def test_missing_tool(tool: Path) -> None:
    error = refusal(users())
    assert error.errno == errno.ENOENT
    assert "newuidmap is missing" in error.message and "uidmap" in error.hint


def test_tool_refuses_without_a_range(tool: Path, tmp_path: Path) -> None:
    script(tool, "echo 'newuidmap: uid range [1-65537) -> [100000-165536) not allowed' >&2; exit 1")
    error = refusal(users(ranges=str(tmp_path / "none")))
    assert "not allowed" in error.message
    assert "uid range 100000 to 165535" in error.hint


@pytest.mark.parametrize(("mode", "words"), [(0o755, "set-user-ID"), (0o4755, "no_new_privs")])
def test_tool_refuses_with_a_range(tool: Path, tmp_path: Path, mode: int, words: str) -> None:
    (tmp_path / "subuid").write_text(f"{os.getuid()}:100000:65536\n")
    script(tool, "exit 7", mode)
    error = refusal(users(ranges=str(tmp_path / "subuid")))
    assert error.message.endswith("newuidmap: exit status 7")
    assert words in error.hint


def test_tool_that_cannot_run(tool: Path) -> None:
    tool.write_text("#!/no/such/interpreter\n")
    tool.chmod(0o755)
    assert refusal(users()).errno == errno.ENOENT


def test_message_shows_the_map_but_not_all_of_a_long_one() -> None:
    text = idmap._text([entry(number, number, 1) for number in range(100)])
    assert text.startswith("0 to 0 x 1, 1 to 1 x 1") and text.endswith(", ...") and len(text) < 100


def test_a_process_that_is_gone() -> None:
    with pytest.raises(OciError) as caught:
        idmap.write_maps(2**22 + 1, MAPS, MAPS, rootless=False)
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize(
    ("uid", "maps", "rootless", "here", "expected"),
    [
        (1000, [entry(0, 1000, 1)], True, True, False),  # given up for the right to map it
        (1000, [entry(0, 1000, 1), entry(1, 100000, 9)], True, True, True),
        (0, [entry(0, 1000, 1)], True, True, True),
        (0, [entry(0, 100000, 9)], False, True, True),
        (0, [entry(0, 100000, 9)], False, False, False),  # denied here, denied in all below
    ],
)
def test_whether_setgroups_is_allowed(
    uid: int,
    maps: list[IDMapping],
    rootless: bool,
    here: bool,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(posix, "geteuid", lambda: uid)
    monkeypatch.setattr(posix, "getegid", lambda: 1000)
    monkeypatch.setattr(userns, "may_set_groups", lambda pid: here and pid == "self")
    assert idmap.allows_setgroups(maps, rootless=rootless) is expected
