#!/usr/bin/env python3
"""Measure pyoci side by side with runc and crun: `python bench/run.py` as root. See bench/README.md."""

import argparse
import gc
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measure import cases, checking, counts, floods, host, memory, plot, report
from measure.bundles import Bundles
from measure.cases import Bench
from measure.results import Results
from measure.runtimes import Runtime
from measure.stage import Failed


@dataclass(frozen=True)
class Case:
    """A function that measures, and how many rounds it gets in a full and in a quick run."""

    name: str
    function: Callable[[Bench, int], None]
    rounds: int
    quick: int


CASES = [
    Case("version", cases.version, 200, 3),
    Case("run", cases.run, 200, 3),
    Case("rested", cases.rested, 50, 2),
    Case("podman-warm", cases.podman_warm, 100, 3),
    Case("podman-cold", cases.podman_cold, 50, 2),
    Case("check", checking.check, 20, 1),
    Case("flood", floods.flood, 3, 1),
    Case("sequence", cases.sequence, 100, 3),
    Case("exec", cases.execute, 200, 3),
    Case("hundred", cases.hundred, 5, 1),
    Case("parallel", cases.parallel, 30, 2),
    Case("mounts", cases.mounts, 50, 2),
    Case("crowd", cases.crowd, 50, 2),
    Case("peak", memory.peaks, 3, 1),
    Case("created", memory.created, 5, 1),
    Case("limit", memory.limit, 1, 1),
    Case("size", memory.sizes, 1, 1),
    Case("instructions", counts.instructions, 1, 1),
]


def parser() -> argparse.ArgumentParser:
    """The options and what they mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="a few rounds of everything: shows that it works, not how fast it is",
    )
    add("--only", action="append", metavar="CASE", choices=[case.name for case in CASES], help="repeatable")
    add(
        "--skip",
        action="append",
        metavar="CASE",
        default=[],
        choices=[case.name for case in CASES],
        help="repeatable",
    )
    add(
        "--rounds",
        type=int,
        metavar="N",
        help="so many rounds of every case instead of each case's own number",
    )
    add("--runtimes", metavar="NAME=PATH,...", help="the first is the subject (default: pyoci, crun, runc)")
    add("--seed", type=int, default=1, metavar="N", help="of the random order of the runs (default 1)")
    add("--settle", type=float, default=10, metavar="MS", help="rest after each run, in ms (default 10)")
    add(
        "--output",
        type=Path,
        metavar="BASE",
        help="write BASE.json and the picture BASE.svg (matplotlib draws it)",
    )
    add(
        "--from",
        type=Path,
        dest="earlier",
        metavar="FILE",
        help="measure nothing: report the JSON of an earlier run",
    )
    add("--check", action="store_true", help="exit with status 3 when a measured target is missed")
    return parser


def find_runtimes(text: str | None) -> dict[str, Path]:
    """Names and executables, from the text of --runtimes or from PATH (and beside this interpreter)."""
    if text is None:
        places = [os.path.dirname(sys.executable), *os.environ.get("PATH", "").split(":"), "/usr/sbin"]
        path = ":".join(places)
        found = {name: shutil.which(name, path=path) for name in ("pyoci", "crun", "runc")}
        return {name: Path(place) for name, place in found.items() if place}
    runtimes = {}
    for item in text.split(","):
        name, _, place = item.partition("=")
        executable = shutil.which(place or name)
        if (not name.isidentifier() and not name.replace("-", "_").isidentifier()) or executable is None:
            raise SystemExit(f"bench: --runtimes: {item!r}: no such executable, or a strange name")
        runtimes[name] = Path(executable).absolute()
    return runtimes


def measure(options: argparse.Namespace, executables: dict[str, Path]) -> Results:
    """Run the chosen cases in a private place."""
    facts = {**host.facts(), "seed": str(options.seed), "settle": f"{options.settle:g} ms"}
    with host.private_place() as work:
        runtimes = [Runtime(name, path, work) for name, path in executables.items()]
        versions = {runtime.name: runtime.version() for runtime in runtimes}
        results = Results(runtimes[0].name, versions, facts)
        (work / "bundles").mkdir()
        bundles = Bundles(work / "bundles")
        order = random.Random(options.seed)
        bench = Bench(runtimes, bundles, results, work, order, options.quick, options.settle / 1000)
        gc.disable()  # no collection while a clock runs
        for case in CASES:
            if case.name not in options.skip and (not options.only or case.name in options.only):
                _measure_case(bench, case, options.rounds or (case.quick if options.quick else case.rounds))
        facts["load at the end"] = f"{os.getloadavg()[0]:.2f}"
    return results


def _measure_case(bench: Bench, case: Case, rounds: int) -> None:
    began = time.monotonic()
    print(f"{case.name} ({rounds} rounds) ...", end=" ", file=sys.stderr, flush=True)
    bench.case = case.name
    failures = len(bench.results.failures)
    case.function(bench, rounds)
    bench.flush()
    gc.collect()
    word = "FAILED for some" if len(bench.results.failures) > failures else "done"
    print(f"{word}, {time.monotonic() - began:.1f} s", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Measure or read, print, write; 0, or 1 if a command failed, 3 if --check finds a target missed."""
    options = parser().parse_args(arguments)
    if options.earlier:
        results = Results.from_json(json.loads(options.earlier.read_text()))
    else:
        executables = find_runtimes(options.runtimes)
        if not executables:
            raise SystemExit("bench: neither pyoci nor crun nor runc is installed; name some with --runtimes")
        if os.geteuid() != 0:
            raise SystemExit("bench: containers, cgroups and a private mount namespace need root")
        try:
            results = measure(options, executables)
        except Failed as failure:
            raise SystemExit(f"bench: {failure}") from failure
    print(report.text(results))
    if options.output:
        write(results, options.output)
    if results.failures:
        return 1
    return 3 if options.check and report.missed(results) else 0


def write(results: Results, base: Path) -> None:
    """Write the results as BASE.json and draw them."""
    base.parent.mkdir(parents=True, exist_ok=True)
    base.with_suffix(".json").write_text(json.dumps(results.to_json(), indent=1) + "\n")
    if not plot.draw(results, base.with_suffix(".svg")):
        print("bench: no picture: matplotlib is not installed or there is nothing to draw", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
