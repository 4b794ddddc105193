"""Draws a report: a picture for each figure that is compared, bars with the range of the runs.

    python plots.py FOLDER < report.json

Run in an environment with matplotlib; it knows nothing of the rest of this package.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot

#: Colours of ours, and of all others.
_OURS, _OTHERS = "#0f6b4f", "#9aa5a0"


def draw(report: dict[str, Any], folder: Path) -> None:
    """Write `MEASURE-BROKER-FIGURE.svg` for each."""
    for figure in report["figures"]:
        rows = [row for row in report["rows"] if figure["name"] in row["median"]]
        if figure["more_is_better"] is not None and rows:
            name = f"{report['measure']}-{report['broker']}-{figure['name']}.svg"
            _draw(report, figure, rows, folder / name)


def _draw(
    report: dict[str, Any], figure: dict[str, Any], rows: list[dict[str, Any]], path: Path
) -> None:
    rows = sorted(rows, key=lambda row: row["median"][figure["name"]])
    if not figure["more_is_better"]:
        rows.reverse()
    medians = [row["median"][figure["name"]] for row in rows]
    low = [row["median"][figure["name"]] - row["min"][figure["name"]] for row in rows]
    high = [row["max"][figure["name"]] - row["median"][figure["name"]] for row in rows]
    labels = [" ".join(filter(None, (row["entry"], row["case"]))) for row in rows]
    colours = [_OURS if row["entry"].startswith("ours") else _OTHERS for row in rows]
    sheet, axes = pyplot.subplots(figsize=(7, 0.6 + 0.35 * len(rows)), layout="constrained")
    bars = axes.barh(labels, medians, xerr=[low, high], color=colours, ecolor="#444", capsize=2)
    axes.bar_label(bars, [f"{median:,.{figure['digits']}f}" for median in medians], padding=4)
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    better = "more is better" if figure["more_is_better"] else "less is better"
    axes.set_title(f"{report['measure']}, {report['broker']}: {figure['title']} ({better})")
    # Without a date, the same figures give the same file.
    sheet.savefig(path, metadata={"Date": None})
    pyplot.close(sheet)


if __name__ == "__main__":
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "benchmarks"
    draw(json.load(sys.stdin), Path(sys.argv[1]))
