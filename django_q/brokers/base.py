"""The seam between django_q and a server that keeps packages: `Broker`.

A broker keeps sealed packages (text) and lends them. It knows no pickle and no models but its
own. Producers, the clerk of every worker and the housekeeper each hold an instance of their own.
"""

import functools
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from django.core.cache import BaseCache, caches

from django_q.brokers.lease import Lease, as_leases
from django_q.brokers.partly import partly
from django_q.conf import Conf
from django_q.exceptions import ConfigurationError


class Broker:
    """Keeps sealed packages in a named queue and lends them, each to one worker at a time.

    A broker of your own writes `enqueue` and `dequeue`, and `acknowledge` if it has receipts. All
    else has a default that works and may be overridden where the server can do better; callers
    use an extra only where its flag says so. Methods raise `BrokerUnavailable` when the server is
    away. An instance is used by one thread at a time; it survives pickling and a fork.
    """

    #: Delivered packages come back unless they are acknowledged.
    has_receipts: ClassVar[bool] = False
    #: `renew` prolongs a lease.
    can_renew: ClassVar[bool] = False
    #: `release` gives a package back at once, or after a delay.
    can_release: ClassVar[bool] = False
    #: The server counts our own releases as deliveries.
    release_counts: ClassVar[bool] = False
    #: `enqueue_many` can hold packages back for a time.
    can_delay: ClassVar[bool] = False
    #: The longest time that may be, in seconds; None for any time.
    max_delay: float | None = None
    #: `enqueue_many` takes a priority: higher ones are lent first.
    can_prioritise: ClassVar[bool] = False
    #: `delete` takes a waiting package away.
    can_delete: ClassVar[bool] = False
    #: A receipt may be used by another process than the one that leased.
    portable_receipts: ClassVar[bool] = False
    #: Calls take part in the caller's transaction in the database that its attribute `alias` names.
    has_transactions: ClassVar[bool] = False
    #: Text that begins with U+00FF, and has nothing above it, is kept as bytes (Latin-1): large
    #: packages come so, and may have any character up to U+00FF. See `django_q.disguise`.
    carries_bytes: ClassVar[bool] = False
    #: Other processes see what this one enqueues.
    is_shared: ClassVar[bool] = True
    #: Each call is a paid request over HTTP: nothing is asked more often than needed.
    is_metered: ClassVar[bool] = False
    #: Longest time an idle worker's `lease` may block, in seconds; a stop waits for its end.
    idle_wait: float = 1.0
    #: The most packages one call of `lease` may ask for; None where there is no limit.
    max_lease: ClassVar[int | None] = None

    def __init__(self, list_key: str | None = None) -> None:
        """Make a broker of the queue `list_key` (default: this cluster's). Connects to nothing."""
        self.list_key: str = list_key or Conf.CLUSTER_NAME
        #: Names who leases, where the server keeps that; see `release_holder`.
        self.holder: str = secrets.token_hex(6)
        self._info: str | None = None
        self._check_complete()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let the method a class wrote itself be the one that is called.

        A subclass that overrides an old method (`dequeue`) of a class that has the newer one
        (`lease`) gets the base's newer one, which calls the old. A class that wrote only the
        newer one gets an old one bound to it, so that `super().dequeue()` cannot go in circles.
        One that wrote its own `enqueue` only knows neither delays nor priorities. One with a
        client or a way to read of its own may take for UTF-8 what it is given.
        """
        super().__init_subclass__(**kwargs)
        own = dict(cls.__dict__)
        for flag in ("can_delay", "can_prioritise"):
            if "enqueue" in own and "enqueue_many" not in own and flag not in own:
                setattr(cls, flag, False)
        if "carries_bytes" not in own and not _WAYS.isdisjoint(own):
            cls.carries_bytes = False
        for old, (new, by_newer) in _OLD_AND_NEW.items():
            if old in own and new not in own:
                setattr(cls, new, getattr(Broker, new))
            elif new in own and old not in own:
                setattr(cls, old, functools.partialmethod(by_newer, own[new]))
        if "acknowledge" in own and "has_receipts" not in own:
            cls.has_receipts = True

    def _check_complete(self) -> None:
        for name, newer in (("enqueue", "enqueue_many"), ("dequeue", "lease")):
            if getattr(type(self), name) is getattr(Broker, name):
                raise ConfigurationError(
                    f"The broker {type(self).__qualname__} has no {name}(). "
                    f"Write {name}() (or {newer}()); see django_q.brokers.Broker."
                )

    # -- the ten methods -------------------------------------------------------------------

    def enqueue(self, task: str) -> str:
        """Keep one sealed package; gives its tracking id."""
        raise NotImplementedError

    def dequeue(self) -> Any:
        """Lend packages: a list of pairs `(receipt, payload)`, one pair, or None.

        May wait for about a second. A receipt of None means fire and forget.
        """
        raise NotImplementedError

    def acknowledge(self, task_id: str) -> Any:
        """Take a leased package away: its work is done. Idempotent. Takes a receipt."""

    def fail(self, task_id: str) -> Any:
        """Take a leased package away that cannot be opened; by default as `acknowledge`."""
        return self.acknowledge(task_id)

    def delete(self, task_id: str) -> Any:
        """Take away the package with this tracking id, waiting or leased; True if it was there."""
        return False

    def purge_queue(self) -> Any:
        """Take all packages away, leased and delayed ones too. Idempotent."""

    def delete_queue(self) -> Any:
        """Remove the queue with all that is in it. Idempotent."""
        return self.purge_queue()

    def queue_size(self) -> int:
        """Count the packages that wait and may be leased now."""
        return 0

    def ping(self) -> bool:
        """Tell within two seconds whether the server answers; False or an error when not."""
        return True

    def info(self) -> str:
        """Name and version of the server."""
        return self._info or type(self).__name__

    # -- what a server may do better --------------------------------------------------------

    def enqueue_many(
        self, tasks: Iterable[str], *, delay: float = 0.0, priority: int = 0
    ) -> list[str]:
        """Keep many sealed packages in their order; their tracking ids.

        `delay` (seconds, only where `can_delay`, up to `max_delay`) holds them back. `priority`
        (-100 to 100, only where `can_prioritise`) lets higher ones pass; what comes back keeps it.
        An error in the middle has in `taken` the places of those that are kept, if that is known.
        """
        with partly() as ids:
            for task in tasks:
                ids.append(str(self.enqueue(task)))
        return ids

    #: Sends a list as `enqueue_many` does, and gives what waits for the end of that and raises as
    #: it does; the caller goes on meanwhile. None where there is nothing to wait for.
    begin_enqueue: Callable[[list[str]], Callable[[], object]] | None = None

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        """Lend up to `limit` packages for `Conf.RETRY` seconds, oldest first.

        Waits up to `wait` seconds for the first one; an empty list when there is none.
        """
        return as_leases(self.dequeue())

    def acknowledge_many(self, receipts: Sequence[str]) -> None:
        """Acknowledge each of the receipts; one whose lease was lost changes nothing."""
        for receipt in receipts:
            self.acknowledge(receipt)

    def acknowledge_held(self, receipt: str) -> bool:
        """Acknowledge; False for a lease that was lost. Only where `has_transactions`."""
        raise NotImplementedError

    def is_there(self, receipt: str) -> bool:
        """Tell whether a package is there, whoever has it. Only where `has_transactions`."""
        raise NotImplementedError

    def renew(self, receipts: Sequence[str]) -> list[str]:
        """Prolong leases by `Conf.RETRY` from now; the receipts that are valid from now on.

        In the order given, without those that were lost. Only where `can_renew`.
        """
        return list(receipts)

    def release(
        self, receipts: Sequence[str], delay: float = 0.0, *, counted: bool = False
    ) -> None:
        """Give packages back, to the front, now or after `delay` seconds. Where `can_release`.

        The delivery is forgotten unless `counted`, which says that the package had been started.
        """

    def release_holder(self, holder: str) -> int:
        """Give back all that the broker with this `holder` still leases; how many. Uncounted."""
        return 0

    def lock_size(self) -> int | None:
        """Count the leased packages; None where the server does not tell."""
        return None

    # -- the queues -------------------------------------------------------------------------

    @property
    def queue_names(self) -> Sequence[str]:
        """The queues that `lease` takes from; see `django_q.brokers.several`."""
        return (self.list_key,)

    def of_queue(self, queue: str) -> "Broker":
        """Give the broker of one of `queue_names`."""
        return self

    def listen(self, brokers: Sequence["Broker"], seconds: float) -> bool:
        """Wait until one of these brokers may have something; False where that cannot be done."""
        return False

    # -- heartbeats -------------------------------------------------------------------------

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Keep a heartbeat under `key` for `timeout` seconds; here in Django's cache."""
        cache = self.cache
        if cache is None:
            return
        keys = list(cache.get(Conf.Q_STAT) or [])
        if key not in keys:
            keys = [k for k in keys if cache.get(k) is not None] + [key]
            cache.set(Conf.Q_STAT, keys, timeout=None)
        cache.set(key, value, timeout)

    def get_stat(self, key: str) -> str | None:
        """Give the heartbeat under `key`, or None."""
        return self.cache.get(key) if self.cache is not None else None

    def get_stats(self, pattern: str) -> list[str]:
        """Give all live heartbeats. `pattern` is the common prefix with a `*` behind it."""
        cache = self.cache
        if cache is None:
            return []
        keys = [k for k in cache.get(Conf.Q_STAT) or [] if k.startswith(pattern.rstrip("*"))]
        return [value for value in cache.get_many(keys).values() if value]

    # -- connections ------------------------------------------------------------------------

    @staticmethod
    def get_connection(list_key: str | None = None) -> Any:
        """Make a connection to the server; None where there is none to make."""
        return None

    @functools.cached_property
    def connection(self) -> Any:
        """The connection of this instance, made at first use."""
        return self.get_connection(self.list_key)

    @staticmethod
    def get_cache() -> BaseCache | None:
        """Give the Django cache named by `Q_CLUSTER["cache"]`, or None without one."""
        return caches[Conf.CACHE] if Conf.CACHE else None

    @property
    def cache(self) -> BaseCache | None:
        """As `get_cache`; Django hands every thread a cache of its own."""
        return self.get_cache()

    def close(self) -> None:
        """Close the connection; the next use makes a new one."""
        self.__dict__.pop("connection", None)

    def __getstate__(self) -> tuple[str, str | None]:
        """Pickle as queue and server name only; connections are made anew."""
        return self.list_key, self._info

    def __setstate__(self, state: tuple[str, str | None]) -> None:
        self.__init__(state[0])  # type: ignore[misc]
        self._info = state[1]


def _enqueue_by_many(self: Broker, enqueue_many: Callable[..., list[str]], task: str) -> str:
    return enqueue_many(self, [task])[0]


def _dequeue_by_lease(self: Broker, lease: Callable[..., list[Lease]]) -> list[Lease]:
    return lease(self, Conf.BULK, 1.0)


def _acknowledge_by_many(self: Broker, acknowledge_many: Callable[..., None], receipt: str) -> None:
    acknowledge_many(self, [receipt])


#: Methods that packages pass.
_WAYS = frozenset(("enqueue", "enqueue_many", "dequeue", "lease", "get_connection"))
_OLD_AND_NEW: dict[str, tuple[str, Callable[..., Any]]] = {
    "enqueue": ("enqueue_many", _enqueue_by_many),
    "dequeue": ("lease", _dequeue_by_lease),
    "acknowledge": ("acknowledge_many", _acknowledge_by_many),
}
