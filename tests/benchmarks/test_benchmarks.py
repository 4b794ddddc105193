"""The benchmarks work, and what they tell is what they have measured. Only our own part is run."""

import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import goals, pace, plan, processes, report
from benchmarks.__main__ import arguments
from benchmarks.catalogue import PEERS, entry
from benchmarks.figures import Figure
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
#: What `benchmarks.peers` asks of each of its modules.
_CALLS = {"prepare", "commands", "send_each", "unsettled", "results"}


def _benchmarks(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_drain_proves_its_tasks_and_tells_what_they_cost(tmp_path: Path) -> None:
    file = tmp_path / "drain.json"

    words = ["--broker", "sqlite", "--tasks", "200", "--repeat", "1", "--json", str(file)]
    done = _benchmarks("drain", *words)

    assert done.returncode == 0, done.stderr
    made = json.loads(file.read_text())
    (row,) = made["rows"]
    (run,) = row["runs"]
    assert row["entry"] == "ours"
    assert row["tasks"] == 200
    assert run["repeated"] == 0
    assert run["settled_per_second"] > 0
    assert run["pss_mb"] > 10
    assert row["ratio"]["settled_per_second"] == 1
    assert 1 < run["loop_ms_before"] < 1000
    assert 1 < run["loop_ms_after"] < 1000
    assert pace.line(made)
    assert report.markdown(made) in done.stdout


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("enqueue --tasks 100", {"one_at_a_time_per_second", "bulk_per_second"}),
        ("latency --tasks 5", {"p50_ms", "p95_ms", "p99_ms"}),
        ("io --tasks 60", {"settled_per_second"}),
        ("cpu --tasks 20", {"against_bare"}),
        (
            "memory --tasks 100 --idle 0.2",
            {"first_pss_mb", "growth_percent", "idle_cpu_percent", "idle_wake_ups", "bare_wake_us"},
        ),
        ("backlog --tasks 60 --backlog 30,200 --old-results 500", {"settled_per_second"}),
        ("payload --tasks 50 --payload 100000", {"megabytes_per_second"}),
        ("growth --tasks 100 --workers 1", {"settled_per_second", "workers_cpu_us_per_task"}),
    ],
)
def test_every_other_measure_gives_its_figures(words: str, names: set[str], tmp_path: Path) -> None:
    file = tmp_path / "made.json"

    done = _benchmarks(*words.split(), "--broker", "sqlite", "--repeat", "1", "--json", str(file))

    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())["rows"]
    assert rows
    assert rows[0]["median"].keys() >= names
    assert all(row["median"] for row in rows)


def test_each_sleep_of_a_process_is_a_wake_up() -> None:
    before = processes.wake_ups(os.getpid())

    for _ in range(20):
        time.sleep(0.001)

    assert processes.wake_ups(os.getpid()) >= before + 20


def test_the_plan_asks_only_for_what_there_is() -> None:
    names = [job.name for job in plan.JOBS]
    assert len(set(names)) == len(names)
    for job in plan.JOBS:
        options = arguments([*job.words, *job.small])
        named = options.peers.split(",")
        assert all(options.broker in entry(name).peer.brokers for name in named), job.name
        assert set(filter(None, options.seldom.split(","))) <= set(named), job.name


def test_all_writes_a_file_for_each_and_resumes(tmp_path: Path) -> None:
    words = ["all", "--only", "memory-sqlite", "--small", "--idle", "0.1", "--out", str(tmp_path)]

    first, second = _benchmarks(*words), _benchmarks(*words, "--resume")

    assert first.returncode == 0, first.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["memory-sqlite.json"]
    assert "memory-sqlite took " in first.stderr
    assert "memory-sqlite: is there." in second.stderr


def test_a_signal_ends_all_of_it(tmp_path: Path) -> None:
    words = ["all", "--only", "memory", "--small", "--out", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: len(processes.tree(process.pid)) > 1)

    process.terminate()
    _, told = process.communicate(timeout=60)

    assert process.returncode
    assert "took" not in told


def test_a_budget_that_is_spent_ends_it(tmp_path: Path) -> None:
    done = _benchmarks("all", "--only", "cpu-redis", "--budget", "0", "--out", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert "cpu-redis: not measured, the time is over." in done.stderr
    assert not list(tmp_path.iterdir())


def test_goals_are_held_against_the_files(tmp_path: Path) -> None:
    rows = [
        _row("ours", 3_000, 1, "settled_per_second"),
        _row("django-q2", 100, 1, "settled_per_second"),
        _row("huey", 1_000, 1, "settled_per_second"),
    ]
    (tmp_path / "drain-redis.json").write_text(json.dumps({"rows": rows}))

    told = {goal.title: goal.cells()[1:] for goal in goals.goals(tmp_path)}

    title = "Redis, waiting tasks, results saved: settled, against "
    assert told[f"{title}django-q2 (saved)"] == ["at least 15 times", "30.0 times", "yes"]
    assert told[f"{title}huey (results)"] == ["at least 6 times", "3.0 times", "no"]
    title = "CPU-bound tasks of 10 ms, time against two bare processes"
    assert told[title] == ["at most 1.05", "-", "not measured"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["drain", "--peers", "nobody"], "There is no peer 'nobody'. There are: ours, "),
        (["drain", "--peers", "huey:async"], "There are: huey, huey:loose, huey:bare."),
        (["drain", "--broker", "postgres", "--peers", "huey"], "only on redis, sqlite"),
        ([], "say what to measure: drain, "),
    ],
)
def test_what_cannot_be_measured_is_told(words: list[str], told: str) -> None:
    done = _benchmarks(*words)

    assert done.returncode
    assert told in done.stderr


def test_every_peer_has_a_file_with_all_calls() -> None:
    for peer in PEERS.values():
        path = ROOT.joinpath(*peer.module.split(".")).with_suffix(".py")
        body = ast.parse(path.read_text()).body
        calls = {node.name for node in body if isinstance(node, ast.FunctionDef)}
        assert calls >= _CALLS, peer.name


def test_every_variant_is_found_by_its_name() -> None:
    for peer in PEERS.values():
        for variant in peer.variants:
            found = entry(f"{peer.name}:{variant}")
            assert entry(str(found)) == found


def test_ratios_say_how_many_times_better_ours_is() -> None:
    figures = [
        Figure("speed", "speed", more_is_better=True),
        Figure("cost", "cost", more_is_better=False),
        Figure("told", "told"),
    ]
    rows = [_row("ours", 200, 10), _row("other", 100, 40)]

    report.add_ratios(rows, figures, by_case=False)

    assert rows[0]["ratio"] == {"speed": 1, "cost": 1}
    assert rows[1]["ratio"] == {"speed": 2, "cost": 4}


def test_a_table_says_how_fast_the_machine_was() -> None:
    made = _report({"loop_ms_before": 24.0, "loop_ms_after": 31.0}, {"loop_ms_before": 46.0})

    told = "took 24.0 to 46.0 ms of CPU, median 31.0."
    assert f"\n\nMeanwhile one loop of Python (200,000 turns) {told}\n" in report.markdown(made)


def test_all_tables_together_tell_of_the_best_and_the_worst_moment() -> None:
    slow, quick = _report({"loop_ms_before": 46.0}, {}), _report({"loop_ms_after": 24.0})

    told = pace.sentence([slow, _report({}), quick])

    assert " in 2 of 3 files: " in told
    assert "took 24.0 ms of CPU at its best and 46.0 ms at its worst, median 35.0" in told


def test_a_file_without_the_pace_of_the_machine_is_shown_without_it() -> None:
    made = _report({"speed": 1})

    assert report.markdown(made).rstrip().endswith("In brackets: how many times ours is better.")
    assert "do not say" in pace.sentence([made])


def test_every_file_of_the_documentation_can_be_shown() -> None:
    for path in ROOT.glob("docs/benchmarks/*.json"):
        made = json.loads(path.read_text("utf-8"))

        assert report.footnote(made) in report.markdown(made), path.name
        assert pace.line(made) in report.markdown(made), path.name


def _report(*runs: dict[str, float]) -> dict[str, Any]:
    about = {"version": "", "stores": "", "tasks": 1}
    return {
        "measure": "drain",
        "broker": "redis",
        "command": "python -m benchmarks drain",
        "machine": dict.fromkeys(("cores", "processor", "python", "django", "date", "load"), ""),
        "server": "Valkey",
        "workers": 2,
        "compared_with": "ours is better",
        "figures": [],
        "rows": [{"entry": "ours", "case": "", **about, "runs": list(runs), "median": {}}],
    }


def _row(name: str, speed: float, cost: float, title: str = "speed") -> dict[str, Any]:
    return report.row(name, "", {}, [{title: speed, "cost": cost, "told": 1}])
