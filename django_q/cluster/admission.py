"""Whether a task may start now: permits and paces. Used by a worker's main thread."""

import random
import time
from typing import NamedTuple

from django_q import uniqueness
from django_q.brokers import Lease
from django_q.cluster.past import Past
from django_q.conf import Conf
from django_q.limit_options import read_rate, short_key
from django_q.package import TaskPackage, function_path
from django_q.results import paces, permits

#: Seconds between two tasks of one key that this worker sends back to ask again: however many
#: wait, their asking costs each worker some 5 % of its time (a look costs 2 to 3 ms).
_SPREAD = 0.05
#: Shortest pause before a task without a permit asks again.
_SHORTEST = 0.2
#: A task that comes later than its reserved start by more than this reserves anew.
_LATE = 1.0


class Later(NamedTuple):
    """The task is not to start yet."""

    #: Seconds until it may ask again.
    delay: float
    #: The package to come back in the place of this one; None: as it is.
    package: TaskPackage | None = None


class Admission:
    """Lets tasks start, or says when they may ask again."""

    def __init__(self, past: Past) -> None:
        self._past = past
        #: Concurrency key -> when the next task that was sent back asks again (monotonic).
        self._turns: dict[str, float] = {}

    def ask(self, lease: Lease, package: TaskPackage) -> Later | None:
        """Take what the task needs to start; None: it may.

        Raises ResultsUnavailable when the books do not answer and the package must not wait.
        """
        return self._past.ask(lease, lambda: self._ask(package))

    def _ask(self, package: TaskPackage) -> Later | None:
        # The permit first: a start that was reserved must not pass by while one is waited for.
        if package.get("concurrency_key") and (later := self._wait_for_permit(package)):
            return later
        if package.get("rate_limit") and (later := self._wait_for_pace(package)):
            if package.get("concurrency_key"):
                permits.free([(package["id"],)])
            return later
        uniqueness.starts(package)
        return None

    def _wait_for_pace(self, package: TaskPackage) -> Later | None:
        now = time.time()
        start = package.get("rate_start", 0.0)
        if now - _LATE > start:
            key = short_key(package.get("rate_key") or function_path(package["func"]))
            start = paces.reserve(key, read_rate(package["rate_limit"]).interval)
        if start <= now + 0.001:
            return None
        # It comes back with its reservation, so it need not reserve again.
        again: TaskPackage = package | {"rate_start": start, "derived": True}
        return Later(start - now, again)

    def _wait_for_permit(self, package: TaskPackage) -> Later | None:
        key, limit = short_key(package["concurrency_key"]), package.get("concurrency_limit", 1)
        # A dead machine's permit is free as soon as its lease has lapsed, and not before.
        if permits.take(key, limit, package["id"], Conf.RETRY):
            return None
        now = time.monotonic()
        turn = max(self._turns.get(key, 0.0) + _SPREAD, now + _SHORTEST)
        if len(self._turns) > 1000:  # keys may be made from data: forget those that are over
            self._turns = {key: turn for key, turn in self._turns.items() if turn > now}
        self._turns[key] = turn
        return Later(turn - now + random.uniform(0, _SPREAD))  # noqa: S311, spreads the asking
