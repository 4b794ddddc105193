"""The IronMQ broker, for v3 of its API; `ironmq_settings` and `ironmq_client` are its parts.

Every call is a paid request: packages go by the hundred.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django_q.brokers.base import Broker
from django_q.brokers.ironmq_client import Call, IronClient, Refusal
from django_q.brokers.ironmq_settings import (
    LONGEST_DELAY,
    LONGEST_LIFE,
    LONGEST_WAIT,
    SMALL_PLAN,
    IronSettings,
)
from django_q.brokers.lease import Lease
from django_q.brokers.misread import text_of, understood
from django_q.brokers.partly import partly
from django_q.exceptions import BrokerError, PayloadTooLarge

#: Messages of one request; IronMQ's limit for reserving and deleting.
BATCH = 100
#: How much of its life a message may be held back: it counts from the start.
PART_OF_LIFE = 0.1
#: What stands around the messages of a request.
_FRAME = '{"messages":[%s]}'
_FRAME_SIZE = len(_FRAME % "")


class IronMQBroker(Broker):
    """Keeps packages in a queue of IronMQ v3, which has the name of the cluster that serves it.

    A receipt is the id of the message and that of its reservation. To renew a lease gives it a new
    reservation, which only the instance that renewed knows: the receipt stays as it is.
    """

    has_receipts = can_renew = can_release = can_delay = can_delete = True
    release_counts = is_metered = True
    max_lease = BATCH
    max_delay = PART_OF_LIFE * LONGEST_LIFE

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self._settings = IronSettings.read()
        self.idle_wait = float(self._settings.wait)
        life = PART_OF_LIFE * self._settings.message_expiration
        self.max_delay = min(float(LONGEST_DELAY), life)
        #: Receipt -> the reservation that is valid now, of what this instance leased.
        self._reservations: dict[str, str] = {}
        self._is_there = False

    # -- connections -------------------------------------------------------------------------

    @staticmethod
    def get_connection(list_key: str | None = None) -> IronClient:
        """Make a client from the settings; it connects when it is used."""
        return IronClient(IronSettings.read())

    def close(self) -> None:
        """Close the connections; the next use makes new ones."""
        client = self.__dict__.pop("connection", None)
        if client is not None:
            client.close()

    def _call(self, verb: str, *path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        client: IronClient = self.connection
        return client.call(Call(verb, (self.list_key, *path), body, **more))

    def _is_done(self, verb: str, *path: str, body: Any = None) -> bool:
        """Call, and tell whether that was there which the call is about."""
        try:
            self._call(verb, *path, body=body)
        except Refusal as refusal:
            if not refusal.is_gone:
                raise
            return False
        return True

    # -- producing ---------------------------------------------------------------------------

    def enqueue_many(
        self, tasks: Iterable[str], *, delay: float = 0.0, priority: int = 0
    ) -> list[str]:
        """Keep the packages in their order, up to a hundred in a request; `delay` is up to a week.

        Nothing is sent when one of them is too large or empty. If the server refuses in the
        middle, the packages before that stay.
        """
        seconds = _whole(delay)
        messages = [self._message(task, seconds) for task in tasks]
        if messages and not self._is_there:
            self._find_queue()
        with partly() as ids:
            for batch in _batches(messages):
                ids += self._post(batch)
        return ids

    def _message(self, payload: str, delay: int) -> str:
        """Give the JSON of one message, which is ASCII, so that its length is its size."""
        if not payload:
            raise BrokerError("IronMQ takes no empty package. Nothing was sent.")
        try:
            payload.encode()
        except UnicodeEncodeError as error:
            raise BrokerError(
                f"The package is no text that IronMQ could keep: {error}. Nothing was sent."
            ) from error
        message = json.dumps({"body": payload} | ({"delay": delay} if delay else {}))
        size, limit = len(message) + _FRAME_SIZE, self._settings.max_message_size
        if size > limit:
            raise PayloadTooLarge(
                f"The package makes a request of {size:,} bytes, and IronMQ takes {limit:,} "
                f"({self._settings.named('max_message_size')}). Nothing was sent. "
                'Q_CLUSTER["compress"] = True makes packages smaller; large values are better '
                "kept in a file or a row that the task is told of."
            )
        return message

    def _post(self, batch: list[str]) -> list[str]:
        body = _FRAME % ",".join(batch)
        try:
            # What may have been kept already is not sent again: it would be there twice.
            reply = self._call("POST", "messages", body=body, is_repeatable=False)
        except Refusal as refusal:
            if refusal.status == 413 or (refusal.status == 400 and len(body) > SMALL_PLAN):
                raise PayloadTooLarge(
                    f"{refusal} The request had {len(body):,} bytes. Where the plan takes "
                    f"{SMALL_PLAN:,}, set {self._settings.named('max_message_size')} to that."
                ) from refusal
            raise
        with understood(self.info()):
            ids = [str(id) for id in reply.get("ids", ())]
        if len(ids) != len(batch):
            raise BrokerError(
                f"IronMQ at {self._settings.address} was sent {len(batch)} packages and gave "
                f"{len(ids)} ids for them."
            )
        return ids

    def _find_queue(self) -> None:
        """Make the queue if it is missing; its options are left alone where it is there.

        IronMQ would make it too, but with a life of a week for messages.
        """
        if not self._is_done("GET"):
            options = {
                "type": "pull",
                "message_timeout": self._settings.lease,
                "message_expiration": self._settings.message_expiration,
            }
            self._call("PUT", body={"queue": options})
        self._is_there = True

    # -- lending -----------------------------------------------------------------------------

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        """Reserve up to `limit` packages, at most a hundred; waits whole seconds, up to thirty."""
        seconds = max(0, min(int(wait), LONGEST_WAIT))
        body = {"n": max(1, min(limit, BATCH)), "timeout": self._settings.lease, "wait": seconds}
        try:
            reply = self._call("POST", "reservations", body=body, wait=seconds)
        except Refusal as refusal:
            if not refusal.is_gone:
                raise
            if not seconds:
                return []
            # Who wants to wait needs something to wait at.
            self._find_queue()
            reply = self._call("POST", "reservations", body=body, wait=seconds)
        with understood(self.info()):
            return [self._lease(message) for message in reply.get("messages", ())]

    def _lease(self, message: dict[str, Any]) -> Lease:
        id, reservation = str(message["id"]), str(message["reservation_id"])
        receipt = f"{id}:{reservation}"
        self._reservations[receipt] = reservation
        payload, count = text_of(message["body"]), int(message.get("reserved_count", 1))
        return Lease(receipt, payload, id, count)

    # -- receipts ----------------------------------------------------------------------------

    def acknowledge_many(self, receipts: Sequence[str]) -> None:
        """Delete the messages, a hundred in a request; one by one where one of them was lost."""
        receipts = list(dict.fromkeys(receipts))
        for start in range(0, len(receipts), BATCH):
            batch = receipts[start : start + BATCH]
            ids = [self._held(receipt) for receipt in batch]
            entries = [{"id": id, "reservation_id": reservation} for id, reservation in ids]
            # What becomes of the others when one is gone, IronMQ does not say.
            if not self._is_done("DELETE", "messages", body={"ids": entries}) and len(batch) > 1:
                for id, reservation in ids:
                    self._delete(id, reservation)
            for receipt in batch:
                self._reservations.pop(receipt, None)

    def renew(self, receipts: Sequence[str]) -> list[str]:
        """Touch the messages, one request each; the receipts stay as they are."""
        valid: list[str] = []
        for receipt in receipts:
            id, reservation = self._held(receipt)
            body = {"reservation_id": reservation, "timeout": self._settings.lease}
            try:
                reply = self._call("POST", "messages", id, "touch", body=body)
            except Refusal as refusal:
                if not refusal.is_gone:
                    raise
                self._reservations.pop(receipt, None)
                continue
            with understood(self.info()):
                self._reservations[receipt] = str(reply["reservation_id"])
            valid.append(receipt)
        return valid

    def release(
        self, receipts: Sequence[str], delay: float = 0.0, *, counted: bool = False
    ) -> None:
        """Release the messages, one request each. IronMQ counts every reservation as a delivery."""
        seconds = _whole(delay)
        # What is given back last stands in front.
        for receipt in receipts if seconds else reversed(receipts):
            id, reservation = self._held(receipt)
            body = {"reservation_id": reservation, "delay": seconds}
            self._is_done("POST", "messages", id, "release", body=body)
            self._reservations.pop(receipt, None)

    def _held(self, receipt: str) -> tuple[str, str]:
        """Give a receipt's message and reservation; another instance knows the first one only."""
        id, _, first = receipt.partition(":")
        return id, self._reservations.get(receipt, first)

    def _delete(self, id: str, reservation: str = "") -> bool:
        body = {"reservation_id": reservation} if reservation else {}
        return bool(id) and self._is_done("DELETE", "messages", id, body=body)  # none means all

    # -- the queue ---------------------------------------------------------------------------

    def delete(self, task_id: str) -> bool:
        """Delete a message that waits or is held back, or that this instance leased.

        False for one that another has leased: IronMQ lets only that one delete it.
        """
        for receipt in [r for r in self._reservations if r.startswith(f"{task_id}:")]:
            if self._delete(*self._held(receipt)):
                self._reservations.pop(receipt)
                return True
        return self._delete(task_id)

    def purge_queue(self) -> None:
        """Take all messages away."""
        self._is_done("DELETE", "messages", body={})

    def delete_queue(self) -> None:
        """Delete the queue."""
        self._is_done("DELETE")
        self._is_there = False

    def queue_size(self) -> int:
        """Count all messages: IronMQ does not tell those that wait from those that are leased."""
        try:
            reply = self._call("GET")
        except Refusal as refusal:
            if not refusal.is_gone:
                raise
            return 0
        with understood(self.info()):
            return int(reply.get("queue", {}).get("size", 0))

    def ping(self) -> bool:
        """Ask for a name of a queue, over a new connection; host, project and token are right."""
        client: IronClient = self.connection
        return client.ping(Call("GET", query={"per_page": 1}))

    def info(self) -> str:
        """Name and version of the API, and the host."""
        return f"IronMQ v{self._settings.api_version} ({self._settings.host})"


def _whole(delay: float) -> int:
    """Give a delay in whole seconds, as IronMQ wants it."""
    if delay > LONGEST_DELAY:
        raise BrokerError(f"A delay of {delay} s: IronMQ holds back for {LONGEST_DELAY} s at most.")
    return math.ceil(max(0.0, delay))


def _batches(messages: list[str]) -> Iterator[list[str]]:
    """Split into what one request may carry in every plan; a larger message goes alone."""
    batch: list[str] = []
    size = _FRAME_SIZE
    for message in messages:
        if batch and (len(batch) == BATCH or size + len(message) + 1 > SMALL_PLAN):
            yield batch
            batch, size = [], _FRAME_SIZE
        batch.append(message)
        size += len(message) + 1
    if batch:
        yield batch
