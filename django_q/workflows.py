"""Groups: tasks that run side by side, and what is called once all of them have ended.

Used by the producer. What follows in a cluster is found in `results.gatherings`.
"""

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django_q import humanhash
from django_q.brokers import Broker, shared_broker
from django_q.conf import Conf
from django_q.dispatch import check_broker
from django_q.elements import (
    check_followers,
    check_member,
    for_callback,
    link_parts,
    name_of,
    named,
    own_options,
)
from django_q.enqueue import gathered, run_in_place, send
from django_q.exceptions import PackageError
from django_q.followers import element_package
from django_q.functions import check_element
from django_q.options import OPTIONS, take_options
from django_q.order_options import settle_order
from django_q.package import TaskPackage, build_package, derived_id, function_path
from django_q.results import gatherings

_CALL = "django_q.results.gatherings.call_with_results"
#: Packages that go to the broker in one call: some hundred fill a round trip.
_CHUNK = 500


class _Sent(NamedTuple):
    """How many packages were sent, and before which moment not all of them may start."""

    total: int
    last_start: datetime | None


class GroupId(str):
    """The label of a group, with the id of the task that its callback is."""

    #: None for a group without a callback.
    callback_id: str | None = None


def async_group(calls: Iterable[Any], callback: Any = None, **options: Any) -> GroupId:
    """Run tasks side by side, in the cluster; gives their group.

    A call is `(func, (args), {kwargs})`, a shorter tuple, or a function alone; `q_options` among
    its keywords are options of its task. Each is a task of its own, with its own result.

    The callback, given in the same way, is called once all have ended, with the list of their
    results in the order of the calls as its first argument; in the place of one that failed is its
    error, a `FailedResult`. Its id is the group's `callback_id`. Keywords are options of all tasks
    of the group. Raises as `async_task`.
    """
    options = _checked(options, has_callback=callback is not None)
    broker: Broker | None = options.pop("broker", None)
    drawn = humanhash.uuid()[1]
    group = GroupId(options.setdefault("group", drawn))
    if callback is None:
        _send(_members(calls, options), broker)
        return group
    group.callback_id = derived_id(drawn, "callback")
    queue = options.get("cluster") or (broker.list_key if broker else Conf.CLUSTER_NAME)
    # A part has a row of its own where any success has one.
    options.setdefault("save", Conf.SAVE_LIMIT >= 0)
    with named(name_of("callback", callback)):
        package = _collector(group.callback_id, callback, options)
        if not package.get("sync", Conf.SYNC):
            check_broker(broker or shared_broker(queue), package)
    with gathered(package, queue):
        sent = _send(_parts(calls, options, group.callback_id), broker)
        gatherings.close(group.callback_id, sent.total, sent.last_start)
    if "on_commit" in options:  # there may be no task whose end could send it
        package["on_commit"] = options["on_commit"]
    # They may all have ended before their number was known.
    for ready in gatherings.complete([group.callback_id]):
        with gatherings.claimed(ready.id) as is_ours:
            if is_ours and not package.get("sync", Conf.SYNC):
                send([package], broker)
        if is_ours and package.get("sync", Conf.SYNC):
            run_in_place(package)
    return group


def _checked(options: dict[str, Any], *, has_callback: bool) -> dict[str, Any]:
    for key in sorted(set(options) - set(OPTIONS)):
        raise PackageError(
            f"{key!r} is no option of a task: give arguments of the functions with each call."
        )
    if has_callback and Conf.LEGACY == "write":
        raise PackageError(
            "Q_CLUSTER[\"legacy\"] is 'write', and a cluster of django-q2 knows no callback of a "
            "group. Use async_iter with a hook until all clusters are of this release."
        )
    return settle_order(take_options({"q_options": options}))


def _members(calls: Iterable[Any], options: dict[str, Any]) -> Iterator[TaskPackage]:
    for call in calls:
        yield _member(call, options, {})


def _parts(
    calls: Iterable[Any], options: dict[str, Any], gathering_id: str
) -> Iterator[TaskPackage]:
    for position, call in enumerate(calls):
        place = {"gather": (gathering_id, position), "has_row": True}
        yield _member(call, options, place)


def _member(call: Any, options: dict[str, Any], place: dict[str, Any]) -> TaskPackage:
    check_element("An element of the group", call)
    with named(name_of("An element of the group", call)):
        package = element_package(call, options, place)
        check_followers(package)
    return package


def _collector(gathering_id: str, callback: Any, options: dict[str, Any]) -> TaskPackage:
    """Make the package of the task that calls the callback."""
    check_element("callback", callback)
    func, args, kwargs = link_parts(callback)
    own = own_options(func, kwargs, for_callback(options))
    func = getattr(func, "module_path", func)
    package = build_package(_CALL, (gathering_id, func, args, kwargs), {}, own)
    check_member(package)
    check_followers(package)
    package.pop("on_commit", None)
    package |= {"id": gathering_id, "derived": True, "shown_as": function_path(func)}
    return package


def _send(packages: Iterator[TaskPackage], broker: Broker | None) -> _Sent:
    """Send packages, some hundred at a time, or run them in place."""
    count, last_start = 0, None
    while chunk := list(itertools.islice(packages, _CHUNK)):
        count += len(chunk)
        starts = [last_start, *(package.get("run_at") for package in chunk)]
        last_start = max((start for start in starts if start is not None), default=None)
        if chunk[0].get("sync", Conf.SYNC):
            for package in chunk:
                run_in_place(package)
        else:
            send(chunk, broker)
    return _Sent(count, last_start)
