"""The tables of the docs: made of reports, and of nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.findings import Findings
from tests.faults.tables import render
from tests.processes import ROOT

DOCS = ROOT / "docs"


def _report(path: Path, *runs: Findings, **values: Any) -> Path:
    common = {"command": "python -m tests.faults", "date": "2026-11-28", "machine": "2 cores"}
    text = {
        **common,
        "tasks": 500,
        "releases": {"django-q2": "1"},
        "runs": [vars(run) for run in runs],
        **values,
    }
    path.write_text(json.dumps(text))
    return path


def _found(seed: int, dup: int, **values: Any) -> Findings:
    found = Findings("F1", "redis", seed, **values)
    found.exactly("lost", 0, 0)
    found.at_most("dup", dup, 5)
    return found


def _row(text: str, *words: str) -> str:
    (row,) = [row for row in text.split("    * - ") if all(word in row for word in words)]
    return row


def test_each_figure_is_the_worst_of_the_seeds(tmp_path: Path) -> None:
    text = render([_report(tmp_path / "a", _found(1, 2), _found(2, 4), _found(3, 0))])

    assert "lost 0, dup 4 (<= 5)\n" in _row(text, "redis, 500, 3")
    assert "- 3 of 3\n" in _row(text, "kill -9 a busy worker")


def test_what_does_not_hold_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.tables.REASONS", {("F1", "redis"): "It is a test."})

    text = render([_report(tmp_path / "a", _found(1, 2), _found(2, 9))])

    row = _row(text, "redis, 500, 2")
    assert "**Does not hold:** dup is 9, more than 5. It is a test." in row
    assert "- 1 of 2\n" in _row(text, "kill -9 a busy worker")


def test_the_system_that_we_compare_with_stands_beside_ours(tmp_path: Path) -> None:
    ours = _report(tmp_path / "a", _found(1, 2))
    theirs = _report(tmp_path / "b", _found(1, 7, system="django-q2"))

    row = _row(render([ours, theirs]), "redis, 500\n")

    assert row.index("dup 2 (<= 5)") < row.index("dup 7 (<= 5)")


def test_seeds_of_several_reports_stand_together(tmp_path: Path) -> None:
    reports = [_report(tmp_path / str(seed), _found(seed, seed)) for seed in (1, 2)]

    assert "dup 2 (<= 5)" in _row(render(reports), "redis, 500, 2")


def test_the_later_report_counts(tmp_path: Path) -> None:
    later = _report(tmp_path / "a", _found(1, 3), date="2026-11-30")
    first = _report(tmp_path / "b", _found(1, 2))

    text = render([later, first])

    assert "dup 3" in text and "dup 2" not in text


def test_the_docs_have_the_figures_of_the_reports() -> None:
    text = render(sorted((DOCS / "measured").glob("*.json")))

    told = (DOCS / "measured.inc").read_text()
    # Titles and brokers of the scenarios, which come before, may have changed since.
    figures = [whole.partition("Beside django-q2:")[2] for whole in (told, text)]
    cure = "python -m tests.faults --tables docs/measured/*.json > docs/measured.inc"
    assert figures[0] == figures[1], cure
