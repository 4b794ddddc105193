"""The directive `broker-flags`: what each broker can do, read off its class."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from django_q.testing.flags import flags_table, our_brokers


class FlagsTable(SphinxDirective):
    """Puts the table of flags where it stands."""

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        rows = flags_table(our_brokers())
        group = nodes.tgroup(cols=len(rows[0]))
        group += [nodes.colspec(colwidth=30 if n == 0 else 10) for n in range(len(rows[0]))]
        head, body = nodes.thead(), nodes.tbody()
        for number, row in enumerate(rows):
            (body if number else head).append(_row(row))
        group += [head, body]
        return [nodes.table("", group)]


def _row(cells: list[str]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        row += nodes.entry("", nodes.paragraph(text=cell))
    return row


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the directive known."""
    app.add_directive("broker-flags", FlagsTable)
    return {"parallel_read_safe": True, "version": "1"}
