"""The cases about memory and disk."""

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import host
from .bundles import SAYS, limited_spec
from .cases import Bench
from .runtimes import Runtime
from .stage import Failed, wait_for_death


def peaks(bench: Bench, rounds: int) -> None:
    """The highest resident set of each verb and of the processes it waited for (wait4(2))."""
    told = bench.work / "peak"

    def peak(runtime: Runtime, key: str, words: list[str], out: str | None = "") -> None:
        command = [str(bench.bundles.peak), str(told), *runtime.argv(*words)]
        runtime.stage.go(command).demand(out=out)
        bench.add(f"peak-{key}", runtime, float(told.read_text()))

    def sample(runtime: Runtime, _: bool) -> None:
        name = runtime.fresh_id()
        pid_file = bench.work / "peak.pid"
        peak(runtime, "run", ["run", "--bundle", str(bench.bundles.default), runtime.fresh_id()], SAYS)
        create = ["create", "--bundle", str(bench.bundles.pause), "--pid-file", str(pid_file), name]
        peak(runtime, "create", create)
        peak(runtime, "start", ["start", name])
        peak(runtime, "state", ["state", name], None)
        peak(runtime, "exec", ["exec", name, "/ok"], SAYS)
        peak(runtime, "kill", ["kill", name, "KILL"])
        wait_for_death(int(pid_file.read_text()))
        peak(runtime, "delete", ["delete", name])

    bench.interleave(rounds, sample, warm=0)


def created(bench: Bench, rounds: int) -> None:
    """What a container holds between `create` and `start`: every process that `create` left behind."""

    def sample(runtime: Runtime, counts: bool) -> None:
        container = runtime.create(bench.bundles.default)
        resident = {"Rss": 0, "Pss": 0}
        for pid in host.children(os.getpid()):
            for key, value in _rollup(pid).items():
                resident[key] += value
        runtime.discard(container)
        if counts:
            bench.add("created-rss", runtime, float(resident["Rss"]))
            bench.add("created-pss", runtime, float(resident["Pss"]))

    bench.interleave(rounds, sample, warm=1)


def _rollup(pid: int) -> dict[str, int]:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError as error:
        raise Failed(f"process {pid}, left by create, has ended: {error}") from error
    words = [line.replace(":", "").split() for line in text.splitlines()]
    return {line[0]: int(line[1]) for line in words if line[0] in ("Rss", "Pss")}


def ladder(top: int = 64 * 1024) -> list[int]:
    """The limits that are tried, in KiB: from 16 to TOP, whole pages, about an eighth between them."""
    steps = [16]
    while steps[-1] < top:
        steps.append(min(top, steps[-1] + max(4, steps[-1] // 8 // 4 * 4)))
    return steps


def smallest(steps: list[int], works: Callable[[int], bool]) -> int | None:
    """The lowest of the ascending STEPS from which on WORKS is true; None if not even the last works."""
    low, high = 0, len(steps)
    while low < high:
        middle = (low + high) // 2
        if works(steps[middle]):
            high = middle
        else:
            low = middle + 1
    return steps[low] if low < len(steps) else None


def limit(bench: Bench, _rounds: int) -> None:
    """The smallest memory limit under which `run` of a static program succeeds three times of three."""
    steps = ladder()
    for runtime in bench.runtimes:
        found = smallest(steps, partial(_works, bench, runtime))
        if found is None:
            bench.fail(runtime, Failed(f"not even {steps[-1]} KiB are enough"))
        elif found == steps[0]:
            bench.fail(runtime, Failed(f"the limit is not applied: {found} KiB can not be enough"))
        else:
            bench.add("memory-limit", runtime, float(found))


def _works(bench: Bench, runtime: Runtime, step: int) -> bool:
    bundle = bench.bundles.write("limited", limited_spec(step * 1024))
    for _ in range(3):
        try:
            runtime.run(bundle)
        except Failed:
            host.end_orphans()
            runtime.clear()
            return False
    return True


def sizes(bench: Bench, _rounds: int) -> None:
    """The executable and the runtime's own files; and these with the shared libraries linked to them."""
    for runtime in bench.runtimes:
        own = own_files(runtime)
        linked = {library for file in own for library in libraries(file)}
        linked |= interpreter(runtime)
        linked -= set(own)
        bench.add("size", runtime, _sum(own))
        bench.add("size-libraries", runtime, _sum([*own, *linked]))


def own_files(runtime: Runtime) -> list[Path]:
    """The executable, and the files of the package if the runtime tells of one."""
    package = runtime.details().get("package")
    files = Path(package).rglob("*") if package else []
    return [runtime.path.resolve(), *(file for file in files if file.is_file())]


def interpreter(runtime: Runtime) -> set[Path]:
    """The interpreter and its libraries, if the runtime says that its launcher execs one."""
    details = runtime.details()
    if details.get("launcher") != "exec" or "interpreter" not in details:
        return set()
    program = Path(details["interpreter"]).resolve()
    return {program, *libraries(program)}


def libraries(file: Path) -> list[Path]:
    """The shared libraries that ldd(1) finds for an ELF file; none for a static one."""
    with file.open("rb") as opened:
        if opened.read(4) != b"\x7fELF":
            return []
    answer = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False)
    words = [word for line in answer.stdout.splitlines() for word in line.split() if word.startswith("/")]
    return [Path(word).resolve() for word in words]


def _sum(files: list[Path]) -> float:
    return sum(file.stat().st_size for file in files) / 1024
