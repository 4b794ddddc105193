"""The rules of IronMQ v3 for queues and messages, in memory; no HTTP here.

What Iron.io documents is kept to the letter, and where it leaves a choice the stricter one is
taken: unknown fields are refused, a batch of deletions is done as a whole or not at all, and the
limit of size is that of the whole request. A touch counts as a reservation, as Iron.io says where
it explains dead letters.
"""

import collections
import dataclasses
import heapq
import itertools
import secrets
import time
from collections.abc import Iterator
from typing import Any

#: Seconds a reservation may last.
SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 30, 86_400
#: Seconds a message may be held back.
LONGEST_DELAY = 604_800
#: Seconds a message is kept: unless the queue says otherwise, and at most.
EXPIRATION, LONGEST_EXPIRATION = 604_800, 2_592_000
#: Messages of one call.
MOST = 100

Body = dict[str, Any]


class Refused(Exception):
    """The server says no: status and text of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


NO_QUEUE = (404, "Queue not found")
NO_MESSAGE = (404, "Message not found")
TIMED_OUT = (403, "Reservation timed out")


class Clock:
    """The server's time in seconds: as fast as told, and it can be turned ahead."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic() * self.speed + self._ahead

    def advance(self, seconds: float) -> None:
        """Turn it ahead."""
        self._ahead += seconds


@dataclasses.dataclass(slots=True)
class Message:
    """A message, wherever it is."""

    id: str
    body: str
    expires: float
    count: int = 0
    #: Set while it is reserved.
    reservation: str = ""
    #: While it is reserved or held back: until when.
    until: float = 0.0
    #: It was reserved before, so it comes back to the front.
    is_back: bool = False

    def shown(self) -> Body:
        """As a peek shows it."""
        return {"id": self.id, "body": self.body, "reserved_count": self.count}


class Queue:
    """One queue. Every method has to be told the time, and brings the queue up to it first."""

    def __init__(self, name: str, ids: Iterator[int]) -> None:
        self.name = name
        self.options: Body = {
            "message_timeout": 60,
            "message_expiration": EXPIRATION,
            "type": "pull",
        }
        self.total = 0
        self._ids = ids
        self._messages: dict[str, Message] = {}
        #: Ids of what may be reserved, first in front; some may be gone.
        self._ready: collections.deque[str] = collections.deque()
        #: Moment, place among equals, id, and the reservation that was valid then.
        self._timed: list[tuple[float, int, str, str]] = []
        self._places = itertools.count()

    # -- time --------------------------------------------------------------------------------

    def come_to(self, now: float) -> None:
        """Let end what has ended by now: delays, reservations, messages."""
        back: list[str] = []
        while self._timed and self._timed[0][0] <= now:
            _, _, id, reservation = heapq.heappop(self._timed)
            message = self._messages.get(id)
            if message is None:
                continue
            if message.expires <= now:
                del self._messages[id]
            elif message.until and message.until <= now and message.reservation == reservation:
                message.reservation, message.until = "", 0.0
                (back if message.is_back else self._ready).append(id)
        self._ready.extendleft(reversed(back))

    def next_change(self) -> float:
        """When something ends next; infinity if nothing does."""
        return self._timed[0][0] if self._timed else float("inf")

    def _remember(self, message: Message, moment: float) -> None:
        entry = (moment, next(self._places), message.id, message.reservation)
        heapq.heappush(self._timed, entry)

    # -- messages ----------------------------------------------------------------------------

    def post(self, body: str, delay: int, now: float) -> str:
        """Keep a message at the end."""
        expires = now + self.options["message_expiration"]
        message = Message(str(next(self._ids)), body, expires)
        self._messages[message.id] = message
        self.total += 1
        self._remember(message, expires)
        self._place(message, delay, now)
        return message.id

    def take_in(self, message: Message, now: float) -> None:
        """Keep a dead letter from another queue, with its id and count."""
        message.expires = now + self.options["message_expiration"]
        self._messages[message.id] = message
        self._remember(message, message.expires)
        self._ready.append(message.id)

    def _place(self, message: Message, delay: int, now: float) -> None:
        if delay:
            message.until = now + delay
            self._remember(message, message.until)
        elif message.is_back:
            self._ready.appendleft(message.id)
        else:
            self._ready.append(message.id)

    def waiting(self) -> Iterator[Message]:
        """The messages that may be reserved, first in front."""
        return (self._messages[id] for id in self._ready if id in self._messages)

    def reserve(self, n: int, timeout: int, now: float) -> tuple[list[Message], list[Message]]:
        """Lend up to `n` messages; and give those that have become dead letters instead."""
        lent: list[Message] = []
        dead: list[Message] = []
        limit = self.options.get("dead_letter", {}).get("max_reservations", float("inf"))
        while self._ready and len(lent) < n:
            message = self._messages.get(self._ready.popleft())
            if message is None:
                continue
            if message.count >= limit:
                dead.append(self._messages.pop(message.id))
                continue
            self._lend(message, timeout, now)
            lent.append(message)
        return lent, dead

    def _lend(self, message: Message, timeout: int, now: float) -> None:
        message.count += 1
        message.reservation = secrets.token_hex(16)
        message.until = now + timeout
        message.is_back = True
        self._remember(message, message.until)

    def get(self, id: str) -> Message:
        """The message with this id, reserved or not."""
        if id not in self._messages:
            raise Refused(*NO_MESSAGE)
        return self._messages[id]

    def held(self, id: str, reservation: str) -> Message:
        """The message that this reservation holds; without one, a message that is not reserved."""
        message = self.get(id)
        if message.reservation != reservation:
            raise Refused(*TIMED_OUT)
        return message

    def touch(self, id: str, reservation: str, timeout: int, now: float) -> str:
        """Give the message a new reservation; the old one is worth nothing then."""
        message = self.held(id, reservation)
        if not reservation:
            raise Refused(*TIMED_OUT)
        self._lend(message, timeout, now)
        return message.reservation

    def release(self, id: str, reservation: str, delay: int, now: float) -> None:
        """Give the message back, to the front."""
        message = self.held(id, reservation)
        if not reservation:
            raise Refused(*TIMED_OUT)
        message.reservation, message.until = "", 0.0
        self._place(message, delay, now)

    def delete(self, pairs: list[tuple[str, str]]) -> None:
        """Take messages away: all of these or, when one cannot be, none."""
        for id, reservation in pairs:
            self.held(id, reservation)
        for id, _ in pairs:
            self._messages.pop(id, None)

    def clear(self) -> None:
        """Take all messages away."""
        self._messages.clear()
        self._ready.clear()
        self._timed.clear()

    def info(self) -> Body:
        """What the queue says of itself; reserved and delayed messages count."""
        size = {"size": len(self._messages), "total_messages": self.total}
        return {"name": self.name, **size, **self.options}


# What a request may say.


def integer(body: Body, key: str, low: int, high: int, default: int) -> int:
    """Give a whole number of the request, which must lie in its range."""
    value = body.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise Refused(400, f"{key} must be an integer from {low} to {high}")
    return value


def text(body: Body, key: str, default: str | None = None) -> str:
    """Give a string of the request; one of no characters is none."""
    value = body.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise Refused(400, f"{key} is required and must be a string")
    return value


def objects(body: Body, key: str, high: int | None = None) -> list[Body]:
    """Give a list of objects of the request, which must not be empty."""
    value = body.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
        raise Refused(400, f"{key} must be a list of objects")
    if high is not None and len(value) > high:
        raise Refused(400, f"{key}: at most {high}")
    return value


def only(body: Body, *keys: str) -> None:
    """Refuse a request with fields that nobody knows: somebody mistyped."""
    if unknown := body.keys() - set(keys):
        raise Refused(400, f"unknown fields: {', '.join(sorted(unknown))}")


def queue_options(body: Body) -> Body:
    """Give the checked options of a request that makes or changes a queue."""
    only(body, "queue")
    asked = body.get("queue", {})
    if not isinstance(asked, dict):
        raise Refused(400, "queue must be an object")
    only(asked, "message_timeout", "message_expiration", "type", "dead_letter")
    if asked.get("type", "pull") != "pull":
        raise Refused(400, "this server has pull queues only")
    given: Body = {}
    for key, low, high in (
        ("message_timeout", SHORTEST_TIMEOUT, LONGEST_TIMEOUT),
        ("message_expiration", SHORTEST_TIMEOUT, LONGEST_EXPIRATION),
    ):
        if key in asked:
            given[key] = integer(asked, key, low, high, low)
    if "dead_letter" in asked:
        dead = asked["dead_letter"]
        only(dead, "queue_name", "max_reservations")
        most = integer(dead, "max_reservations", 1, 1000, 10)
        given["dead_letter"] = {"queue_name": text(dead, "queue_name"), "max_reservations": most}
    return given
