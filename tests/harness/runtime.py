"""The runtime under test: finding it, calling it, and what one call gave."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import IO, Any

import pytest

from . import machine, old_kernel

# One call of a runtime takes milliseconds; this bound only ends a hang (a loaded emulator may need tens of seconds).
PATIENCE = float(os.environ.get("PYOCI_TEST_PATIENCE", "30"))


class Result:
    """Exit status and output of one call."""

    def __init__(self, argv: list[str], rc: int, out: str, err: str) -> None:
        self.argv = argv
        self.rc = rc
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"<{' '.join(self.argv)}: status {self.rc}\n--- stdout\n{self.out}\n--- stderr\n{self.err}>"

    def ok(self) -> Result:
        """This result, after asserting that the call succeeded."""
        assert self.rc == 0, repr(self)
        return self

    def lines(self) -> list[str]:
        """Standard output by lines."""
        return self.out.splitlines()

    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)

    def failed(self, *words: str) -> Result:
        """This result, after asserting failure and that each of `words` is in the error text (any case)."""
        assert self.rc != 0, repr(self)
        for word in words:
            assert word.lower() in self.err.lower(), f"{word!r} is missing in {self!r}"
        return self


class Runtime:
    """A runtime's binary with a state directory of its own.

    path   the executable        root   the state directory ("" = the runtime's default)
    user   uid and gid to run it as, or None
    old_kernel   True when the calls of root are to see Linux 5.14 (old_kernel.py)
    """

    def __init__(self, path: Path, root: Path | None, scratch: Path, user: int | None = None) -> None:
        self.path = path
        self.root = root
        self.scratch = scratch
        self.user = user
        self.global_options: list[str] = []
        self.old_kernel = bool(os.environ.get("PYOCI_TEST_OLD_KERNEL"))
        self._calls = 0

    @property
    def kind(self) -> str:
        """Which runtime it is, by the name of the file: "runc", "crun", else "pyoci"."""
        name = os.path.realpath(self.path).rsplit("/", 1)[-1]
        return name if name in ("runc", "crun") else "pyoci"

    def skip_without_listener(self) -> None:
        """Skip a test whose filter has a listener where the runtime is under one with a listener itself."""
        if self.old_kernel:
            pytest.skip("the older kernel of the tests is a filter with a listener of its own")

    def argv(self, *arguments: str) -> list[str]:
        """The whole command line for a verb and its arguments."""
        root = ["--root", str(self.root)] if self.root else []
        return [str(self.path), *root, *self.global_options, *arguments]

    def spawn(self, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a call without waiting; options as `subprocess.Popen` takes them."""
        if self.user is not None:
            options = {"user": self.user, "group": self.user, "extra_groups": [], **options}
        elif self.old_kernel and "user" not in options:
            options.setdefault("preexec_fn", old_kernel.enter)
        return subprocess.Popen(self.argv(*arguments), **options)

    def call(
        self,
        *arguments: str,
        stdin: bytes | IO[Any] | int | None = None,
        stdout: IO[Any] | int | None = None,
        stderr: IO[Any] | int | None = None,
        timeout: float = PATIENCE,
        **options: Any,
    ) -> Result:
        """Run a call to its end.

        Output goes through files, not pipes: a container that outlives the call keeps its streams open.
        """
        self._calls += 1
        names = [self.scratch / f"call{self._calls}.{end}" for end in ("in", "out", "err")]
        if isinstance(stdin, bytes):
            names[0].write_bytes(stdin)
        with (
            open(names[0] if isinstance(stdin, bytes) else os.devnull, "rb") as default_in,
            open(names[1], "wb") as default_out,
            open(names[2], "wb") as default_err,
        ):
            process = self.spawn(
                *arguments,
                stdin=default_in if stdin is None or isinstance(stdin, bytes) else stdin,
                stdout=default_out if stdout is None else stdout,
                stderr=default_err if stderr is None else stderr,
                **options,
            )
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
        out, err = (name.read_bytes().decode("utf-8", "replace") for name in names[1:])
        return Result(self.argv(*arguments), process.returncode, out, err)

    def state(self, id: str) -> dict[str, Any]:
        """The parsed output of `state`."""
        found = self.call("state", id).ok().json()
        assert isinstance(found, dict)
        return found

    def exists(self, id: str) -> bool:
        """True when `state` knows the container."""
        return self.call("state", id).rc == 0


def find() -> Path | None:
    """The runtime named by PYOCI_RUNTIME, else `pyoci` beside this Python, else on PATH."""
    named = os.environ.get("PYOCI_RUNTIME")
    if named:
        found = shutil.which(named)
        assert found, f"PYOCI_RUNTIME={named} is no executable"
        return Path(found)
    beside = machine.beside_python("pyoci")
    if beside.exists():
        return beside
    found = shutil.which("pyoci")
    return Path(found) if found else None
