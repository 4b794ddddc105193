"""The places that tasks with one concurrency key share: taken before a task starts, freed after it.

A permit is a row with a unique place, so no two clusters can hold the same. It is good for a time
and renewed by the housekeeper while its task runs; a task that starts again has its old one.
All raise ResultsUnavailable when the database is away.
"""

import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.db import router
from django.utils import timezone

from django_q.models import Permit
from django_q.results.trouble import told

_CANNOT = "Permits cannot be written"


def take(key: str, limit: int, task_id: str, held: float) -> bool:
    """Take one of `limit` places for a task, for `held` seconds; False when none is free."""
    rows = Permit.objects.using(_alias())
    now = timezone.now()
    until = now + timedelta(seconds=held)
    with told(_alias(), _CANNOT):
        if rows.filter(key=key, task=task_id).update(until=until):
            return True
        taken = dict(rows.filter(key=key, place__lt=limit).values_list("place", "until"))
        places = [place for place in range(limit) if place not in taken or taken[place] <= now]
        # At random, so that two who look at the same time seldom want the same.
        random.shuffle(places)
        return any(_take_place(key, place, task_id, until) for place in places)


def _take_place(key: str, place: int, task_id: str, until: Any) -> bool:
    rows = Permit.objects.using(_alias()).filter(key=key, place=place)
    # One that ran out: of several who want it, one changes the row.
    if rows.filter(until__lte=timezone.now()).update(task=task_id, until=until):
        return True
    row = Permit(key=key, place=place, task=task_id, until=until)
    Permit.objects.using(_alias()).bulk_create([row], ignore_conflicts=True)
    return rows.filter(task=task_id).exists()


def renew(task_ids: Iterable[str], held: float) -> None:
    """Prolong the permits of tasks that run, by `held` seconds from now."""
    until = timezone.now() + timedelta(seconds=held)
    with told(_alias(), _CANNOT):
        Permit.objects.using(_alias()).filter(task__in=list(task_ids)).update(until=until)


def free(permits: Sequence[tuple[Any, ...]]) -> None:
    """Free the permits of tasks, given as 1-tuples of their ids. Idempotent."""
    with told(_alias(), _CANNOT):
        ids = [task_id for (task_id,) in permits]
        Permit.objects.using(_alias()).filter(task__in=ids).delete()


def drop_old() -> int:
    """Delete permits that ran out an hour ago."""
    old = timezone.now() - timedelta(hours=1)
    with told(_alias(), _CANNOT):
        return int(Permit.objects.using(_alias()).filter(until__lte=old).delete()[0])


def _alias() -> str:
    return router.db_for_write(Permit)
