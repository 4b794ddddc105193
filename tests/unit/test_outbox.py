"""The outbox: outcomes are settled in batches, and none is dropped while a server is away."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from django_q.brokers.memory import Memory
from django_q.cluster import backoff
from django_q.cluster import outbox as outbox_module
from django_q.cluster.journal import JOURNAL_SIZE, Journal
from django_q.cluster.outbox import Finished, Outbox
from django_q.cluster.settlement import Settlement
from django_q.cluster.tracker import Tracker
from django_q.exceptions import BrokerUnavailable, ResultsUnavailable
from django_q.recorder import Record, make_stores
from django_q.results.rejected import Rejection
from tests.unit.clock import Clock


class Books(Settlement):
    """A settlement that notes what it is given, or raises what it is told to."""

    def __init__(self) -> None:
        super().__init__(Memory(), make_stores())
        self.batches: list[list[str | None]] = []
        self.rejected: list[str | None] = []
        self.trouble: Exception | None = None
        self.takes_time: Callable[[], object] = lambda: None

    def settle(self, records: Sequence[Record]) -> None:
        self.takes_time()
        if self.trouble is not None:
            raise self.trouble
        self.batches.append([record.receipt for record in records])

    def reject(self, rejection: Rejection) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.rejected.append(rejection.receipt)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(outbox_module, "time", made)
    monkeypatch.setattr(backoff, "time", made)
    return made


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def journal() -> Journal:
    return Journal(memoryview(bytearray(2 * JOURNAL_SIZE)))


@pytest.fixture
def outbox(books: Books, journal: Journal) -> Outbox:
    return Outbox(books, journal, Tracker("default"))


def finished(receipt: str | None = "r", **values: Any) -> Finished:
    return Finished(Record(None, receipt), receipt, **values)


def fill(outbox: Outbox, count: int) -> list[bool]:
    return [outbox.add(finished(str(number))) for number in range(count)]


# When.


def test_a_few_outcomes_can_wait(outbox: Outbox, clock: Clock) -> None:
    assert not any(fill(outbox, 99))

    assert not outbox.is_due(clock.now)
    assert outbox.due_in(clock.now) == pytest.approx(0.05)


def test_where_acknowledgements_are_paid_for_they_wait_longer(
    books: Books, journal: Journal, clock: Clock
) -> None:
    outbox = Outbox(books, journal, Tracker("default"), is_metered=True)
    fill(outbox, 3)

    clock.now += 0.4
    assert not outbox.is_due(clock.now)
    clock.now += 0.1
    assert outbox.is_due(clock.now)


def test_where_acknowledgements_are_paid_for_ten_make_a_batch(
    books: Books, journal: Journal, clock: Clock
) -> None:
    outbox = Outbox(books, journal, Tracker("default"), is_metered=True)
    assert not any(fill(outbox, 9))
    assert not outbox.is_due(clock.now)

    assert fill(outbox, 1) == [True]

    assert outbox.is_due(clock.now)


def test_some_hundred_make_a_batch(outbox: Outbox, clock: Clock) -> None:
    assert fill(outbox, 400)[-1]

    assert outbox.is_due(clock.now)


def test_old_outcomes_are_due(outbox: Outbox, clock: Clock) -> None:
    fill(outbox, 1)
    clock.now += 0.03
    fill(outbox, 1)
    assert not outbox.is_due(clock.now)

    clock.now += 0.03

    assert outbox.is_due(clock.now)
    assert outbox.due_in(clock.now) == 0.0


@pytest.mark.parametrize(("took", "rest"), [(0.001, 0.05), (0.012, 0.12), (7.0, 0.2)])
def test_the_longer_settling_takes_the_more_outcomes_are_awaited(
    took: float, rest: float, outbox: Outbox, books: Books, clock: Clock
) -> None:
    books.takes_time = lambda: setattr(clock, "now", clock.now + took)
    fill(outbox, 1)
    outbox.settle()
    fill(outbox, 1)

    assert outbox.due_in(clock.now) == pytest.approx(rest)
    clock.now += rest - 0.001
    assert not outbox.is_due(clock.now)
    clock.now += 0.002
    assert outbox.is_due(clock.now)


def test_an_outcome_somebody_waits_for_is_due_at_once(outbox: Outbox, clock: Clock) -> None:
    settled = threading.Event()

    assert outbox.add(finished(settled=settled))
    assert outbox.is_due(clock.now)
    outbox.settle()

    assert settled.is_set()
    assert not outbox.add(finished())


# What.


def test_a_batch_is_settled_in_order_and_its_receipts_are_done(
    outbox: Outbox, books: Books
) -> None:
    fill(outbox, 5)

    assert outbox.settle() == ["0", "1", "2", "3", "4"]

    assert books.batches == [["0", "1", "2", "3", "4"]]
    assert len(outbox) == 0


def test_a_heap_is_settled_in_several_batches(outbox: Outbox, books: Books) -> None:
    fill(outbox, 1700)

    receipts = [outbox.settle() for _ in range(3)]

    assert [len(batch) for batch in books.batches] == [800, 800, 100]
    assert sum(receipts, []) == [str(number) for number in range(1700)]


def test_what_has_no_receipt_is_settled_too(outbox: Outbox, books: Books) -> None:
    outbox.add(finished(None))

    assert outbox.settle() == []
    assert books.batches == [[None]]


def test_a_rejected_package_is_settled_beside_the_outcomes(outbox: Outbox, books: Books) -> None:
    outbox.add(Finished(Rejection("q", "payload", "why", "bad"), "bad"))
    outbox.add(finished("good"))

    assert outbox.settle() == ["bad", "good"]

    assert (books.batches, books.rejected) == ([["good"]], ["bad"])


def test_the_journal_is_told(outbox: Outbox, journal: Journal) -> None:
    large = b"x" * (JOURNAL_SIZE // 2)
    places = [journal.append(large) for _ in range(2)]
    assert journal.append(large) is None
    for place in places:
        outbox.add(finished(place=place))

    outbox.settle()

    assert journal.append(large) is not None


# Trouble.


@pytest.mark.parametrize(
    "trouble",
    [ResultsUnavailable("away"), BrokerUnavailable("away"), OSError("a client of one's own")],
)
def test_nothing_is_dropped_while_a_server_is_away(
    outbox: Outbox, books: Books, clock: Clock, trouble: Exception
) -> None:
    settled = threading.Event()
    fill(outbox, 250)
    outbox.add(finished("last", settled=settled))
    books.trouble = trouble

    assert outbox.settle() == []
    assert len(outbox) == 251
    clock.now += 1
    assert outbox.settle() == []
    books.trouble = None
    clock.now += 10
    receipts = outbox.settle() + outbox.settle()

    assert receipts == [*(str(number) for number in range(250)), "last"]
    assert settled.is_set()


def test_trouble_is_waited_out_and_told_once_a_try(
    outbox: Outbox, books: Books, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    fill(outbox, 1)
    books.trouble = ResultsUnavailable("The database is away.")

    outbox.settle()
    books.trouble = None
    assert outbox.settle() == []

    assert books.batches == []
    assert 0.08 <= outbox.due_in(clock.now) <= 0.12
    assert len(caplog.records) == 1
    assert "Results wait to be saved: The database is away. Next try in 0.1 s" in caplog.text


def test_the_end_of_the_trouble_is_told(
    outbox: Outbox, books: Books, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "django-q")
    fill(outbox, 1)
    books.trouble = ResultsUnavailable("away")
    outbox.settle()

    books.trouble = None
    clock.now += 1
    outbox.settle()

    assert caplog.messages[-1] == "Results are saved again"


def test_trouble_nobody_knows_shows_where_it_came_from(
    outbox: Outbox, books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    fill(outbox, 1)
    books.trouble = ZeroDivisionError("a defect")

    outbox.settle()

    assert "Traceback" in caplog.text and "ZeroDivisionError" in caplog.text


# Two threads.


def test_what_one_thread_adds_another_settles_once(
    outbox: Outbox, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 20_000
    add: Callable[[], list[bool]] = lambda: fill(outbox, count)  # noqa: E731
    adder = threading.Thread(target=add)
    receipts: list[str] = []

    adder.start()
    while adder.is_alive() or outbox:
        receipts += outbox.settle()

    assert receipts == [str(number) for number in range(count)]
