"""What gets into one statement of the ORM broker: lists of ids and receipts, and packages."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

#: Ids or receipts in a statement that has a place for each.
LONGEST_LIST = 300
#: Bytes of the packages in one statement, unless a single one is larger: what any MySQL takes.
LARGEST_INSERT = 2**19
#: Packages in one statement on SQLite; the rest, less than these, is one too. A connection keeps
#: its last 128 statements, by their text, and a kilobyte for each row: a text for each number of
#: packages took 17 MB.
_LENGTHS = (250, 50, 10)


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

    def chunks(self, payloads: Sequence[str]) -> list[list[str]]:
        """Cut packages into lists that are inserted by one statement each."""
        is_sqlite = self._vendor == "sqlite"
        cut = _of_few_lengths(payloads) if is_sqlite else _of_some_size(payloads, self.longest)
        return list(cut)


def _of_few_lengths(payloads: Sequence[str]) -> Iterator[list[str]]:
    start = 0
    while left := len(payloads) - start:
        length = next((length for length in _LENGTHS if length <= left), left)
        yield list(payloads[start : start + length])
        start += length


def _of_some_size(payloads: Sequence[str], longest: int) -> Iterator[list[str]]:
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
