"""The benchmarks work, and what they tell is what they have measured. Only our own part is run."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.catalogue import PEERS, entry
from benchmarks.figures import Figure

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
    assert report.markdown(made) in done.stdout


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


def _row(name: str, speed: float, cost: float) -> dict[str, Any]:
    return report.row(name, "", {}, [{"speed": speed, "cost": cost, "told": 1}])
