"""Django Q itself; its settings stand in `benchmarks.settings`."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from benchmarks.scene import Scene
from django_q.brokers import get_broker
from django_q.brokers.orm import ORM
from django_q.models import OrmQ, Task
from django_q.tasks import async_task, async_tasks

#: By kind of database: the numbers from 1 on, and the columns in which old rows differ.
_SERIES = {
    "sqlite": "series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < %s)",
    "postgresql": "series(n) AS (SELECT generate_series(1, %s))",
}
_OF_A_ROW = {
    "sqlite": {
        "id": "LOWER(HEX(RANDOMBLOB(16)))",
        "started": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', old.started, (-n / 2.0) || ' seconds')",
        "stopped": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', old.started, (-n / 2.0) || ' seconds')",
    },
    "postgresql": {
        "id": "MD5(RANDOM()::text)",
        "started": "old.started - n * interval '0.5 second'",
        "stopped": "old.started - n * interval '0.5 second'",
    },
}


def prepare() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)


def commands() -> list[list[str]]:
    """One cluster."""
    return [["django", "qcluster"]]


def send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One `async_task` each."""
    name = _name(kind)
    for number in numbers:
        async_task(name, number, **arguments)


def send_bulk(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One `async_tasks` for all."""
    async_tasks(_name(kind), ((number,) for number in numbers), **arguments)


def unsettled() -> int:
    """What waits, and what is leased."""
    broker = get_broker()
    if isinstance(broker, ORM):
        # Of a long queue its size is an estimate.
        return broker.get_connection().filter(key=broker.list_key).count()
    return broker.queue_size() + (broker.lock_size() or 0)


def unsettled_at_most() -> int:
    """Packages from the oldest to the newest: no count of a million rows."""
    if not isinstance(get_broker(), ORM):
        return unsettled()
    ids = OrmQ.objects.values_list("id", flat=True)
    newest, oldest = ids.order_by("-id").first(), ids.order_by("id").first()
    return 0 if newest is None or oldest is None else newest - oldest + 1


def results() -> int:
    """Successes in the database."""
    return Task.objects.filter(success=True).count()


def old_results(count: int) -> None:
    """Rows of tasks that ended a month ago and before, two each second, made by the database."""
    table = connection.ops.quote_name(Task._meta.db_table)
    moment = timezone.now() - timedelta(days=30)
    first = Task.objects.create(
        id="0" * 32,
        name="old",
        func="benchmarks.tasks.noop",
        started=moment,
        stopped=moment,
        success=True,
        result=1,
    )
    columns = [field.column for field in Task._meta.concrete_fields]
    quoted = {name: f"old.{connection.ops.quote_name(name)}" for name in columns}
    made = {**quoted, **_OF_A_ROW[connection.vendor]}
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE {_SERIES[connection.vendor]}"  # noqa: S608
            f" INSERT INTO {table} ({', '.join(map(connection.ops.quote_name, columns))})"
            f" SELECT {', '.join(made[name] for name in columns)}"
            f" FROM {table} old, series WHERE old.id = %s",
            [count, first.pk],
        )


def _name(kind: str) -> str:
    return f"benchmarks.tasks.{kind}{'_async' if Scene.here().variant == 'async' else ''}"
