"""The calls for event loops: the same answers, and the loop goes on."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from django_q.brokers import shared_broker
from django_q.enqueue import run_in_place
from django_q.exceptions import TaskFailed, TaskNotDone
from django_q.package import TaskPackage
from django_q.tasks import (
    aasync_task,
    aasync_tasks,
    acancel,
    afetch,
    aresult,
    aresult_or_raise,
    atask_status,
)
from tests.site.decorated.tasks import send_receipt
from tests.unit.planned import MEMORY
from tests.unit.planned import sent as sent_to

pytestmark = pytest.mark.usefixtures("settings")
ADD = "tests.site.tasks.add"


@pytest.fixture
def settings(database: str, q_cluster: Callable[..., Any]) -> None:
    q_cluster(broker_class=MEMORY)


def sent() -> list[TaskPackage]:
    return sent_to(shared_broker())


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def test_tasks_are_sent_from_a_loop() -> None:
    async def go() -> list[str]:
        one = await aasync_task(ADD, 1, 2, group="sums")
        two = await aasync_tasks(ADD, [(3, 4)], group="sums")
        return [one, *two, await send_receipt.aenqueue(5, currency="SEK")]

    ids = drive(go())

    packages = sent()
    assert [package["id"] for package in packages] == ids
    assert [package["args"] for package in packages] == [(1, 2), (3, 4), (5,)]
    assert packages[0]["group"] == "sums"


def test_what_has_ended_is_found() -> None:
    async def go() -> list[Any]:
        good = await aasync_task(ADD, 1, 2, sync=True)
        task = await afetch(good)
        assert task is not None
        return [task.result, await aresult(good), await aresult_or_raise(good)]

    assert drive(go()) == [3, 3, 3]


def test_what_has_not_ended_is_waited_for_while_the_loop_goes_on() -> None:
    ticks = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.005)

    async def go() -> Any:
        ticking = asyncio.create_task(tick())
        found = await aresult("f" * 32, wait=300)
        ticking.cancel()
        return found

    assert drive(go()) is None
    assert len(ticks) > 10
    with pytest.raises(TaskNotDone):
        drive(aresult_or_raise("f" * 32, wait=1))


def test_a_result_that_comes_is_seen() -> None:
    async def go() -> Any:
        task_id = await aasync_task(ADD, 20, 22)
        waiting = asyncio.create_task(aresult(task_id, wait=10_000))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await asyncio.to_thread(run_in_place, sent()[0])
        return await waiting

    assert drive(go()) == 42


def test_a_failure_is_raised() -> None:
    async def go() -> None:
        (task_id,) = await aasync_tasks(ADD, [(1, "one")])
        with pytest.raises(TypeError):
            await asyncio.to_thread(run_in_place, sent()[0])
        await aresult_or_raise(task_id, wait=5_000)

    with pytest.raises(TaskFailed, match="unsupported operand"):
        drive(go())


def test_a_cached_result_is_found(q_cluster: Callable[..., Any]) -> None:
    q_cluster(broker_class=MEMORY, cache="shared", sync=True)

    async def go() -> Any:
        task_id = await aasync_task(ADD, 20, 22, cached=60)
        return await aresult(task_id, cached=True), await afetch(task_id)

    assert drive(go()) == (42, None)


def test_a_task_is_seen_and_cancelled_from_a_loop() -> None:
    async def go() -> list[Any]:
        task_id = await aasync_task(ADD, 1, 2, track=True)
        before = await atask_status(task_id)
        answers = [await acancel(task_id), await acancel(task_id, kill=True)]
        after = await atask_status(task_id)
        assert before is not None and after is not None
        return [before.state, *answers, after.state, await atask_status("f" * 32)]

    assert drive(go()) == ["queued", "cancelled", "cancelled", "cancelled", None]
