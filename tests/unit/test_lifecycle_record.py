"""What a state.json may hold: every field's type and range, and the versions."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyoci import __version__
from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.lifecycle import store
from pyoci.lifecycle.record import FORMAT, Record

PLACE = "/sys/fs/cgroup/memory/x"
V1: dict[str, Any] = {
    "manager": "v1",
    "paths": {"memory": PLACE},
    "rootless": False,
    "kept": [PLACE],
    "ids": {PLACE: [5, 7]},
}
V2: dict[str, Any] = {"manager": "v2", "path": "/sys/fs/cgroup/x", "rootless": False}
SYSTEMD: dict[str, Any] = {"manager": "systemd", "unit": "pyoci-x.scope", "user": False, "inner": V2}
PATHS: list[Any] = [
    "/", "/..", "/home", "/sys/fs/cgroup", "/sys/fs/cgroup/", "/sys/fs/cgroup/..", "/sys/fs/cgroup/memory/../..",
    "/sys/fs/cgroup/a/./b",    "/sys/fs/cgroup//a",
    "/sys/fs/cgroup/a/", "/sys/fs/cgroup/a\0b", "/sys/fs/cgroupx/a", "sys/fs/cgroup/a", 5, None, [], "",
]  # fmt: skip
HOSTILE: dict[str, list[Any]] = {
    "rdt": [5, "", [], {}, {"group": 5, "monitor": "", "kept": [], "ids": {}}],
    "format": [0, -1, "1", None, 1.0, True],
    "id": ["", "other", "..", "x/..", 5, None],
    "status": ["", "paused", "stopped", 5, None, []],
    "bundle": [5, None, "relative", "/a\0b"],
    "rootfs": [5, None, "relative", "/a\0b"],
    "created": [5, None, "a\0"],
    "annotations": [5, None, [], {"a": 5}, {"a": None}],
    "creator": [5, None, [], [1], [1, 2, 3], ["1", "2"], [-1, 0], [1, -1], [1 << 40, 1]],
    "pid": ["1", None, -1, 1 << 23, 1.5, True, [1]],
    "start": ["1", None, -1, 1 << 64, 1.5, True],
    "hooks": [5, None, {"poststop": []}, ["createRuntime"], [{}]],
    "late": [5, None, [5], [[]], [[0, "a", "b"]], [[-1, "a", "b", "c"]], [[1 << 40, "a", "b", "c"]], [[0, "a", 5, "c"]]],
    "flags": [5, None, [], {"host_pid": "yes"}, {"host_pid": 1}],
    "trace": [5, None, "relative", "/a\0b"],
    "cgroup": [
        5, [], {}, {"manager": "v3"}, {**V1, "paths": None}, {**V1, "rootless": 1}, {**V1, "ids": []},
        {**V1, "ids": {PLACE: [1]}},        {**V1, "ids": {PLACE: [1, -1]}}, {**V1, "ids": {"/etc": [1, 1]}},
        {**V1, "kept": "x"}, {**SYSTEMD, "inner": None},
        {**SYSTEMD, "unit": "../x"}, {**SYSTEMD, "unit": ""}, {**SYSTEMD, "user": None}, {**SYSTEMD, "inner": SYSTEMD},
        *({**V1, "paths": {"memory": path}} for path in PATHS), *({**V1, "kept": [path]} for path in PATHS),
        *({**V2, "path": path} for path in PATHS if path != ""),
    ],
}  # fmt: skip


def good() -> dict[str, Any]:
    record = Record("x", bundle="/b", rootfs="/b/rootfs", creator=(1, 2))
    record.pid, record.start, record.status = 7, 8, "created"
    values: dict[str, Any] = json.loads(record.as_json())
    return values


@pytest.mark.parametrize("cgroup", [None, V1, V2, {**V2, "path": ""}, SYSTEMD])
def test_what_is_written_can_be_read(cgroup: Any) -> None:
    values = {**good(), "cgroup": cgroup}
    found = Record.from_json(json.dumps(values).encode(), "x")
    assert json.loads(found.as_json()) == values
    assert (values["format"], values["version"]) == (FORMAT, __version__)


@pytest.mark.parametrize("name", list(good()))
def test_every_field_has_its_hostile_values(name: str) -> None:
    assert name == "version" or name in HOSTILE


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in HOSTILE.items() for value in values]
)
def test_a_hostile_value_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    store.create(Context(), str(tmp_path), "x").close()
    (tmp_path / "x" / "state.json").write_text(json.dumps({**good(), name: value}))
    with pytest.raises(OciError) as caught:
        store.open(Context(), str(tmp_path), "x", lock=False)
    assert caught.value.code == "state-damaged"


@pytest.mark.parametrize("raw", ["", "[]", "5", "null", "{}", '{"format":2}', "[" * 5000])
def test_what_is_no_record_is_refused(raw: str) -> None:
    with pytest.raises(ValueError):
        Record.from_json(raw.encode(), "x")


@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in ("trace", "rdt")])
def test_every_field_must_be_there(name: str) -> None:
    values = good()
    del values[name]
    with pytest.raises(ValueError):
        Record.from_json(json.dumps(values).encode(), "x")


def test_a_newer_record_is_refused_with_both_versions(tmp_path: Path) -> None:
    store.create(Context(), str(tmp_path), "x").close()
    (tmp_path / "x" / "state.json").write_text(json.dumps({"format": FORMAT + 1, "version": "9.8.7"}))
    with pytest.raises(OciError) as caught:
        store.open(Context(), str(tmp_path), "x", lock=False, damaged=True)
    assert caught.value.code == "state-newer"
    assert "pyoci 9.8.7" in caught.value.message and f"this is pyoci {__version__}" in caught.value.message


def test_a_name_in_a_newer_record_is_not_printed_raw() -> None:
    values = {"format": FORMAT + 1, "version": "\x1b[31m"}
    with pytest.raises(OciError, match="a newer version"):
        Record.from_json(json.dumps(values).encode(), "x")


@pytest.mark.parametrize("name", ["state.json", "config.json"])
def test_only_a_regular_file_is_read(tmp_path: Path, name: str) -> None:
    """A fifo in its place would keep the reader waiting, a link would lead elsewhere."""
    entry = store.create(Context(), str(tmp_path), "x")
    entry.save()
    entry.close()
    (tmp_path / "elsewhere").write_text(json.dumps({"ociVersion": "1.0.0"}))
    for make in (os.mkfifo, lambda at: at.symlink_to(tmp_path / "elsewhere")):
        place = tmp_path / "x" / name
        place.unlink(missing_ok=True)
        make(place)
        with pytest.raises(OciError) as caught:
            store.open(Context(), str(tmp_path), "x", lock=False).config()
        assert caught.value.code == "state-damaged"


def test_what_is_no_fifo_gets_no_byte(tmp_path: Path) -> None:
    entry = store.create(Context(), str(tmp_path), "x")
    target = tmp_path / "target"
    target.write_text("as it was")
    (tmp_path / "x" / "start").symlink_to(target)
    assert not entry.waits()
    (tmp_path / "x" / "start").unlink()
    (tmp_path / "x" / "start").write_text("as it was")
    assert not entry.waits()
    entry.close()
