"""Where the next claim of the ORM broker begins in a long queue on PostgreSQL."""

import time
from collections.abc import Sequence
from typing import Any

#: So many rows in one claim are those of a long queue.
_LONG = 50
#: Seconds after which a claim begins with the oldest again.
_WHOLE = 1.0


class Progress:
    """How far the claims of a consumer have come in a long queue (PostgreSQL).

    For a second: what was given back since, or comes from a transaction that took long, is older.
    """

    def __init__(self) -> None:
        self._place: tuple[int, float] | None = None
        self._until = 0.0

    def place(self) -> tuple[int, float] | None:
        """Give priority and `lock` to go on from; None to begin with the oldest."""
        return self._place if time.monotonic() < self._until else None

    def note(self, claimed: Sequence[tuple[Any, ...]], limit: int, *, is_whole: bool) -> None:
        """Note what a claim gave; `is_whole`: it began with the oldest."""
        if len(claimed) < max(limit, _LONG) or claimed[0][3] != claimed[-1][3]:
            self.forget()
            return
        if is_whole:
            self._until = time.monotonic() + _WHOLE
        # A float is no exact moment.
        self._place = claimed[-1][3], claimed[-1][4] - 0.001

    def forget(self) -> None:
        """Begin with the oldest the next time."""
        self._place = None
