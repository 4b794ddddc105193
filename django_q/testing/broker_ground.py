"""The ground `BrokerSuite` stands on: what a subclass says about its server, and how tests wait."""

import contextlib
import functools
import multiprocessing
import time
import traceback
import unittest
import uuid
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import Any, ClassVar

from django_q.brokers.base import Broker
from django_q.brokers.lease import Lease
from django_q.conf import Conf
from django_q.exceptions import BrokerUnavailable

#: Seconds a child process may take for its part.
CHILD_LIMIT = 60.0
#: Seconds a lease lasts in tests in which none is to lapse, on however busy a machine.
LONG_LEASE = 60.0


class BrokerGround:
    """Makes a fresh broker for each test and cleans up behind it.

    Test runners of the pytest kind call `setup_method` and `teardown_method`.
    """

    #: Seconds a lease lasts in the tests in which it lapses; not below the minimum of the server.
    retry: ClassVar[float] = 1.5
    #: Seconds packages are held back in these tests, where the broker can do that.
    delay: ClassVar[float] = 1.0
    #: Seconds within which an expected change must have shown.
    patience: ClassVar[float] = 5.0
    #: Packages in the tests that want many.
    many: ClassVar[int] = 200
    #: Bytes of the largest package that is tried.
    large: ClassVar[int] = 2**20
    #: The server takes a package of no bytes.
    takes_empty: ClassVar[bool] = True
    #: Packages come in the order they were enqueued, released ones first.
    keeps_order: ClassVar[bool] = True
    #: `Lease.deliveries` counts.
    counts_deliveries: ClassVar[bool] = True
    #: A receipt is worthless once its package was leased by another.
    fences: ClassVar[bool] = True
    #: `queue_size` and `lock_size` are exact.
    exact_sizes: ClassVar[bool] = True

    def make_broker(self) -> Broker:
        """Make the broker to test, on a queue that nobody used before: see `queue_name`."""
        raise NotImplementedError

    def make_dead_broker(self) -> Broker | None:
        """Make a broker whose server does not answer; None skips that test."""
        return None

    def another(self) -> Broker:
        """Make a second broker on the queue under test; the same one where it cannot be shared."""
        broker = self.broker
        return type(broker)(broker.list_key) if broker.is_shared else broker

    def advance(self, seconds: float) -> None:
        """Let time pass; override it where the server's clock can be turned."""
        time.sleep(seconds)

    def after_fork(self) -> None:
        """Run first in every child process; drop here what only the parent may use."""

    @staticmethod
    def queue_name() -> str:
        """Give a name for a queue that nobody used before."""
        return f"suite-{uuid.uuid4().hex[:12]}"

    # -- around each test --------------------------------------------------------------------

    @functools.cached_property
    def broker(self) -> Broker:
        """The broker under test, made at first use."""
        return self.make_broker()

    def setup_method(self) -> None:
        """Set the length of leases and take heartbeat keys that no other test has."""
        self._conf = {"RETRY": Conf.RETRY, "PREFIX": Conf.PREFIX}
        self._set_conf({"RETRY": LONG_LEASE, "PREFIX": self.queue_name()})

    def teardown_method(self) -> None:
        """Remove the queue and put the settings back."""
        if "broker" in self.__dict__:
            with contextlib.suppress(BrokerUnavailable):
                self.broker.delete_queue()
            self.broker.close()
        self._set_conf(self._conf)

    @staticmethod
    def _set_conf(values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(Conf, name, value)

    # -- steps of the tests ------------------------------------------------------------------

    def need(self, flag: str) -> None:
        """Skip the test unless the broker has this flag."""
        self.skip_unless(getattr(self.broker, flag), f"{flag} is False")

    def skip_unless(self, condition: object, reason: str) -> None:
        """Skip the test, with a reason, unless the condition holds."""
        if not condition:
            raise unittest.SkipTest(f"{type(self.broker).__name__}: {reason}")

    def shorten_leases(self) -> None:
        """Let leases lapse after `retry` from now on; before anything is enqueued."""
        self._set_conf({"RETRY": self.retry})

    def put(self, *payloads: str) -> list[str]:
        """Enqueue packages; their tracking ids."""
        return self.broker.enqueue_many(payloads)

    def take(self, count: int = 1, broker: Broker | None = None) -> list[Lease]:
        """Lease until `count` packages have come, or patience ends."""
        broker = broker or self.broker
        taken: list[Lease] = []
        end = time.monotonic() + self.patience
        while len(taken) < count and time.monotonic() < end:
            limit = min(count - len(taken), broker.max_lease or count)
            taken += broker.lease(limit, 0.05)
        return taken

    def take_one(self, broker: Broker | None = None) -> Lease:
        """Lease one package, which must come."""
        taken = self.take(1, broker)
        assert len(taken) == 1, f"one package expected, {taken!r} came"
        return taken[0]

    def receipts(self, leases: Iterable[Lease]) -> list[str]:
        """Give the receipts of these leases, which must have one."""
        receipts = [lease.receipt for lease in leases]
        assert None not in receipts, f"a receipt is missing: {receipts!r}"
        return [receipt for receipt in receipts if receipt is not None]

    def comes_nothing(self, broker: Broker | None = None) -> None:
        """Check that there is nothing to lease."""
        taken = (broker or self.broker).lease(1)
        assert taken == [], f"nothing expected, {taken!r} came"

    def have_sizes(self, waiting: int, leased: int) -> None:
        """Check that these sizes show soon, where they are exact."""
        if not self.exact_sizes:
            return
        self.comes_true(lambda: self.broker.queue_size() == waiting, f"{waiting} wait")
        if self.broker.lock_size() is not None:
            self.comes_true(lambda: self.broker.lock_size() == leased, f"{leased} are leased")

    def comes_true(self, condition: Callable[[], object], what: str) -> None:
        """Check that the condition holds before patience ends."""
        end = time.monotonic() + self.patience
        while not condition():
            assert time.monotonic() < end, f"not true within {self.patience} s: {what}"
            time.sleep(0.02)

    def in_child(self, work: Callable[[], Any]) -> Callable[[], Any]:
        """Start `work` in a forked process; gives the function that waits for its result."""
        if "fork" not in multiprocessing.get_all_start_methods():
            raise unittest.SkipTest("this platform does not fork")
        context = multiprocessing.get_context("fork")
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=self._child, args=(work, writer))
        process.start()
        writer.close()
        return functools.partial(_result_of, process, reader)

    def _child(self, work: Callable[[], Any], writer: Connection) -> None:
        try:
            self.after_fork()
            writer.send((work(), None))
        except BaseException:
            # Whatever it is, the parent raises it: a child has nobody else to tell.
            writer.send((None, traceback.format_exc()))


def _result_of(process: Any, reader: Connection) -> Any:
    try:
        assert reader.poll(CHILD_LIMIT), f"the child process took more than {CHILD_LIMIT} s"
        result, error = reader.recv()
    finally:
        process.kill()
        process.join()
        reader.close()
    assert error is None, f"in the child process:\n{error}"
    return result
