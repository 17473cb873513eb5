"""Id maps of real user namespaces, written with and without privilege."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import machine

from pyoci.base.errors import OciError
from pyoci.userns import idmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import IDMapping


pytestmark = [
    pytest.mark.skipif(not machine.is_root(), reason="needs root with CAP_SYS_ADMIN"),
]

CLONE_NEWNS, CLONE_NEWUSER, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x10000000, 0x1000, 0x4000, 0x40000
PR_SET_DUMPABLE = 4
USER, GROUP = 12345, 23456
NAME = "mapper"
libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    assert result == 0, os.strerror(ctypes.get_errno())


def entry(container: int, host: int, size: int) -> IDMapping:
    return {"containerID": container, "hostID": host, "size": size}


def in_child(job: Callable[[], Any]) -> Any:
    """The JSON-able result of a job in a child; an exception there fails the test here."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            result: Any = [True, job()]
        except BaseException as error:
            result = [False, repr(error)]
        os.write(writer, json.dumps(result).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        good, value = json.loads(answer.read())
    os.waitpid(pid, 0)
    assert good, value
    return value


def mapped(uids: list[IDMapping], gids: list[IDMapping], rootless: bool) -> Any:
    """Make a user namespace, write its maps: what its process reads there, or the error's fields."""
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        check(libc.unshare(CLONE_NEWUSER))
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        os.write(ready[1], b"1")
        os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    try:
        idmap.write_maps(pid, uids, gids, rootless=rootless)
        allowed = idmap.allows_setgroups(gids, rootless=rootless)
        names = ("uid_map", "gid_map", "setgroups")
        return [allowed, *(Path(f"/proc/{pid}/{name}").read_text().split() for name in names)]
    except OciError as error:
        return {"errno": error.errno, "pointer": error.pointer, "text": error.text(), "hint": error.hint}
    finally:
        os.write(go[1], b"1")
        os.waitpid(pid, 0)
        for fd in (*ready, *go):
            os.close(fd)


def as_user(uids: list[IDMapping], gids: list[IDMapping], scratch: Path, ranges: str = "") -> Any:
    """`mapped` as a user with an account and these lines of /etc/subuid and /etc/subgid, but no privilege."""
    (scratch / "ranges").write_text(ranges)
    (scratch / "passwd").write_text(f"root:x:0:0::/:/bin/sh\n{NAME}:x:{USER}:{GROUP}::/:/bin/sh\n")

    def job() -> Any:
        check(libc.unshare(CLONE_NEWNS))
        check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
        for name, source in (("subuid", "ranges"), ("subgid", "ranges"), ("passwd", "passwd")):
            check(libc.mount(bytes(scratch / source), f"/etc/{name}".encode(), None, MS_BIND, None))
        os.setgroups([])
        os.setresgid(GROUP, GROUP, GROUP)
        os.setresuid(USER, USER, USER)
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        return mapped(uids, gids, rootless=True)

    return in_child(job)


@pytest.mark.parametrize("rootless", [False, True])
def test_root_writes_any_map(rootless: bool) -> None:
    uids = [entry(0, 100000, 1000), entry(1000, 0, 1)]
    expected = ["0", "100000", "1000", "1000", "0", "1"]
    result = in_child(lambda: mapped(uids, [entry(0, 5, 70000)], rootless))
    assert result == [True, expected, ["0", "5", "70000"], ["allow"]]


def test_many_entries_are_one_write() -> None:
    maps = [entry(number * 2, 200000 + number * 3, 1) for number in range(200)]
    assert len(in_child(lambda: mapped(maps, maps, False))[1]) == 600


@pytest.mark.parametrize(
    ("maps", "hint"),
    [
        ([entry(0, 1000, 0)], "overlap"),
        ([entry(0, 1000, 10), entry(5, 2000, 10)], "overlap"),
        ([entry(n, n, 1) for n in range(400)], "340 mappings at most, not 400"),
    ],
    ids=["empty", "overlap", "too many"],
)
def test_maps_the_kernel_refuses(maps: list[IDMapping], hint: str) -> None:
    error = in_child(lambda: mapped(maps, [entry(0, 0, 1)], False))
    assert error["errno"] == errno.EINVAL
    assert error["pointer"] == "/linux/uidMappings"
    assert hint in error["hint"]


def test_gid_map_is_named() -> None:
    error = in_child(lambda: mapped([entry(0, 0, 1)], [entry(0, 0, 0)], False))
    assert error["pointer"] == "/linux/gidMappings"


def test_ids_that_our_own_namespace_lacks() -> None:
    def nested() -> Any:
        ready, go = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(go[0], 1)
            libc.unshare(CLONE_NEWUSER)
            os.write(ready[1], b"1")
            os.read(go[0], 1)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            result = mapped([entry(0, 5000, 10)], [entry(0, 0, 1)], False)
            os.write(ready[1], json.dumps(result).encode())
            os._exit(0)
        os.write(go[1], b"1")
        os.read(ready[0], 1)
        idmap.write_maps(pid, [entry(0, 100000, 1000)], [entry(0, 100000, 1000)], rootless=False)
        os.write(go[1], b"1")
        answer = json.loads(os.read(ready[0], 65536))
        os.waitpid(pid, 0)
        return answer

    error = in_child(nested)
    assert error["errno"] == errno.EPERM
    assert "range 5000 to 5009 has no mapping" in error["hint"]


def test_user_maps_the_own_ids_without_help(scratch: Path) -> None:
    result = as_user([entry(0, USER, 1)], [entry(7, GROUP, 1)], scratch)
    assert result == [False, ["0", str(USER), "1"], ["7", str(GROUP), "1"], ["deny"]]


needs_tools = pytest.mark.skipif(shutil.which("newuidmap") is None, reason="newuidmap is not installed")


@needs_tools
def test_user_maps_granted_ranges_by_the_tools(scratch: Path) -> None:
    uids, gids = ([entry(0, own, 1), entry(1, 300000, 65536)] for own in (USER, GROUP))
    result = as_user(uids, gids, scratch, f"{NAME}:300000:65536\n")
    text = ["1", "300000", "65536"]
    assert result == [True, ["0", str(USER), "1", *text], ["0", str(GROUP), "1", *text], ["allow"]]


@needs_tools
def test_user_without_a_range_is_told(scratch: Path) -> None:
    error = as_user([entry(0, USER, 1), entry(1, 300000, 10)], [entry(0, GROUP, 1)], scratch)
    assert error["pointer"] == "/linux/uidMappings"
    assert "newuidmap" in error["text"]
    assert error["hint"] == f"/etc/subuid does not grant {NAME} the host uid range 300000 to 300009"
