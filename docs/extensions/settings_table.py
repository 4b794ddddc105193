"""The directive `settings-table`: rows made from the fields of `django_q.conf.Settings`.

The page says which settings stand in which table; default, values and meaning come from the code.
A setting that stands in no table, or in two, is a warning, which ends the build. The role
`:setting:` links to a row.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from django_q.conf import Settings

logger = logging.getLogger(__name__)

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
#: How a default is told that is reckoned when it is needed.
RECKONED = {
    "workers": "number of processors",
    "time_zone": "`TIME_ZONE`, if `USE_TZ`",
    "cluster_name": "as `name`",
}
UNITS = {"s": "seconds", "KiB": "KiB (1,024 bytes)"}
KINDS = {
    int: "whole number",
    float: "number",
    bool: "True or False",
    str: "text",
    dict: "dict",
    list: "list",
}


def default_of(name: str) -> str:
    """Give the default of a setting as text of reStructuredText."""
    if name in RECKONED:
        return RECKONED[name]
    field = FIELDS[name]
    if field.default_factory is not dataclasses.MISSING:
        return f"`{field.default_factory()!r}`"
    if FIELDS[name].metadata["unit"] == "bytes" and field.default % 2**20 == 0:
        return f"`{field.default}` ({field.default // 2**20} MiB)"
    return f"`{field.default!r}`"


def values_of(name: str) -> str:
    """Give what a setting may be: its choices, or kind, unit and range."""
    if name in Settings.CHOICES:
        return ", ".join(f"`{choice!r}`" for choice in Settings.CHOICES[name])
    metadata = FIELDS[name].metadata
    kinds = " or ".join(_kinds(typing.get_type_hints(Settings)[name]))
    if metadata["unit"]:
        kinds = UNITS.get(metadata["unit"], metadata["unit"])
    low, high = metadata["low"], metadata["high"]
    if low is None:
        return kinds
    return f"{kinds}, {low:,} to {high:,}" if high is not None else f"{kinds}, at least {low:,}"


def _kinds(hint: Any) -> Iterator[str]:
    for part in typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,):
        if part is not types.NoneType:
            yield KINDS[typing.get_origin(part) or part]


def rows_of(names: list[str]) -> list[str]:
    """Give the lines of a table with a row for each of these settings."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 20 20 25 35"]
    lines += ["   :class: settings", ""]
    for row in (
        ("Setting", "Default", "Values", "Meaning"),
        *((f"`{n}`", default_of(n), values_of(n), FIELDS[n].metadata["text"]) for n in names),
    ):
        lines += [f"   {'* -' if place == 0 else '  -'} {cell}" for place, cell in enumerate(row)]
    return lines


class SettingsTable(SphinxDirective):
    """A table of the settings that its content names, one a line."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make the table, and a target for each row."""
        names = [line.strip() for line in self.content if line.strip()]
        if unknown := [name for name in names if name not in FIELDS]:
            raise self.error(f"Settings has no {', '.join(unknown)}")
        _documented(self.env).setdefault(self.env.docname, []).extend(names)
        parsed = self.parse_text_to_nodes("\n".join(rows_of(names)))
        wanted = set(names)
        for node in (node for root in parsed for node in root.findall(nodes.literal)):
            if node.astext() in wanted:
                wanted.remove(node.astext())
                self._name(node, node.astext())
        return parsed

    def _name(self, node: nodes.Element, name: str) -> None:
        node["ids"].append(f"setting-{name}")
        domain = self.env.domains.standard_domain
        domain.note_object("setting", name, f"setting-{name}", location=node)


def _documented(env: BuildEnvironment) -> dict[str, list[str]]:
    """Give page -> its settings; kept with the environment, for builds of changed pages only."""
    if not hasattr(env, "documented_settings"):
        env.documented_settings = {}  # type: ignore[attr-defined]
    return env.documented_settings  # type: ignore[attr-defined, no-any-return]


def forget(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    """Forget a page that is read again."""
    _documented(env).pop(page, None)


def complain(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn about settings that stand in no table, or in several."""
    named = [name for names in _documented(env).values() for name in names]
    for name in FIELDS:
        if named.count(name) != 1:
            logger.warning("the setting %r stands in %d settings-tables", name, named.count(name))


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx what is here."""
    app.add_object_type("setting", "setting", objname="setting")
    app.add_directive("settings-table", SettingsTable)
    app.connect("env-purge-doc", forget)
    app.connect("env-check-consistency", complain)
    return {"version": "1", "parallel_read_safe": False}
