"""doctor: the report, the state directory, and what counts as left over."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from pyoci import doctor
from pyoci.base.context import Context
from pyoci.doctor import leftovers, show, store
from pyoci.doctor.check import NO, UNKNOWN, YES, Check, Leftover, Report
from pyoci.lifecycle import store as state
from pyoci.lifecycle.record import Record


def entry(root: Path, id: str, *, creating: bool = False, alive: bool = False, bundle: str = "/") -> None:
    """A container in the store, without any process of its own."""
    root.mkdir(exist_ok=True)
    made = state.create(Context(), str(root), id)
    record = made.record = Record(
        id, bundle=bundle, rootfs="/", creator=(os.getpid(), state.start_time(os.getpid()))
    )
    if not alive:
        record.creator = (1, 0)
    if not creating:
        record.status = "created"
        record.pid, record.start = os.getpid(), state.start_time(os.getpid()) - (not alive)
    made.save()
    made.close()


REPORT = Report(
    "/run/x",
    [
        Check("kernel", "fsopen", YES, needed=True),
        Check(
            "kernel",
            "time namespaces",
            NO,
            "unshare: invalid argument",
            "linux.timeOffsets",
            "a newer kernel",
        ),
        Check("tools", "criu check", UNKNOWN, "only root can run it"),
    ],
)


def test_the_table_says_why_and_what_it_costs() -> None:
    lines = show.as_text(REPORT).splitlines()
    assert lines[:3] == ["kernel", "  yes      fsopen", lines[2]]
    assert lines[2].split("  ")[1] == "no" and lines[2].endswith("  unshare: invalid argument")
    assert lines[3].split() == ["costs:", "linux.timeOffsets"]
    assert lines[4].split() == ["do:", "a", "newer", "kernel"]
    assert "  unknown  criu check" in lines[7]
    assert "  none in /run/x" in lines and "Ordinary containers run here." in lines


def test_what_is_needed_and_missing_is_named_at_the_end() -> None:
    report = Report("/r", [*REPORT.checks, Check("state", "/r is writable", NO, needed=True)])
    assert not report.ready and REPORT.ready
    assert "Ordinary containers do not run here: /r is writable" in show.as_text(report)


def test_json_has_everything() -> None:
    found = json.loads(show.as_json(Report("/r", REPORT.checks, [Leftover("container", "a", "why")])))
    assert found["ready"] is True and found["root"] == "/r"
    assert found["checks"][1] == {
        "area": "kernel",
        "name": "time namespaces",
        "result": "no",
        "why": "unshare: invalid argument",
        "cost": "linux.timeOffsets",
        "hint": "a newer kernel",
        "needed": False,
    }
    assert found["leftovers"] == [
        {"kind": "container", "name": "a", "why": "why", "removed": False, "failure": ""}
    ]


def test_names_from_elsewhere_cannot_write_to_the_terminal() -> None:
    report = Report("/r", [], [Leftover("container", "a\x1b[31m", "why\n")])
    assert "\x1b" not in show.as_text(report) and "why\\n" in show.as_text(report)


@pytest.mark.parametrize(
    ("ready", "failure", "status"), [(True, "", 0), (False, "", 1), (True, "busy", 1), (False, "busy", 1)]
)
def test_exit_status(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    ready: bool,
    failure: str,
    status: int,
) -> None:
    checks = [] if ready else [Check("kernel", "x", NO, needed=True)]
    report = Report("/r", checks, [Leftover("container", "a", "why")])
    monkeypatch.setattr(doctor, "examine", lambda context, root: report)

    def remove(context: Context, root: str, leftover: Leftover) -> None:
        leftover.removed, leftover.failure = not failure, failure

    monkeypatch.setattr(leftovers, "remove", remove)
    assert doctor.main(Context(), "/r", fmt="text", fix=True) == status
    assert ("removed" if not failure else "can't be removed: busy") in capfd.readouterr().out


def test_nothing_is_removed_without_fix(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    entry(tmp_path / "r", "dead")
    doctor.main(Context(), str(tmp_path / "r"), fmt="json", fix=False)
    assert json.loads(capfd.readouterr().out)["leftovers"][0]["name"] == "dead"
    assert (tmp_path / "r" / "dead").is_dir()


def test_what_counts_as_left_over(tmp_path: Path) -> None:
    root = tmp_path / "r"
    entry(root, "running", alive=True)
    entry(root, "being-made", creating=True, alive=True)
    entry(root, "half-made", creating=True)
    entry(root, "stopped")
    entry(root, "homeless", bundle="/nonexistent/bundle")
    entry(root, "damaged")
    (root / "damaged" / "state.json").write_text("{")
    (root / "foreign.txt").write_text("")
    (root / "bare").mkdir()
    found = {item.name: item.why for item in leftovers._containers(Context(), str(root))}
    assert set(found) == {"half-made", "stopped", "homeless", "damaged", "bare"}
    assert "never finished" in found["half-made"] and "never finished" in found["bare"]
    assert "never deleted" in found["stopped"] and "/nonexistent/bundle" in found["homeless"]


def test_what_somebody_works_on_is_left_alone(tmp_path: Path) -> None:
    entry(tmp_path / "r", "stopped")
    fd = os.open(tmp_path / "r" / "stopped", os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert leftovers._containers(Context(), str(tmp_path / "r")) == []
    os.close(fd)
    assert len(leftovers._containers(Context(), str(tmp_path / "r"))) == 1


def test_fix_removes_the_dead_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "r"
    for id in ("half-made", "stopped", "damaged"):
        entry(root, id, creating=id == "half-made")
    (root / "damaged" / "state.json").write_text("[]")
    entry(root, "running", alive=True)
    found = leftovers._containers(Context(), str(root))
    for item in found:
        leftovers.remove(Context(), str(root), item)
    assert [(item.removed, item.failure) for item in found] == [(True, "")] * 3
    assert os.listdir(root) == ["running"]


def test_one_that_lives_after_all_is_not_removed(tmp_path: Path) -> None:
    entry(tmp_path / "r", "x", alive=True)
    item = Leftover("container", "x", "it seemed dead")
    leftovers.remove(Context(), str(tmp_path / "r"), item)
    assert not item.removed and "not stopped" in item.failure


def test_one_that_is_gone_already_counts_as_removed(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    item = Leftover("container", "x", "why")
    leftovers.remove(Context(), str(tmp_path / "r"), item)
    assert item.removed


def test_a_failed_removal_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(context: Context, root: str, id: str, *, force: bool) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(leftovers, "delete", refuse)
    item = Leftover("container", "x", "why")
    leftovers.remove(Context(), str(tmp_path), item)
    assert (item.removed, item.failure) == (False, "permission denied")


def test_state_directory_that_can_be_made(tmp_path: Path) -> None:
    found = store.checks(str(tmp_path / "a" / "b"), given=False)
    assert (found[0].result, found[0].why) == (YES, "it will be made")
    assert not (tmp_path / "a").exists()


def test_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = store.checks(str(tmp_path / "file" / "root"), given=False)
    assert len(found) == 1 and found[0].fatal and "no directory" in found[0].why


@pytest.mark.parametrize(
    ("mode", "result"), [(0o700, YES), (0o1777, NO), (0o777, NO), (0o775, YES), (0o755, YES)]
)
def test_who_may_write_into_the_state_directory(tmp_path: Path, mode: int, result: str) -> None:
    tmp_path.chmod(mode)
    assert store._private(str(tmp_path), given=False).result == result


def test_file_systems_by_their_mount_point(tmp_path: Path) -> None:
    assert store._file_system("/proc/sys")[0] in ("proc", "sysfs")
    assert store._file_system("/proc")[1] == "/proc"
    assert store._file_system("/procession")[1] == "/"
