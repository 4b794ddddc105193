"""Keys, permits and paces: what their options may say, and what the books make of them."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from django_q.brokers import shared_broker
from django_q.exceptions import DuplicateTask, PackageError, ResultsUnavailable
from django_q.limit_options import read_rate, short_key
from django_q.models import Cancellation, Pace, Permit, Schedule, UniqueKey
from django_q.results import keys, paces, permits
from django_q.scheduler import run_now, scheduler
from django_q.tasks import async_chain, async_iter, async_task, async_tasks, schedule
from tests.site import databases

Configure = Callable[..., Any]
on_every_database = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
NOOP = "tests.site.tasks.noop"


@pytest.fixture
def waiting(database: str, q_cluster: Configure) -> Iterator[Callable[[], int]]:
    """Function that counts what waits; the tasks of the test wait in memory."""
    q_cluster(broker_class="django_q.brokers.memory.Memory")
    yield lambda: shared_broker().queue_size()
    shared_broker().purge_queue()


def together(action: Callable[[int], Any], count: int = 4) -> list[Any]:
    """Call `action` with 0..count-1 in threads that start at the same time; what they gave."""
    barrier = threading.Barrier(count)
    given: list[Any] = []

    def run(number: int) -> None:
        barrier.wait()
        try:
            given.append(action(number))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return given


# Options.


@pytest.mark.parametrize(
    ("value", "interval"),
    [("10/m", 6.0), ("1/s", 1.0), ("5/30s", 6.0), ("2/h", 1800.0), ((4, 2.0), 0.5), ("24/d", 3600)],
)
def test_a_rate_is_read(value: Any, interval: float) -> None:
    assert read_rate(value).interval == interval


@pytest.mark.parametrize("value", ["", "10", "m", "0/m", "-1/m", "1/0s", "1/y", 10, (0, 1), (1, 0)])
def test_a_rate_that_means_nothing_is_refused(value: Any) -> None:
    with pytest.raises(PackageError, match="rate_limit is"):
        read_rate(value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"unique": 5}, "unique is 5"),
        ({"unique": ""}, "unique is ''"),
        ({"unique": "a\0"}, "unique is"),
        ({"unique": "a", "unique_until": "never"}, "unique_until is 'never'"),
        ({"unique": "a", "unique_until": 0}, "unique_until is 0"),
        ({"unique": "a", "unique_else": "weep"}, "unique_else is 'weep'"),
        ({"unique_else": "skip"}, "does nothing without unique"),
        ({"concurrency_key": "a", "concurrency_limit": 0}, "concurrency_limit is 0"),
        ({"concurrency_limit": 2}, "does nothing without concurrency_key"),
        ({"rate_limit": "fast"}, "rate_limit is 'fast'"),
        ({"rate_key": "a"}, "does nothing without rate_limit"),
    ],
)
def test_options_that_mean_nothing_are_refused_at_the_call(
    options: dict[str, Any], text: str, waiting: Callable[[], int]
) -> None:
    with pytest.raises(PackageError, match=text):
        async_task(NOOP, **options)

    assert waiting() == 0


@pytest.mark.usefixtures("waiting")
def test_parts_and_links_cannot_be_unique() -> None:
    with pytest.raises(PackageError, match="cannot be unique"):
        async_iter(NOOP, [1, 2], unique="a")
    with pytest.raises(PackageError, match="belongs to a chain or a group"):
        async_chain([(NOOP, (), {"q_options": {"unique": "a"}}), NOOP])


def test_long_keys_are_kept_as_their_digest() -> None:
    assert short_key("a" * 100) == "a" * 100
    assert len(short_key("a" * 101)) == 64


# Unique tasks.


def test_a_second_task_with_the_key_is_not_sent(waiting: Callable[[], int]) -> None:
    first = async_task(NOOP, unique="a")

    assert async_task(NOOP, unique="a") == first
    assert async_task(NOOP, unique="b") != first
    assert waiting() == 2


def test_the_key_may_be_made_of_function_and_arguments(waiting: Callable[[], int]) -> None:
    ids = async_tasks("tests.site.tasks.echo", [1, 2, 1, 2, 3], unique=True)

    assert ids[:2] == ids[2:4]
    assert waiting() == 3


def test_who_asks_for_it_is_told_of_the_other_task(waiting: Callable[[], int]) -> None:
    first = async_task(NOOP, unique="a")

    with pytest.raises(DuplicateTask, match=first) as caught:
        async_task(NOOP, unique="a", unique_else="raise")

    assert (caught.value.key, caught.value.task_id) == ("a", first)
    assert waiting() == 1


def test_a_task_that_replaces_takes_the_key_and_cancels_the_other(
    waiting: Callable[[], int],
) -> None:
    first = async_task(NOOP, unique="a")

    second = async_task(NOOP, unique="a", unique_else="replace")

    assert UniqueKey.objects.get().task == second
    assert [row.task for row in Cancellation.objects.all()] == [first]
    assert waiting() == 2  # the first is dropped by whoever leases it


def test_a_key_taken_for_a_time_is_free_after_it(waiting: Callable[[], int]) -> None:
    first = async_task(NOOP, unique="a", unique_until=0.2)
    assert async_task(NOOP, unique="a") == first

    time.sleep(0.25)

    assert async_task(NOOP, unique="a") != first


def test_a_task_that_cannot_be_sent_leaves_its_key(
    waiting: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ResultsUnavailable("not today")

    with monkeypatch.context() as patch:
        patch.setattr("django_q.enqueue.send", refuse)
        with pytest.raises(ResultsUnavailable):
            async_task(NOOP, unique="a")

    assert not UniqueKey.objects.exists()
    async_task(NOOP, unique="a", unique_else="raise")


def test_a_task_in_place_leaves_its_key_when_it_is_done(waiting: Callable[[], int]) -> None:
    async_task(NOOP, unique="a", sync=True)

    assert not UniqueKey.objects.exists()


def test_a_schedule_waits_for_the_end_of_its_last_task(waiting: Callable[[], int]) -> None:
    made = schedule(NOOP, schedule_type=Schedule.HOURLY, name="hourly", unique=True)
    scheduler(shared_broker())
    made.refresh_from_db()
    first = made.task
    Schedule.objects.update(next_run=made.next_run.replace(year=2020))

    scheduler(shared_broker())

    made.refresh_from_db()
    assert (waiting(), made.task) == (1, first)
    assert made.next_run.year > 2020  # it has moved on
    assert run_now(made) == first
    keys.free([(f"schedule {made.pk}", first)])
    assert run_now(made) != first


@on_every_database
def test_of_many_who_want_a_key_one_has_it(database: str) -> None:
    holders = together(lambda number: keys.take("a", f"task {number}", "done", 60))

    assert len(set(holders)) == 1
    assert UniqueKey.objects.get().task == holders[0]


def test_tasks_that_are_not_sent_take_no_key(waiting: Callable[[], int]) -> None:
    async_task("tests.site.tasks.echo", 8, unique=True)

    with pytest.raises(DuplicateTask):
        async_tasks("tests.site.tasks.echo", [7, 8, 9], unique=True, unique_else="raise")

    assert waiting() == 1
    async_task("tests.site.tasks.echo", 7, unique=True, unique_else="raise")


def test_equal_arguments_make_one_key(waiting: Callable[[], int]) -> None:
    one, other = "".join(["a", "b"]), "".join(["a", "b"])

    first = async_task("tests.site.tasks.echo", one, one, x=1, y=2, unique=True)

    assert async_task("tests.site.tasks.echo", one, other, y=2, x=1, unique=True) == first


def test_what_cannot_be_pickled_makes_no_key(waiting: Callable[[], int]) -> None:
    with pytest.raises(PackageError, match="unique is True, but the arguments cannot be pickled"):
        async_task("tests.site.tasks.echo", lambda: 1, unique=True)


def test_a_task_that_is_over_is_replaced_without_a_wish(waiting: Callable[[], int]) -> None:
    first = async_task(NOOP, unique="a", unique_until=60, sync=True)

    second = async_task(NOOP, unique="a", unique_else="replace")

    assert second != first
    assert not Cancellation.objects.exists()


# Permits.


@on_every_database
def test_no_more_permits_than_places(database: str) -> None:
    taken = together(lambda number: permits.take("a", 3, f"task {number}", 60), 6)

    # Two who want the same place at the same time may both see it taken; they ask again.
    assert 1 <= sum(taken) <= 3
    assert Permit.objects.count() == sum(taken)
    assert sum(permits.take("a", 3, f"late {number}", 60) for number in range(3)) == 3 - sum(taken)


@on_every_database
def test_a_task_that_starts_again_has_its_permit(database: str) -> None:
    assert permits.take("a", 1, "one", 60)

    assert permits.take("a", 1, "one", 60)
    assert not permits.take("a", 1, "two", 60)


def test_a_permit_that_ran_out_is_anybodys(database: str) -> None:
    permits.take("a", 1, "one", -1)

    assert permits.take("a", 1, "two", 60)
    assert not permits.take("a", 1, "one", 60)


def test_what_runs_keeps_its_permit_and_what_ended_frees_it(database: str) -> None:
    permits.take("a", 1, "one", -1)
    permits.renew(["one"], 60)
    assert not permits.take("a", 1, "two", 60)

    permits.free([("one",), ("two",)])

    assert permits.take("a", 1, "two", 60)


# Paces.


@on_every_database
def test_starts_are_reserved_one_interval_apart(database: str) -> None:
    starts = sorted(together(lambda number: paces.reserve("a", 5.0)))

    gaps = [later - sooner for sooner, later in zip(starts, starts[1:], strict=False)]
    assert gaps == pytest.approx([5.0, 5.0, 5.0], abs=0.001)


def test_a_key_that_rested_starts_at_once(database: str) -> None:
    Pace.objects.create(key="a", next=time.time() - 100)

    assert paces.reserve("a", 60.0) == pytest.approx(time.time(), abs=1)


def test_what_is_over_is_dropped(database: str) -> None:
    Pace.objects.create(key="a", next=time.time() - 4000)
    Pace.objects.create(key="b", next=time.time() + 4000)
    permits.take("a", 1, "one", -4000)
    keys.take("a", "one", "time", -1)

    assert (paces.drop_old(), permits.drop_old(), keys.drop_old()) == (1, 1, 1)
    assert Pace.objects.get().key == "b"
