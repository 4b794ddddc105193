"""A worker with many places goes on with what runs while its main thread is held up."""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from django_q.brokers.memory import Memory
from django_q.cluster.concurrent import ConcurrentWorker
from django_q.cluster.room import count_places
from django_q.enqueue import async_task
from django_q.exceptions import ResultsUnavailable, TimeoutException
from django_q.models import Task
from django_q.results import ledger
from django_q.results.ledger import History
from tests.unit.desk import Desk
from tests.waiting import wait_until

Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")

#: Something that a task waits for has happened, or it has begun.
_happened, _began = threading.Event(), threading.Event()
#: Two tasks meet, so that each has a thread; and these are the sockets of their connections.
_met = threading.Barrier(2)
_sockets: list[int] = []
#: Whether what a hook waited for has happened.
_hooks: list[bool] = []
#: Seconds until it is missed.
_PATIENCE = 15.0


class Quick(Memory):
    """Is left quickly at the end of a test."""

    idle_wait = 0.1


class WideDesk(Desk):
    """A desk whose worker has many places."""

    def worker(self) -> ConcurrentWorker:
        """Make the worker of this desk."""
        return ConcurrentWorker("worker-1", self.slot, self.clerk, self.stores)


@pytest.fixture
def desk(q_cluster: Configure) -> Iterator[WideDesk]:
    q_cluster(threads=2, async_concurrency=4, open_timeout=60)
    numbers = (signal.SIGTERM, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    left = signal.setitimer(signal.ITIMER_REAL, 0)
    _happened.clear()
    _began.clear()
    _hooks.clear()
    made = WideDesk(Quick(), count_places())
    yield made
    made.close()
    for number in numbers:
        signal.signal(number, before[number])
    signal.setitimer(signal.ITIMER_REAL, *left)


class HoldsUp:
    """An argument that holds up the main thread when it is opened, until something happened."""

    def __reduce__(self) -> Any:
        return _wait_for_it, ()


def _wait_for_it() -> bool:
    return _happened.wait(_PATIENCE)


def give(value: Any) -> Any:
    """Give what it was given."""
    return value


def run_into_limit() -> None:
    """Run into the soft limit, and say so."""
    _began.set()
    try:
        while True:
            time.sleep(0.01)
    except TimeoutException:
        _happened.set()
        raise


async def end_at_once() -> None:
    """End as soon as the main thread is held up."""
    _began.set()
    await asyncio.sleep(0.2)


async def end_later() -> None:
    """Go on after the other one has ended, and say so."""
    await asyncio.sleep(0.6)
    _happened.set()


async def rest() -> None:
    """Do nothing."""


async def say_so() -> None:
    """Say that it has begun."""
    _happened.set()


def say_so_at_once() -> None:
    """Say that it has begun, in a thread."""
    _happened.set()


def wait_for_the_other(task: Task) -> None:
    """Wait, as a hook, until another task has run."""
    _began.set()
    _hooks.append(_happened.wait(_PATIENCE))


def take_too_long(task: Task) -> None:
    """Run into the limit, as a hook."""
    while True:
        time.sleep(0.01)


def ask_together() -> int:
    """Ask the database, on the connection of a thread of its own."""
    _met.wait(_PATIENCE)
    connection = connections["postgres"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    _sockets.append(connection.connection.fileno())
    if len(_sockets) <= 2:
        connection.close_at = None  # as CONN_MAX_AGE = None has it
    return len(_sockets)


def cut(number: int) -> None:
    """Cut a connection, as its server does when it is restarted."""
    with socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM) as end:
        end.shutdown(socket.SHUT_RDWR)


def send_when_begun(desk: Desk, *args: Any) -> threading.Thread:
    """Send a task once another one has begun."""

    def send() -> None:
        _began.wait(_PATIENCE)
        async_task(give, *args, broker=desk.broker, task_name="late")

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_soft_limits_are_kept_while_a_package_is_opened(desk: WideDesk) -> None:
    async_task(run_into_limit, timeout=0.3, broker=desk.broker)
    sender = send_when_begun(desk, HoldsUp())

    desk.work(lambda: Task.objects.count() == 2)

    sender.join()
    assert Task.objects.get(name="late").result is True


def test_coroutines_go_on_while_a_package_is_opened(desk: WideDesk) -> None:
    async_task(end_at_once, broker=desk.broker)
    async_task(end_later, broker=desk.broker)
    sender = send_when_begun(desk, HoldsUp())

    desk.work(lambda: Task.objects.count() == 3)

    sender.join()
    assert Task.objects.get(name="late").result is True


@pytest.mark.parametrize("other", [say_so, say_so_at_once])
def test_others_begin_while_the_hook_of_a_coroutine_runs(desk: WideDesk, other: Any) -> None:
    def send() -> None:
        _began.wait(_PATIENCE)
        async_task(other, broker=desk.broker)

    async_task(rest, hook=wait_for_the_other, broker=desk.broker)
    sender = threading.Thread(target=send)
    sender.start()

    desk.work(lambda: bool(_hooks) and Task.objects.filter(success=True).count() == 2)

    sender.join()
    assert _hooks == [True]


def test_the_hook_of_a_coroutine_has_its_limit(
    desk: WideDesk, caplog: pytest.LogCaptureFixture
) -> None:
    async_task(rest, hook=take_too_long, timeout=0.5, broker=desk.broker)

    desk.work(lambda: "The hook of" in caplog.text)

    assert "ran longer than its limit of 0.5 s" in caplog.text


def test_what_ends_is_saved_while_the_ledger_does_not_answer(
    desk: WideDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def history(key: str) -> History:
        _happened.set()
        if not Task.objects.filter(name="early").exists():
            raise ResultsUnavailable("The ledger is away.")
        return History()

    monkeypatch.setattr(ledger, "history", history)
    async_task(_wait_for_it, broker=desk.broker, task_name="early")
    async_task(give, 1, broker=desk.broker)
    (first, second) = desk.broker.lease(2)
    desk.broker.release([str(second.receipt)], counted=True)
    desk.broker.release([str(first.receipt)])

    desk.work(lambda: Task.objects.count() == 2)

    wait_until(lambda: Task.objects.filter(success=True).count() == 2)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_connections_that_are_cut_between_two_tasks_fail_none(
    desk: WideDesk, database: str
) -> None:
    _sockets.clear()

    def send() -> None:
        async_task(ask_together, broker=desk.broker)
        async_task(ask_together, broker=desk.broker)

    def cut_and_send_again() -> None:
        wait_until(lambda: Task.objects.count() == 2, _PATIENCE)
        for number in _sockets[:2]:
            cut(number)
        send()
        connections.close_all()

    send()
    again = threading.Thread(target=cut_and_send_again)
    again.start()

    desk.work(lambda: Task.objects.count() == 4)

    again.join()
    assert [task.result for task in Task.objects.filter(success=False)] == []
