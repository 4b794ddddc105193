"""Hands work to a broker: `async_task` and `async_tasks`. Runs in the producer.

Also the same walk in place (`sync=True`): built, sealed, opened, executed and recorded here.
"""

import contextlib
import functools
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db import Error, router, transaction
from django.utils import timezone

from django_q import signals, uniqueness
from django_q.brokers import Broker, shared_broker
from django_q.conf import Conf, logger
from django_q.dispatch import Flights, make_ready
from django_q.elements import check_followers
from django_q.executor import announce_executed, execute, send_signal
from django_q.following import followed
from django_q.limit_options import LIMIT_OPTIONS
from django_q.models import Task
from django_q.options import FOLLOWED, take_options
from django_q.order_options import ORDER_OPTIONS, settle_order
from django_q.outbox import post, way_of
from django_q.package import Outcome, TaskPackage, build_package, build_packages
from django_q.recorder import announce, make_stores, prepare, record
from django_q.results import gatherings, waiting
from django_q.sealed import open_package, seal_package, seal_packages
from django_q.soft_limit import NoLimit

#: Packages that go to the broker in one call: some hundred fill a round trip.
_CHUNK = 500
#: Keys of packages that have their say in whether, when or how one is sent.
_PARTICULAR = frozenset(
    (*FOLLOWED, *ORDER_OPTIONS, *LIMIT_OPTIONS, "sync", "track", "on_commit", "atomic")
)


def async_task(func: Any, *args: Any, **kwargs: Any) -> str:
    """Hand a task to the cluster; gives its id, 32 hex digits.

    `func` is a function of a module, or its dotted path. Keywords that are options (`hook`,
    `group`, `timeout`, ... see docs/tasks) or stand in `q_options` (these win) are the task's;
    all others are the function's. With `sync=True` the task runs in place, is recorded as in a
    cluster, and what it raises is raised here.

    Raises PackageError when the task cannot be packed, BrokerUnavailable when the broker cannot
    be reached, PayloadTooLarge when it does not take that much, DuplicateTask where it is asked to.
    """
    return enqueue_call(func, args, kwargs, take_options(kwargs, func))


def enqueue_call(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]
) -> str:
    """Hand a task to the cluster as `async_task` does; all keywords are the function's."""
    broker = options.pop("broker", None)
    package = _pack(func, args, kwargs, options)
    if _is_plain(package):
        _send_plain([package], broker)
        return package["id"]
    check_followers(package)
    return hand_over([package], broker)[0]


def async_tasks(func: Any, args_iter: Iterable[Any], **options: Any) -> list[str]:
    """Hand one task for each element to the cluster, in few calls to the broker; their ids.

    An element is a tuple of positional arguments, or else the one argument. `options` are those
    of `async_task`, the same for all tasks; other keywords go to each call of the function. The
    iterable may be longer than memory: it is read some hundred at a time.
    """
    kwargs = options
    return send_each(func, args_iter, kwargs, take_options(kwargs, func))


def send_each(
    func: Any, args_iter: Iterable[Any], kwargs: dict[str, Any], options: dict[str, Any]
) -> list[str]:
    """As `async_tasks`, with the options told apart from the function's keywords already."""
    options = settle_order(dict(options))
    broker, gathering = options.pop("broker", None), options.pop("gather", None)
    ids: list[str] = []
    with Flights() as flights:
        for chunk in _chunks(args_iter):
            calls = [element if isinstance(element, tuple) else (element,) for element in chunk]
            packages = build_packages(func, calls, kwargs, options)
            differing = packages[:1]
            if signals.pre_enqueue.receivers:
                for package in packages:
                    send_signal(signals.pre_enqueue, task=package)
                # A receiver may have sent some elsewhere.
                differing = packages
            if gathering:
                for position, package in enumerate(packages, len(ids)):
                    package["gather"] = (gathering, position)
            is_one_queue = len({package.get("cluster") for package in differing}) == 1
            if is_one_queue and all(map(_is_plain, differing)):
                _send_plain(packages, broker, flights)
                ids += [package["id"] for package in packages]
                continue
            flights.land()
            check_followers(packages[0])  # all have the same
            ids += hand_over(packages, broker)
    return ids


def hand_over(packages: list[TaskPackage], broker: Broker | None) -> list[str]:
    """Send packages that have the same options, or run them in place; the ids to ask for.

    Those of others for unique tasks that are not sent.
    """
    ids: list[str] = []
    unsent: list[TaskPackage] = []
    try:
        for package in packages:
            queue = broker.list_key if broker else package.get("cluster") or Conf.CLUSTER_NAME
            holder = uniqueness.claim(package, queue)
            ids.append(holder or package["id"])
            if holder is None:
                unsent.append(package)
        if packages[0].get("sync", Conf.SYNC):
            while unsent:
                run_in_place(unsent.pop(0))
        else:
            send(unsent, broker)
    except BaseException:
        uniqueness.give_up(unsent)
        raise
    return ids


def send(packages: list[TaskPackage], broker: Broker | None = None) -> None:
    """Seal packages and give them to their broker, in one call for each queue and time."""
    groups: dict[tuple[str | None, datetime | None], list[TaskPackage]] = {}
    for package in packages:
        waiting.mark(package)
        groups.setdefault((package.get("cluster"), package.get("run_at")), []).append(package)
    now = timezone.now()
    for (queue, _), members in groups.items():
        target = broker or shared_broker(queue)
        ways = [way_of(package, target) for package in members]
        ready = [make_ready(target, package, now) for package in members]
        with followed(members, target.list_key):
            for way in dict.fromkeys(ways):
                post(target, [r for r, w in zip(ready, ways, strict=True) if w == way], way)
        _log(members, target)


def _is_plain(package: TaskPackage) -> bool:
    """Tell whether there is nothing to look at before a task is sent, nor on the way: most are."""
    return _PARTICULAR.isdisjoint(package) and not (Conf.SYNC or Conf.ON_COMMIT)


def _send_plain(
    packages: list[TaskPackage], broker: Broker | None, flights: Flights | None = None
) -> None:
    """Do what comes of `hand_over` for plain packages of one queue, asking after no option.

    With `flights` they may be on their way still.
    """
    target = broker or shared_broker(packages[0].get("cluster"))
    payloads = seal_packages(packages, target.list_key, as_bytes=target.carries_bytes)
    if flights:
        flights.send(target, payloads, functools.partial(_log, packages, target))
        return
    target.enqueue_many(payloads)
    _log(packages, target)


def _log(packages: list[TaskPackage], broker: Broker) -> None:
    if logger.isEnabledFor(logging.DEBUG):
        for package in packages:
            logger.debug("Enqueued %s [%s] on %s", package["name"], package["id"], broker.list_key)


@contextlib.contextmanager
def gathered(package: TaskPackage, queue: str) -> Iterator[None]:
    """Keep the package that is sent when all parts of a gathering have ended; the block sends them.

    It can be followed from now on. When the block fails, it is given up: parts that were sent by
    then run, and nothing comes after them.
    """
    if not package.get("sync", Conf.SYNC):
        waiting.mark(package)
    with followed([package], queue):
        gatherings.begin(package["id"], queue, seal_package(package, queue), package)
        try:
            yield
        except BaseException:
            with contextlib.suppress(Error):
                gatherings.give_up(package["id"])
            raise


def run_in_place(package: TaskPackage) -> None:
    """Run a task and what follows it here and now, as a worker would.

    Raises what the task raised, after it was recorded.
    """
    queue = package.get("cluster") or Conf.CLUSTER_NAME
    opened = open_package(seal_package(package, queue), queue)
    no_limit = NoLimit()
    around = _in_transaction if opened.get("atomic") else None
    outcome = execute(opened, no_limit, in_place=True, around=around)
    announce_executed(outcome, no_limit)
    outcome, prepared = prepare(outcome)
    record([prepared], make_stores())
    announce(outcome, prepared, no_limit)
    for follower in prepared.followers:
        run_in_place(open_package(follower.payload, follower.queue))
    if outcome.error is not None and not package.get("chain_goes_on"):
        raise outcome.error


def _in_transaction(call: Callable[[], Outcome]) -> Outcome:
    """Let what a task writes in place be rolled back when it fails; there is no lease to lose."""
    alias, heard = router.db_for_write(Task), []
    try:
        with transaction.atomic(using=alias):
            # The first of them, so it is heard before one of the task's own raises.
            transaction.on_commit(lambda: heard.append(alias), using=alias)
            outcome = call()
    except Exception as error:
        if not heard:
            raise
        package = outcome.package
        text = "What %s [%s] left to on_commit raised"
        logger.error(text, package["name"], package["id"], exc_info=error)
    return outcome


def _pack(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]
) -> TaskPackage:
    package = build_package(func, args, kwargs, options)
    send_signal(signals.pre_enqueue, task=package)
    return package


def _chunks(elements: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(elements)
    while chunk := list(itertools.islice(iterator, _CHUNK)):
        yield chunk
