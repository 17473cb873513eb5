"""Which directories are safe from other users: ROOT, its parents, ROOT/ID."""

from __future__ import annotations

import os
import posix
import struct
from pathlib import Path

import pytest

from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.lifecycle import permissions, states, store

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="chown")
STRANGER, OTHER, OVERFLOW = 4321, 4322, 65534


def tree(folder: Path, *modes: int) -> Path:
    """Nested directories with these modes; returns the last."""
    for mode in modes:
        folder /= "d"
        folder.mkdir()
        folder.chmod(mode)
    return folder


def unsafe(root: Path, *, given: bool = False) -> tuple[str, str] | None:
    """The directory that is not safe, and the command that mends it."""
    found = permissions.of_root(str(root), given=given)
    return found and (found[0], found[2])


@pytest.mark.parametrize(
    "modes",
    [
        (0o755, 0o755, 0o755, 0o711),  # podman as root: --root /run/containers/storage/...
        (0o755, 0o755, 0o711, 0o700),  # docker: /run/docker/runtime-runc/moby
        (0o755, 0o711, 0o711, 0o711),  # containerd: /run/containerd/runc/default
        (0o755, 0o700, 0o1700),  # rootless: XDG_RUNTIME_DIR/pyoci
        (0o755, 0o700, 0o700, 0o755),  # buildah: XDG_RUNTIME_DIR/buildah...
        (0o1777, 0o700),  # below /tmp
        (0o775, 0o775),  # umask 002, a group of one's own
        (0o1757, 0o1775, 0o755),
    ],
)
def test_the_modes_of_the_engines_pass(tmp_path: Path, modes: tuple[int, ...]) -> None:
    root = tree(tmp_path, *modes)
    assert unsafe(root) is None
    context = Context()
    store.create(context, str(root), "x").close()
    store.open(context, str(root), "x", lock=False).close()


@pytest.mark.parametrize(
    ("modes", "at", "bits"),
    [
        ((0o757,), 1, "o"),
        ((0o1757,), 1, "o"),  # sticky does not help ROOT itself
        ((0o757, 0o700), 1, "o"),
        ((0o700, 0o757, 0o700), 2, "o"),
        ((0o777, 0o700), 1, "o"),
    ],
)
def test_others_may_write(tmp_path: Path, modes: tuple[int, ...], at: int, bits: str) -> None:
    path = tmp_path.joinpath(*["d"] * at)
    assert unsafe(tree(tmp_path, *modes)) == (str(path), f"chmod {bits}-w {path}")


@root_only
def test_a_group_that_is_not_the_callers(tmp_path: Path) -> None:
    root = tree(tmp_path, 0o775)
    os.chown(root, 0, OTHER)
    assert unsafe(root) == (str(root), f"chmod g-w {root}")
    root.chmod(0o777)
    assert unsafe(root) == (str(root), f"chmod go-w {root}")
    root.chmod(0o755)
    assert unsafe(root) is None


USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, REST = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
NOBODYS = 0xFFFFFFFF


def set_acl(path: Path, *entries: tuple[int, int, int]) -> None:
    """Give a directory an access ACL: (tag, permissions, id) of acl(5), in the order of the kernel."""
    raw = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", raw)
    except OSError as error:
        pytest.skip(f"{path} takes no ACL: {error.strerror}")


@pytest.mark.parametrize(
    ("named", "own", "passes"),
    [
        ((USER, 7, STRANGER), 5, False),
        ((USER, 5, STRANGER), 7, True),  # the mask has the bit for the caller's own group
        ((USER, 7, os.geteuid()), 5, True),
        ((GROUP, 7, OTHER), 5, False),
        ((GROUP, 7, os.getegid()), 5, True),
    ],
)
def test_who_may_write_by_an_acl(tmp_path: Path, named: tuple[int, int, int], own: int, passes: bool) -> None:
    root = tree(tmp_path, 0o700)
    group = (GROUP_OBJ, own, NOBODYS)
    middle = (named, group) if named[0] == USER else (group, named)
    set_acl(root, (USER_OBJ, 7, NOBODYS), *middle, (MASK, 7, NOBODYS), (REST, 5, NOBODYS))
    assert root.stat().st_mode & 0o777 == 0o775
    assert unsafe(root) == (None if passes else (str(root), f"chmod g-w {root}"))
    root.chmod(0o755)
    assert unsafe(root) is None, "the mask takes the bit from all of them"


@root_only
@pytest.mark.parametrize(("bits", "passes"), [(5, True), (7, False)])
def test_the_owning_group_by_an_acl(tmp_path: Path, bits: int, passes: bool) -> None:
    root = tree(tmp_path, 0o700)
    os.chown(root, 0, OTHER)
    mine = (USER, 7, os.geteuid())
    set_acl(
        root, (USER_OBJ, 7, NOBODYS), mine, (GROUP_OBJ, bits, NOBODYS), (MASK, 7, NOBODYS), (REST, 5, NOBODYS)
    )
    assert unsafe(root) == (None if passes else (str(root), f"chmod g-w {root}"))


@root_only
@pytest.mark.parametrize("given", [False, True])
def test_root_acts_on_the_root_of_another_user_that_was_named(tmp_path: Path, given: bool) -> None:
    root = tree(tmp_path, 0o700)
    os.chown(root, STRANGER, STRANGER)
    assert unsafe(root, given=given) == (None if given else (str(root), f"chown 0 {root}"))
    root.chmod(0o757)
    assert unsafe(root, given=True) == (str(root), f"chmod o-w {root}")


@root_only
def test_another_user_is_trusted_by_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, 0o755, 0o700)
    os.chown(root, STRANGER, STRANGER)
    monkeypatch.setattr(posix, "geteuid", lambda: OTHER)
    assert unsafe(root, given=True) == (str(root), f"chown {OTHER} {root}")
    monkeypatch.setattr(posix, "geteuid", lambda: STRANGER)
    assert unsafe(root) is None
    os.chown(root.parent, OTHER, OTHER)
    assert unsafe(root) == (str(root.parent), f"chown 0 {root.parent}")
    root.parent.chmod(0o1777)
    assert unsafe(root) == (str(root.parent), f"chown 0 {root.parent}"), "its owner may replace what is in it"


@root_only
@pytest.mark.parametrize("nested", [False, True])
def test_the_hosts_root_in_a_user_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    root = tree(tmp_path, 0o755, 0o700)
    monkeypatch.setattr("pyoci.userns.is_nested", lambda: nested)
    os.chown(root.parent, OVERFLOW, OVERFLOW)
    assert unsafe(root) == (None if nested else (str(root.parent), f"chown 0 {root.parent}"))
    os.chown(root, OVERFLOW, OVERFLOW)
    assert unsafe(root) is not None, "ROOT itself is not the host's"


def test_links_are_followed(tmp_path: Path) -> None:
    target = tree(tmp_path, 0o757, 0o700)
    for name, text in (("absolute", str(target)), ("relative", "d/d"), ("up", "d/d/../d")):
        (tmp_path / name).symlink_to(text)
        assert unsafe(tmp_path / name) == (str(target.parent), f"chmod o-w {target.parent}")
    (tmp_path / "d").chmod(0o755)
    assert unsafe(tmp_path / "absolute") is None
    (tmp_path / "loop").symlink_to("loop")
    assert unsafe(tmp_path / "loop") is None, "whoever opens it sees the error"


@root_only
def test_a_link_of_another_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "d").mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to("d")
    assert unsafe(link) is None
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    assert unsafe(link) == (str(link), f"chown -h 0 {link}")


def test_the_way_up_ends_where_the_kernel_ends(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "d").mkdir()
    assert unsafe(tmp_path / "d" / "..") == (str(tmp_path), f"chmod go-w {tmp_path}") or os.getegid() == (
        tmp_path.stat().st_gid
    )
    found = permissions.of_root(str(tmp_path / "d" / ".."), given=False)
    assert found and found[0] == str(tmp_path)


def test_a_root_that_is_missing_is_judged_by_its_parents(tmp_path: Path) -> None:
    assert unsafe(tmp_path / "a" / "b") is None
    tmp_path.chmod(0o757)
    assert unsafe(tmp_path / "a" / "b") == (str(tmp_path), f"chmod o-w {tmp_path}")


def test_the_command_is_quoted(tmp_path: Path) -> None:
    root = tmp_path / "it's; x"
    root.mkdir()
    root.chmod(0o757)
    found = unsafe(root)
    assert found and found[1] == f"chmod o-w '{tmp_path}/it'\\''s; x'"


def test_what_acts_is_refused_and_what_reads_is_told_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("x", "y"):
        store.create(Context(), str(tmp_path), name).close()
    tmp_path.chmod(0o757)
    context = Context()
    assert len(states.list_states(context, str(tmp_path))) == 2
    said = capfd.readouterr().err
    assert said.count("can be forged") == 1 and f"`chmod o-w {tmp_path}` mends it" in said
    with pytest.raises(OciError) as caught:
        store.open(context, str(tmp_path), "x", lock=True)
    assert (caught.value.code, caught.value.obj) == ("state-unsafe", str(tmp_path))
    with pytest.raises(OciError) as caught:
        store.create(context, str(tmp_path), "z")
    assert caught.value.code == "state-unsafe" and not (tmp_path / "z").exists()


@pytest.mark.parametrize("mode", [0o757, 0o1757])
def test_the_directory_of_a_container(tmp_path: Path, capfd: pytest.CaptureFixture[str], mode: int) -> None:
    store.create(Context(), str(tmp_path), "x").close()
    entry = tmp_path / "x"
    entry.chmod(mode)
    with pytest.raises(OciError) as caught:
        store.open(Context(), str(tmp_path), "x", lock=True)
    assert (caught.value.code, caught.value.obj) == ("state-unsafe", str(entry))
    store.open(Context(), str(tmp_path), "x", lock=False, acts=False).close()
    assert f"`chmod o-w {entry}` mends it" in capfd.readouterr().err
    entry.chmod(0o711)
    store.open(Context(), str(tmp_path), "x", lock=True).close()
