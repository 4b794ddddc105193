"""What every process of a cluster says about itself, in memory they share.

One slot a worker, and in each slot every part has one writer: the worker's main thread (marks,
journal), its clerk (holdings, beat), the supervisor (obituary), the housekeeper (burial, recall).
No locks, so a process killed at any instant blocks nobody; what it was writing shows by its
checksum. Standard library only: the supervisor reads it in its loop.

A *mark* says what runs. There is one for each place of a worker: as many as it may have tasks side
by side, which is one unless it has threads or a loop. *Holdings* say which leases it has. The
*journal* holds outcomes that are not settled yet: a killed worker loses what ran, and nothing that
it had finished.
"""

import enum
import multiprocessing.context
import signal
import struct
from collections.abc import Callable
from typing import NamedTuple

from django_q.cluster.copies import Copies
from django_q.cluster.journal import JOURNAL_SIZE, Journal
from django_q.cluster.shared_memory import SharedMemory, whole_pages

#: Room for one mark: receipt (SQS: up to 1 KiB), ids and names. A worker with a thousand places has
#: 8 MiB of them: the bound of `threads` and `async_concurrency`.
_MARK_SIZE = 4 * 1024
#: Room for the receipts that wait, or are not settled yet: a thousand of ours, sixty of SQS.
_HOLDINGS_SIZE = 64 * 1024
#: The longest receipt, of SQS.
_RECEIPT_SIZE = 1024

_INTEGER = struct.Struct("<q")
_NUMBER = struct.Struct("<d")
#: Two at the head of the board: whether the cluster stops, and the number of the wishes.
_WORD = struct.Struct("<I")
#: Where the slots begin: each has its pages for itself.
_START = whole_pages(2 * _WORD.size)

#: Fields at the head of a slot, eight bytes each.
_FIELDS = (
    "pid", "state", "beat", "done", "rss", "recall",
    "obituary_pid", "obituary_status", "obituary_cause", "obituary_at", "charged", "burial",
    "condemned",
)  # fmt: skip
_FIELD_OFFSETS = {name: 8 * position for position, name in enumerate(_FIELDS)}
_HEAD_SIZE = 8 * len(_FIELDS)


def _holdings_size(places: int) -> int:
    # What runs beside the first one is held too.
    return _HOLDINGS_SIZE + (places - 1) * _RECEIPT_SIZE


def _slot_size(places: int) -> int:
    size = _HEAD_SIZE + 2 * (places * _MARK_SIZE + _holdings_size(places) + JOURNAL_SIZE)
    return whole_pages(size)


class State(enum.IntEnum):
    """What a slot's process is about."""

    FREE = 0
    BOOTING = 1
    IDLE = 2
    BUSY = 3
    STOPPING = 4
    #: It left by itself and holds nothing.
    LEFT = 5


class Cause(enum.IntEnum):
    """Why the supervisor ended a process; NONE when it died by itself."""

    NONE = 0
    HARD_LIMIT = 1
    #: The cluster stops, or what ran was not to blame: it comes back uncharged.
    SHUTDOWN = 2
    #: It neither worked nor beat: hung in a call to a server that is lost without a word.
    SILENCE = 3
    #: Its task was cancelled, and did not end by itself.
    CANCELLED = 4


#: Ends that say more than their signal.
_CAUSES = {
    Cause.HARD_LIMIT: "hard limit",
    Cause.SILENCE: "it hung",
    Cause.CANCELLED: "its task was cancelled",
}


class Phase(enum.StrEnum):
    """What a worker does with a package."""

    #: Its past is looked up; no user code of it runs.
    CHECKING = "checking"
    OPENING = "opening"
    RUNNING = "running"
    #: It has ended and waits until its outcome is settled.
    SETTLING = "settling"
    #: The outcome is settled; its hook or receivers run.
    AFTER = "after"


class Mark(NamedTuple):
    """What a worker does now at one of its places. Times are of the monotonic clock."""

    phase: Phase
    receipt: str | None
    #: Key of the package in the ledger.
    key: str
    since: float
    #: When the supervisor kills the worker; 0 for never.
    until: float
    task_id: str = ""
    name: str = ""
    func: str = ""


class Holdings(NamedTuple):
    """Which leases a worker has, the running one included, and the holder's name at its broker."""

    holder: str
    receipts: tuple[str, ...]


class Obituary(NamedTuple):
    """How a process ended: exit status as in `Process.exitcode`, negative for a signal."""

    pid: int
    status: int
    cause: Cause
    #: When that was seen, on the monotonic clock.
    at: float = 0.0

    @property
    def how(self) -> str:
        """The end in words: "signal SIGKILL", "exit code 7", "hard limit"."""
        if self.cause in _CAUSES:
            return _CAUSES[self.cause]
        if self.status >= 0:
            return f"exit code {self.status}"
        known = {int(number): number.name for number in signal.Signals}
        return f"signal {known.get(-self.status, -self.status)}"


class Slot:
    """One worker's place on the scoreboard, as one process sees it."""

    def __init__(
        self, index: int, view: memoryview, wipe: Callable[[], None], places: int = 1
    ) -> None:
        self.index = index
        self._view = view
        self._wipe = wipe
        parts = []
        start = _HEAD_SIZE
        sizes = [_MARK_SIZE] * places + [_holdings_size(places), JOURNAL_SIZE]
        for size in sizes:
            parts.append(view[start : start + 2 * size])
            start += 2 * size
        self._marks = [Copies(part, _MARK_SIZE) for part in parts[:places]]
        self._holdings = Copies(parts[places], _holdings_size(places))
        self.journal = Journal(parts[-1])
        #: When the housekeeper last renewed and recalled for this worker; known to it alone.
        self.renewed = self.recalled = 0.0

    def get(self, field: str) -> int:
        """Read a whole number of the head."""
        return int(_INTEGER.unpack_from(self._view, _FIELD_OFFSETS[field])[0])

    def set(self, field: str, value: int) -> None:
        """Write a whole number of the head."""
        _INTEGER.pack_into(self._view, _FIELD_OFFSETS[field], value)

    def read_marks(self) -> list[Mark]:
        """Give what the worker is at; nothing while it waits for work."""
        found = (copies.read() for copies in self._marks)
        return [Mark(Phase(values[0]), *values[1:]) for values in found if values]

    def read_mark(self) -> Mark | None:
        """Give the first of what the worker is at; None while it waits for work."""
        return next(iter(self.read_marks()), None)

    def write_mark(self, mark: Mark | None, place: int = 0) -> None:
        """Say what happens at one of the worker's places; None: nothing."""
        self._marks[place].write((str(mark.phase), *mark[1:]) if mark else ())

    def read_holdings(self) -> Holdings | None:
        """Give the leases the worker has; None before its first."""
        values = self._holdings.read()
        return Holdings(*values) if values else None

    def write_holdings(self, holdings: Holdings) -> bool:
        """Say which leases the worker has; False when they do not fit."""
        return self._holdings.write(holdings)

    @property
    def beat(self) -> float:
        """When the clerk last went round, on the monotonic clock."""
        return float(_NUMBER.unpack_from(self._view, _FIELD_OFFSETS["beat"])[0])

    @beat.setter
    def beat(self, moment: float) -> None:
        _NUMBER.pack_into(self._view, _FIELD_OFFSETS["beat"], moment)

    @property
    def obituary(self) -> Obituary | None:
        """How the process of this slot ended, until the slot is cleared."""
        pid = self.get("obituary_pid")
        if not pid:
            return None
        cause = Cause(self.get("obituary_cause"))
        at = float(_NUMBER.unpack_from(self._view, _FIELD_OFFSETS["obituary_at"])[0])
        return Obituary(pid, self.get("obituary_status"), cause, at)

    def write_obituary(self, obituary: Obituary) -> None:
        """Say how the process ended; the pid last, since it makes the rest count."""
        self.set("obituary_status", obituary.status)
        self.set("obituary_cause", obituary.cause)
        _NUMBER.pack_into(self._view, _FIELD_OFFSETS["obituary_at"], obituary.at)
        self.set("obituary_pid", obituary.pid)

    @property
    def is_buried(self) -> bool:
        """The housekeeper has dealt with the death in this slot."""
        return self.get("burial") == self.get("obituary_pid") != 0

    def clear(self) -> None:
        """Make the slot free and void all that stands in it."""
        self._wipe()


class Scoreboard:
    """All slots of a cluster; goes to children through the arguments of their process."""

    def __init__(
        self, context: multiprocessing.context.BaseContext, slots: int, places: int = 1
    ) -> None:
        self._count = slots
        #: How many packages each worker may be at.
        self.places = places
        self._size = _slot_size(places)
        self._memory = SharedMemory(context, _START + slots * self._size)

    def slots(self) -> list[Slot]:
        """Give a view of every slot for this process."""
        return [self.slot(index) for index in range(self._count)]

    def slot(self, index: int) -> Slot:
        """Give a view of one slot for this process."""
        start = _START + index * self._size
        view = self._view()[start : start + self._size]
        return Slot(index, view, lambda: self._memory.wipe(start, self._size), self.places)

    @property
    def is_stopping(self) -> bool:
        """The supervisor is stopping the cluster."""
        return bool(self._view()[0])

    def say_stopping(self) -> None:
        """Tell all that the cluster stops: also those whose main thread takes no signals."""
        self._view()[0] = 1

    @property
    def is_over(self) -> bool:
        """All workers are gone and nothing is left to do for them."""
        return self._view()[0] > 1

    def say_over(self) -> None:
        """Tell the housekeeper that it may leave."""
        self._view()[0] = 2

    @property
    def wishes(self) -> int:
        """A number that changes when somebody wants tasks cancelled; 0 while nobody does."""
        return int(_WORD.unpack_from(self._view(), _WORD.size)[0])

    def say_wishes(self, number: int) -> None:
        """Tell all clerks that there are other wishes now (housekeeper)."""
        _WORD.pack_into(self._view(), _WORD.size, number)

    def _view(self) -> memoryview:
        return self._memory.view()
