"""What goes into one call of a script of the Redis broker: so many packages, or receipts."""

import os
from collections.abc import Iterable, Iterator, Sequence

from django_q.brokers import partly
from django_q.brokers.redis_scripts import BATCH
from django_q.disguise import to_wire

#: Packages in one call of the script, which then keeps the server busy for about 2 ms.
ENQUEUE_BATCH = 500
#: Characters after which a call is not filled further, so that it does not stall the server.
ENQUEUE_SIZE = 8 * 2**20


def split(tasks: Iterable[str]) -> Iterator[list[str]]:
    """Split into lists of ENQUEUE_BATCH packages, or fewer if they are large."""
    return partly.split(tasks, ENQUEUE_BATCH, ENQUEUE_SIZE)


def draw(count: int, rank: str = "") -> list[str]:
    """Draw ids of packages; what says their priority ends them."""
    drawn = os.urandom(16 * count).hex()
    return [drawn[start : start + 32] + rank for start in range(0, len(drawn), 32)]


def with_ids(ids: list[str], batch: list[str]) -> list[str | bytes]:
    """Give `id, payload, id, payload, ...` as they are sent."""
    pairs: list[str | bytes] = [*ids, *batch]
    pairs[::2], pairs[1::2] = ids, map(to_wire, batch)
    return pairs


def of_receipts(receipts: Sequence[str]) -> Iterator[list[str]]:
    """Split receipts into `id, token, id, token, ...`, as many at a time as a script may take."""
    for start in range(0, len(receipts), BATCH):
        parts = (receipt.partition(":") for receipt in receipts[start : start + BATCH])
        yield [value for id, _, token in parts for value in (id, token)]
