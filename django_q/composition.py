"""Tasks made of tasks: `AsyncTask`, `Iter` and `Chain`, with `async_iter` and `async_chain`.

Used by the producer. What follows in a cluster is found in `followers` and `results.gatherings`.
"""

from collections.abc import Iterable
from typing import Any

from django_q import humanhash
from django_q.brokers import Broker, shared_broker
from django_q.conf import Conf
from django_q.dispatch import check_broker
from django_q.elements import check_followers
from django_q.enqueue import gathered, run_in_place, send, send_each
from django_q.followers import first_link
from django_q.iterations import collector
from django_q.limit_options import check_limits
from django_q.models import Task
from django_q.options import CALLBACKS, take_options, travelling
from django_q.results import gatherings, lookup
from django_q.signing import SignedPackage

#: Options of an iteration that belong to the task which collects, not to its parts.
_OF_THE_WHOLE = ("hook", "group", "cached", "save", "task_name", *CALLBACKS)


def async_iter(func: Any, args_iter: Iterable[Any], **kwargs: Any) -> str:
    """Run a function for each element, in the cluster; gives the id of the task that collects.

    That task's result is the list of all results, in the order of the elements; the error of an
    element that failed stands in its place as a `FailedResult`. Keywords are as in `async_task`;
    a hook is called with the task that collects.
    """
    options = take_options(kwargs, func)
    broker: Broker | None = options.pop("broker", None)
    whole = {key: options.pop(key) for key in _OF_THE_WHOLE if key in options}
    queue = options.get("cluster") or (broker.list_key if broker else Conf.CLUSTER_NAME)
    is_sync = options.get("sync", Conf.SYNC)
    name, iter_id = humanhash.uuid()
    if Conf.LEGACY == "write" and not is_sync and (elements := list(args_iter)):
        parts = _parts_of_django_q(iter_id, elements, whole, broker or shared_broker(queue))
        send_each(func, elements, kwargs, options | parts | {"broker": broker})
        return iter_id
    check_limits(options | {"gather": iter_id})
    package = collector(iter_id, func, {"task_name": name} | options | whole)
    check_followers(package)
    if not is_sync:
        check_broker(broker or shared_broker(queue), package)
    of_parts = options | {"gather": iter_id, "broker": broker}
    with gathered(package, queue):
        ids = send_each(func, args_iter, kwargs, of_parts)
        gatherings.close(iter_id, len(ids))
    if is_sync:
        gatherings.mark_sent([iter_id])
        run_in_place(package)
        return iter_id
    # The parts may all have ended before their number was known.
    for ready in gatherings.complete([iter_id]):
        with gatherings.claimed(ready.id) as is_ours:
            if is_ours:
                send([package], broker)
    return iter_id


def _parts_of_django_q(
    iter_id: str, elements: list[Any], whole: dict[str, Any], broker: Broker
) -> dict[str, Any]:
    """Give the options by which a cluster of django-q2 knows parts, which ours does too.

    It looks for the arguments of all of them in the cache, on Redis under the list's own name.
    """
    if broker.cache is not None:
        queues = (broker.list_key, f"django_q:{broker.list_key}:q")
        arguments = SignedPackage.dumps(elements)
        broker.cache.set_many({f"{queue}:{iter_id}:args": arguments for queue in queues}, None)
    options = {"group": iter_id, "iter_count": len(elements), "cached": True}
    return options | ({"iter_cached": whole["cached"]} if whole.get("cached") else {})


def async_chain(  # noqa: PLR0913, the signature is Django Q's
    chain: Iterable[Any],
    group: str | None = None,
    cached: bool | float | None = None,
    sync: bool | None = None,
    broker: Broker | None = None,
    *,
    goes_on: bool = False,
    pass_result: bool = False,
) -> str:
    """Run tasks one after another, in the cluster; gives their group.

    An element is `(func, (args), {kwargs})`, a shorter tuple, or a function alone; keywords that
    are options are those of this link. A failure ends the chain, which is logged, unless `goes_on`.
    With `pass_result` the value of each link comes first among the arguments of the next; of one
    that failed, its error as a `FailedResult`. Of an empty chain nothing is sent.
    """
    links = [travelling(link) for link in chain]
    group = group or humanhash.uuid()[1]
    if not links:
        return group
    given = {"cached": cached, "sync": sync, "chain_goes_on": goes_on or None}
    given["pass_result"] = pass_result or None
    options = {key: value for key, value in given.items() if value is not None} | {"group": group}
    if Conf.CACHED:
        options.setdefault("cached", Conf.CACHED)
    check_followers(options | {"chain": links}, 1)
    package = first_link(links, options)
    if package.get("sync", Conf.SYNC):
        run_in_place(package)
    else:
        send([package], broker)
    return group


class Iter:
    """An iteration that is filled element by element, then run."""

    def __init__(  # noqa: PLR0913, the signature is Django Q's
        self,
        func: Any = None,
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        cached: bool | float | None = None,
        sync: bool | None = None,
        broker: Broker | None = None,
    ) -> None:  # fmt: skip
        self.func = func
        self.args = list(args or [])
        self.kwargs = kwargs or {}
        self.cached = Conf.CACHED if cached is None else cached
        self.sync = Conf.SYNC if sync is None else sync
        self.broker = broker
        self.id = ""
        self.started = False

    def append(self, *args: Any) -> int:
        """Add an element, of one or several arguments; gives how many there are."""
        self.args.append(args)
        self.started = False
        return self.length()

    def run(self) -> str:
        """Start it; gives the id of the task that collects the results."""
        own = {"cached": self.cached, "sync": self.sync, "broker": self.broker}
        self.id = async_iter(self.func, self.args, **(self.kwargs | own))
        self.started = True
        return self.id

    def result(self, wait: float = 0) -> Any:
        """Give the list of results, or None; `wait` in milliseconds."""
        return lookup.result(self.id, wait, self.cached) if self.started else None

    def fetch(self, wait: float = 0) -> Task | None:
        """Give the task that collected the results, or None; `wait` in milliseconds."""
        return lookup.fetch(self.id, wait, self.cached) if self.started else None

    def length(self) -> int:
        """Count the elements."""
        return len(self.args)


class Chain:
    """A chain that is filled link by link, then run."""

    def __init__(  # noqa: PLR0913, the signature is Django Q's
        self,
        chain: Iterable[Any] | None = None,
        group: str | None = None,
        cached: bool | float | None = None,
        sync: bool | None = None,
        broker: Broker | None = None,
        *,
        goes_on: bool = False,
        pass_result: bool = False,
    ) -> None:
        self.chain = list(chain or [])
        self.group = group or ""
        self.cached = Conf.CACHED if cached is None else cached
        self.sync = Conf.SYNC if sync is None else sync
        self.broker = broker
        self.goes_on = goes_on
        self.pass_result = pass_result
        self.started = False

    def append(self, func: Any, *args: Any, **kwargs: Any) -> int:
        """Add a link; gives how many there are. Results of an earlier run leave the group."""
        self.chain.append((func, args, kwargs))
        if self.started:
            lookup.delete_group(self.group, cached=self.cached)
            self.started = False
        return self.length()

    def run(self) -> str:
        """Start it; gives its group."""
        self.group = async_chain(
            self.chain,
            self.group or None,
            self.cached,
            self.sync,
            self.broker,
            goes_on=self.goes_on,
            pass_result=self.pass_result,
        )
        self.started = True
        return self.group

    def result(self, wait: float = 0) -> Any:
        """Give the results of all links once the chain has ended; `wait` in milliseconds."""
        if not self.started:
            return None
        self._wait(wait)
        return lookup.result_group(self.group, cached=self.cached)

    def fetch(self, failures: bool = True, wait: float = 0) -> Any:
        """Give the tasks of all links once the chain has ended; `wait` in milliseconds."""
        if not self.started:
            return None
        self._wait(wait)
        return lookup.fetch_group(self.group, failures=failures, cached=self.cached)

    def _wait(self, wait: float) -> None:
        length = self.length()
        lookup.wait_for_chain(self.group, length, wait, self.cached, goes_on=self.goes_on)

    def current(self) -> int | None:
        """Give the number of the link that runs or ran last; None before the start."""
        if not self.started:
            return None
        return lookup.count_group(self.group, cached=self.cached)

    def length(self) -> int:
        """Count the links."""
        return len(self.chain)
