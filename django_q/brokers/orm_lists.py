"""What gets into one statement of the ORM broker: lists of ids and receipts, and packages."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

#: Ids or receipts in a statement that has a place for each.
LONGEST_LIST = 300
#: Bytes of the packages in one statement, unless a single one is larger: what any MySQL takes.
LARGEST_INSERT = 2**19


class Lists:
    """How ids and receipts get into the statements of one kind of database.

    SQLite and PostgreSQL take each list as one parameter: their statements have one text whatever
    the number, which is what takes longest to read otherwise.
    """

    def __init__(self, vendor: str) -> None:
        self._vendor = vendor
        #: The most that one statement takes. MySQL's grows by each.
        self.longest = LONGEST_LIST if vendor == "mysql" else 1000

    def text(self, text: str, count: int) -> str:
        """Fill the lists of a statement with placeholders, where they need so many."""
        if self._vendor != "mysql":
            return text
        places = ", ".join(["%s"] * count)
        return text.replace("{ids}", places).replace("{receipts}", places)

    def values(self, *lists: Iterable[str | int]) -> list[Any]:
        """Give the parameters for lists."""
        if self._vendor == "mysql":
            return list(itertools.chain(*lists))
        if self._vendor == "sqlite":
            return [json.dumps(list(items)) for items in lists]
        return [list(items) for items in lists]


def chunks_of(payloads: Sequence[str], longest: int) -> Iterator[list[str]]:
    """Cut into lists that fit into a statement by number and by size."""
    chunk: list[str] = []
    size = 0
    for payload in payloads:
        if chunk and (len(chunk) == longest or size + len(payload) > LARGEST_INSERT):
            yield chunk
            chunk, size = [], 0
        chunk.append(payload)
        size += len(payload)
    if chunk:
        yield chunk


def as_lines(payloads: Sequence[str]) -> str | None:
    """Join, a line for each; None where one has several lines, as packages of ours never have."""
    text = "\n".join(payloads)
    return text if text.count("\n") == len(payloads) - 1 else None
