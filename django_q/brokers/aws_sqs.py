"""The Amazon SQS broker. Every call is a paid request, so ten packages go in one.

`sqs_settings` knows the settings, `sqs_server` calls and `sqs_trouble` names what goes wrong,
`sqs_queue` finds and makes the queue, `sqs_batches` knows what fits into a request.
"""

import contextlib
import math
import os
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from boto3.session import Session

from django_q.brokers import marks, sqs_batches
from django_q.brokers.base import Broker
from django_q.brokers.lease import Lease
from django_q.brokers.misread import text_of, understood
from django_q.brokers.partly import partly
from django_q.brokers.sqs_queue import Answers, SqsQueue
from django_q.brokers.sqs_server import SqsServer, make_session
from django_q.brokers.sqs_settings import LONGEST_LEASE, SqsSettings, is_fifo, region_of
from django_q.brokers.sqs_trouble import LOST, QueueMissing, is_size
from django_q.exceptions import BrokerError, PayloadTooLarge

#: Seconds a message may be held back when it is sent; Amazon's limit.
LONGEST_DELAY = 900
#: Seconds between two short polls, for those who chose them.
SHORT_POLL_PAUSE = 1.0
#: A rest of waiting below this, in seconds, is not worth a request.
_SHORTEST_WAIT = 0.5


class Sqs(Broker):
    """Keeps packages in a queue of Amazon SQS, standard or FIFO.

    A queue has the name of the cluster that serves it, unless `"queues"` maps it to another name
    or to a URL. A subclass may override `get_connection` to give its own session of boto3.
    """

    has_receipts = can_renew = can_release = can_delay = portable_receipts = True
    release_counts = is_metered = True
    max_delay = LONGEST_DELAY
    max_lease = sqs_batches.BATCH

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self._settings = SqsSettings.read()
        self._place = self._settings.place_of(self.list_key)
        self._queues: dict[int, SqsQueue] = {}
        # Without long polls an idle worker looks for as long as others do.
        self.idle_wait = float(self._settings.receive_message_wait_time_seconds) or 1.0
        if self._is_fifo:
            # Amazon holds back a FIFO queue as a whole only.
            self.can_delay = False  # type: ignore[misc]

    # -- connections -------------------------------------------------------------------------

    @staticmethod
    def get_connection(list_key: str | None = None) -> Session:
        """Make a session of boto3 from `Q_CLUSTER["sqs"]`."""
        return make_session(SqsSettings.read())

    @property
    def _queue(self) -> SqsQueue:
        """The queue as this process sees it: a fork begins with connections of its own."""
        queue = self._queues.get(os.getpid())
        if queue is None:
            if self._queues:
                self._queues.clear()
                self.__dict__.pop("connection", None)
            server = SqsServer(self.connection, self._settings, region_of(self._place))
            made = SqsQueue(server, self._place, self._settings)
            # Of two threads, both get the one that came first.
            queue = self._queues.setdefault(os.getpid(), made)
        return queue

    def close(self) -> None:
        """Close the connections; the next use makes new ones."""
        if queue := self._queues.pop(os.getpid(), None):
            queue.server.close()
        super().close()

    @property
    def _is_fifo(self) -> bool:
        return is_fifo(self._place)

    # -- producing ---------------------------------------------------------------------------

    def enqueue_many(
        self, tasks: Iterable[str], *, delay: float = 0.0, priority: int = 0
    ) -> list[str]:
        """Keep the packages, ten in a request; `delay` is at most 900 seconds.

        Nothing is sent when one of them is too large, is empty or has a character that SQS
        cannot carry. If the server refuses in the middle, the packages before that stay.
        """
        payloads = list(tasks)
        if not payloads:
            return []
        extra = self._hold_back(delay)
        limit = self._checked_limit(payloads)
        with partly() as ids:
            for batch in sqs_batches.split(payloads, limit):
                entries = [{"MessageBody": payload, **extra, **self._group()} for payload in batch]
                # What has a deduplication id may be sent again when nobody knows if it arrived.
                answers = self._queue.call_batch(
                    "send_message_batch", entries, repeatable=self._is_fifo
                )
                self._complain(answers, len(ids))
                with understood(self._queue.server.name):
                    ids += [str(answers.done[place]["MessageId"]) for place in range(len(batch))]
        return ids

    def _hold_back(self, delay: float) -> dict[str, int]:
        if delay <= 0:
            return {}
        if self._is_fifo:
            raise BrokerError(f"{self._place} is a FIFO queue, which holds back no single package.")
        if delay > LONGEST_DELAY:
            raise BrokerError(
                f"A delay of {delay} s: Amazon SQS holds back for {LONGEST_DELAY} s at most."
            )
        return {"DelaySeconds": math.ceil(delay)}

    def _checked_limit(self, payloads: Sequence[str]) -> int:
        """Check all packages; gives the limit of the queue."""
        for payload in payloads:
            sqs_batches.check_text(payload)
        limit = self._queue.limit()
        if any(sqs_batches.size_of(payload) > limit for payload in payloads):
            # It may have been raised since.
            limit = self._queue.limit(is_fresh=True)
        for payload in payloads:
            sqs_batches.check_size(payload, limit, self._place)
        return limit

    def _group(self) -> dict[str, str]:
        if not self._is_fifo:
            return {}
        # Not made from the content: a package that is sent again on purpose must not be dropped.
        once = uuid.uuid4().hex
        group = self._settings.message_group_id or once
        return {"MessageGroupId": group, "MessageDeduplicationId": once}

    # -- lending -----------------------------------------------------------------------------

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        """Lend up to ten packages. SQS waits whole seconds: a part of one counts as one."""
        end = time.monotonic() + wait
        while True:
            left = max(0.0, end - time.monotonic())
            polls = min(math.ceil(left), self._settings.receive_message_wait_time_seconds)
            leases = self._receive(max(1, min(limit, sqs_batches.BATCH)), polls)
            left = end - time.monotonic()
            if leases or left < _SHORTEST_WAIT:
                return leases
            if not polls:
                time.sleep(min(left, SHORT_POLL_PAUSE))

    def _receive(self, limit: int, wait: int) -> list[Lease]:
        reply = self._queue.call(
            "receive_message",
            wait=wait,
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=wait,
            VisibilityTimeout=self._settings.visibility,
            AttributeNames=["ApproximateReceiveCount"],
        )
        with understood(self._queue.server.name):
            leases = [_lease(message) for message in reply.get("Messages", ())]
        return self._without_deleted(leases)

    def _without_deleted(self, leases: list[Lease]) -> list[Lease]:
        """Take away what was deleted while it waited: see `delete`."""
        deleted = marks.marked(self.list_key, [lease.id for lease in leases]) if leases else ()
        if not deleted:
            return leases
        # Should this fail, they come back, and are found to be deleted again.
        with contextlib.suppress(BrokerError):
            self.acknowledge_many([str(lease.receipt) for lease in leases if lease.id in deleted])
        return [lease for lease in leases if lease.id not in deleted]

    # -- receipts ----------------------------------------------------------------------------

    def acknowledge_many(self, receipts: Sequence[str]) -> None:
        """Delete the messages, ten in a request."""
        self._for_each("delete_message_batch", receipts)

    def renew(self, receipts: Sequence[str]) -> list[str]:
        """Hide the messages anew; Amazon allows twelve hours from their first reception."""
        return self._for_each(
            "change_message_visibility_batch", receipts, VisibilityTimeout=self._settings.visibility
        )

    def release(
        self, receipts: Sequence[str], delay: float = 0.0, *, counted: bool = False
    ) -> None:
        """Show the messages now, or after up to twelve hours. SQS counts it as a delivery."""
        hidden = min(math.ceil(max(0.0, delay)), LONGEST_LEASE)
        self._for_each("change_message_visibility_batch", receipts, VisibilityTimeout=hidden)

    def _for_each(self, operation: str, receipts: Sequence[str], **extra: Any) -> list[str]:
        """Call a batch operation for receipts; gives those that still hold their message."""
        held: list[str] = []
        for ten in sqs_batches.tens(list(dict.fromkeys(receipts))):
            entries = [{"ReceiptHandle": receipt, **extra} for receipt in ten]
            try:
                answers = self._queue.call_batch(operation, entries, makes=False)
            except QueueMissing:
                continue
            self._complain(answers, len(held), LOST)
            with understood(self._queue.server.name):
                held += [ten[place] for place in sorted(answers.done)]
        return held

    def _complain(self, answers: Answers, done: int, usual: Iterable[str] = ()) -> None:
        """Raise for what was refused, but for the `usual` reasons."""
        for code, text in answers.refused.values():
            if code not in usual:
                kind = PayloadTooLarge if is_size(code, text) else BrokerError
                refusal = kind(
                    f"{self._queue.server.name} refuses {len(answers.refused)} packages of "
                    f"{self._place}, after {done + len(answers.done)} were done: {code}: {text}"
                )
                refusal.taken = sorted(answers.done)
                raise refusal

    # -- the queue ---------------------------------------------------------------------------

    def delete(self, task_id: str) -> bool:
        """Mark a package, so that whoever leases it takes it away: Amazon cannot delete by id.

        Always False, for nobody knows whether it is there. The mark is a row of the ledger.
        """
        marks.mark(self.list_key, task_id)
        return False

    def purge_queue(self) -> None:
        """Take all packages away. Amazon does that once in 60 s, and takes as long for it.

        Raises BrokerError when there is something to purge again before that.
        """
        try:
            self._queue.call("purge_queue", makes=False)
        except QueueMissing:
            return
        except BrokerError as error:
            if "PurgeQueueInProgress" not in str(error):
                raise
            if any(self._sizes()):
                raise BrokerError(
                    f"The queue {self._place} was purged less than 60 s ago, and Amazon SQS does "
                    "that once in 60 s. What came since is still there: try again later."
                ) from error

    def delete_queue(self) -> None:
        """Delete the queue. Amazon lets one of that name be made again after 60 s."""
        try:
            self._queue.delete()
        except QueueMissing:
            return

    def queue_size(self) -> int:
        """Count what could be leased, as far as SQS knows: approximately, asked anew each time."""
        return self._sizes()[0]

    def lock_size(self) -> int:
        """Count what is leased or was released with a delay; approximately, asked anew."""
        return self._sizes()[1]

    def _sizes(self) -> tuple[int, int]:
        waiting, leased = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
        try:
            found = self._queue.attributes(waiting, leased)
        except QueueMissing:
            return 0, 0
        with understood(self._queue.server.name):
            return int(found.get(waiting, 0)), int(found.get(leased, 0))

    def ping(self) -> bool:
        """Ask Amazon for the queue; True when it answers, be the queue missing."""
        return self._queue.ping()

    def info(self) -> str:
        """Name and region: SQS has no version."""
        if self._info is None:
            self._info = self._queue.server.name
        return self._info


def _lease(message: dict[str, Any]) -> Lease:
    deliveries = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
    names = ("ReceiptHandle", "Body", "MessageId")
    receipt, payload, id = (text_of(message[name]) for name in names)
    return Lease(receipt, payload, id, deliveries)
