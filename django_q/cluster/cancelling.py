"""The housekeeper's half of cancelling: it sees the wishes, and ends the workers of deaf tasks.

The clerks, who interrupt what runs, look at the table only while the number on the scoreboard says
that there is something to see.
"""

import time
from collections.abc import Mapping, Sequence

from django_q.cluster.scoreboard import Mark, Phase, Scoreboard, Slot, State
from django_q.conf import Conf, logger
from django_q.results import cancellations
from django_q.results.looks import Together

#: Time a cancelled task has to end by its exception where its worker may be killed at once.
_MOMENT = 1.0
#: The wishes are read anew after this time, should the clocks of two who asked have disagreed.
_LONGEST = 5.0


class Cancelling:
    """Watches the wishes that tasks be cancelled, for one cluster."""

    def __init__(
        self, board: Scoreboard, slots: Sequence[Slot], together: Together | None = None
    ) -> None:
        self._board = board
        self._slots = slots
        self._newest = cancellations.Newest(together)
        self._wishes: Mapping[str, bool] = {}
        #: The last number that was said; begun where no housekeeper before this one was.
        self._number = int(time.time() * 10) & 0x7FFFFFFF
        self._seen: tuple[int, object] = (0, None)
        self._read_again = 0.0
        #: Since when each cancelled run was seen to go on: slot, task and its start -> when.
        self._since: dict[tuple[int, str, float], float] = {}

    def look(self) -> None:
        """Tell the clerks of new wishes, and have those killed who do not obey. May raise."""
        now = time.monotonic()
        count, last = self._newest.look()
        if not count:
            self._wishes, self._seen = {}, (0, None)
            self._since.clear()
            if self._board.wishes:
                self._board.say_wishes(0)
            return
        if count > self._seen[0] or last != self._seen[1] or now >= self._read_again:
            self._read_again = now + _LONGEST
            self._wishes = cancellations.wishes()
            # A number that was never said: a clerk that slept may know any of the older ones.
            self._number = self._number % 0xFFFFFFFF + 1
            self._board.say_wishes(self._number)
        self._seen = count, last
        self._condemn(now)

    def _condemn(self, now: float) -> None:
        going_on = dict.fromkeys(self._cancelled_runs(), now)
        self._since = going_on | {key: self._since[key] for key in going_on.keys() & self._since}
        for (index, task_id, _), since in self._since.items():
            patience = _MOMENT if self._wishes[task_id] else max(_MOMENT, Conf.GRACE)
            slot = next(slot for slot in self._slots if slot.index == index)
            pid = slot.get("pid")
            if now - since >= patience and slot.get("condemned") != pid:
                logger.warning("The task [%s] does not end: its worker is killed", task_id)
                slot.set("condemned", pid)

    def _cancelled_runs(self) -> list[tuple[int, str, float]]:
        return [
            (slot.index, mark.task_id, mark.since)
            for slot in self._slots
            if slot.get("state") != State.FREE and not slot.obituary
            for mark in slot.read_marks()
            if self._is_cancelled(mark)
        ]

    def _is_cancelled(self, mark: Mark) -> bool:
        return mark.phase is Phase.RUNNING and mark.task_id in self._wishes
