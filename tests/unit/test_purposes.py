"""What was signed for one purpose is nothing for any other: five kinds of text, five readers."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection

from django_q import schedule_arguments, signing
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.exceptions import PackageRejected, UnreadableValue
from django_q.models import Task
from django_q.results.cache import CacheStore
from django_q.sealed import open_package
from django_q.status import Stat
from django_q.stored import seal_value
from tests.site.tasks import RunsWhenOpened
from tests.unit.test_models import make_task

QUEUE, ID = "default", "a" * 32
_opened: list[str] = []


@pytest.fixture(autouse=True)
def settings(database: str, q_cluster: Callable[..., Any]) -> None:
    _opened.clear()
    caches["default"].clear()
    q_cluster(broker_class="django_q.brokers.memory.Memory")


def note() -> str:
    """Leave a trace of being opened."""
    _opened.append("opened")
    return "opened"


NOTING = RunsWhenOpened(note)


# A text of each kind, with a pickle of which one sees that it was opened.


def package() -> str:
    return signing.seal(NOTING, "task", QUEUE)


def heartbeat() -> str:
    return signing.seal(NOTING, "stat", "")


def cached_result() -> str:
    return signing.seal(NOTING, "result", "")


def stored_result() -> str:
    return str(seal_value(NOTING))


def schedule() -> str:
    return str(schedule_arguments.keep((NOTING,), {}, {}).sealed)


# And who reads it.


def as_package(text: str) -> None:
    with pytest.raises(PackageRejected):
        open_package(text, QUEUE)


def as_heartbeat(text: str) -> None:
    broker = get_broker()
    broker.set_stat(f"{Conf.Q_STAT}:x", text, 60)
    assert Stat.get_all(broker) == []


def as_cached_result(text: str) -> None:
    caches["default"].set(f"django_q:{Conf.PREFIX}:result:{ID}", text)
    assert CacheStore().fetch(ID) is None


def as_stored_result(text: str) -> None:
    make_task(1, id=ID)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_task SET result = %s", [text])
    with contextlib.suppress(UnreadableValue):
        _ = Task.objects.get().result


def as_schedule(text: str) -> None:
    kept = schedule_arguments.keep((NOTING,), {}, {})
    digest = str(kept.sealed).partition(":")[0]
    sealed = f"{digest}:{text.rpartition(digest + ':')[2].partition(chr(10))[0]}\n{{}}"
    with contextlib.suppress(ValueError):
        read: Any = schedule_arguments.read(kept.args, kept.kwargs, sealed)
        read.args.open()


TEXTS = (package, heartbeat, cached_result, stored_result, schedule)
READERS = (as_package, as_heartbeat, as_cached_result, as_stored_result, as_schedule)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_opened_for_its_own_purpose_only(
    text: Callable[[], str], reader: Callable[[str], None]
) -> None:
    reader(text())

    is_its_own = reader.__name__ == f"as_{text.__name__}"
    assert bool(_opened) == is_its_own
