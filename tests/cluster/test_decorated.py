"""Decorated functions, and the calls for event loops, with a real cluster."""

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from django_q.models import Schedule
from django_q.tasks import aresult_or_raise, attempts, fetch, result_or_raise
from tests.cluster.ground import RETRY, on, wait_empty
from tests.site.decorated.tasks import send_receipt, stumble, wait_a_bit
from tests.waiting import wait_until

Start = Callable[..., Any]


@on("redis", "postgres")
def test_decorated_functions_run_with_their_options(
    place: dict[str, Any],
    q_cluster: Start,
    cluster: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = tmp_path / "ticks"
    monkeypatch.setenv("TEST_APPS", "tests.site.decorated")
    monkeypatch.setenv("TEST_TICKS", str(ticks))
    q_cluster(**place, workers=2, retry=RETRY, grace=1)
    started = cluster()

    receipt = send_receipt.enqueue(12, currency="SEK")
    several = send_receipt.enqueue_many([1, (2, "NOK")])
    later = send_receipt.using(delay=timedelta(seconds=1), group=None).enqueue(3)
    stumbled = stumble.enqueue()
    awaited = asyncio.run(_in_a_loop())

    assert result_or_raise(receipt, wait=15_000) == "12 SEK"
    assert [result_or_raise(each, wait=15_000) for each in several] == ["1 EUR", "2 NOK"]
    task = fetch(later, wait=15_000)
    assert task is not None and task.enqueued is not None
    assert (task.result, task.group) == ("3 EUR", None)
    assert (task.started - task.enqueued).total_seconds() >= 1
    assert result_or_raise(stumbled, wait=15_000) == 3
    assert [attempt.error for attempt in attempts(stumbled)] == ["builtins.ValueError"] * 2
    assert awaited == [7, "8 EUR"]
    wait_until(lambda: _words(ticks) >= 2, 15, what="two ticks")
    assert {row.name: row.enabled for row in Schedule.objects.all()} == {
        "nightly": True,
        "tests.site.decorated.tasks.tick": True,
    }
    started.wait_log("Schedule nightly was made, as declared beside a function")
    Schedule.objects.all().delete()
    wait_empty()


async def _in_a_loop() -> list[Any]:
    sent = [await wait_a_bit.aenqueue(7), await send_receipt.aenqueue(8)]
    return await asyncio.gather(*(aresult_or_raise(each, wait=15_000) for each in sent))


def _words(path: Path) -> int:
    return path.read_text().count("tick") if os.path.exists(path) else 0
