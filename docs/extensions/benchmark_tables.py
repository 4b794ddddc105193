"""The directive `benchmark-tables`: what `python -m benchmarks ... --json` has written, as tables.

Its argument is a measure; each file `docs/benchmarks/MEASURE-*.json` becomes a table, with the
pictures beside it that `--plots` has drawn for it. So no figure is ever typed.
"""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from benchmarks import report

FOLDER = Path(__file__).parents[1] / "benchmarks"


class BenchmarkTables(SphinxDirective):
    """Show every report of one measure."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A table for each broker; a sentence where nothing has been recorded."""
        measure = self.arguments[0]
        self.env.note_dependency(str(FOLDER))
        shown: list[nodes.Node] = []
        for path in sorted(FOLDER.glob(f"{measure}-*.json")):
            self.env.note_dependency(str(path))
            made = json.loads(path.read_text("utf-8"))
            shown += [_table(made), *_pictures(path), *self._footnote(made)]
        if shown:
            return shown
        return self._parsed(
            f"No figures of this kind are recorded. Where they belong: ``python -m benchmarks"
            f" {measure} --json docs/benchmarks/{measure}-redis.json``."
        )

    def _footnote(self, made: dict[str, Any]) -> list[nodes.Node]:
        # Of Markdown, which has one ` for code.
        return self._parsed(report.footnote(made).replace("`", "``"))

    def _parsed(self, text: str) -> list[nodes.Node]:
        return self.parse_text_to_nodes(text)


def _table(made: dict[str, Any]) -> nodes.table:
    head, *lines = report.table(made)
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *[_row(line) for line in lines])
    return nodes.table("", nodes.title(text=report.title(made)), group, classes=["benchmark"])


def _row(cells: list[str]) -> nodes.row:
    return nodes.row("", *[nodes.entry("", nodes.paragraph(text=cell)) for cell in cells])


def _pictures(path: Path) -> list[nodes.Node]:
    return [
        nodes.image(uri=f"benchmarks/{picture.name}", alt=picture.stem.replace("-", ", "))
        for picture in sorted(path.parent.glob(f"{path.stem}-*.svg"))
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("benchmark-tables", BenchmarkTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
