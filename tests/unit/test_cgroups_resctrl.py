"""linux.intelRdt against a tree of plain directories in place of resctrl."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from pyoci.base import files
from pyoci.base.errors import OciError
from pyoci.cgroups import resctrl
from pyoci.lifecycle import facts
from pyoci.lifecycle.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroups.records import GroupRecord

L3, MB = "L3:0=f;1=f0", "MB:0=20;1=70"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A resctrl with everything in it; groups get their files when they are made, and go with them."""
    root = tmp_path / "resctrl"
    for name in ("L3", "MB", "L3_MON"):
        (root / "info" / name).mkdir(parents=True)
    (root / "schemata").write_text("L3:0=fffff;1=fffff\nMB:0=100;1=100\n")
    (root / "tasks").touch()
    (root / "mon_groups").mkdir()
    monkeypatch.setattr(resctrl, "ROOT", str(root))
    monkeypatch.setattr(resctrl, "make_directory", make_group)
    monkeypatch.setattr(resctrl, "remove_directory", shutil.rmtree)
    return root


def make_group(path: str) -> None:
    os.mkdir(path)
    Path(path, "tasks").touch()
    if "/mon_groups/" not in path:
        Path(path, "schemata").touch()
        Path(path, "mon_groups").mkdir()


def group(**wanted: Any) -> resctrl.Group:
    found = facts.resctrl_of({"linux": {"intelRdt": wanted}}, "box")  # type: ignore[typeddict-item]
    assert found is not None
    return found


def refused(**wanted: Any) -> OciError:
    with pytest.raises(OciError) as caught:
        group(**wanted).create()
    assert caught.value.code == "intel-rdt"
    return caught.value


def test_without_the_property_there_is_no_group(tree: Path) -> None:
    assert facts.resctrl_of({"linux": {}}, "box") is None  # type: ignore[typeddict-item]
    assert facts.resctrl_of({}, "box") is None  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("wanted", "name", "schemata"),
    [
        ({}, "box", ""),
        ({"l3CacheSchema": L3}, "box", L3),
        ({"memBwSchema": MB}, "box", MB),
        ({"l3CacheSchema": L3, "memBwSchema": MB, "closID": "gold"}, "gold", f"{L3}\n{MB}"),
        ({"l3CacheSchema": f"MB:0=5\n{L3}", "memBwSchema": MB}, "box", f"{L3}\n{MB}"),
        ({"l3CacheSchema": f"{L3}\nMB:0=5"}, "box", f"{L3}\nMB:0=5"),
        ({"schemata": ["L2:0=3", "", L3], "closID": "gold"}, "gold", f"L2:0=3\n{L3}"),
        ({"schemata": ["L2:0=3"], "l3CacheSchema": L3, "memBwSchema": MB}, "box", f"L2:0=3\n{L3}\n{MB}"),
    ],
    ids=str,
)
@pytest.mark.parametrize("monitoring", [False, True])
def test_what_is_made_and_removed(
    tree: Path, wanted: dict[str, Any], name: str, schemata: str, monitoring: bool
) -> None:
    """The rules of config-linux.md; the group goes with the container that made it."""
    before = sorted(tree.rglob("*"))
    made = group(**wanted, enableMonitoring=monitoring)
    assert sorted(tree.rglob("*")) == before, "nothing is made yet"
    made.create()
    made.add(4000000)
    assert (tree / name / "schemata").read_text() == (f"{schemata}\n" if schemata else "")
    assert (tree / name / "tasks").read_text() == "4000000"
    monitor = tree / name / "mon_groups" / "box"
    assert monitor.exists() == monitoring
    if monitoring:
        assert (monitor / "tasks").read_text() == "4000000"
    facts = (tree / name).stat()
    assert made.record()["ids"][str(tree / name)] == [facts.st_dev, facts.st_ino]
    assert resctrl.destroy(made.record()) == []
    assert sorted(tree.rglob("*")) == before


def test_a_group_that_is_there_stays(tree: Path) -> None:
    make_group(str(tree / "gold"))
    (tree / "gold" / "schemata").write_text("    MB:0= 20;1= 70\n    L3:0=0000f;1=000F0\n")
    made = group(closID="gold", l3CacheSchema=L3, memBwSchema=MB, enableMonitoring=True)
    text = (tree / "gold" / "schemata").read_text()
    made.create()
    made.add(4000000)
    assert (tree / "gold" / "schemata").read_text() == text, "it says so already"
    assert (tree / "gold" / "tasks").read_text() == "4000000"
    assert resctrl.destroy(made.record()) == []
    assert (tree / "gold").exists() and not (tree / "gold" / "mon_groups" / "box").exists()


@pytest.mark.parametrize(
    "wanted", [{"l3CacheSchema": "L3:0=ff"}, {"memBwSchema": "MB:2=5"}, {"schemata": ["L2:0=1"]}]
)
def test_a_group_that_says_something_else_is_refused(tree: Path, wanted: dict[str, Any]) -> None:
    make_group(str(tree / "gold"))
    (tree / "gold" / "schemata").write_text(f"{L3}\n{MB}\n")
    found = refused(closID="gold", **wanted)
    assert found.pointer == "/linux/intelRdt/closID" and "exists and says" in found.message
    assert (tree / "gold" / "schemata").read_text() == f"{L3}\n{MB}\n"


def test_the_root_group(tree: Path) -> None:
    made = group(closID="/", enableMonitoring=True)
    made.create()
    made.add(4000000)
    assert (tree / "tasks").read_text() == (tree / "mon_groups" / "box" / "tasks").read_text() == "4000000"
    assert resctrl.destroy(made.record()) == []
    assert (tree / "schemata").exists() and not (tree / "mon_groups" / "box").exists()


def test_a_class_of_service_without_schemata_must_be_there(tree: Path) -> None:
    found = refused(closID="gold")
    assert "does not exist" in found.message and found.pointer == "/linux/intelRdt/closID"
    assert refused(closID="gold", schemata=["", " "]).message == found.message
    make_group(str(tree / "gold"))
    group(closID="gold").create()


@pytest.mark.parametrize(
    ("wanted", "gone", "words"),
    [
        ({"l3CacheSchema": L3}, "info/L3", "Intel RDT/CAT is not enabled"),
        ({"memBwSchema": MB}, "info/MB", "Intel RDT/MBA is not enabled"),
        ({"enableMonitoring": True}, "info/L3_MON", "Intel RDT/CMT and MBM is not enabled"),
    ],
)
def test_what_the_cpu_does_not_have(tree: Path, wanted: dict[str, Any], gone: str, words: str) -> None:
    group(**wanted)
    (tree / gone).rmdir()
    assert refused(**wanted).message == words
    if gone == "info/L3":
        (tree / "info/L3CODE").mkdir()  # code and data apart
        group(**wanted)


def test_without_resctrl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resctrl, "ROOT", str(tmp_path))
    found = refused()
    assert "not available" in found.message and found.pointer == "/linux/intelRdt" and found.hint


def test_the_kernels_own_words(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "info" / "last_cmd_status").write_text("Mask out of range\n")

    def write(path: str, data: bytes) -> None:
        raise OSError(errno.EINVAL, path)

    monkeypatch.setattr(files, "write", write)
    made = group(l3CacheSchema="L3:0=fffffffff")
    with pytest.raises(OciError) as caught:
        made.create()
    assert (caught.value.hint, caught.value.errno) == ("Mask out of range", errno.EINVAL)
    assert resctrl.destroy(made.record()) == [] and not (tree / "box").exists(), (
        "as if nothing had been tried"
    )


def test_no_class_of_service_left(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: str) -> None:
        raise OSError(errno.ENOSPC, path)

    monkeypatch.setattr(resctrl, "make_directory", full)
    assert "in use" in refused().hint


def test_a_group_made_by_another_meanwhile_is_not_ours(tree: Path) -> None:
    one, other = group(closID="gold", memBwSchema=MB), group(closID="gold", memBwSchema=MB)
    other.create()
    one.create()
    assert resctrl.destroy(one.record()) == [] and (tree / "gold").exists()
    assert resctrl.destroy(other.record()) == [] and not (tree / "gold").exists()


def test_only_what_was_made_is_removed(tree: Path) -> None:
    """By device and inode: the name may be another's by now."""
    made = group(closID="gold", memBwSchema=MB)
    made.create()
    (tree / "gold").rename(tree / "old")
    make_group(str(tree / "gold"))
    assert resctrl.destroy(made.record()) == [f"{tree}/gold is not the one that was made for the container"]
    assert (tree / "gold").exists()


def test_a_group_that_others_have_joined_is_left_alone(tree: Path) -> None:
    made = group(closID="gold", memBwSchema=MB)
    made.create()
    (tree / "gold" / "tasks").write_text(f"4000000\n{os.getpid()}\n")
    assert resctrl.destroy(made.record()) == [f"{tree}/gold has processes of others"]
    dead = os.fork()
    if dead == 0:
        os._exit(0)
    os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
    (tree / "gold" / "tasks").write_text(f"{dead}\n")
    assert resctrl.destroy(made.record()) == [], (
        "one that its parent has not asked for yet is no process any more"
    )
    os.waitpid(dead, 0)


@pytest.mark.parametrize("made", [[], ["gold"], ["gold", "gold/mon_groups/box"]])
def test_after_a_create_that_was_killed(tree: Path, made: list[str]) -> None:
    """The intent record has no ids: what was not there before goes, unless it has processes."""
    record = group(closID="gold", memBwSchema=MB, enableMonitoring=True).record()
    before = sorted(tree.rglob("*"))
    for path in made:
        make_group(str(tree / path))
    if made == ["gold"]:
        (tree / "gold" / "tasks").write_text(f"{os.getpid()}\n")
        assert resctrl.destroy(record) == [f"{tree}/gold has processes of others"]
        (tree / "gold" / "tasks").write_text("")
    assert resctrl.destroy(record) == []
    assert sorted(tree.rglob("*")) == before


def test_where_the_record_is_lost(tree: Path) -> None:
    """What bears the container's name was made for it; a class of service with a name of its own may be anybody's."""
    for wanted, name in (({}, "box"), ({"closID": "gold"}, "gold")):
        make_group(str(tree / name))
        make_group(str(tree / name / "mon_groups" / "box"))
        assert resctrl.destroy(resctrl.salvaged(wanted, "box")) == []  # type: ignore[arg-type]
    assert not (tree / "box").exists()
    assert (tree / "gold").exists() and not (tree / "gold" / "mon_groups" / "box").exists()


def test_the_record_is_written_and_read(tree: Path) -> None:
    record = Record("box")
    made = group(closID="gold", memBwSchema=MB, enableMonitoring=True)
    made.create()
    record.rdt = made.record()
    assert Record.from_json(record.as_json().encode(), "box").rdt == made.record()
    record.rdt = None
    assert Record.from_json(record.as_json().encode(), "box").rdt is None
    old = record.as_json().replace('"rdt"', '"other"').encode()
    assert Record.from_json(old, "box").rdt is None, "a record of a version that had none"


@pytest.mark.parametrize(
    "change",
    [
        {"group": "/etc"},
        {"group": "{root}/../etc"},
        {"group": "{root}2/x"},
        {"group": "{root}/a//b"},
        {"group": None},
        {"monitor": "/etc"},
        {"monitor": 5},
        {"kept": ["/etc"]},
        {"kept": None},
        {"ids": {"/etc": [1, 2]}},
        {"ids": {"{root}/x": [1]}},
        {"ids": []},
    ],
    ids=str,
)
def test_a_forged_record_leads_nowhere(tree: Path, change: dict[str, Any]) -> None:
    record = Record("box")
    good: dict[str, Any] = {"group": f"{tree}/x", "monitor": "", "kept": [], "ids": {f"{tree}/x": [1, 2]}}
    record.rdt = cast("GroupRecord", good)
    text = record.as_json()
    read = Record.from_json(text.encode(), "box")
    assert read.rdt == cast("GroupRecord", good)
    forged = good | change
    record.rdt = cast("GroupRecord", forged)
    with pytest.raises(ValueError, match="rdt"):
        Record.from_json(record.as_json().replace("{root}", str(tree)).encode(), "box")


def test_what_plan_shows(tree: Path) -> None:
    assert group(closID="gold", memBwSchema=MB, enableMonitoring=True).outline() == [
        ("mkdir", f"{tree}/gold", ""),
        ("write", f"{tree}/gold/schemata", MB),
        ("mkdir", f"{tree}/gold/mon_groups/box", ""),
        ("write", f"{tree}/gold/tasks", "PID"),
        ("write", f"{tree}/gold/mon_groups/box/tasks", "PID"),
    ]
    assert group(closID="/").outline() == [("write", f"{tree}/tasks", "PID")]
