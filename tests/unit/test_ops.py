"""The ops for Python: constructors, the table of them, and their types for mypy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pyoci import _ops as ops

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "csrc" / "build"))
import ops_stub


def test_the_types_for_mypy_are_those_of_the_table() -> None:
    assert ops_stub.OUT.read_text() == ops_stub.stub(), "run csrc/build/ops_stub.py"


def test_an_op_has_its_fields() -> None:
    op = ops.mknod(path="/dev/x", mode=0o600, gid=5)
    assert (op.name, op.path, op.mode, op.device, op.uid, op.gid) == ("mknod", "/dev/x", 0o600, 0, 0, 5)
    assert op.fields() == {"path": "/dev/x", "mode": 0o600, "device": 0, "uid": 0, "gid": 5}
    assert (op.pointer, op.about) == ("", "")
    assert repr(op).startswith("<mknod {'path': '/dev/x'")
    with pytest.raises(AttributeError):
        op.nothing  # noqa: B018


def test_what_may_be_left_out_is_empty() -> None:
    assert ops.fsmount(type="a", source="b").fields() == {
        "type": "a",
        "source": "b",
        "options": [],
        "attributes": 0,
        "to": 0,
        "mode_of": 0,
    }
    one, two = ops.user(uid=0, gid=0), ops.user(uid=0, gid=0)
    one.groups.append(1)
    assert two.groups == []
    assert ops.chdir(path="/").create is False


def test_ops_that_do_the_same_are_equal_whatever_they_are_for() -> None:
    one, two = ops.umask(mask=7), ops.umask(mask=7)
    one.pointer, one.about = "/process/user/umask", "umask 0007"
    assert one == two
    assert one != ops.umask(mask=8)
    assert ops.setsid() != ops.no_new_privs()
    assert ops.setsid() != object()


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("mknod", {"path": "x"}, "mknod() needs mode"),
        ("mknod", {"path": "x", "mode": 1, "size": 2}, "mknod() has no size"),
        ("setsid", {"x": 1}, "setsid() has no x"),
    ],
)
def test_what_is_missing_or_unknown_is_refused(name: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(ops, name)(**given)
    assert str(caught.value) == words
    with pytest.raises(TypeError, match="by name"):
        getattr(ops, name)("x")


@pytest.mark.parametrize(
    "op",
    [
        ops.sethostname(hostname=b"x"),  # type: ignore[arg-type]
        ops.sethostname(hostname=1),  # type: ignore[arg-type]
        ops.execve(args=("x",), env=[]),  # type: ignore[arg-type]
        ops.execve(args=[1], env=[]),  # type: ignore[list-item]
        ops.umask(mask="7"),  # type: ignore[arg-type]
        ops.umask(mask=7.0),  # type: ignore[arg-type]
        ops.chdir(path="/", create=1),  # type: ignore[arg-type]
        ops.seccomp(filter=bytes(7)),
        ops.seccomp(filter="x"),  # type: ignore[arg-type]
        ops.user(uid=0, gid=0, groups=["x"]),  # type: ignore[list-item]
        ops.Op("execve", "/process/args", "exec x"),
    ],
    ids=repr,
)
def test_a_value_of_another_type_has_no_bytes(op: ops.Op) -> None:
    with pytest.raises(TypeError, match="is wanted"):
        ops.encode([op], 0)


def test_only_ops_have_bytes() -> None:
    for wrong in ([1], [None], [ops]):
        with pytest.raises(TypeError, match="is wanted"):
            ops.encode(wrong, 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ops.encode((), 0)  # type: ignore[arg-type]


def test_nothing_is_held_longer_than_needed() -> None:
    """References to values, whether the op is made, encoded or refused."""
    text, words, wrong = "".join(["a", "b"]), ["x"], "".join(["a", "\0"])
    given = [text, words, wrong]
    before = [sys.getrefcount(value) for value in given]
    for _ in range(100):
        op = ops.hook(path=text, args=words, env=[text, text], before=b"", after=b"")
        op.pointer = op.about = text
        assert op.path is text and op.fields()["args"] is words and op != ops.setsid() and repr(op)
        ops.encode([op, ops.chdir(path=text)], 0)
        for name, fields in (
            ("sethostname", {"hostname": wrong}),
            ("execve", {"args": [text, wrong], "env": words}),
            ("execve", {"args": words, "env": text}),
            ("chdir", {"path": text, "more": words}),
            ("fsmount", {"type": text}),
            ("umask", {"mask": words}),
        ):
            with pytest.raises((TypeError, ValueError)):
                ops.encode([getattr(ops, name)(**fields)], 0)
        with pytest.raises(TypeError):
            ops.encode([ops.Op(text, text, text)], 0)
        del op
    after = [sys.getrefcount(value) for value in given]
    assert all(abs(now - then) < 10 for now, then in zip(after, before, strict=True)), (before, after)


def test_no_field_hides_what_every_op_has() -> None:
    for _, fields in ops.OPS.values():
        assert not {name for name, _, _ in fields} & {"name", "values", "pointer", "about", "fields"}


def test_steps_are_numbered_and_named_once() -> None:
    assert ops.STEPS[0] == "" and len(set(ops.STEPS)) == len(ops.STEPS)
