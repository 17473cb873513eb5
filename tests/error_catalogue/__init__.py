"""Every error code once, made to happen through the real command line: the cases of tests/root/test_error_catalogue.py.

A case is a function that brings the failure about and returns the result of the failing call. What is told must be one line
that a person can act on, with a hint below it where there is one, and the same in the JSON line of the log.
"""

from __future__ import annotations

import ctypes
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.runtime import PATIENCE, Result, Runtime

NOBODY = 65534
CASES: list[Case] = []


@dataclass
class Case:
    """A code and what is expected to be told.

    code     the error code               words    what the line has to say
    pointer  the JSON pointer, or ""      errno    the name of the errno, or ""
    hint     a part of the hint, or ""    status   the exit status
    verb     the command that fails       logged   the JSON line can be written
    """

    code: str
    words: tuple[str, ...]
    pointer: str
    errno: str
    hint: str
    status: int
    verb: str
    logged: bool
    trigger: Callable[[Stage], Result]


class Stage:
    """What a case works with: a runtime that logs as JSON, a maker of containers, a folder."""

    def __init__(self, runtime: Runtime, box: Boxes, folder: Path) -> None:
        self.runtime = runtime
        self.box = box
        self.folder = folder
        self.log = folder / "log.json"
        runtime.global_options = ["--log", str(self.log), "--log-format", "json"]

    def call(self, *arguments: str, **options: Any) -> Result:
        """A call of the runtime."""
        return self.runtime.call(*arguments, **options)

    def behind(self, *words: str, script: str = "") -> Result:
        """A call started by another program: its words up to the first that is no option, then the runtime's.

        With a script: that is run there before.
        """
        first = next(n for n, word in enumerate(words) if n and not word.startswith("-"))
        call = self.runtime.argv(*words[first:])
        starter = [*words[:first], "sh", "-c", f'{script or "true"} && exec "$@"', "sh"]
        done = subprocess.run(
            [*starter, *call], capture_output=True, text=True, timeout=PATIENCE * 2, check=False
        )
        return Result(call, done.returncode, done.stdout, done.stderr)

    def running(self) -> Container:
        """A container whose program runs."""
        return self.box("/bin/sleep", "1000").launch()

    def stopped(self) -> Container:
        """A container whose program has ended."""
        made = self.running()
        made.kill("KILL")
        made.wait()
        return made

    def open_state(self, made: Container) -> None:
        """Let everybody read the state of a container, and write the log."""
        assert self.runtime.root
        entry = self.runtime.root / made.id
        for path in (self.runtime.root, entry):
            path.chmod(0o755)
        for path in entry.iterdir():
            path.chmod(0o644)
        self.log.touch()
        self.log.chmod(0o666)

    def as_nobody(self, *arguments: str) -> Result:
        """A call as an ordinary user."""
        return self.call(*arguments, user=NOBODY, group=NOBODY, extra_groups=[])


def case(
    code: str,
    *words: str,
    verb: str,
    pointer: str = "",
    errno: str = "",
    hint: str = "",
    status: int = 1,
    logged: bool = True,
) -> Callable[[Callable[[Stage], Result]], Callable[[Stage], Result]]:
    """Declare a case."""

    def declare(trigger: Callable[[Stage], Result]) -> Callable[[Stage], Result]:
        CASES.append(Case(code, words, pointer, errno, hint, status, verb, logged, trigger))
        return trigger

    return declare


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def denying(number: int, error: int) -> Callable[[], None]:
    """A `preexec_fn` after which a system call (of x86_64) fails with an errno: a kernel, or a sandbox, that has it not."""
    code = b"".join(
        struct.pack("=HBBI", *part)
        for part in (
            (0x20, 0, 0, 0),
            (0x15, 0, 1, number),
            (0x06, 0, 0, 0x00050000 | error),
            (0x06, 0, 0, 0x7FFF0000),
        )
    )
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))

    def install() -> None:
        machine.check_libc(machine.LIBC.prctl(22, 2, ctypes.byref(program), 0, 0), "prctl(PR_SET_SECCOMP)")

    return install


def load() -> list[Case]:
    """All cases."""
    if not CASES:
        from . import bundles, cgroups, commands, containers, processes  # noqa: F401
    return CASES
