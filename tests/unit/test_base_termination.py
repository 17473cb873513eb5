"""Signals that end the runtime: they raise, but not between making something and knowing of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pyoci.base import termination
from pyoci.base.errors import OciError
from pyoci.host import programs
from pyoci.lifecycle.create import NewContainer


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """What the signals did before, afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    termination.catch()
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_signal_raises() -> None:
    with pytest.raises(OciError, match="ended by signal 15"):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_blocked_signal_raises_once_it_is_unblocked() -> None:
    before = termination.block()
    os.kill(os.getpid(), signal.SIGTERM)
    known = os.getpid()
    with pytest.raises(OciError, match="ended by signal 15"):
        termination.unblock(before)
    assert known
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_signals_that_the_caller_has_blocked_stay_blocked() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        termination.unblock(termination.block())
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == {signal.SIGHUP}
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def test_what_is_taken_back_is_not_interrupted_by_another_signal() -> None:
    with pytest.raises(OciError, match="ended by signal 2"):
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGHUP)


@pytest.mark.parametrize(("code", "known"), [("interrupted", True), ("cgroup", False)])
def test_a_cgroup_that_was_just_made_is_still_known_after_a_signal(code: str, known: bool) -> None:
    def create() -> None:
        raise OciError(code, "while the directories are made")

    container = NewContainer.__new__(NewContainer)
    made: Any = container
    made.manager = SimpleNamespace(create=create)
    made.entry = SimpleNamespace(record=SimpleNamespace(cgroup="there"))
    with pytest.raises(OciError):
        container._make_cgroup()
    assert (made.manager is not None) == known
    assert (made.entry.record.cgroup is not None) == known


def test_a_signal_that_comes_while_a_helper_program_is_started_ends_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = []
    real = programs._start

    def start(*arguments: Any) -> tuple[list[int], int]:
        readers, pid = real(*arguments)
        started.append(pid)
        os.kill(os.getpid(), signal.SIGTERM)
        return readers, pid

    monkeypatch.setattr(programs, "_start", start)
    with pytest.raises(OciError, match="ended by signal 15"):
        programs.run("/bin/sleep", ["sleep", "60"], [])
    with pytest.raises(ChildProcessError):
        os.waitpid(started[0], os.WNOHANG)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_helper_program_that_cannot_be_started_leaves_no_signal_blocked() -> None:
    with pytest.raises(FileNotFoundError):
        programs.run("/no/such/program", ["x"], [])
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_handlers_of_another_program_stay() -> None:
    """A program that makes containers from Python catches its signals itself."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    termination.ignore()
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
