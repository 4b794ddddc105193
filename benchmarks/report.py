"""What came of a benchmark: rows with medians and ratios, as JSON and as a table of Markdown.

A report is a dict that goes through JSON as it is. The tables of the documentation and the plots
are made from such files, by `render` and `benchmarks.plots`.
"""

import datetime
import os
import platform
import statistics
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import pace
from benchmarks.figures import Figure

Run = dict[str, float]


def machine() -> dict[str, Any]:
    """What the figures depend on beside the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "django": metadata.version("django"),
        "date": datetime.date.today().isoformat(),
        "load": round(os.getloadavg()[0], 1),
    }


def row(entry: str, case: str, about: dict[str, Any], runs: Sequence[Run]) -> dict[str, Any]:
    """One line of the table; without runs only what is `about` the peer."""
    names = [name for name in runs[0]] if runs else []
    columns = {name: [run[name] for run in runs] for name in names}
    return {
        "entry": entry,
        "case": case,
        **about,
        "runs": list(runs),
        "median": {name: statistics.median(values) for name, values in columns.items()},
        "min": {name: min(values) for name, values in columns.items()},
        "max": {name: max(values) for name, values in columns.items()},
    }


def add_ratios(rows: list[dict[str, Any]], figures: Sequence[Figure], by_case: bool) -> None:
    """Write into each row how many times better the row is that it is compared with.

    That is the one of `ours` in the same case; or, `by_case`, the first case of the same peer with
    the same kind of task.
    """
    for each in rows:
        base = next(
            (
                other
                for other in rows
                if (
                    (other["entry"], other.get("kind")) == (each["entry"], each.get("kind"))
                    if by_case
                    else (other["entry"], other["case"]) == ("ours", each["case"])
                )
            ),
            None,
        )
        each["ratio"] = _ratios(base, each, figures) if base else {}


def _ratios(
    base: dict[str, Any], each: dict[str, Any], figures: Sequence[Figure]
) -> dict[str, float]:
    found = {}
    for figure in figures:
        ours, theirs = base["median"].get(figure.name), each["median"].get(figure.name)
        if figure.more_is_better is not None and ours and theirs:
            found[figure.name] = ours / theirs if figure.more_is_better else theirs / ours
    return found


def markdown(report: dict[str, Any]) -> str:
    """A heading, the table, what it was measured on, and how fast that was."""
    head, *lines = table(report)
    meanwhile = pace.line(report)
    return "\n".join(
        [
            f"### {title(report)}",
            "",
            f"| {' | '.join(head)} |",
            f"|{' --- |' * len(head)}",
            *(f"| {' | '.join(line)} |" for line in lines),
            "",
            footnote(report),
            *(["", meanwhile] if meanwhile else []),
            "",
        ]
    )


def title(report: dict[str, Any]) -> str:
    """What was measured, and on which broker."""
    return f"{report['measure']}, {report['broker']}"


def footnote(report: dict[str, Any]) -> str:
    """The command, the machine, and how to read the cells."""
    on = report["machine"]
    counts = sorted({len(row["runs"]) for row in report["rows"] if row["runs"]}, reverse=True)
    medians = f"Medians of {counts[0] if counts else 0}"
    for count in counts[1:]:
        few = [row["entry"] for row in report["rows"] if len(row["runs"]) == count]
        medians += f"; of {count} for {', '.join(dict.fromkeys(few))}"
    workers = {row.get("workers", report["workers"]) for row in report["rows"]}
    processes = f", {report['workers']} worker processes" if len(workers) == 1 else ""
    keeps = f" {report['keeps']}." if report.get("keeps") else ""
    return (
        f"`{report['command']}`, on {on['cores']} cores of {on['processor']},"
        f" Python {on['python']}, Django {on['django']}, {report['server']}, {on['date']},"
        f" load {on['load']} at the start.{keeps} {medians} (lowest to highest){processes}."
        f" In brackets: how many times"
        f" {report['compared_with']}."
    )


def table(report: dict[str, Any]) -> list[list[str]]:
    """The heading and the lines, each a list of cells."""
    figures = [Figure(**fields) for fields in report["figures"]]
    rows = report["rows"]
    shown = [each for each in figures if any(each.name in row["median"] for row in rows)]
    has_cases = any(each["case"] for each in rows)
    head = ["peer", *(["case"] if has_cases else []), "stores", "tasks"]
    lines = [[*head, *(figure.title for figure in shown)]]
    for each in rows:
        cells = [f"{each['entry']} {each['version']}", *([each["case"]] if has_cases else [])]
        cells += [each["stores"], f"{each['tasks']:,}"]
        if each["runs"]:
            cells += [_cell(each, figure) for figure in shown]
        else:
            cells += ["failed", *[""] * (len(shown) - 1)]
        lines.append(cells)
    return lines


def _cell(row: dict[str, Any], figure: Figure) -> str:
    if figure.name not in row["median"]:
        return "-"
    median, low, high = (row[key][figure.name] for key in ("median", "min", "max"))
    text = f"{median:,.{figure.digits}f}"
    if len(row["runs"]) > 1 and low != high:
        text += f" ({low:,.{figure.digits}f} to {high:,.{figure.digits}f})"
    ratio = row["ratio"].get(figure.name)
    return text if ratio is None else f"{text} [{ratio:.2f}]"
