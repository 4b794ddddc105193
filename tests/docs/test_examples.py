"""The examples of the documentation give what they say, with a cluster beside them."""

import doctest
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q.conf import Conf
from django_q.status import Stat
from tests.waiting import wait_until

from . import pages

#: Settings that the cluster of a page has as its examples say.
_NAMED = re.compile(r'"threads"|"queues": (\["|\{"high)')


@pytest.mark.parametrize(
    "page", [p for p in pages.PAGES if pages.session(p).examples], ids=pages.name
)
def test_the_examples_give_what_they_say(
    page: Path,
    database: str,
    q_cluster: Callable[..., Any],
    cluster: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A cluster is started in tmp_path, so it finds the page's modules there as we do.
    pages.write_modules(page, tmp_path, monkeypatch)
    q_cluster(orm="default", workers=2, **_places(page))
    cluster()
    # Its first heartbeats say that it starts, and the next that one of its workers is ready.
    wait_until(lambda: [stat for stat in Stat.get_all() if _is_ready(stat)])

    told: list[str] = []
    doctest.DocTestRunner(verbose=False).run(pages.session(page), out=told.append)

    assert not told, "".join(told)


def _is_ready(stat: Stat) -> bool:
    return stat.status == Conf.IDLE and len(stat.workers) == 2


def _places(page: Path) -> dict[str, Any]:
    """How many tasks the page's settings have side by side, and from which queues."""
    names: dict[str, Any] = {}
    for block in pages.blocks(page):
        if block.file == "shop/settings.py" and _NAMED.search(block.code):
            exec(block.code, names)  # noqa: S102 (our own documentation)
    settings = names.get("Q_CLUSTER", {})
    return {
        key: settings[key] for key in settings.keys() & {"threads", "async_concurrency", "queues"}
    }
