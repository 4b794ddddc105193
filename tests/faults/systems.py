"""The system that is tried, as the arena sees it: how it starts, takes tasks, and what it keeps.

This one is ours; `tests.faults.baseline` has the one that we compare with.
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from django.db import OperationalError, connections
from django.test import override_settings

from django_q.brokers import get_broker
from django_q.models import Ledger, Schedule, Task
from django_q.tasks import async_task, async_tasks
from django_q.tasks import schedule as plan
from tests.cluster.ground import is_empty, lives
from tests.faults.findings import Findings
from tests.processes import ClusterProcess
from tests.servers import Server

#: What most tasks of a scenario do.
RECORD = "tests.site.tasks.record"


class System:
    """Ours. `settings` is what `Q_CLUSTER` says, for this process and for clusters."""

    def __init__(self, settings: dict[str, Any], servers: Sequence[Server], folder: Path) -> None:
        self.settings = settings
        self.servers = servers
        self.folder = folder

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Be ready to take tasks, until the end of the context."""
        with override_settings(Q_CLUSTER=self.settings):
            yield

    def connect(self) -> None:
        """Have a connection to the broker: a client that is loaded first may take a second."""
        get_broker().ping()

    def start(self, *arguments: str, **settings: Any) -> ClusterProcess:
        """Start a cluster."""
        return ClusterProcess(self.folder, {**self.settings, **settings}, *arguments)

    # -- tasks -------------------------------------------------------------------------------

    def enqueue_many(self, calls: list[tuple[Any, ...]]) -> list[str]:
        """Enqueue tasks that record these calls; their ids."""
        return async_tasks(RECORD, calls)

    def enqueue(self, func: str, **kwargs: Any) -> str:
        """Enqueue one task; its id."""
        return async_task(func, **kwargs)

    def stored(self) -> int:
        """Count the recorded successes of the tasks that record."""
        rows = Task.objects.filter(func=RECORD, success=True)
        try:
            return rows.count()
        except OperationalError:  # our own connection was cut as well
            connections[rows.db].close()
            return rows.count()

    def outcome(self, task_id: str) -> tuple[bool, str] | None:
        """Give whether a task succeeded, and its result as text; None while there is no row."""
        row = Task.objects.filter(pk=task_id).first()
        return row and (row.success, str(row.result))

    def is_empty(self) -> bool:
        """Tell whether nothing waits and nothing is leased."""
        return is_empty(get_broker())

    def forget(self) -> None:
        """Forget all results."""
        Task.objects.all().delete()

    # -- processes ---------------------------------------------------------------------------

    def workers(self, cluster: ClusterProcess) -> list[psutil.Process]:
        """Give the workers of a cluster that are ready, oldest first."""
        children = [child for child in cluster.children() if lives(child)]
        return [child for child in children if not is_alone(child)]

    def is_whole(self, cluster: ClusterProcess, workers: int, without: int) -> bool:
        """Tell whether a cluster has all its children, one pid not among them."""
        pids = [child.pid for child in cluster.children() if lives(child)]
        return len(pids) == workers + 1 and without not in pids  # the housekeeper is one of them

    def check_deaths(self, pids: list[int], log: str, findings: Findings) -> None:
        """See that the log tells of these workers' deaths, and that no account of them is left."""
        told = sum(f"[{pid}] died (signal SIGKILL)" in log for pid in pids)
        findings.exactly("deaths logged", told, len(pids))
        findings.holds("ledger empty", not Ledger.objects.exists())

    # -- schedules ---------------------------------------------------------------------------

    def plan(self, func: str, name: str, next_run: datetime) -> None:
        """Keep an hourly schedule."""
        # For this queue: a housekeeper of the last one may not be gone yet.
        values = {"schedule_type": Schedule.HOURLY, "cluster": self.settings["name"]}
        plan(func, name=name, next_run=next_run, **values)

    def damage(self, name: str) -> None:
        """Make a schedule one that cannot be read."""
        Schedule.objects.filter(name=name).update(kwargs="not = a(", sealed=None)

    def fired(self, func: str) -> list[tuple[str, datetime]]:
        """Give the schedule and the moment of sending for each recorded task of a function."""
        rows = Task.objects.filter(func=func)
        return [(str(row.group), row.enqueued) for row in rows]

    def shows_error(self, name: str) -> bool:
        """Tell whether a schedule says what is wrong with it."""
        return Schedule.objects.filter(name=name, enabled=False, error__gt="").exists()


def is_alone(process: psutil.Process) -> bool:
    """Tell by its threads: a worker that is ready has its clerk."""
    try:
        return process.num_threads() == 1
    except psutil.NoSuchProcess:
        return False
