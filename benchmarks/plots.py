"""Draws a report as one picture: a panel for each figure that tells most.

    python plots.py FOLDER < report.json

Bars begin at zero; where values lie far apart they are dots on a logarithmic scale. Lines show the
range of the runs. Nothing is painted behind it, and its colours can be read on white and on black.
Run in an environment with matplotlib; it knows nothing of the rest of this package.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot, ticker
from matplotlib.axes import Axes

#: Colours of ours, of all others, and of all that is written.
_OURS, _OTHERS, _INK = "#2a9d74", "#9097a0", "#757c85"
#: Measure -> its panels.
_PANELS = {
    "drain": ("settled_per_second", "cpu_us_per_task"),
    "enqueue": ("one_at_a_time_per_second", "bulk_per_second"),
    "latency": ("p50_ms", "p99_ms"),
    "cpu": ("against_bare",),
    "memory": ("first_pss_mb",),
    "backlog": ("settled_per_second",),
    "payload": ("settled_per_second", "megabytes_per_second"),
    "growth": ("settled_per_second",),
    "io": ("settled_per_second", "cpu_us_per_task"),
}
#: How many times the least the largest may be for bars.
_SPREAD = 40
_STYLE = {
    "svg.hashsalt": "benchmarks",
    # Letters stay letters: small files, and the reader's own font.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "savefig.transparent": True,
}

Row = dict[str, Any]


def draw(report: dict[str, Any], folder: Path) -> None:
    """Write `MEASURE-BROKER.svg`."""
    figures = {figure["name"]: figure for figure in report["figures"]}
    kinds = list(dict.fromkeys(row.get("kind", "") for row in report["rows"]))
    panels = [
        (figures[name], rows)
        for name in _PANELS[report["measure"]]
        for kind in kinds
        if (rows := _rows(report, figures[name], kind))
    ]
    if not panels:
        return
    most = max(len(rows) for _, rows in panels)
    size = (8.2, 0.75 + 0.27 * most)
    sheet, axes = pyplot.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
    for place, (figure, rows) in zip(axes[0], panels, strict=True):
        _draw(place, figure, rows)
        # Bars of one height in all panels, the first on top.
        place.set_ylim(len(rows) - most - 0.6, len(rows) - 0.4)
    # Without a date, the same figures give the same file.
    path = folder / f"{report['measure']}-{report['broker']}.svg"
    sheet.savefig(path, metadata={"Date": None})
    pyplot.close(sheet)


def _rows(report: dict[str, Any], figure: dict[str, Any], kind: str) -> list[Row]:
    """The rows of a panel, the best on top; cases stay in their order."""
    rows = [
        row
        for row in report["rows"]
        if figure["name"] in row["median"] and row.get("kind", "") == kind
    ]
    if any(row["case"] for row in rows):
        return rows[::-1]
    better = 1 if figure["more_is_better"] else -1
    return sorted(rows, key=lambda row: better * row["median"][figure["name"]])


def _draw(axes: Axes, figure: dict[str, Any], rows: list[Row]) -> None:
    name = figure["name"]
    medians = [row["median"][name] for row in rows]
    highest = [row["max"][name] for row in rows]
    around = [
        [row["median"][name] - row["min"][name] for row in rows],
        [row["max"][name] - row["median"][name] for row in rows],
    ]
    places = range(len(rows))
    colours = [_OURS if row["entry"].startswith("ours") else _OTHERS for row in rows]
    ranges = {"xerr": around, "ecolor": _INK, "capsize": 2}
    if min(medians) > 0 and max(medians) > _SPREAD * min(medians):
        axes.set_xscale("log")
        axes.errorbar(medians, places, fmt="none", elinewidth=1, **ranges)
        axes.scatter(medians, places, c=colours, s=30, zorder=3)
        axes.set_xlim(min(medians) / 2, max(highest) * 8)
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    else:
        axes.barh(places, medians, color=colours, height=0.7, error_kw={"elinewidth": 1}, **ranges)
        axes.set_xlim(0, max(highest) * 1.25)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    for place, median, high in zip(places, medians, highest, strict=True):
        text = f"{median:,.{figure['digits']}f}"
        axes.annotate(text, (high, place), (6, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, [_label(row, rows) for row in rows])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    better = {True: " (more is better)", False: " (less is better)", None: ""}
    axes.set_title(figure["title"] + better[figure["more_is_better"]], loc="left")


def _label(row: Row, rows: list[Row]) -> str:
    """The peer and the case, as far as they differ in this panel."""
    is_one = len({other["entry"] for other in rows}) == 1
    words = (row["case"],) if is_one and row["case"] else (row["entry"], row["case"])
    return ", ".join(filter(None, words))


if __name__ == "__main__":
    matplotlib.use("svg")
    matplotlib.rcParams.update(_STYLE)
    draw(json.load(sys.stdin), Path(sys.argv[1]))
