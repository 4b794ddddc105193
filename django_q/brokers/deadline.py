"""A limit of time for calls that have none of their own, such as looking up a name."""

import threading
from collections.abc import Callable
from typing import TypeVar

from django_q.exceptions import BrokerUnavailable

T = TypeVar("T")

#: Seconds a ping may take: the contract gives it two.
PING_LIMIT = 1.8


def call_within(limit: float, call: Callable[[], T], late: Callable[[], str]) -> T:
    """Give what `call` gives, or raise what it raises; it runs in a thread of its own.

    When it takes more than `limit` seconds, raises BrokerUnavailable with the text that `late`
    gives; the thread is left behind then, for nothing can end it.
    """
    given: list[T] = []
    raised: list[Exception] = []

    def run() -> None:
        try:
            given.append(call())
        except Exception as error:  # who waits for this thread raises it
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit)
    if raised:
        raise raised[0]
    if not given:
        raise BrokerUnavailable(late())
    return given[0]
