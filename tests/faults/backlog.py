"""Long queues: F18, F20."""

import statistics
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from django.db import connections
from django.utils import timezone

from django_q.brokers import Broker
from django_q.brokers.orm import ORM
from django_q.models import OrmQ, Task
from django_q.tasks import async_tasks
from tests.brokers.claims import plan_of_claim
from tests.faults.arena import Arena
from tests.faults.scenario import scenario
from tests.waiting import wait_until

NOOP = "tests.site.tasks.noop"
#: Rows of a long queue for each task of the run: a million for the full one.
FACTOR = 200
#: Packages of a short queue, and of the sample that a cluster drains.
SHORT, SAMPLE = 1000, 1000
#: Claims that are measured, and packages of each.
CLAIMS, BATCH = 200, 10


@scenario("F18", ("redis", "postgres", "mariadb", "sqlite"))
def a_long_queue_costs_no_more(arena: Arena) -> None:
    """Backlog of 1,000,000, then drain a sample."""
    broker, total = arena.broker, FACTOR * arena.tasks
    async_tasks(NOOP, [()] * SHORT)
    short = _times_to_claim(broker)
    async_tasks(NOOP, [()] * (total - SHORT))
    long = _times_to_claim(broker)
    sizes = [_time_to_count(broker) for _ in range(9)]

    cluster = arena.cluster()
    wait_until(lambda: Task.objects.count() >= SAMPLE, 120, pause=0.1, what="the sample")
    code = cluster.stop()
    done, left = Task.objects.count(), _left(broker)
    arena.findings.note("waiting", total)
    _note_claims(arena, "claim of 1,000", short)
    _note_claims(arena, "claim", long)
    ratio = _p95(long) / _p95(short)
    arena.findings.at_most("p95 / that of 1,000", ratio, 3.0)
    took = statistics.median(seconds for _, seconds in sizes)
    arena.findings.at_most("queue_size", 1000 * took, 50.0, " ms")
    wrong = 100 * max(abs(size / total - 1) for size, _ in sizes)
    arena.findings.at_most("queue_size is wrong by", wrong, 15.0, " %")
    arena.findings.exactly("exit code", code, 0)
    arena.findings.exactly("lost", total - done - left, 0)


@scenario("F20", ("postgres", "mariadb", "sqlite"))
def one_row_is_ready_behind_many(arena: Arena) -> None:
    """1,000,000 locked or future rows ahead of one ready row."""
    broker = cast(ORM, arena.broker)
    broker.enqueue_many(["delayed"] * 100, delay=3600)
    broker.enqueue_many(["leased"] * 100)
    broker.lease(100)
    OrmQ.objects.filter(payload="leased").update(lock=timezone.now() + timedelta(hours=1))
    total = _double(broker, FACTOR * arena.tasks)
    broker.enqueue("ready")

    times = _times_to_claim(broker, ["ready"])
    plan = plan_of_claim(broker)
    arena.findings.note("ahead", total)
    arena.findings.holds("index used", "django_q_ormq_claim" in plan, plan)
    arena.findings.at_most("claim p50", 1000 * statistics.median(times), 5.0, " ms")
    _note_claims(arena, "claim", times)


def _times_to_claim(broker: Broker, wanted: Sequence[str] | None = None) -> list[float]:
    """Lease again and again, and give back at once; seconds of each."""
    times = []
    for _ in range(CLAIMS):
        began = time.perf_counter()
        leases = broker.lease(BATCH)
        times.append(time.perf_counter() - began)
        assert leases, "nothing was leased"
        assert wanted is None or [lease.payload for lease in leases] == wanted
        broker.release([lease.receipt for lease in leases])
    return times


def _time_to_count(broker: Broker) -> tuple[int, float]:
    began = time.perf_counter()
    size = broker.queue_size()
    return size, time.perf_counter() - began


def _left(broker: Broker) -> int:
    """Count all packages, which `queue_size` does not in a long queue of a database."""
    if isinstance(broker, ORM):
        return broker.get_connection().filter(key=broker.list_key).count()
    return broker.queue_size() + (broker.lock_size() or 0)


def _double(broker: ORM, wanted: int) -> int:
    """Double the rows until there are so many; how many there are."""
    connection = connections[broker.alias]
    names = ("key", "payload", "lock", "deliveries", "priority", "token")
    columns = ", ".join(map(connection.ops.quote_name, names))
    double = f"INSERT INTO django_q_ormq ({columns}) SELECT {columns} FROM django_q_ormq"  # noqa: S608
    count = OrmQ.objects.count()
    with connection.cursor() as cursor:
        while count < wanted:
            cursor.execute(double)
            count *= 2
    return count


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def _note_claims(arena: Arena, name: str, times: list[float]) -> None:
    arena.findings.note(f"{name}, p95", 1000 * _p95(times), " ms")
