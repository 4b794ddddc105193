"""What may be in one request to Amazon SQS: sizes, characters, batches. Pure."""

import re
from collections.abc import Iterator, Sequence

from django_q.exceptions import BrokerError, PayloadTooLarge

#: Entries of one request; Amazon's limit, for sending, receiving, deleting and the rest.
BATCH = 10
#: Bytes of all messages of one request that every queue takes: Amazon's limit until August 2025,
#: when it became 1 MiB. A queue's MaximumMessageSize is never above that limit.
BATCH_SIZE = 262_144
#: Bytes of a message that Amazon lets a queue take at most.
LARGEST = 1_048_576

#: What XML 1.0 cannot carry, and so neither SQS (API reference, SendMessage).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def size_of(payload: str) -> int:
    """Count the bytes that Amazon counts: those of the text in UTF-8."""
    return len(payload) if payload.isascii() else len(payload.encode())


def check_text(payload: str) -> None:
    """Raise BrokerError for what no queue takes, whatever its size."""
    if not payload:
        raise BrokerError("Amazon SQS takes no empty package. Nothing was sent.")
    # The first test is much quicker, and true of every sealed package.
    if not payload.isprintable() and (found := _FORBIDDEN.search(payload)):
        raise BrokerError(
            f"The package has the character U+{ord(found[0]):04X} at {found.start()}, which XML "
            "and so Amazon SQS cannot carry. Nothing was sent."
        )


def check_size(payload: str, limit: int, queue: str) -> None:
    """Raise PayloadTooLarge for a package beyond the limit of the queue."""
    if size_of(payload) > limit:
        raise PayloadTooLarge(
            f"The package has {size_of(payload):,} bytes, and the queue {queue} at Amazon SQS "
            f"takes {limit:,} (its MaximumMessageSize{_can_grow(limit)}). Nothing was sent. "
            'Q_CLUSTER["compress"] = True makes packages smaller; large values are better kept '
            "in a file or a row that the task is told of."
        )


def split(payloads: Sequence[str], limit: int) -> Iterator[list[str]]:
    """Split into what one request may carry, in order. `limit`: bytes of the largest message."""
    batch: list[str] = []
    size = 0
    for payload in payloads:
        more = size_of(payload)
        if batch and (len(batch) == BATCH or size + more > max(limit, BATCH_SIZE)):
            yield batch
            batch, size = [], 0
        batch.append(payload)
        size += more
    if batch:
        yield batch


def tens(receipts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split receipts into what one request may carry."""
    for start in range(0, len(receipts), BATCH):
        yield receipts[start : start + BATCH]


def _can_grow(limit: int) -> str:
    return f", which may be raised to {LARGEST:,}" if limit < LARGEST else ""
