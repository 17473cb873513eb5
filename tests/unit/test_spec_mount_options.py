"""Mount options: every word of the specification and of mount(8), and how they go together."""

from __future__ import annotations

import pytest

from pyoci.spec import mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import IDMapping

RO, NOSUID, NODEV, NOEXEC, NOATIME, STRICT, ATIME = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x70
NODIRATIME, NOSYMFOLLOW = 0x80, 0x200000

# word: what is set, what is cleared
FLAGS = {
    "ro": (RO, 0),
    "rw": (0, RO),
    "nosuid": (NOSUID, 0),
    "suid": (0, NOSUID),
    "nodev": (NODEV, 0),
    "dev": (0, NODEV),
    "noexec": (NOEXEC, 0),
    "exec": (0, NOEXEC),
    "nodiratime": (NODIRATIME, 0),
    "diratime": (0, NODIRATIME),
    "nosymfollow": (NOSYMFOLLOW, 0),
    "symfollow": (0, NOSYMFOLLOW),
    "noatime": (NOATIME, ATIME),
    "atime": (0, ATIME),
    "relatime": (0, ATIME),
    "strictatime": (STRICT, ATIME),
    "nostrictatime": (0, ATIME),
}
PROPAGATION = {"unbindable": 1 << 17, "private": 1 << 18, "slave": 1 << 19, "shared": 1 << 20}
# All words of config.md, "Linux mount options", for which the kernel has a flag or a runtime has to do something.
SPECIFIED = """async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec
noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime remount
rexec rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared
rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable
idmap ridmap""".split()


def parse(*words: str) -> mount_options.Options:
    return mount_options.parse(list(words))


def state(found: mount_options.Options) -> tuple[object, ...]:
    return tuple(getattr(found, name) for name in mount_options.Options.__slots__)


@pytest.mark.parametrize("word", FLAGS)
def test_flag(word: str) -> None:
    found = parse(word)
    assert (found.set, found.clear) == FLAGS[word]
    assert not found.data and not found.needs_old_mount()


@pytest.mark.parametrize("word", FLAGS)
def test_recursive_flag(word: str) -> None:
    found = parse("r" + word)
    assert (found.deep_set, found.deep_clear) == FLAGS[word]
    assert (found.set, found.clear) == (0, 0)
    assert not found.data


def test_no_relatime_is_no_wish_for_another_mode() -> None:
    """The kernel's default is relatime; who wants more asks for strictatime (mount(8)), and runc and crun see it so."""
    assert (parse("norelatime").set, parse("rnorelatime").deep_set) == (0, 0)


@pytest.mark.parametrize("word", PROPAGATION)
def test_propagation(word: str) -> None:
    assert parse(word).propagation == [PROPAGATION[word]]
    assert parse("r" + word).propagation == [PROPAGATION[word] | 0x4000]


def test_propagation_keeps_its_order() -> None:
    assert parse("rslave", "ro", "shared").propagation == [1 << 19 | 0x4000, 1 << 20]


def test_binds() -> None:
    assert (parse("bind").bind, parse("bind").recursive) == (True, False)
    assert (parse("rbind").bind, parse("rbind").recursive) == (True, True)
    assert parse("rbind", "bind").recursive


def test_what_the_runtime_does_itself() -> None:
    assert parse("tmpcopyup").copy_up
    assert parse("remount").remount
    assert (parse("idmap").idmap, parse("idmap").deep_idmap) == (True, False)
    assert (parse("ridmap").idmap, parse("ridmap").deep_idmap) == (True, True)


@pytest.mark.parametrize("word", SPECIFIED)
def test_every_specified_word_means_something_and_is_no_data(word: str) -> None:
    found = parse(word)
    if word in mount_options.FILESYSTEM_FLAGS:  # which fsconfig(2) takes as they are
        assert found.data == [word]
        return
    assert not found.data
    unchanged = state(found) == state(parse())
    assert unchanged == (
        word in ("defaults", "rnorelatime")
    )  # "norelatime" is a flag option, which a bind mount heeds


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ro", "rw"),
        ("nosuid", "suid"),
        ("nodev", "dev"),
        ("noexec", "exec"),
        ("nodiratime", "diratime"),
        ("nosymfollow", "symfollow"),
    ],
)
def test_the_later_word_wins(one: str, other: str) -> None:
    bit = FLAGS[one][0]
    assert (parse(one, other).set, parse(one, other).clear) == (0, bit)
    assert (parse(other, one).set, parse(other, one).clear) == (bit, 0)
    assert (parse("r" + one, "r" + other).deep_set, parse("r" + other, "r" + one).deep_set) == (0, bit)


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ("noatime strictatime", STRICT),
        ("strictatime noatime", NOATIME),
        ("noatime relatime", 0),
        ("strictatime relatime", 0),
        ("relatime noatime", NOATIME),
        ("noatime atime", 0),
        ("strictatime nostrictatime", 0),
        ("strictatime atime", STRICT),
        ("noatime nostrictatime", NOATIME),
        ("noatime norelatime", NOATIME),
        ("strictatime norelatime", STRICT),
        ("atime noatime nodiratime", NOATIME | NODIRATIME),
    ],
)
def test_of_the_ways_to_keep_access_times_one_is_left(words: str, chosen: int) -> None:
    """mount_setattr(2) takes them as one value; clearing a part of it is EINVAL. What negates one leaves the others alone."""
    found = parse(*words.split())
    assert found.set == chosen
    assert found.clear & ATIME == ATIME
    deep = parse(*[f"r{word}" for word in words.split()])
    assert (deep.deep_set, deep.deep_clear & ATIME) == (chosen, ATIME)


def test_flags_of_the_mount_and_of_the_tree_do_not_mix() -> None:
    found = parse("ro", "rrw", "nosuid", "rnodev")
    assert (found.set, found.clear) == (RO | NOSUID, 0)
    assert (found.deep_set, found.deep_clear) == (NODEV, RO)


def test_what_no_table_knows_is_for_the_file_system() -> None:
    found = parse("size=64k", "mode=755", "nr_inodes=10", "rmode", "rsize=1")
    assert found.data == ["size=64k", "mode=755", "nr_inodes=10", "rmode", "rsize=1"]
    assert found.has_data("mode") and not found.has_data("mod") and not found.has_data("rmode")


def test_one_word_may_hold_several_options_of_the_file_system() -> None:
    found = parse(
        "lowerdir=/a:/b,upperdir=/c,workdir=/d", ",index=off,", 'context="a:c1,c2"', "lowerdir=/a\\,b"
    )
    several = ["lowerdir=/a:/b", "upperdir=/c", "workdir=/d", "index=off"]
    assert found.data == [*several, 'context="a:c1,c2"', "lowerdir=/a\\,b"]


def test_mappings_in_the_option() -> None:
    def line(first: int, host: int, size: int) -> IDMapping:
        return {"containerID": first, "hostID": host, "size": size}

    own = {"uids": [line(0, 5000, 10), line(10, 9000, 10)], "gids": []}
    words = ["rbind", "idmap=uids=0-100000-65536#70000-7-1;gids=1-2-3"]
    assert mount_options.inline_maps(words, own) == (
        [line(0, 100000, 65536), line(70000, 7, 1)],
        [line(1, 2, 3)],
    )
    relative = ["idmap=uids=9-9-9;gids=1-1-1", "ridmap=gids=1-2-3;uids=@0-12-2"]
    assert mount_options.inline_maps(relative, own) == ([line(0, 9002, 2)], [line(1, 2, 3)])
    assert mount_options.inline_maps(["idmap", "ro"], own) is None
    assert (parse(words[1]).idmap, parse(words[1]).deep_idmap, parse(words[1]).data) == (True, False, [])
    assert parse(relative[1]).deep_idmap and mount_options.is_known(relative[1])


def test_what_bind_mounts_take() -> None:
    """All that does not belong to a file system; what means something in fstab(5) alone is no option at all."""
    for word in ("ro", "rro", "bind", "rslave", "idmap", "sync", "silent", "defaults", ""):
        assert mount_options.is_known(word)
    for word in ("size=1", "mode=755", "nofail", "ro,nosuid", "copy-symlinks", "idmapped"):
        assert not mount_options.is_known(word)
    assert not set(mount_options.FSTAB) & set(mount_options.KNOWN)


@pytest.mark.parametrize(
    ("word", "flags"), [("silent", 1 << 15), ("loud", 0), ("iversion", 1 << 23), ("noiversion", 0)]
)
def test_flags_that_only_mount_takes(word: str, flags: int) -> None:
    found = parse(word)
    assert found.needs_old_mount()
    assert found.old_mount_flags() == flags


def test_flags_of_the_file_system_for_mount() -> None:
    found = parse("silent", "sync", "dirsync", "mand", "lazytime", "size=1")
    assert found.old_mount_flags() == 1 << 15 | 1 << 4 | 1 << 7 | 1 << 6 | 1 << 25


@pytest.mark.parametrize(("length", "old"), [(255, False), (256, True)])
def test_values_that_fsconfig_has_no_room_for(length: int, old: bool) -> None:
    assert parse("lowerdir=" + "x" * length).needs_old_mount() == old
    assert not parse("x" * length).needs_old_mount()
