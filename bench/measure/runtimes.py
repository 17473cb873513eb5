"""A runtime as an engine sees it: a path, a ROOT, and verbs whose effects are checked."""

import contextlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bundles import SAYS
from .host import OUR_CGROUP
from .stage import Deadline, Failed, Outcome, Stage, wait_for_death


@dataclass
class Created:
    """A created container: its id and the pid of its process."""

    id: str
    pid: int


class Runtime:
    """One program to measure, with a ROOT below DIRECTORY."""

    def __init__(self, name: str, path: Path, directory: Path) -> None:
        """NAME: for the tables; PATH: the executable; DIRECTORY: on the tmpfs that all runtimes share."""
        self.name = name
        self.path = path
        self.root = directory / "roots" / name
        self.root.mkdir(parents=True)
        self._files = directory / "output"
        self._files.mkdir(exist_ok=True)
        self.stage = Stage(self._files, name)
        self._pid_file = self._files / f"{name}.pid"
        self._number = 0
        self._processes: set[int] = set()

    def fresh_id(self) -> str:
        """A container id that was not used before."""
        self._number += 1
        return f"{OUR_CGROUP}-{os.getpid()}-{self.name}-{self._number}"

    def argv(self, *words: str, root: Path | None = None) -> list[str]:
        """The command line for WORDS with our ROOT, or another one."""
        return [str(self.path), "--root", str(root or self.root), *words]

    def details(self) -> dict[str, str]:
        """What `--version --verbose` tells in lines of "name: value"; nothing where it is refused."""
        answer = self.stage.go([str(self.path), "--version", "--verbose"])
        lines = [line.partition(": ") for line in answer.out.splitlines()] if answer.code == 0 else []
        return {name: value for name, colon, value in lines if colon}

    def version(self) -> str:
        """The first line of `--version`, and how the program is started where it tells."""
        answer = self.stage.go([str(self.path), "--version"])
        if answer.code != 0 or not answer.out:
            raise answer.failed(f"exit status {answer.code}: {answer.err or 'no output'}")
        details = self.details()
        more = [f"{name} {details[name]}" for name in ("launcher", "python") if name in details]
        return ", ".join([answer.out.splitlines()[0], *more])

    def run(self, bundle: Path) -> Outcome:
        """`run` the bundle, whose program must say `SAYS`."""
        return self.stage.go(self.argv("run", "--bundle", str(bundle), self.fresh_id())).demand(out=SAYS)

    def run_together(self, bundle: Path, stages: list[Stage]) -> tuple[int, int]:
        """`run` the bundle once per stage, all at the same time: wall and CPU nanoseconds of them all."""
        with Deadline():
            for stage in stages:
                stage.begin(self.argv("run", "--bundle", str(bundle), self.fresh_id()))
            outcomes = [stage.end() for stage in stages]
        for outcome in outcomes:
            outcome.demand(out=SAYS)
        # The first was started first; the latest end is what the slowest of them, seen from there, tells.
        return max(outcome.ended for outcome in outcomes) - outcomes[0].began, sum(o.cpu for o in outcomes)

    def create(self, bundle: Path, root: Path | None = None) -> Created:
        """`create` a container; its process must live."""
        return self.timed_create(bundle, root)[0]

    def timed_create(self, bundle: Path, root: Path | None = None) -> tuple[Created, Outcome]:
        """The same, with what it cost."""
        name = self.fresh_id()
        words = ("create", "--bundle", str(bundle), "--pid-file", str(self._pid_file), name)
        outcome = self.stage.go(self.argv(*words, root=root)).demand(out="")
        try:
            pid = int(self._pid_file.read_text())
            os.kill(pid, 0)
        except (OSError, ValueError) as error:
            raise outcome.failed(f"no living process: {error}") from error
        self._pid_file.unlink()
        self._processes.add(pid)
        return Created(name, pid), outcome

    def start(self, name: str) -> Outcome:
        """`start` the container NAME."""
        return self.stage.go(self.argv("start", name)).demand(out="")

    def state(self, container: Created, status: str, root: Path | None = None) -> Outcome:
        """`state` of a container, which must tell its id and STATUS (and its pid, unless it is stopped)."""
        outcome = self.stage.go(self.argv("state", container.id, root=root)).demand()
        told = _parsed(outcome)
        wanted = {"id": container.id, "status": status} | (
            {} if status == "stopped" else {"pid": container.pid}
        )
        if not isinstance(told, dict) or any(told.get(key) != value for key, value in wanted.items()):
            raise outcome.failed(f"told {outcome.out!r}, not {wanted}")
        return outcome

    def kill(self, name: str) -> Outcome:
        """`kill` the container NAME with SIGKILL."""
        return self.stage.go(self.argv("kill", name, "KILL")).demand(out="")

    def delete(self, name: str, root: Path | None = None) -> Outcome:
        """`delete` the stopped container NAME; nothing of it may stay in ROOT."""
        outcome = self.stage.go(self.argv("delete", name, root=root)).demand(out="")
        if ((root or self.root) / name).exists():
            raise outcome.failed(f"{name} is still in ROOT")
        return outcome

    def execute(self, name: str) -> Outcome:
        """`exec` the program that says `SAYS` in the container NAME."""
        return self.stage.go(self.argv("exec", name, "/ok")).demand(out=SAYS)

    def list(self, count: int, root: Path) -> Outcome:
        """`list` ROOT as JSON; it must tell of COUNT containers."""
        outcome = self.stage.go(self.argv("list", "--format", "json", root=root)).demand()
        told = _parsed(outcome)
        if not isinstance(told, list) or len(told) != count:
            raise outcome.failed(f"told {outcome.out[:200]!r}, not {count} containers")
        return outcome

    def bury(self, container: Created) -> int:
        """Wait for the process of a container that was killed by `kill`; its CPU nanoseconds."""
        self._processes.discard(container.pid)
        return wait_for_death(container.pid)

    def end(self, container: Created) -> None:
        """Kill the container's process without the runtime's help, and wait for it."""
        try:
            os.kill(container.pid, signal.SIGKILL)
        except ProcessLookupError as error:
            raise Failed(f"the process of {container.id} has ended by itself") from error
        self.bury(container)

    def discard(self, container: Created, root: Path | None = None) -> None:
        """End the container's process and `delete` the container."""
        self.end(container)
        self.delete(container.id, root)

    def clear(self, root: Path | None = None) -> None:
        """Remove what failed commands left, processes and entries of ROOT, without any check."""
        for pid in self._processes:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        self._processes.clear()
        for entry in [*(root or self.root).iterdir()]:
            if entry.name.startswith(OUR_CGROUP):
                self.stage.go(self.argv("delete", "--force", entry.name, root=root))
        self._pid_file.unlink(missing_ok=True)


def _parsed(outcome: Outcome) -> Any:
    try:
        return json.loads(outcome.out)
    except ValueError as error:
        raise outcome.failed(f"not JSON: {outcome.out[:200]!r}") from error
