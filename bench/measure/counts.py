"""Instruction counts: the same on every run and on a busy machine, so they show what times are too noisy for.

They are the instructions of the runtime's own process in user space, as valgrind's callgrind counts them:
no kernel time, nothing of the container's init.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from . import host
from .cases import Bench
from .runtimes import Created, Runtime
from .stage import Failed, Outcome

VERBS = ["version", "create", "start", "state", "kill", "delete"]
# Traced through exec, because the simple launcher execs an interpreter, but not into the container: its
# programs, and an init that is executed from a memory file.
_OPTIONS = ["--tool=callgrind", "--trace-children=yes", "--trace-children-skip=/ok,/pause,/proc/*,/dev/fd/*"]
# crun executes itself again from a sealed memory file, which valgrind can not follow, unless this says that
# it has been done and the executable is on a read-only mount.
_ENVIRONMENT = {"_LIBCONTAINER_CLONED_BINARY": "1"}


def collected(log: str) -> int:
    """The number of instructions in the log text of callgrind."""
    found = re.findall(r"Collected : (\d+)", log)
    if not found:
        raise Failed(f"callgrind counted nothing: {log.strip().splitlines()[-1:]}")
    return int(found[-1])


def instructions(bench: Bench, rounds: int) -> None:
    """Count the instructions of each verb; what can not run under valgrind is noted and has no figure."""
    program = shutil.which("valgrind")
    if program is None:
        bench.results.notes.append("instructions: valgrind is not installed")
        return
    for runtime in bench.runtimes:
        with host.read_only(runtime.path.resolve()):
            for verb in VERBS:
                _verb(bench, program, runtime, verb, rounds)


def _verb(bench: Bench, program: str, runtime: Runtime, verb: str, rounds: int) -> None:
    attempts = rounds + 4  # Go programs now and then end early under valgrind
    for attempt in range(attempts):
        try:
            bench.add(f"instructions-{verb}", runtime, _count(bench, program, runtime, verb) / 1000)
            rounds -= 1
        except Failed as failure:
            runtime.clear()
            if attempt == attempts - 1:
                bench.note(runtime, f"{verb} can not be counted: {failure}")
        if rounds == 0:
            return


def _count(bench: Bench, program: str, runtime: Runtime, verb: str) -> int:
    logs = bench.work / "valgrind"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir()

    def counted(argv: list[str]) -> int:
        files = [f"--callgrind-out-file={logs}/out.%p", f"--log-file={logs}/log.%p"]
        outcome = runtime.stage.go([program, *_OPTIONS, *files, *argv], _ENVIRONMENT)
        if outcome.code != 0:
            raise Failed(f"under valgrind: exit status {outcome.code}: {outcome.err.strip()[-200:]}")
        return collected(_log(logs, outcome))

    if verb == "version":
        return counted([str(runtime.path), "--version"])
    return _in_lifecycle(bench, runtime, verb, counted)


def _log(logs: Path, outcome: Outcome) -> str:
    log = logs / f"log.{outcome.pid}"
    return log.read_text() if log.exists() else ""


def _in_lifecycle(bench: Bench, runtime: Runtime, verb: str, counted: Callable[[list[str]], int]) -> int:
    if verb == "create":
        name, pid_file = runtime.fresh_id(), bench.work / "valgrind.pid"
        words = ("create", "--bundle", str(bench.bundles.unlimited), "--pid-file", str(pid_file), name)
        found = counted(runtime.argv(*words))
        runtime.discard(Created(name, int(pid_file.read_text())))
        return found
    container = runtime.create(bench.bundles.pause)
    if verb == "delete":
        runtime.end(container)
        return counted(runtime.argv("delete", container.id))
    found = counted(runtime.argv(verb, container.id, *(["KILL"] if verb == "kill" else [])))
    if verb == "kill":
        runtime.bury(container)
        runtime.delete(container.id)
    else:
        runtime.discard(container)
    return found
