"""A container made again and again while another process exchanges two names in a tree that it uses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .box import Container
from .programs import Programs


def swapping(programs: Programs, folder: Path, one: str, two: str) -> subprocess.Popen[bytes]:
    """A process that exchanges two names without pause."""
    argv = [str(programs.path("swap")), str(folder), one, two]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"ready\n"
    return process


class Race:
    """Creates a container many times while two names are exchanged; bounded by rounds, not by time."""

    ROUNDS = int(os.environ.get("PYOCI_TEST_RACE_ROUNDS", "20"))

    def __init__(self, programs: Programs, made: Container, folder: Path, one: str, two: str) -> None:
        self.made = made
        self.process = swapping(programs, folder, one, two)

    def run(self) -> list[str]:
        """The outputs of all rounds, whatever they ended with."""
        texts = []
        try:
            for _ in range(self.ROUNDS):
                texts.append(self.made.run(check=False).out)
                assert self.process.poll() is None
        finally:
            self.end()
        return texts

    def end(self) -> None:
        """Stop exchanging."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()
