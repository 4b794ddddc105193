"""Jobs of Disque as its broker writes and reads them: ADDJOB, ids, receipts, what was delivered.

A receipt is `job id@node`, the node being the one that lent it; a job id alone does, too.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from django_q.brokers.lease import Lease
from django_q.conf import Conf

#: Packages or receipts in one call.
BATCH = 100
#: Milliseconds a node may take to have a job copied to others.
COPY_LIMIT = 1000
#: Shortest RETRY in seconds, but for 0: Disque shifts each by up to a quarter of one.
SHORTEST_RETRY = 2

#: `D-`, the node that made it, what makes it unique, minutes to live.
_JOB_ID = re.compile(r"D-[0-9a-f]{8}-[A-Za-z0-9+/]{24}-[0-9a-f]{4}")


# -- writing -----------------------------------------------------------------------------------


def addjob(queue: str, payload: str, delay: float, copies: int | None) -> list[str | int]:
    """Give the words of ADDJOB; `copies` None leaves their number to the node."""
    retry, life = whole_retry(Conf.RETRY), math.ceil(Conf.DISQUE_TTL)
    limits: list[str | int] = ["RETRY", retry, "TTL", life]
    if copies:
        limits += ["REPLICATE", copies]
    if delay > 0:
        limits += ["DELAY", math.ceil(delay)]
    return ["ADDJOB", queue, payload, COPY_LIMIT, *limits]


def whole_retry(seconds: float) -> int:
    """Give the RETRY that a lease of so many seconds needs; 0 stays: delivered once at most."""
    return max(SHORTEST_RETRY, math.ceil(seconds)) if seconds > 0 else 0


def numbers_of_copies() -> list[int | None]:
    """Give the numbers of copies to try: None is what the node thinks right, at most three."""
    if Conf.RETRY <= 0:
        return [1]
    return [Conf.DISQUE_REPLICATE] if Conf.DISQUE_REPLICATE else [None, 2, 1]


# -- reading -----------------------------------------------------------------------------------


def lease_of(address: str, id: str, body: bytes, counters: Sequence[Any]) -> Lease:
    """Give the lease of a job that the node at `address` delivered WITHCOUNTERS.

    Counted is what Disque requeued, ENQUEUE and lapses; NACKs are not: see `Disque.release`.
    """
    counted = dict(zip(counters[::2], counters[1::2], strict=True))
    # Strange bytes of another producer are not opened, but kept where a person can look at them.
    payload = body.decode(errors="replace")
    # What is delivered once at most is fire and forget.
    receipt = None if is_once(id) else f"{id}@{address}"
    return Lease(receipt, payload, id, 1 + int(counted[b"additional-deliveries"]))


def facts_of(reply: Sequence[Any] | None) -> dict[str, Any]:
    """Give what SHOW told, names and values in turn; nothing for a job that is not known."""
    names = [name.decode() for name in (reply or [])[::2]]
    return dict(zip(names, (reply or [])[1::2], strict=True))


def is_once(id: str) -> bool:
    """Tell whether a job is delivered at most once: its id ends in an even digit."""
    return int(id[-1], 16) % 2 == 0


# -- receipts ----------------------------------------------------------------------------------


def job_id(receipt: str) -> str:
    """Give the job of a receipt; "" if it is none of ours, which Disque would refuse with all."""
    id = str(receipt).partition("@")[0]
    return id if _JOB_ID.fullmatch(id) else ""


def by_node(receipts: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Sort receipts by the node that lent them: its address, and job ids, a hundred at a time."""
    groups: dict[str, dict[str, None]] = {}
    for receipt in receipts:
        if id := job_id(receipt):
            groups.setdefault(str(receipt).partition("@")[2], {})[id] = None
    for address, ids in groups.items():
        for start in range(0, len(ids), BATCH):
            yield address, list(ids)[start : start + BATCH]
