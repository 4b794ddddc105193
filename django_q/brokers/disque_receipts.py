"""Receipts of the Disque broker, and what the ids of Disque's jobs say.

A receipt is `job id@node`, the node being the one that lent it; a job id alone does, too.
"""

import re
from collections.abc import Iterator, Sequence

#: Receipts in one call.
BATCH = 100

#: `D-`, the node that made it, what makes it unique, minutes to live.
_JOB_ID = re.compile(r"D-[0-9a-f]{8}-[A-Za-z0-9+/]{24}-[0-9a-f]{4}")


def receipt_of(id: str, address: str) -> str | None:
    """Give the receipt of a job that the node at `address` lent; None if there is nothing to do."""
    return None if is_once(id) else f"{id}@{address}"


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


def is_once(id: str) -> bool:
    """Tell whether a job is delivered at most once: its id ends in an even digit."""
    return int(id[-1], 16) % 2 == 0
