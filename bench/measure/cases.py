"""The timed cases. Each takes the bench and a number of rounds, and adds samples to the rows it is about."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from . import host
from .bundles import Bundles
from .results import Results
from .runtimes import Created, Runtime
from .stage import Failed, Outcome, Stage

Sample = Callable[[Runtime, bool], None]


@dataclass
class Bench:
    """What every case works with.

    `settle`: seconds of rest after a sample, in which the kernel clears up after it.
    """

    runtimes: list[Runtime]
    bundles: Bundles
    results: Results
    work: Path
    random: random.Random
    quick: bool = False
    settle: float = 0.01
    case: str = ""
    _samples: list[tuple[str, str, float, float | None]] = field(default_factory=list)

    def interleave(
        self,
        rounds: int,
        sample: Sample,
        *,
        warm: int = 2,
        among: Sequence[Runtime] | None = None,
        settle: float | None = None,
    ) -> None:
        """Call SAMPLE(runtime, counts) in a new random order each round, after WARM uncounted rounds.

        A runtime that fails is left out from there on, and what it reached in this case is not counted.
        """
        alive = list(self.runtimes if among is None else among)
        for number in range(-warm, rounds):
            for runtime in self.random.sample(alive, len(alive)):
                try:
                    sample(runtime, number >= 0)
                except Failed as failure:
                    alive.remove(runtime)
                    self.fail(runtime, failure)
                time.sleep(self.settle if settle is None else settle)

    def add(self, key: str, runtime: Runtime, value: float, cpu: float | None = None) -> None:
        """Hold a sample until the case is over."""
        self._samples.append((key, runtime.name, value, cpu))

    def add_outcome(self, key: str, runtime: Runtime, outcome: Outcome) -> None:
        """Hold the times of one command."""
        self.add(key, runtime, outcome.wall / 1e6, outcome.cpu / 1e6)

    def fail(self, runtime: Runtime, failure: Failed) -> None:
        """Write a failure down, drop the runtime's samples of this case, and clear what it left."""
        self.results.failures.append(f"{self.case}: {runtime.name}: {failure}")
        self._samples = [sample for sample in self._samples if sample[1] != runtime.name]
        runtime.clear()

    def note(self, runtime: Runtime, text: str) -> None:
        """Say something about how a figure was reached."""
        self.results.notes.append(f"{self.case}: {runtime.name}: {text}")

    def flush(self) -> None:
        """The case is over: its samples count, and nothing of it may run on."""
        host.end_orphans()
        for sample in self._samples:
            self.results.add(*sample)
        self._samples.clear()


def version(bench: Bench, rounds: int) -> None:
    """How long the program takes to start and to say who it is."""

    def sample(runtime: Runtime, counts: bool) -> None:
        outcome = runtime.stage.go([str(runtime.path), "--version"]).demand()
        if not outcome.out:
            raise outcome.failed("said nothing")
        if counts:
            bench.add_outcome("version", runtime, outcome)

    bench.interleave(rounds, sample)


def _run(bench: Bench, rounds: int, key: str, bundle: Path, before: Callable[[], None] | None = None) -> None:
    def sample(runtime: Runtime, counts: bool) -> None:
        if before:
            before()
        outcome = runtime.run(bundle)
        if counts:
            bench.add_outcome(key, runtime, outcome)

    bench.interleave(rounds, sample)


def run(bench: Bench, rounds: int) -> None:
    """`run` of a static program with runc's default configuration."""
    _run(bench, rounds, "run", bench.bundles.default)


def rested(bench: Bench, rounds: int) -> None:
    """The same, with a tenth of a second between runs.

    Moving a process into a cgroup by its cgroup.procs waits for an RCU grace period, unless somebody did
    the same a few milliseconds ago. In quick succession runtimes that do so pay for one another, and look
    faster than when a single container is started on a quiet machine. This is that other case.
    """

    def sample(runtime: Runtime, counts: bool) -> None:
        outcome = runtime.run(bench.bundles.default)
        if counts:
            bench.add_outcome("rested", runtime, outcome)

    bench.interleave(rounds, sample, settle=0.1)


def podman_warm(bench: Bench, rounds: int) -> None:
    """`run` with podman's configuration and docker's seccomp profile, which was seen before."""
    _run(bench, rounds, "podman-warm", bench.bundles.podman)


def podman_cold(bench: Bench, rounds: int) -> None:
    """The same with every runtime's cache removed before each run."""
    roots = [runtime.root for runtime in bench.runtimes]
    _run(bench, rounds, "podman-cold", bench.bundles.podman, lambda: host.drop_caches_of_runtimes(roots))


def mounts(bench: Bench, rounds: int) -> None:
    """`run` with 200 mounts more."""
    _run(bench, rounds, "mounts", bench.bundles.mounts)


def sequence(bench: Bench, rounds: int) -> None:
    """create, start, state, kill, delete: each, and all five.

    Between kill and delete the container's process has to die. That time is the kernel's and is not
    counted; the process's own CPU time (it is the runtime's init until `start`) is counted for create and
    for the sequence.
    """

    def sample(runtime: Runtime, counts: bool) -> None:
        container, create = runtime.timed_create(bench.bundles.pause)
        start = runtime.start(container.id)
        state = runtime.state(container, "running")
        kill = runtime.kill(container.id)
        process = runtime.bury(container)
        delete = runtime.delete(container.id)
        if not counts:
            return
        verbs = {"create": create, "start": start, "state": state, "kill": kill, "delete": delete}
        for key, outcome in verbs.items():
            own = process if key == "create" else 0
            bench.add(key, runtime, outcome.wall / 1e6, (outcome.cpu + own) / 1e6)
        wall = sum(outcome.wall for outcome in verbs.values())
        cpu = sum(outcome.cpu for outcome in verbs.values()) + process
        bench.add("sequence", runtime, wall / 1e6, cpu / 1e6)

    bench.interleave(rounds, sample)


def execute(bench: Bench, rounds: int) -> None:
    """`exec` of a static program in a running container."""
    containers: dict[str, Created] = {}
    for runtime in bench.runtimes:
        try:
            containers[runtime.name] = runtime.create(bench.bundles.pause)
            runtime.start(containers[runtime.name].id)
        except Failed as failure:
            containers.pop(runtime.name, None)
            bench.fail(runtime, failure)

    def sample(runtime: Runtime, counts: bool) -> None:
        outcome = runtime.execute(containers[runtime.name].id)
        if counts:
            bench.add_outcome("exec", runtime, outcome)

    ready = [runtime for runtime in bench.runtimes if runtime.name in containers]
    bench.interleave(rounds, sample, among=ready)
    _end_all(bench, ready, containers)


def _end_all(bench: Bench, runtimes: Sequence[Runtime], containers: dict[str, Created]) -> None:
    for runtime in runtimes:
        if (runtime.root / containers[runtime.name].id).exists():  # else a failure has cleared it already
            try:
                runtime.discard(containers[runtime.name])
            except Failed as failure:
                bench.fail(runtime, failure)


def hundred(bench: Bench, rounds: int) -> None:
    """100 containers, one after another without a pause."""

    def sample(runtime: Runtime, counts: bool) -> None:
        outcomes = [runtime.run(bench.bundles.default) for _ in range(100)]
        if counts:
            wall = outcomes[-1].ended - outcomes[0].began
            bench.add("hundred", runtime, wall / 1e6, sum(outcome.cpu for outcome in outcomes) / 1e6)

    bench.interleave(rounds, sample, warm=0)


def parallel(bench: Bench, rounds: int) -> None:
    """Eight containers at the same time, from the first start to the last end."""
    stages = [Stage(bench.work, f"parallel{number}") for number in range(8)]

    def sample(runtime: Runtime, counts: bool) -> None:
        wall, cpu = runtime.run_together(bench.bundles.default, stages)
        if counts:
            bench.add("parallel", runtime, wall / 1e6, cpu / 1e6)

    bench.interleave(rounds, sample, warm=1)
    for stage in stages:
        stage.close()


class Crowd:
    """A thousand created containers in one ROOT of one runtime (quick: 20), beside a ROOT with one."""

    def __init__(self, bench: Bench, runtime: Runtime) -> None:
        """Make the two ROOTs."""
        self._bench = bench
        self._runtime = runtime
        self.size = 20 if bench.quick else 1000
        self.full = bench.work / "crowds" / runtime.name / "full"
        self.empty = bench.work / "crowds" / runtime.name / "empty"
        self.full.mkdir(parents=True)
        self.empty.mkdir()
        self._members: list[Created] = []
        self._alive: set[int] = set()

    def fill(self) -> None:
        """Create them all; if they would take half of the free memory, end each process at once."""
        before = _available()
        sparing = False
        for number in range(self.size):
            member = self._runtime.create(self._bench.bundles.crowd, self.full)
            self._members.append(member)
            self._alive.add(member.pid)
            if number == 9:
                sparing = (before - _available()) / 10 * self.size > before / 2
            if sparing:
                self._end_processes()
        if sparing:
            self._bench.note(
                self._runtime, "too big to be held a thousand times: the crowd is of stopped containers"
            )

    def _end_processes(self) -> None:
        for member in self._members:
            if member.pid in self._alive:
                self._runtime.end(member)
                self._alive.discard(member.pid)

    def measure(self, rounds: int) -> None:
        """state and create in both ROOTs, in random order; list in the full one."""
        lone = self._runtime.create(self._bench.bundles.crowd, self.empty)
        for number in range(-1, rounds):
            member = self._bench.random.choice(self._members)
            acts = {
                "lone-state": partial(self._runtime.state, lone, "created", self.empty),
                "crowd-state": partial(self._runtime.state, member, self._status(member), self.full),
                "lone-create": partial(self._create, self.empty),
                "crowd-create": partial(self._create, self.full),
            }
            for key in self._bench.random.sample(sorted(acts), len(acts)):
                self._count(number, key, acts[key]())
        for number in range(-1, max(rounds // 5, 1)):
            self._count(number, "crowd-list", self._runtime.list(self.size, self.full))
        self._runtime.discard(lone, self.empty)

    def _status(self, member: Created) -> str:
        return "created" if member.pid in self._alive else "stopped"

    def _count(self, number: int, key: str, outcome: Outcome) -> None:
        if number >= 0:
            self._bench.add_outcome(key, self._runtime, outcome)
        time.sleep(self._bench.settle)

    def _create(self, root: Path) -> Outcome:
        container, outcome = self._runtime.timed_create(self._bench.bundles.crowd, root)
        self._runtime.discard(container, root)
        return outcome

    def clear(self) -> None:
        """Delete them all."""
        self._end_processes()
        for member in self._members:
            self._runtime.delete(member.id, self.full)


def crowd(bench: Bench, rounds: int) -> None:
    """state, create and list with 1,000 created containers in ROOT; one runtime after another."""
    for runtime in bench.random.sample(bench.runtimes, len(bench.runtimes)):
        gathering = Crowd(bench, runtime)
        if bench.quick:
            bench.note(runtime, f"the crowd is of {gathering.size} containers, not of 1,000")
        try:
            gathering.fill()
            gathering.measure(rounds)
            gathering.clear()
        except Failed as failure:
            bench.fail(runtime, failure)
            runtime.clear(gathering.full)
            runtime.clear(gathering.empty)


def _available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1])
    raise OSError("no MemAvailable in /proc/meminfo")
