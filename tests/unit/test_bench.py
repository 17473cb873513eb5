"""bench/run.py: its arithmetic, its configurations, its reading of others' output. No root is needed."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.append(str(BENCH))

import run as bench_run  # noqa: E402
from measure import bundles, counts, host, memory, plot, report, rows, stage  # noqa: E402
from measure.results import Mark, Results  # noqa: E402


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
        assert all(high <= low * 1.25 for low, high in zip(steps, steps[1:], strict=False))

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
        assert bench_run.parse(["--only", "run", "--only", "exec", "--quick"]).only == ["run", "exec"]
        with pytest.raises(SystemExit):
            bench_run.parse(["--only", "nonsense"])

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
    written = plot.draw(results, tmp_path / "picture")
    assert [path.name for path in written] == ["picture.png", "picture.svg"]
    assert all(path.stat().st_size > 1000 for path in written)


def test_plot_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Any = None
    monkeypatch.setitem(sys.modules, "matplotlib", nothing)
    assert plot.draw(results_of(run={"pyoci": [1.0]}), tmp_path / "picture") == []
