"""bench/run.py: its arithmetic, its configurations, its reading of others' output. No root is needed."""

import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.append(str(BENCH))

import run as bench_run  # noqa: E402
from measure import bundles, checking, counts, floods, host, memory, plot, report, rows, stage  # noqa: E402
from measure.cases import Bench  # noqa: E402
from measure.results import Mark, Results  # noqa: E402
from measure.runtimes import Runtime  # noqa: E402


def results_of(**series: dict[str, list[float]]) -> Results:
    """Results of three runtimes with the given rows; underscores in row names stand for dashes."""
    facts = {"date": "2026-01-01 00:00:00", "machine": "m", "kernel": "k"}
    results = Results("pyoci", {"pyoci": "1", "crun": "2", "runc": "3"}, facts)
    for key, found in series.items():
        for runtime, values in found.items():
            for value in values:
                results.add(key.replace("_", "-"), runtime, value, value / 2)
    return results


class TestResults:
    def test_minimum_median_and_cpu(self) -> None:
        figures = results_of(run={"pyoci": [9.0, 3.0, 4.0]}).figures(rows.BY_KEY["run"], "pyoci")
        assert figures is not None
        assert (figures.minimum, figures.median, figures.cpu, figures.samples) == (3.0, 4.0, 2.0, 3)

    def test_a_target_needs_both_ratios(self) -> None:
        results = results_of(run={"pyoci": [10.0, 14.0, 14.0], "crun": [10.0, 12.0, 12.0]})
        (mark,) = results.marks(rows.BY_KEY["run"])
        assert (mark.peer, mark.minimum, round(mark.median, 3)) == ("crun", 1.0, 1.167)
        assert not mark.met
        assert report.missed(results) == ["run, default spec"]

    def test_a_met_target(self) -> None:
        results = results_of(run={"pyoci": [10.0], "crun": [10.0], "runc": [30.0]})
        assert [mark.met for mark in results.marks(rows.BY_KEY["run"])] == [True, True]
        assert not report.missed(results)

    def test_marks_agree_with_what_is_printed(self) -> None:
        assert Mark("crun", 1.1549, 1.1, 1.15).met
        assert not Mark("crun", 1.156, 1.1, 1.15).met

    def test_quotient_rows_have_a_limit_of_their_own(self) -> None:
        results = results_of(crowd_state={"pyoci": [12.0]}, lone_state={"pyoci": [10.0]})
        (mark,) = results.marks(rows.BY_KEY["slower-state"])
        assert (mark.peer, mark.minimum, mark.met) == ("itself", 1.2, False)

    def test_a_time_with_a_limit_of_its_own(self) -> None:
        results = results_of(check={"pyoci": [0.7, 1.2, 1.2], "old": [3.0]})
        (mark,) = results.marks(rows.BY_KEY["check"])
        assert (mark.peer, mark.minimum, mark.median, mark.met) == ("itself", 0.7, 1.2, False)
        (line,) = [line for line in report.targets_table(results).splitlines() if "slowest engine" in line]
        assert "itself" in line and "0.70 / 1.20" in line and "<= 1 " in line and "MISSED" in line
        assert report.missed(results) == ["check of the slowest engine config"]

    def test_no_samples_no_mark_but_said(self) -> None:
        results = results_of()
        assert not results.marks(rows.BY_KEY["run"])
        assert report.targets_table(results).count("not measured") == sum(
            len(row.targets) + (row.limit is not None) for row in rows.ROWS
        )

    def test_json_there_and_back(self) -> None:
        results = results_of(run={"pyoci": [1.0, 2.0], "crun": [3.0]}, size={"runc": [5.0]})
        results.failures.append("x")
        told = json.loads(json.dumps(results.to_json()))
        assert Results.from_json(told).to_json() == told

    def test_an_unknown_row_is_a_mistake(self) -> None:
        with pytest.raises(KeyError):
            results_of(nonsense={"pyoci": [1.0]})


class TestTargets:
    def test_every_row_has_its_own_key_and_title(self) -> None:
        assert len({row.key for row in rows.ROWS}) == len({row.title for row in rows.ROWS}) == len(rows.ROWS)

    @pytest.mark.parametrize(
        ("key", "crun", "runc"),
        [
            ("run", 1.15, 0.45),
            ("podman-warm", 1.0, 0.35),
            ("sequence", 1.0, 0.6),
            ("state", 1.5, 1.0),
            ("start", 1.5, 1.0),
            ("kill", 1.5, 1.0),
            ("delete", 1.5, 1.0),
            ("exec", 1.3, 0.5),
            ("created-rss", 0.1, 0.02),
            ("memory-limit", 1.0, 0.15),
        ],
    )
    def test_targets(self, key: str, crun: float, runc: float) -> None:
        assert rows.BY_KEY[key].targets == {"crun": crun, "runc": runc}


class TestReport:
    def test_whole_text(self) -> None:
        results = results_of(run={"pyoci": [10.0], "crun": [20.0]}, created_rss={"pyoci": [1234.0]})
        results.notes.append("a note")
        results.failures.append("a failure")
        text = report.text(results)
        for part in ("| run, default spec", "10.00", "0.50", "1,234", "met", "* a note", "* a failure"):
            assert part in text

    def test_grid_is_aligned(self) -> None:
        lines = report.grid([["a", "long head"], ["longer", "b"]]).splitlines()
        assert len({len(line) for line in lines}) == 1

    def test_one_figure_when_both_are_the_same(self) -> None:
        assert report.pair((0.501, 0.499)) == "0.50"
        assert report.pair((0.5, 0.6)) == "0.50 / 0.60"
        assert report.pair(None) == "-"


class TestBundles:
    def test_default_runs_without_terminal(self) -> None:
        spec = bundles.default_spec("/pause")
        assert spec["process"]["args"] == ["/pause"]
        assert spec["process"]["terminal"] is False

    def test_podman_has_its_files_in_the_bundle_and_a_seccomp_profile(self) -> None:
        spec = bundles.podman_spec(Path("/b"))
        sources = [mount["source"] for mount in spec["mounts"] if mount["type"] == "bind"]
        assert sources and all(source.startswith("/b/files/") for source in sources)
        assert spec["linux"]["seccomp"]["architectures"][0] == "SCMP_ARCH_X86_64"
        assert "@" not in json.dumps([spec["process"]["args"], sources])

    def test_mounts(self) -> None:
        spec = bundles.mounts_spec(Path("/s"))
        assert len(spec["mounts"]) - len(bundles.default_spec()["mounts"]) == 200
        assert len({mount["destination"] for mount in spec["mounts"]}) == len(spec["mounts"])

    def test_limited(self) -> None:
        assert bundles.limited_spec(4096)["linux"]["resources"]["memory"] == {"limit": 4096}

    def test_engines_texts_differ_in_the_rootfs_only(self, tmp_path: Path) -> None:
        here = object.__new__(bundles.Bundles)  # without its programs, which a compiler would have to make
        here._directory, here.rootfs = tmp_path, Path("/bench/rootfs")
        made = here.engines()
        assert sorted(made) == sorted(file.stem for file in bundles.ENGINES.glob("*.json")) and made
        for name, bundle in made.items():
            recorded = (bundles.ENGINES / f"{name}.json").read_text()
            spec = json.loads(recorded)
            spec["root"]["path"] = "/bench/rootfs"
            text = (bundle / "config.json").read_text()
            assert json.loads(text) == spec
            assert len(text.splitlines()) == len(recorded.splitlines())

    def test_specs_do_not_share_parts(self) -> None:
        bundles.crowd_spec()["mounts"].clear()
        bundles.mounts_spec(Path("/s"))["mounts"][-4]["options"].append("x")
        assert bundles.crowd_spec()["mounts"]
        assert "x" not in bundles.mounts_spec(Path("/s"))["mounts"][-8]["options"]


class TestStage:
    def test_output_status_and_times(self, tmp_path: Path) -> None:
        outcome = stage.Stage(tmp_path).go(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"])
        assert (outcome.code, outcome.out, outcome.err) == (3, "out\n", "err\n")
        assert outcome.wall > 0 and outcome.cpu >= 0 and outcome.pid > 0

    def test_output_of_the_last_command_is_gone(self, tmp_path: Path) -> None:
        here = stage.Stage(tmp_path)
        here.go(["/bin/sh", "-c", "echo a long line of text"])
        assert here.go(["/bin/sh", "-c", "echo x"]).out == "x\n"

    def test_environment_is_an_engines(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BENCH_SECRET", "1")
        out = stage.Stage(tmp_path).go(["/usr/bin/env"], {"EXTRA": "2"}).out
        assert "BENCH_SECRET" not in out and "EXTRA=2" in out and "PATH=" in out

    @pytest.mark.parametrize("script", ["exit 1", "echo wrong", "echo ok; echo warning >&2", "kill -9 $$"])
    def test_demand_refuses(self, tmp_path: Path, script: str) -> None:
        with pytest.raises(stage.Failed):
            stage.Stage(tmp_path).go(["/bin/sh", "-c", script]).demand(out="ok\n")

    def test_demand_accepts(self, tmp_path: Path) -> None:
        assert stage.Stage(tmp_path).go(["/bin/sh", "-c", "echo ok"]).demand(out="ok\n").code == 0

    def test_a_late_command_is_killed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stage, "LIMIT", 0.1)
        with pytest.raises(stage.Failed, match="took longer"):
            stage.Stage(tmp_path).go(["/bin/sleep", "10"]).demand()

    def test_a_process_that_is_not_ours(self) -> None:
        with pytest.raises(stage.Failed, match="not left to the caller"):
            stage.wait_for_death(1)


class TestMemory:
    def test_ladder(self) -> None:
        steps = memory.ladder()
        assert steps[0] == 16 and steps[-1] == 64 * 1024
        assert steps == sorted(set(steps)) and all(step % 4 == 0 for step in steps)
        assert all(high <= low * 1.25 for low, high in itertools.pairwise(steps))

    @pytest.mark.parametrize("need", [16, 17, 100, 3000, 65536])
    def test_smallest(self, need: int) -> None:
        steps = memory.ladder()
        found = memory.smallest(steps, lambda step: step >= need)
        assert found == min(step for step in steps if step >= need)

    def test_nothing_is_enough(self) -> None:
        assert memory.smallest([1, 2, 3], lambda _: False) is None

    def test_libraries(self) -> None:
        assert any("libc" in library.name for library in memory.libraries(Path("/bin/sh").resolve()))
        assert memory.libraries(Path(__file__)) == []


FAKE = """#!/bin/sh
[ "$1" = --version ] && { echo "pyoci version 9"; exit 0; }
[ "$3 $4 $6" = "create --trace --bundle" ] || exit 9
for id; do :; done
cat "$7/trace" >"$5"
grep -q '"terminal": true' "$7/config.json" && [ "$8" != --console-socket ] && exit 1
[ -d "$2/$id" ] && echo "container with given ID already exists: $id" >&2
exit 1
"""


def step(name: str, tdur: float | None, cat: str = "runtime") -> dict[str, Any]:
    return {"name": name, "cat": cat, "ph": "X"} | ({} if tdur is None else {"tdur": tdur})


class Engines:
    """Bundles whose trace a fake runtime has only to copy."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.made: dict[str, Path] = {}

    def add(self, name: str, *events: dict[str, Any], terminal: bool = False) -> None:
        bundle = self.made[name] = self._directory / name
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps({"process": {"terminal": terminal}}))
        (bundle / "trace").write_text(json.dumps({"traceEvents": events}))

    def engines(self) -> dict[str, Path]:
        return self.made


class TestChecking:
    @pytest.fixture
    def engines(self, tmp_path: Path) -> Engines:
        return Engines(tmp_path)

    @pytest.fixture
    def bench(self, tmp_path: Path, engines: Engines) -> Bench:
        results = Results("pyoci", {"pyoci": "9"}, {})
        fake, other = tmp_path / "pyoci", tmp_path / "other"
        fake.write_text(FAKE)
        other.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "other version 1"\n')
        for file in (fake, other):
            file.chmod(0o755)
        runtimes = [Runtime("pyoci", fake, tmp_path), Runtime("other", other, tmp_path)]
        made: Any = engines
        return Bench(runtimes, made, results, tmp_path, random.Random(1), settle=0, case="check")

    @staticmethod
    def measured(bench: Bench) -> list[tuple[str, str, float]]:
        checking.check(bench, 2)
        return [(key, name, round(value, 3)) for key, name, value, _ in bench._samples]

    def test_the_slowest_counts(self, bench: Bench, engines: Engines) -> None:
        engines.add("quick", step("load", 100), step("check", 50))
        engines.add("slow", step("load", 300), step("check", 150), step("bundle", 9000), terminal=True)
        assert self.measured(bench) == [("check", "pyoci", 0.45)] * 2
        assert not bench.results.failures
        (note,) = bench.results.notes
        assert "2 configurations" in note
        assert "slow 0.45 ms (load 0.30 + check 0.15), quick 0.15 ms" in note

    @pytest.mark.parametrize(
        ("events", "wrong"),
        [
            ([], "0 steps 'load'"),
            ([step("load", 100)], "0 steps 'check'"),
            ([step("load", 100), step("check", 50), step("check", 50)], "2 steps 'check'"),
            ([step("load", 100, "op"), step("check", 50)], "0 steps 'load'"),
            ([step("load", None), step("check", 50)], "no CPU time of the step 'load'"),
            ([step("load", 100), step("check", 0)], "no CPU time of the step 'check'"),
        ],
    )
    def test_a_trace_without_the_steps_is_a_failure(
        self, bench: Bench, engines: Engines, events: list[dict[str, Any]], wrong: str
    ) -> None:
        engines.add("good", step("load", 100), step("check", 50))
        engines.add("bad", *events)
        assert self.measured(bench) == []
        (failure,) = bench.results.failures
        assert failure.startswith("check: pyoci: ") and wrong in failure

    def test_no_trace_is_a_failure(self, bench: Bench, engines: Engines) -> None:
        engines.add("bad")
        (engines.made["bad"] / "trace").write_text("")
        assert self.measured(bench) == []
        assert "no trace" in bench.results.failures[0]

    def test_what_fails_for_another_reason_was_not_accepted(self, bench: Bench, engines: Engines) -> None:
        engines.add("bad", step("load", 100), step("check", 50))
        bench.runtimes[0].path.write_text(FAKE.replace("already exists", "is refused"))
        assert self.measured(bench) == []
        assert "bad was not accepted" in bench.results.failures[0]

    def test_no_configurations_is_a_failure(self, bench: Bench) -> None:
        assert self.measured(bench) == []
        assert len(bench.results.failures) == 1


def test_callgrind_log() -> None:
    assert counts.collected("==7== Collected : 1\n==7== \n==7== Collected : 2294599\n") == 2294599
    with pytest.raises(stage.Failed):
        counts.collected("")


def test_unified_trees() -> None:
    line = "{} 28 0:26 / {} rw,relatime shared:9 - {} cgroup2 rw"
    mountinfo = "\n".join(
        [
            line.format(36, "/sys/fs/cgroup/unified", "cgroup2"),
            line.format(37, "/sys/fs/cgroup/memory", "cgroup"),
            line.format(38, "/sys/fs/cgroup", "cgroup2"),
            line.format(39, "/elsewhere/unified", "cgroup2"),
        ]
    )
    assert host.unified_trees(mountinfo) == ["/sys/fs/cgroup/unified"]


class TestCommandLine:
    def test_runtimes(self) -> None:
        assert bench_run.find_runtimes("a=/bin/sh,b-2=/bin/sh") == {
            "a": Path("/bin/sh"),
            "b-2": Path("/bin/sh"),
        }

    @pytest.mark.parametrize("text", ["a=/nowhere", "../x=/bin/sh", "=", "/bin/sh"])
    def test_wrong_runtimes(self, text: str) -> None:
        with pytest.raises(SystemExit):
            bench_run.find_runtimes(text)

    def test_case_names(self) -> None:
        assert bench_run.parser().parse_args(["--only", "run", "--only", "exec", "--quick"]).only == [
            "run",
            "exec",
        ]
        with pytest.raises(SystemExit):
            bench_run.parser().parse_args(["--only", "nonsense"])

    def test_earlier_results(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        earlier = tmp_path / "earlier.json"
        results = results_of(run={"pyoci": [20.0], "crun": [10.0]})
        earlier.write_text(json.dumps(results.to_json()))
        assert bench_run.main(["--from", str(earlier)]) == 0
        assert bench_run.main(["--from", str(earlier), "--check"]) == 3
        assert "MISSED" in capsys.readouterr().out

    def test_failures_show_in_the_status(self, tmp_path: Path) -> None:
        earlier = tmp_path / "earlier.json"
        results = results_of(run={"pyoci": [1.0]})
        results.failures.append("run: crun: broken")
        earlier.write_text(json.dumps(results.to_json()))
        assert bench_run.main(["--from", str(earlier)]) == 1


def test_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    results = results_of(run={"pyoci": [1.0], "crun": [2.0]}, created_rss={"runc": [3.0]})
    assert plot.draw(results, tmp_path / "picture.svg")
    text = (tmp_path / "picture.svg").read_text()
    assert "<svg" in text and text.endswith("</svg>\n") and " \n" not in text
    assert plot.draw(results, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == text


def test_plot_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Any = None
    monkeypatch.setitem(sys.modules, "matplotlib", nothing)
    assert not plot.draw(results_of(run={"pyoci": [1.0]}), tmp_path / "picture.svg")
    assert not (tmp_path / "picture.svg").exists()


class TestFlood:
    def test_the_names_collide_as_python_hashes_them(self, tmp_path: Path) -> None:
        bundles.compile_static(floods.PROGRAM, tmp_path / "collide")
        told = subprocess.run([tmp_path / "collide", "0", "0", "12", "100"], capture_output=True, check=True)
        code = "import sys; print(len({*sys.argv[1:]}), {hash(name) & 4095 for name in sys.argv[1:]})"
        words = [sys.executable, "-c", code, *told.stdout.decode().split()]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}  # whose key is 0
        found = subprocess.run(words, env=environment, capture_output=True, check=True, text=True)
        assert found.stdout == "100 {0}\n"

    def test_the_seed_in_a_program(self) -> None:
        header = b"\x7fELF" + bytes(28) + (64).to_bytes(8, "little") + bytes(14)
        header += (56).to_bytes(2, "little") + (1).to_bytes(2, "little") + bytes(6)
        segment = b"".join(
            number.to_bytes(size, "little")
            for number, size in ((1, 4), (6, 4), (120, 8), (0x1000, 8), (0, 8), (32, 8), (32, 8), (0, 8))
        )
        content = bytes(8) + (5).to_bytes(8, "little") + (6).to_bytes(8, "little") + bytes(8)
        assert floods._key_at(header + segment + content, 0x1008) == (5, 6)
        assert floods._key_at(header + segment + bytes(32), 0x1008) is None
        assert floods._key_at(header + segment + content, 0x2000) is None
        assert floods._key_at(b"#!/bin/sh", 0x1008) is None
