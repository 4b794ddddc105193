"""Hands sealed packages to their broker: at once, or when their time has come.

Called by producers, by clerks for what follows a task, and by the housekeeper for what is due.
"""

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import router
from django.utils import timezone

from django_q.brokers import Broker
from django_q.brokers.partly import partly, taken_before
from django_q.elements import foreseen, named
from django_q.exceptions import PackageError
from django_q.models import Delayed, Task
from django_q.order_options import time_left
from django_q.package import Follower, TaskPackage
from django_q.results import keys, tracking
from django_q.results.trouble import told
from django_q.sealed import seal_package
from django_q.signing import as_text


def make_ready(broker: Broker, package: TaskPackage, now: datetime | None = None) -> Follower:
    """Seal a package for the queue of a broker, with what `dispatch` has to know of it.

    Raises PackageError for a priority where the broker knows none, and as `seal_package`.
    """
    priority = package.get("priority") or 0
    check_broker(broker, package)
    delay = time_left(package, now or timezone.now()) if "run_at" in package else 0.0
    if delay and not _holds_back(broker, delay):
        # Who hands it on may be killed before it is forgotten here, and another sends it again.
        package["derived"] = True
    payload = seal_package(package, broker.list_key, as_bytes=broker.carries_bytes)
    return Follower(broker.list_key, payload, delay, priority, package["id"])


def check_broker(broker: Broker, package: TaskPackage) -> None:
    """Raise PackageError for what a task, or one that follows it, wants of a broker in vain."""
    if broker.can_prioritise and _has_results(broker):
        return
    _check_wishes(broker, package)
    for name, follower in foreseen(package):
        with named(name):
            _check_wishes(broker, follower)


def check_transactions(broker: Broker) -> None:
    """Raise PackageError where no task can be `atomic`: its package is not beside its result."""
    if _has_results(broker):
        return
    alias = router.db_for_write(Task)
    if not broker.has_transactions:
        raise PackageError(
            f"atomic is True, but the broker {type(broker).__name__} keeps packages outside the "
            f'database. Use the ORM broker, Q_CLUSTER["orm"] = "{alias}", or leave atomic out and '
            "write the task so that running twice does no harm."
        )
    raise PackageError(
        f"atomic is True, but the packages are in the database {getattr(broker, 'alias', None)!r} "
        f'and the results in {alias!r}. Set Q_CLUSTER["orm"] to {alias!r}, or let DATABASE_ROUTERS '
        "send the models of django_q to the other; or leave atomic out."
    )


def _has_results(broker: Broker) -> bool:
    """Tell whether packages and results can be changed in one transaction."""
    alias = getattr(broker, "alias", None)
    return broker.has_transactions and alias == router.db_for_write(Task)


def _check_wishes(broker: Broker, package: TaskPackage) -> None:
    if package.get("atomic"):
        check_transactions(broker)
    priority = package.get("priority")
    if priority and not broker.can_prioritise:
        raise PackageError(
            f"priority is {priority}, and the broker {type(broker).__name__} lends packages "
            f"without regard to priorities. Send what is urgent to a queue of its own "
            f'(cluster="urgent") and let a cluster serve it first: '
            f'Q_CLUSTER["queues"] = ["urgent", "{broker.list_key}"].'
        )


def dispatch(broker: Broker, packages: Sequence[Follower]) -> None:
    """Send packages of one queue, in one call for each delay and priority.

    What the broker cannot hold back itself, or not for so long, is kept in the database until it
    is due: see `django_q.cluster.delayed`. Raises what the broker raises, and ResultsUnavailable;
    of what was sent before, `taken_before` the error tells the places.
    """
    if len(packages) == 1 and not (packages[0].delay or packages[0].priority):
        broker.enqueue_many([packages[0].payload])
        return
    groups: dict[tuple[float, int], list[int]] = {}
    for place, package in enumerate(packages):
        # Who sent a task was told if the broker knows no priorities; what follows it goes on.
        priority = package.priority if broker.can_prioritise else 0
        groups.setdefault((max(0.0, package.delay), priority), []).append(place)
    try:
        with partly() as sent:
            for (delay, priority), places in groups.items():
                members = [packages[place] for place in places]
                if delay and not _holds_back(broker, delay):
                    _keep(broker.list_key, members)
                else:
                    _send(broker, [member.payload for member in members], delay, priority)
                sent += [member.payload for member in members]
    except Exception as error:
        order = list(itertools.chain(*groups.values()))
        error.taken = [order[place] for place in taken_before(error)]  # type: ignore[attr-defined]
        raise


class Flights:
    """Sends lists of packages, each while its caller makes the next. In a `with`: all have landed.

    One is on its way at most. Where it failed, that is raised in place of the next.
    """

    def __init__(self) -> None:
        #: What waits for the one on its way, and what is to be done then.
        self._landing: tuple[Callable[[], object], ...] = ()

    def send(self, broker: Broker, payloads: list[str], landed: Callable[[], object]) -> None:
        """Send, as `enqueue_many` does, and call `landed` when all are kept.

        Raises what became of the list before.
        """
        self.land()
        if broker.begin_enqueue is not None:
            self._landing = (broker.begin_enqueue(payloads), landed)
            return
        broker.enqueue_many(payloads)
        landed()

    def land(self) -> None:
        """Wait until what is on its way is kept; raises as `enqueue_many` does."""
        landing, self._landing = self._landing, ()
        for step in landing:
            step()

    def __enter__(self) -> "Flights":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        # What was sent is told first, even if the next could not be made. Nobody waits at an exit.
        if kind is None or issubclass(kind, Exception):
            self.land()


def forget_queue(queue: str) -> None:
    """Forget what the books know of a queue that was emptied by hand. Raises ResultsUnavailable.

    What is kept until it is due, that tasks wait there, and the keys of unique ones among them.
    """
    alias = router.db_for_write(Delayed)
    with told(alias, "Delayed packages cannot be dropped"):
        Delayed.objects.using(alias).filter(queue=queue).delete()
    keys.free_of_queue(queue)
    tracking.forget_queue(queue)


def forget_packages(task_ids: Sequence[str]) -> None:
    """Forget the same of tasks whose packages were deleted by hand. Raises ResultsUnavailable."""
    keys.free_of_deleted(task_ids)
    tracking.forget_deleted(task_ids)


def _send(broker: Broker, payloads: list[str], delay: float, priority: int) -> None:
    # A broker of one's own may know of neither.
    more: dict[str, float] = {"delay": delay} if delay else {}
    if priority:
        more["priority"] = priority
    broker.enqueue_many(payloads, **more)  # type: ignore[arg-type]


def _holds_back(broker: Broker, delay: float) -> bool:
    return broker.can_delay and (broker.max_delay is None or delay <= broker.max_delay)


def _keep(queue: str, packages: Sequence[Follower]) -> None:
    now = timezone.now()
    alias = router.db_for_write(Delayed)
    with told(alias, "Delayed packages cannot be kept"):
        Delayed.objects.using(alias).bulk_create(
            Delayed(
                task=package.task_id,
                queue=queue,
                payload=as_text(package.payload),
                priority=package.priority,
                due=now + timedelta(seconds=package.delay),
            )
            for package in packages
        )
