"""Clusters that say that they work."""

import datetime
import os
import time
import uuid
from typing import Any

from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.status import RunningTask, Stat, WorkerState

FUNC = "reports.tasks.build_the_whole_nightly_report"


def start_cluster(queue: str = "default", **values: Any) -> Stat:
    """Let a cluster with a busy and an idle worker say how it is."""
    since = time.time() - 250
    task = RunningTask(task_id="0" * 32, name="nightly report", func=FUNC, since=since)
    busy = WorkerState(
        pid=12, slot=1, state="busy", task_id="0" * 32, task_name="nightly report",
        func=FUNC, since=since, tasks=[task], done=3, rss=0,
    )  # fmt: skip
    idle = WorkerState(pid=13, slot=2, state="idle", task_id="", done=0, since=None)
    born = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=3, minutes=20)
    given = {"status": Conf.WORKING, "tob": born, "queue": queue, "worker_states": [busy, idle]}
    stat = Stat(uuid.uuid4(), 4711, **given | values)
    stat.save(get_broker())
    return stat


def here(**values: Any) -> Stat:
    """A cluster all of whose processes are this one."""
    worker = WorkerState(pid=os.getpid(), slot=1, state="idle", done=0)
    pid = os.getpid()
    return start_cluster(sentinel=pid, housekeeper=pid, worker_states=[worker], **values)
