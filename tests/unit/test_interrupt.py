"""Signals that end the runtime: they raise, but not between making something and knowing of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from pyoci import interrupt
from pyoci.errors import OciError


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """What the signals did before, afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    interrupt.heed()
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_signal_raises() -> None:
    with pytest.raises(OciError, match="ended by signal 15"):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_held_signal_raises_once_it_is_released() -> None:
    interrupt.hold()
    os.kill(os.getpid(), signal.SIGTERM)
    known = os.getpid()
    with pytest.raises(OciError, match="ended by signal 15"):
        interrupt.release()
    assert known
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
