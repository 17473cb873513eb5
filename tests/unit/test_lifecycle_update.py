"""update, ps and the state "paused", as far as they need no container."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyoci import cgroups
from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.cgroups import freezer, resources, writer
from pyoci.cli import refusal
from pyoci.cli import update as command
from pyoci.cli.table import COMMANDS, NAME, NAMES, OPTIONS
from pyoci.lifecycle import ps, store, update
from pyoci.lifecycle.record import Record as ContainerRecord
from pyoci.spec import fast
from pyoci.spec.problem import RefusedDocument
from pyoci.validate import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroups.records import Record, V1Record, V2Record
    from pyoci.spec.spec_types import Resources


# -- options


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("67108864", 64 << 20),
        ("64M", 64 << 20),
        ("64mb", 64 << 20),
        ("64 MiB", 64 << 20),
        ("1.5g", 3 << 29),
        ("1k", 1024),
        ("12b", 12),
        ("1T", 1 << 40),
        ("9223372036854775807", (1 << 63) - 1),
        ("-1", -1),
    ],
)
def test_sizes(text: str, bytes_: int) -> None:
    assert command.size("memory", text) == bytes_


@pytest.mark.parametrize(
    "text", ["x", "64x", "-2", "1.5.2", "9223372036854775808", "9999P", "6 4", "٤", "1e3", "0x10"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(OciError) as caught:
        command.size("memory_swap", text)
    assert caught.value.code == "usage" and "invalid value for memory-swap" in caught.value.message


def test_options_become_resources() -> None:
    values = {
        "memory": "64M",
        "memory_reservation": "1M",
        "memory_swap": "-1",
        "cpu_share": "512",
        "cpu_quota": "-1",
        "cpu_idle": "0",
        "cpuset_cpus": "0-1",
        "pids_limit": "-1",
        "blkio_weight": "300",
    }
    assert command.from_options(Context(), values) == {
        "memory": {"limit": 64 << 20, "reservation": 1 << 20, "swap": -1},
        "cpu": {"shares": 512, "quota": -1, "idle": 0, "cpus": "0-1"},
        "pids": {"limit": -1},
        "blockIO": {"weight": 300},
    }
    assert command.from_options(Context(), {"memory": "", "cpu_quota": ""}) == {}


@pytest.mark.parametrize("key", ["cpu_share", "cpu_period", "pids_limit", "blkio_weight", "cpu_quota"])
@pytest.mark.parametrize("text", ["many", "1.5", "--1", "99999999999999999999", " 1"])
def test_what_is_no_number(key: str, text: str) -> None:
    with pytest.raises(OciError, match="invalid value for"):
        command.from_options(Context(), {key: text})


def test_the_options_of_runc_are_there() -> None:
    wanted = {
        "update": "resources r blkio-weight cpu-period cpu-quota cpu-burst cpu-share cpu-rt-period cpu-rt-runtime "
        "cpuset-cpus cpuset-mems kernel-memory kernel-memory-tcp memory memory-reservation memory-swap "
        "pids-limit l3-cache-schema mem-bw-schema cpu-idle",
        "ps": "format f",
        "pause": "",
        "resume": "",
    }
    known = {entry[NAME]: {name for option in entry[OPTIONS] for name in option[NAMES]} for entry in COMMANDS}
    for verb, names in wanted.items():
        assert set(names.split()) <= known[verb], verb


# -- the document


def test_documents() -> None:
    assert fast.load_resources(b'{"memory":{"limit":1,"swap":null},"other":[1]}') is not None
    for raw in (
        b"",
        b"[]",
        b'{"memory":[]}',
        b'{"memory":{"limit":"1"}}',
        b'{"pids":{"limit":0.5}}',
        b"\xff",
    ):
        assert fast.load_resources(raw) is None
        refusal = explain.refusal(raw, "FILE", kind="resources")
        assert refusal.code != "config-invalid" and refusal.message.startswith("FILE"), raw


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "resources.json"
    path.write_text('{"pids": {"limit": 5}}')
    assert update.read(str(path)) == {"pids": {"limit": 5}}
    path.write_text('{"pids": {"limit": "5"}}')
    with pytest.raises(RefusedDocument) as refused:
        update.read(str(path))
    error = refusal.explained(refused.value, [])
    assert error.pointer == "/pids/limit" and f"{path}:1:" in error.message
    with pytest.raises(OciError, match="no-such") as caught:
        update.read(str(tmp_path / "no-such"))
    assert "no such file or directory" in caught.value.text()


# -- what an update completes and takes back


def held(limit: str) -> int:
    return {"quota": -1, "period": 50000, "limit": 1000}[limit]


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        ({"cpu": {"quota": 5}}, {"cpu": {"quota": 5, "period": 50000}}),
        ({"cpu": {"quota": 5, "period": 0}}, {"cpu": {"quota": 5, "period": 50000}}),
        ({"cpu": {"period": 7}}, {"cpu": {"period": 7, "quota": -1}}),
        ({"cpu": {"period": 7, "quota": 5}}, {"cpu": {"period": 7, "quota": 5}}),
        ({"memory": {"swap": 3000}}, {"memory": {"swap": 3000, "limit": 1000}}),
        ({"memory": {"limit": 10}}, {"memory": {"limit": 10}}),
        ({"cpu": {"shares": 2}, "pids": None}, {"cpu": {"shares": 2}, "pids": None}),
    ],
)
def test_completed(given: Resources, completed: Resources) -> None:
    before = json.dumps(given)
    assert resources.completed(given, held) == completed
    assert json.dumps(given) == before


def test_a_failure_takes_back_what_was_written(tmp_path: Path) -> None:
    for name, text in (("pids.max", "max\n"), ("cpu.weight", "100\n"), ("io.max", "8:0 rbps=1\n")):
        (tmp_path / name).write_text(text)
    writes = [
        ("pids.max", "5", "/p"),
        ("cpu.weight", "7", "/c"),
        ("io.max", "8:0 rbps=2", "/i"),
        ("memory.max", "9", "/linux/resources/memory/limit"),
    ]
    with pytest.raises(OciError) as caught:
        writer.write_limits(writes, lambda _name, _pointer: str(tmp_path), undo=True)
    assert caught.value.code == "cgroup-file-missing" and caught.value.obj == "memory.max"
    assert (tmp_path / "pids.max").read_text().startswith("max\n")
    assert (tmp_path / "cpu.weight").read_text().startswith("100\n")
    assert (tmp_path / "io.max").read_text().startswith("8:0 rbps=2")  # others of its lines may be in force
    with pytest.raises(OciError):
        writer.write_limits(writes, lambda _name, _pointer: str(tmp_path))
    assert (tmp_path / "pids.max").read_text().startswith("5")


# -- paused


def test_frozen_by_record(tmp_path: Path) -> None:
    state, events, freeze = (tmp_path / name for name in ("freezer.state", "cgroup.events", "cgroup.freeze"))
    v1: V1Record = {"manager": "v1", "paths": {"freezer": str(tmp_path)}, "rootless": False}
    v2: V2Record = {"manager": "v2", "path": str(tmp_path), "rootless": False}
    records: list[Record] = [v1, v2, {**v1, "paths": {}}, {**v2, "path": ""}]
    for record in records:
        assert not freezer.frozen(record)  # none of the files is there
    for text, frozen in (("THAWED\n", False), ("FREEZING\n", True), ("FROZEN\n", True)):
        state.write_text(text)
        assert freezer.frozen(v1) is frozen
        assert freezer.frozen({"manager": "systemd", "unit": "x.scope", "user": False, "inner": v1}) is frozen
    for asked, done, frozen in (
        ("0\n", "0", False),
        ("1\n", "0", True),
        ("1\n", "1", True),
        ("0\n", "1", True),
    ):
        freeze.write_text(asked)
        events.write_text(f"populated 1\nfrozen {done}\n")
        assert freezer.frozen(v2) is frozen


def test_a_cgroup_that_is_gone_needs_no_thaw(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    v1: V1Record = {"manager": "v1", "paths": {"freezer": gone}, "rootless": False}
    v2: V2Record = {"manager": "v2", "path": gone, "rootless": False}
    records: tuple[Record, ...] = (v1, v2)
    for record in records:
        manager = cgroups.from_record(record)
        manager.thaw()
        with pytest.raises(OciError, match="cannot freeze cgroup"):
            manager.freeze()


def test_status_paused(tmp_path: Path) -> None:
    (tmp_path / "freezer.state").write_text("FROZEN\n")
    pid = os.getpid()
    entry = store.create(Context(), str(tmp_path), "c")
    record = entry.record = ContainerRecord(
        "c", bundle="/b", rootfs="/b/rootfs", creator=(pid, store.start_time(pid))
    )
    record.status, record.pid, record.start = "running", pid, store.start_time(pid)
    assert entry.status() == "running"
    record.cgroup = {"manager": "v1", "paths": {"freezer": str(tmp_path)}, "rootless": False}
    assert entry.status() == "paused"
    record.start -= 1  # another process of the same pid
    assert entry.status() == "stopped"
    entry.remove()


# -- ps


def fake_ps(monkeypatch: pytest.MonkeyPatch, output: str, status: int = 0) -> list[list[str]]:
    calls: list[list[str]] = []

    def run(words: list[str], **_more: Any) -> subprocess.CompletedProcess[bytes]:
        calls.append(words[1:])
        return subprocess.CompletedProcess(
            words, status, output.encode(), b"usage: ...\nmore\n" if status else b""
        )

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("shutil.which", lambda name, path: f"/bin/{name}")
    return calls


def test_table_keeps_the_container_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_ps(monkeypatch, "UID   PID CMD\nroot   12 a b\nroot  123 c\n\nshort\n")
    assert ps.table([123, 7], []) == "UID   PID CMD\nroot  123 c\n"
    assert ps.table([], ["-x"]) == "UID   PID CMD\n"
    assert calls == [["-ef"], ["-x"]]


def test_table_without_a_pid_column(monkeypatch: pytest.MonkeyPatch) -> None:
    for output in ("", "UID CMD\n"):
        fake_ps(monkeypatch, output)
        with pytest.raises(OciError, match="couldn't find PID field in ps output"):
            ps.table([1], ["-o", "uid,cmd"])


def test_a_failing_or_missing_ps(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ps(monkeypatch, "", 1)
    with pytest.raises(OciError) as caught:
        ps.table([1], ["--what"])
    assert caught.value.message == "/bin/ps ended with exit status 1: usage: ..."
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    with pytest.raises(OciError, match=r"executable file not found in \$PATH"):
        ps.table([1], [])
