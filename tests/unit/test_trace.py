"""What --trace measures and writes, without a container."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from pyoci._ops import STEPS, Op
from pyoci._shim import ffi, lib
from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.base.spans import Spans
from pyoci.init import start_answer
from pyoci.trace import recorder

MS = 1_000_000


@pytest.fixture
def context() -> Context:
    return Context()


OPS = [
    Op("fsmount", "/mounts/0", "tmpfs on /t"),
    Op("hook", "/hooks/createContainer/0", "createContainer hook /h"),
    Op("ready", "", "ready"),
    Op("seccomp", "/linux/seccomp", "filter of 3 instructions"),
    Op("capset", "/process/capabilities", "capabilities"),
    Op("execve", "/process/args", "exec /bin/true"),
]


def events(path: Path) -> list[dict[str, Any]]:
    return [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]


# -- the stopwatch ---------------------------------------------------------------------------------------------------------


def test_switched_off_nothing_is_kept() -> None:
    spans = Spans()
    spans.lap("a")
    spans.within(spans.now(), "b")
    assert spans.measured is None
    assert spans.now() == 0


def test_steps_follow_each_other_without_gaps() -> None:
    spans = Spans()
    spans.begin()
    spans.lap("one", "/pointer")
    spans.lap("two", kind="idle")
    assert spans.measured is not None
    assert [(span.name, span.pointer, span.kind) for span in spans.measured] == [
        ("start of the runtime", "", "runtime"),
        ("one", "/pointer", "runtime"),
        ("two", "", "idle"),
    ]
    assert [span.began for span in spans.measured[1:]] == [span.ended for span in spans.measured[:-1]]
    worked = [span.worked for span in spans.measured]
    assert [each and each[0] for each in worked[1:]] == [each and each[1] for each in worked[:-1]]


def test_the_first_step_is_as_long_as_the_process_has_worked() -> None:
    spans = Spans()
    used = time.process_time_ns()
    spans.begin()
    assert spans.measured is not None
    first = spans.measured[0]
    worked = first.worked
    assert worked is not None and worked[0] == 0 and used <= worked[1] <= time.process_time_ns()
    assert used <= first.ended - first.began <= time.process_time_ns() + 50 * MS


def test_a_part_does_not_end_the_step() -> None:
    spans = Spans()
    spans.begin()
    began = spans.now()
    spans.within(began, "part", "/p", "hook")
    spans.lap("whole")
    assert spans.measured is not None
    part, whole = spans.measured[1:]
    assert (part.name, part.pointer, part.kind, part.began) == ("part", "/p", "hook", began)
    assert part.worked is None and whole.worked is not None
    assert whole.began <= part.began <= part.ended <= whole.ended


# -- the file --------------------------------------------------------------------------------------------------------------


def begun(context: Context, path: Path) -> recorder.Trace:
    made = recorder.begin(context, str(path), "run", "box")
    made.init_started(4711)
    return made


def test_what_the_init_tells(context: Context, tmp_path: Path) -> None:
    made = begun(context, tmp_path / "t")
    base = context.spans.now()
    made.ops_ended("prepare", OPS, 0, [base, base + MS, base + 5 * MS])
    made.ops_ended("finish", OPS, 2, [base + 6 * MS, base + 8 * MS])
    made.save()
    birth, mount, hook, ready = [event for event in events(tmp_path / "t") if event["pid"] == 4711]
    assert birth["name"] == "start of the init"
    assert mount["args"] == {"pointer": "/mounts/0", "op": "fsmount", "plan": "prepare"}
    assert (mount["name"], mount["cat"], mount["dur"]) == ("tmpfs on /t", "op", 1000.0)
    assert mount["ts"] == pytest.approx(birth["ts"] + birth["dur"], abs=0.01)
    assert (hook["cat"], hook["dur"], ready["cat"], ready["dur"]) == ("hook", 4000.0, "idle", 2000.0)
    assert hook["ts"] - mount["ts"] == pytest.approx(1000, abs=0.01)


def test_filter_and_program_are_one_event(context: Context, tmp_path: Path) -> None:
    made = begun(context, tmp_path / "t")
    made.ops_ended("finish", OPS, 2, [context.spans.now(), context.spans.now()])
    made.program_started("finish", OPS)
    made.save()
    last = events(tmp_path / "t")[-1]
    assert last["name"] == "filter of 3 instructions, capabilities, exec /bin/true"
    assert last["args"] == {"pointer": "/process/args", "op": "seccomp, capset, execve", "plan": "finish"}


def test_without_a_filter_the_program_stands_alone(context: Context, tmp_path: Path) -> None:
    made = begun(context, tmp_path / "t")
    made.program_started("finish", [OPS[0], OPS[5]])
    made.save()
    assert events(tmp_path / "t")[-1]["name"] == "exec /bin/true"


def test_failed_op(context: Context, tmp_path: Path) -> None:
    made = begun(context, tmp_path / "t")
    now = context.spans.now()
    made.ops_ended("prepare", OPS, 0, [now, now + 1])
    made.op_failed("prepare", OPS[1])
    made.save()
    last = events(tmp_path / "t")[-1]
    assert (last["name"], last["args"]["pointer"]) == ("createContainer hook /h", "/hooks/createContainer/0")


def test_document(context: Context, tmp_path: Path) -> None:
    made = begun(context, tmp_path / "t")
    context.spans.lap("load", "/x")
    made.ops_ended("early", OPS, 0, [context.spans.now(), context.spans.now()])
    made.save()
    document = json.loads((tmp_path / "t").read_text())
    assert document["otherData"]["id"] == "box"
    age = time.time_ns() - document["otherData"]["began"]
    assert 0 <= age < 60_000 * MS + time.process_time_ns()  # it began when this process had not worked yet
    titles = {event["args"]["name"]: event["pid"] for event in document["traceEvents"] if event["ph"] == "M"}
    assert set(titles) == {"pyoci run", "init of box"} and titles["init of box"] == 4711
    for event in document["traceEvents"]:
        assert event["tid"] == event["pid"]
        if event["ph"] == "X":
            steps_only = {"tts", "tdur"} if event["cat"] == "runtime" else set()
            assert set(event) == {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"} | steps_only
            assert event["ts"] >= 0 and event["dur"] >= 0
    load = next(event for event in document["traceEvents"] if event["name"] == "load")
    assert load["args"] == {"pointer": "/x"}


def test_a_clock_that_was_set_back_makes_no_negative_times(context: Context, tmp_path: Path) -> None:
    made = begun(context, tmp_path / "t")
    now = context.spans.now()
    made.ops_ended("early", OPS, 0, [now, now - 5])
    made.save()
    assert events(tmp_path / "t")[-1]["dur"] == 0


def test_start_goes_on_where_create_ended(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "t"
    begun(context, path).save()
    first = json.loads(path.read_text())
    later = Context()
    more = recorder.begin_start(later, str(path), "box", 4711)
    now = later.spans.now()
    more.ops_ended("finish", OPS, 2, [now, now + MS])
    more.save()
    second = json.loads(path.read_text())
    assert second["otherData"] == first["otherData"]
    assert second["traceEvents"][: len(first["traceEvents"])] == first["traceEvents"]
    added = [event for event in second["traceEvents"][len(first["traceEvents"]) :] if event["ph"] == "X"]
    assert [event["name"] for event in added] == ["start of the runtime", "ready"]
    assert added[1]["ts"] == pytest.approx((now - first["otherData"]["began"]) / 1000, abs=0.01)


@pytest.mark.parametrize("spoiled", [b"", b"{}", b"[1]", b"\xff", b'{"traceEvents":[]}'])
def test_start_leaves_a_file_alone_that_is_not_the_trace_of_its_create(
    context: Context, tmp_path: Path, spoiled: bytes
) -> None:
    """Its name comes from the record, which may be damaged."""
    path = tmp_path / "t"
    path.write_bytes(spoiled)
    recorder.begin_start(context, str(path), "box", 1).save()
    assert path.read_bytes() == spoiled
    path.unlink()
    recorder.begin_start(context, str(path), "box", 1).save()
    assert not path.exists()
    begun(context, path).save()
    before = path.read_bytes()
    recorder.begin_start(context, str(path), "another", 1).save()
    assert path.read_bytes() == before


def test_path_is_seen_from_where_the_command_was_called(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = recorder.begin(context, "t", "run", "box")
    assert made.path == str(tmp_path / "t")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    made.save()
    assert events(tmp_path / "t")


def test_what_can_not_be_written_is_said_before_anything_is_done(context: Context, tmp_path: Path) -> None:
    for path, text in (
        ("/missing/t", "no such file"),
        ("/dev/null", "not a regular file"),
        (str(tmp_path), "not a regular file"),
    ):
        with pytest.raises(OciError) as caught:
            recorder.begin(context, path, "run", "box")
        assert caught.value.code == "trace-file"
        assert text in caught.value.text()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OciError):
        recorder.begin(context, str(tmp_path / "link"), "run", "box")
    assert not (tmp_path / "target").exists()


def test_a_file_that_can_not_be_written_later_is_a_warning(
    context: Context, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    made = recorder.begin(context, str(folder / "t"), "run", "box")
    (folder / "t").unlink()
    folder.rmdir()
    made.save()
    assert b"trace file" in capfdbinary.readouterr().err


# -- what comes through the fifo -----------------------------------------------------------------------------------------------


LATE: list[list[int | str]] = [
    [3, "wait_start", "", "wait for start"],
    [4, "hook", "/hooks/startContainer/0", "startContainer hook /h"],
    [5, "execve", "/process/args", "exec /x"],
]


def reply(kind: int, index: int, error: int = 0, text: bytes = b"", step: str = "") -> bytes:
    fields = {"kind": kind, "step": STEPS.index(step), "op": index, "error": error, "length": len(text)}
    head = ffi.new("struct plan_reply *", fields)
    return bytes(ffi.buffer(head)) + text


def times(*values: int) -> bytes:
    return b"".join(value.to_bytes(8, "little") for value in values)


def test_failure_behind_start() -> None:
    words = b"exit status 3, stdout: a\n b, stderr: no"
    error = start_answer.read(reply(lib.REPLY_ERROR, 4, 0, words, "hook"), LATE, None)
    assert error is not None
    assert (error.pointer, error.message) == (
        "/hooks/startContainer/0",
        "error running startContainer hook #0: exit status 3, stdout: a |  b, stderr: no",
    )


def test_times_behind_start(context: Context, tmp_path: Path) -> None:
    begun(context, tmp_path / "t").save()
    made = recorder.begin_start(context, str(tmp_path / "t"), "box", 4711)
    now = context.spans.now()
    data = reply(lib.REPLY_TIMES, 2, 0, times(now, now + MS, now + 2 * MS))
    data += reply(lib.REPLY_TIMES, 4, 0, times(now + 2 * MS, now + 5 * MS))
    assert start_answer.read(data, LATE, made) is None
    made.save()
    found = [event for event in events(tmp_path / "t") if event["pid"] == 4711]
    assert [event["name"] for event in found] == [
        "ready",
        "wait for start",
        "startContainer hook /h",
        "exec /x",
    ]
    assert [event["cat"] for event in found] == ["idle", "idle", "hook", "op"]
    assert found[2]["dur"] == 3000.0


def test_times_and_then_a_failure(context: Context, tmp_path: Path) -> None:
    begun(context, tmp_path / "t").save()
    made = recorder.begin_start(context, str(tmp_path / "t"), "box", 4711)
    now = context.spans.now()
    data = reply(lib.REPLY_TIMES, 2, 0, times(now, now + MS, now + 2 * MS))
    data += reply(lib.REPLY_ERROR, 4, 0, b"exit status 1: ", "hook")
    assert start_answer.read(data, LATE, made) is not None
    made.save()
    assert events(tmp_path / "t")[-1]["name"] == "startContainer hook /h"


@pytest.mark.parametrize(
    "data",
    [
        b"\1\2\3",
        reply(lib.REPLY_ERROR, 99, 2, b"", "open"),
        reply(lib.REPLY_TIMES, 99, 0, times(1, 2)),
        reply(lib.REPLY_TIMES, 2, 0, times(1)),
        reply(lib.REPLY_TIMES, 2, 0, times(1, 2))[:-1],
    ],
)
def test_answer_that_makes_no_sense(context: Context, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(OciError) as caught:
        start_answer.read(data, LATE, recorder.begin_start(context, str(tmp_path / "t"), "box", 4711))
    assert caught.value.code == "init-died"
