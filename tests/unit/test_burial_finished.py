"""Burials: what the dead worker had finished is settled, however often it takes."""

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from django.utils import timezone

from django_q.brokers import Broker, Lease
from django_q.brokers.orm import ORM
from django_q.cluster.scoreboard import Cause, Mark, Phase
from django_q.exceptions import BrokerUnavailable, ResultsUnavailable
from django_q.models import Ledger, Task
from django_q.package import Outcome, build_package
from django_q.recorder import pack, prepare
from django_q.results.database import DatabaseStore
from tests.unit.grave import KILLED, Grave, Moody, deaths

Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def grave(q_cluster: Configure) -> Grave:
    q_cluster()
    return Grave(Moody())


def test_what_was_finished_is_settled_and_charged_to_nobody(grave: Grave) -> None:
    first, second, waited = grave.lease(3)
    ids = {grave.finish(first), grave.finish(second)}
    grave.mark(second)

    grave.bury()

    assert set(Task.objects.values_list("pk", flat=True)) == ids
    assert deaths() == {}
    assert grave.back() == {waited.id: 1}


def test_what_was_settled_already_is_settled_again_without_harm(grave: Grave) -> None:
    (lease,) = grave.lease(1)
    grave.finish(lease)
    grave.mark(lease)

    grave.bury()
    grave.bury()

    assert Task.objects.count() == 1
    assert grave.back() == {}
    assert deaths() == {}


def test_an_outcome_that_nobody_can_settle_holds_up_no_other(
    grave: Grave, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good, waited = grave.lease(3)
    grave.finish(bad)
    kept = grave.finish(good)
    save = DatabaseStore.save

    def refuse(self: DatabaseStore, rows: Any, within: Any = None) -> list[str]:
        if any(row.id != kept for row in rows):
            raise ZeroDivisionError("a defect")
        return save(self, rows, within)

    monkeypatch.setattr(DatabaseStore, "save", refuse)

    grave.bury()

    assert [task.pk for task in Task.objects.all()] == [kept]
    assert set(grave.back()) == {bad.id, waited.id}


@pytest.mark.parametrize("is_sent", [True, False])
def test_what_follows_is_sent_unless_its_lease_is_gone(grave: Grave, is_sent: bool) -> None:
    """A lease is acknowledged when what follows was sent: a second copy might run beside it."""
    (lease,) = grave.lease(1)
    package = build_package("tests.site.tasks.noop", (), {}, {"chain": ["tests.site.tasks.noop"]})
    now = timezone.now()
    _, record = prepare(Outcome(package, True, None, now, now), lease)
    grave.slot.journal.append(pack(record))
    if is_sent:
        grave.broker.acknowledge(str(lease.receipt))

    grave.bury()

    assert Task.objects.get().pk == package["id"]
    assert grave.broker.lock_size() == 0
    assert grave.broker.queue_size() == (0 if is_sent else 1)


def test_what_is_known_to_be_settled_is_not_sent_again(q_cluster: Configure) -> None:
    """Nor where another process cannot tell whether a lease is held."""

    class Closed(Moody):
        portable_receipts = False

    q_cluster()
    grave = Grave(Closed())
    (lease,) = grave.lease(1)
    package = build_package("tests.site.tasks.noop", (), {}, {"chain": ["tests.site.tasks.noop"]})
    now = timezone.now()
    _, record = prepare(Outcome(package, True, None, now, now), lease)
    place = grave.slot.journal.append(pack(record))
    assert place is not None
    grave.broker.acknowledge(str(lease.receipt))
    grave.slot.journal.settle(place)
    grave.mark(lease)

    grave.bury()

    assert (grave.broker.queue_size(), grave.broker.lock_size()) == (0, 0)
    assert deaths() == {}


# Trouble.


def test_a_burial_that_is_repeated_charges_once(grave: Grave) -> None:
    (lease,) = grave.lease(1)
    grave.mark(lease)
    assert isinstance(grave.broker, Moody)
    grave.broker.is_away = True

    for _ in range(4):
        with pytest.raises(BrokerUnavailable):
            grave.bury()
    grave.broker.is_away = False
    grave.bury()

    assert deaths() == {lease.key: 1}
    assert grave.back() == {lease.id: 2}


def test_a_burial_while_the_results_are_away_is_tried_again(
    grave: Grave, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lease,) = grave.lease(1)
    task_id = grave.finish(lease)

    def away(*args: Any) -> NoReturn:
        raise ResultsUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseStore, "save", away)
        with pytest.raises(ResultsUnavailable):
            grave.bury()
    assert grave.broker.lock_size() == 1
    grave.bury()

    assert Task.objects.get().pk == task_id
    assert grave.broker.lock_size() == 0


# Brokers without receipts.


class Plain(Broker):
    """Delivers once."""

    def enqueue(self, task: str) -> str:
        return ""

    def dequeue(self) -> None:
        return None


def test_a_task_that_cannot_come_back_is_recorded_as_lost(q_cluster: Configure) -> None:
    q_cluster()
    grave = Grave(Plain())
    grave.mark(Lease(None, "payload"))

    grave.bury()

    task = Task.objects.get()
    assert (task.pk, task.name, task.func, task.success) == ("0" * 32, "deadly", "app.work", False)
    assert "signal SIGKILL" in task.result
    assert deaths() == {}


def test_a_task_that_was_finished_is_not_lost(q_cluster: Configure) -> None:
    q_cluster()
    grave = Grave(Plain())
    task_id = grave.finish(Lease(None, "payload"))
    grave.slot.write_mark(Mark(Phase.RUNNING, None, "", 1.0, 0.0, task_id, "n", "f"))

    grave.bury()

    assert Task.objects.get().success


def test_receipts_of_outcomes_are_known(grave: Grave) -> None:
    lease, other = grave.lease(2)
    grave.finish(lease)

    assert grave.burial.finished_receipts(grave.slot) == [lease.receipt] != [other.receipt]


@pytest.mark.parametrize("cause", [Cause.NONE, Cause.HARD_LIMIT])
def test_a_run_that_has_committed_its_end_is_charged_with_nothing(
    q_cluster: Configure, cause: Cause
) -> None:
    """Tasks with `atomic` do that themselves, and may be killed before they can say so."""
    q_cluster(orm="default")
    grave = Grave(ORM("default"))
    running, waiting = grave.lease(2)
    grave.mark(running)
    grave.broker.acknowledge(str(running.receipt))

    grave.bury(KILLED._replace(cause=cause))

    assert grave.back() == {waiting.id: 1}
    assert not Ledger.objects.exists()
