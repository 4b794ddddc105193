"""The public face: what an application imports."""

from django_q.asynchronous import (
    aasync_task,
    aasync_tasks,
    acancel,
    afetch,
    aresult,
    aresult_or_raise,
    atask_status,
)
from django_q.brokers import get_broker
from django_q.brokers.base import Broker
from django_q.cancelling import CancelAnswer, cancel
from django_q.composition import Chain, Iter, async_chain, async_iter
from django_q.conf import Conf
from django_q.current import current_task
from django_q.deferred import AsyncTask
from django_q.enqueue import async_task, async_tasks
from django_q.exceptions import FailedResult, Retry, TaskCancelled
from django_q.humanhash import uuid
from django_q.models import Schedule, Task
from django_q.planning import schedule
from django_q.results.lookup import (
    attempts,
    count_group,
    count_group_cached,
    delete_cached,
    delete_group,
    delete_group_cached,
    fetch,
    fetch_cached,
    fetch_group,
    fetch_group_cached,
    result,
    result_cached,
    result_group,
    result_group_cached,
    result_or_raise,
)
from django_q.signing import SignedPackage
from django_q.states import Progress, TaskState, TaskStatus, task_status
from django_q.task_function import TaskFunction, TaskOptions, periodic, task
from django_q.workflows import GroupId, async_group

__all__ = [
    "Async",
    "AsyncTask",
    "CancelAnswer",
    "Chain",
    "Conf",
    "FailedResult",
    "GroupId",
    "Iter",
    "Progress",
    "Retry",
    "Schedule",
    "SignedPackage",
    "Task",
    "TaskCancelled",
    "TaskFunction",
    "TaskOptions",
    "TaskState",
    "TaskStatus",
    "aasync_task",
    "aasync_tasks",
    "acancel",
    "afetch",
    "aresult",
    "aresult_or_raise",
    "async_chain",
    "async_group",
    "async_iter",
    "async_task",
    "async_tasks",
    "atask_status",
    "attempts",
    "cancel",
    "count_group",
    "count_group_cached",
    "current_task",
    "delete_cached",
    "delete_group",
    "delete_group_cached",
    "fetch",
    "fetch_cached",
    "fetch_group",
    "fetch_group_cached",
    "get_broker",
    "periodic",
    "queue_size",
    "result",
    "result_cached",
    "result_group",
    "result_group_cached",
    "result_or_raise",
    "schedule",
    "task",
    "task_status",
    "uuid",
]

#: The name it had in Django Q 0.7.
Async = AsyncTask


def queue_size(broker: Broker | None = None) -> int:
    """Count the packages that wait in the queue of this cluster, or of `broker`.

    In the database beyond 20,000 it is a `django_q.brokers.estimate.Estimate`: an int that is right
    to some percent.
    """
    return (broker or get_broker()).queue_size()
