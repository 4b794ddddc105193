"""Schedules under fire: F24, F25, F27."""

import contextlib
import math
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from django_q.models import Schedule, Task
from django_q.tasks import schedule as plan
from tests.faults.arena import Arena
from tests.faults.scenario import scenario
from tests.waiting import wait_until

NOOP = "tests.site.tasks.noop"


def _schedule(arena: Arena, func: str, **values: Any) -> None:
    """Plan for the queue of this scenario: a housekeeper of the last one may not be gone yet."""
    plan(func, cluster=arena.settings["name"], **values)


@scenario("F24", ("redis", "postgres", "mariadb", "sqlite"))
def schedulers_are_killed(arena: Arena) -> None:
    """Two clusters and their schedulers, the scheduling process killed again and again."""
    clusters = [arena.cluster(), arena.cluster()]
    due, every, count = max(6, arena.times(60)), 1, 6
    start = timezone.now().replace(microsecond=0) + timedelta(seconds=2)
    for n in range(count):
        _schedule(
            arena,
            "tests.site.tasks.echo",
            name=f"s{n}",
            schedule_type=Schedule.SECONDS,
            seconds=every,
            repeats=due,
            next_run=start,
            intended_date_kwarg="at",
        )
    end = time.monotonic() + 2 + due * every
    while time.monotonic() < end:
        time.sleep(arena.random.uniform(0.3, 1.0))  # the fault: a kill at any moment
        keeper = arena.housekeeper(arena.random.choice(clusters))
        if keeper is not None:
            arena.kill(keeper.pid)
    rows = Task.objects.filter(func="tests.site.tasks.echo")
    wait_until(lambda: rows.count() >= due * count, 20, what="all due times")
    wait_until(lambda: not Schedule.objects.exclude(repeats=0).exists(), 10, what="their ends")

    moments = [(row.group, row.kwargs["at"]) for row in rows]
    arena.findings.exactly("missing", due * count - len(set(moments)), 0)
    arena.findings.exactly("double", len(moments) - len(set(moments)), 0)


@scenario("F25", ("postgres", "sqlite"))
def schedules_missed_a_day(arena: Arena) -> None:
    """Due during a day of downtime; a minute schedule whose next run lies in 1970."""
    now = timezone.now()
    yesterday, long_ago = now - timedelta(days=1), datetime(1970, 1, 2, tzinfo=UTC)
    common = {"schedule_type": Schedule.HOURLY, "next_run": yesterday}
    _schedule(arena, NOOP, name="one", catch_up=False, **common)
    _schedule(arena, NOOP, name="all", catch_up=True, **common)
    _schedule(arena, NOOP, name="old", schedule_type=Schedule.MINUTES, minutes=1, next_run=long_ago)
    _schedule(arena, NOOP, name="other", schedule_type=Schedule.ONCE, next_run=now)
    arena.cluster()

    def count(name: str) -> int:
        return Task.objects.filter(group=name).count()

    began = time.monotonic()
    wait_until(lambda: count("other") == 1, 20, what="the other one")
    arena.findings.at_most("other held up", time.monotonic() - began, 3.0, " s")
    wait_until(lambda: count("all") >= 25, 30, what="what was missed")
    arena.findings.exactly("without catch_up", count("one"), 1)


@scenario("F27")
def one_schedule_is_broken(arena: Arena) -> None:
    """One broken schedule among 50."""
    arena.cluster()
    system, due = arena.system, timezone.now() + timedelta(seconds=2)
    for n in range(50):
        system.plan(NOOP, f"s{n}", due)
    system.damage("s7")

    with arena.noting_stalls():
        arena.wait_for(lambda: len(system.fired(NOOP)) >= 49, arena.patience, "not all fired")
    fired = system.fired(NOOP)
    arena.findings.exactly("fired", len(fired), 49)
    arena.findings.exactly("twice", len(fired) - len({name for name, _ in fired}), 0)
    late = max((sent - due).total_seconds() for _, sent in fired) if fired else math.inf
    arena.findings.at_most("late", late, 1.5, " s")
    with contextlib.suppress(AssertionError):
        wait_until(lambda: system.shows_error("s7"), 10)
    arena.findings.holds("error shown", system.shows_error("s7"))
