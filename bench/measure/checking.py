"""What it costs to accept a configuration: CPU time of two steps, which the runtime's own trace tells."""

import json
from pathlib import Path
from typing import Any

from .cases import Bench
from .runtimes import Runtime
from .stage import Failed

STEPS = ("load", "check")  # open, read, JSON, schema; the rules
REPETITIONS = 5  # of each configuration in a round; the best counts
TOLD = 3  # how many of the slowest configurations are noted

Times = tuple[float, ...]  # CPU milliseconds of STEPS


def step_times(document: Any) -> Times:
    """The CPU time in ms of each of STEPS in a trace (`create --trace`); `Failed` unless each is there once."""
    events = document.get("traceEvents") if isinstance(document, dict) else None
    found = []
    for name in STEPS:
        steps = [
            event for event in events or () if (event.get("name"), event.get("cat")) == (name, "runtime")
        ]
        if len(steps) != 1:
            raise Failed(f"the trace has {len(steps)} steps {name!r}, not one")
        spent = steps[0].get("tdur")
        if not isinstance(spent, int | float) or spent <= 0:
            raise Failed(f"the trace tells no CPU time of the step {name!r}: tdur is {spent!r}")
        found.append(spent / 1000)
    return tuple(found)


def slowest(best: dict[str, Times]) -> list[tuple[str, Times]]:
    """The configurations with their times, the slowest first."""
    return sorted(best.items(), key=lambda item: -sum(item[1]))


def check(bench: Bench, rounds: int) -> None:
    """Of the engines' configurations, the CPU time of the slowest; only pyoci tells of it.

    The sample of a round is the highest of the configurations' figures, each the lowest of `REPETITIONS`.
    """
    configurations = bench.bundles.engines()
    ours = [runtime for runtime in bench.runtimes if runtime.version().startswith("pyoci version ")]
    if not configurations:
        for runtime in ours:
            bench.fail(runtime, Failed("there are no configurations of engines"))
        return
    best: dict[str, dict[str, Times]] = {runtime.name: {} for runtime in ours}

    def sample(runtime: Runtime, counts: bool) -> None:
        found = {
            name: min((_accept(bench, runtime, bundle) for _ in range(REPETITIONS)), key=sum)
            for name, bundle in configurations.items()
        }
        if counts:
            bench.add("check", runtime, sum(slowest(found)[0][1]))
            known = best[runtime.name]
            for name, times in found.items():
                known[name] = min(times, known.get(name, times), key=sum)

    bench.interleave(rounds, sample, among=ours, warm=1)
    for runtime in ours:
        if best[runtime.name]:
            bench.note(runtime, _told(best[runtime.name]))


def _told(best: dict[str, Times]) -> str:
    lines = []
    for name, times in slowest(best)[:TOLD]:
        parts = " + ".join(f"{step} {time:.2f}" for step, time in zip(STEPS, times, strict=True))
        lines.append(f"{name} {sum(times):.2f} ms ({parts})")
    return f"the slowest of {len(best)} configurations, at best: {', '.join(lines)}"


def _accept(bench: Bench, runtime: Runtime, bundle: Path) -> Times:
    """Have a configuration accepted, and nothing else done: for that the id is taken already."""
    root, trace = bench.work / "taken" / runtime.name, bench.work / "check.trace"
    name = "pyoci-bench-taken"
    (root / name).mkdir(parents=True, exist_ok=True)
    trace.unlink(missing_ok=True)
    words = ["create", "--trace", str(trace), "--bundle", str(bundle)]
    if json.loads((bundle / "config.json").read_text())["process"].get("terminal"):
        words += ["--console-socket", str(bench.work / "no-socket")]
    outcome = runtime.stage.go(runtime.argv(*words, name, root=root))
    if outcome.code != 1 or f"container with given ID already exists: {name}" not in outcome.err:
        raise outcome.failed(f"{bundle.name} was not accepted: status {outcome.code}, {outcome.err[:300]!r}")
    try:
        return step_times(json.loads(trace.read_text()))
    except (OSError, ValueError) as error:
        raise outcome.failed(f"no trace: {error}") from error
