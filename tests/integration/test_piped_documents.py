"""Documents that come through a pipe are read once: what is wrong with them is found in the bytes that were read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from harness.boxes import Boxes

pytestmark = pytest.mark.only("pyoci")


@contextmanager
def pipe(content: bytes) -> Iterator[int]:
    """The reading end of a pipe that holds this content and nothing more."""
    reader, writer = os.pipe()
    try:
        os.write(writer, content)
        os.close(writer)
        yield reader
    finally:
        os.close(reader)


def test_a_process_object(box: Boxes) -> None:
    made = box("/bin/sleep", "100").launch()
    with pipe(b'{"cwd": "/", "args": "true"}') as reader:
        found = made.runtime.call("exec", "--process", "/dev/stdin", made.id, stdin=reader)
    found.failed('/dev/stdin:1:22: /args: "true" is not a list')
    assert "there is nothing in it" not in found.err
    made.process["args"] = ["/bin/echo", "from the pipe"]
    with pipe(json.dumps(made.process).encode()) as reader:
        assert (
            made.runtime.call("exec", "--process", "/dev/stdin", made.id, stdin=reader).ok().out
            == "from the pipe\n"
        )


@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_configuration(box: Boxes, verb: str) -> None:
    made = box("/bin/true")
    made.config["hostname"] = 5
    made.save()
    with pipe(json.dumps(made.config).encode()) as reader:
        command = (verb, "--bundle", str(made.directory), "--config", "/dev/stdin", made.id)
        found = made.runtime.call(*command, stdin=reader)
    found.failed("/hostname: 5 is not a text")
    assert "there is nothing in it" not in found.err


def test_one_that_is_replaced_meanwhile(box: Boxes) -> None:
    """A fifo in the place of config.json can be read once only, as a file that somebody replaces at that moment."""
    made = box("/bin/true")
    made.config["hostname"] = 5
    made.save()
    text = (made.directory / "config.json").read_bytes()
    (made.directory / "config.json").unlink()
    os.mkfifo(made.directory / "config.json")
    writer = os.fork()
    if writer == 0:
        with open(made.directory / "config.json", "wb") as fifo:
            fifo.write(text)
        os._exit(0)
    found = made.runtime.call("create", "--bundle", str(made.directory), made.id)
    os.waitpid(writer, 0)
    found.failed("/hostname: 5 is not a text")


def test_resources(box: Boxes) -> None:
    made = box("/bin/sleep", "100").launch()
    with pipe(b'{"pids": {"limit": "many"}}') as reader:
        found = made.runtime.call("update", "--resources", "-", made.id, stdin=reader)
    found.failed('standard input:1:20: /pids/limit: "many" is not a whole number')
