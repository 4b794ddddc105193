"""What every process of a cluster says about itself, in memory they share.

One slot a worker, and in each slot every part has one writer: the worker's main thread (mark,
journal), its clerk (holdings, beat), the supervisor (obituary), the housekeeper (burial, recall).
No locks, so a process killed at any instant blocks nobody; what it was writing shows by its
checksum. Standard library only: the supervisor reads it in its loop.

*Mark* (what runs) and *holdings* (which leases wait) are written alternately to two copies, each
with sequence number, length and CRC-32, so that the older copy is whole while the newer is torn.
The *journal* holds outcomes that are not settled yet: a killed worker loses the task that ran,
and none that it had finished.
"""

import ctypes
import enum
import multiprocessing.context
import multiprocessing.sharedctypes
import pickle
import signal
import struct
import zlib
from typing import Any, NamedTuple

from django_q.cluster.journal import JOURNAL_SIZE, Journal

#: Room for one mark: receipt (SQS: up to 1 KiB), ids and names.
_MARK_SIZE = 4 * 1024
#: Room for the receipts that wait: some hundred of ours, thirty of SQS.
_HOLDINGS_SIZE = 32 * 1024

_INTEGER = struct.Struct("<q")
_NUMBER = struct.Struct("<d")
_COPY_HEADER = struct.Struct("<QII")  # sequence number, length, crc

#: Fields at the head of a slot, eight bytes each.
_FIELDS = (
    "pid", "state", "beat", "done", "rss", "recall",
    "obituary_pid", "obituary_status", "obituary_cause", "charge", "burial",
)  # fmt: skip
_FIELD_OFFSETS = {name: 8 * position for position, name in enumerate(_FIELDS)}
_HEAD_SIZE = 8 * len(_FIELDS)
_COPY_SIZES = (_MARK_SIZE, _HOLDINGS_SIZE)
_SLOT_SIZE = _HEAD_SIZE + 2 * sum(_COPY_SIZES) + 2 * JOURNAL_SIZE


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


#: Ends that say more than their signal.
_CAUSES = {Cause.HARD_LIMIT: "hard limit", Cause.SILENCE: "it hung"}


class Phase(enum.StrEnum):
    """What the main thread does with a package."""

    #: Its past is looked up; no user code runs.
    CHECKING = "checking"
    OPENING = "opening"
    RUNNING = "running"
    #: It has ended and waits until its outcome is settled.
    SETTLING = "settling"
    #: The outcome is settled; its hook or receivers run.
    AFTER = "after"


class Mark(NamedTuple):
    """What a worker's main thread does now. Times are of the monotonic clock."""

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

    @property
    def how(self) -> str:
        """The end in words: "signal SIGKILL", "exit code 7", "hard limit"."""
        if self.cause in _CAUSES:
            return _CAUSES[self.cause]
        if self.status >= 0:
            return f"exit code {self.status}"
        known = {int(number): number.name for number in signal.Signals}
        return f"signal {known.get(-self.status, -self.status)}"


class _Copies:
    """One tuple of plain values in two alternating copies."""

    def __init__(self, view: memoryview, size: int) -> None:
        self._size = size
        self._halves = (view[:size], view[size : 2 * size])
        self._sequence = max(sequence for sequence, _ in self._read_all() + [(0, b"")])

    def write(self, values: tuple[Any, ...]) -> bool:
        """Write a tuple; False when it does not fit, and then nothing changed."""
        # Bare values: the class of a named tuple would cost as much as all of them.
        data = pickle.dumps(tuple(values), protocol=pickle.HIGHEST_PROTOCOL)
        end = _COPY_HEADER.size + len(data)
        if end > self._size:
            return False
        self._sequence += 1
        half = self._halves[self._sequence % 2]
        half[_COPY_HEADER.size : end] = data
        crc = zlib.crc32(data, self._sequence & 0xFFFFFFFF)
        _COPY_HEADER.pack_into(half, 0, self._sequence, len(data), crc)
        return True

    def read(self) -> tuple[Any, ...]:
        """Give the newest tuple that is whole; an empty one when there is none."""
        copies = self._read_all()
        values: tuple[Any, ...] = pickle.loads(max(copies)[1]) if copies else ()
        return values

    def _read_all(self) -> list[tuple[int, bytes]]:
        found = []
        for half in self._halves:
            sequence, length, crc = _COPY_HEADER.unpack_from(half)
            if not 0 < length <= self._size - _COPY_HEADER.size:
                continue
            data = bytes(half[_COPY_HEADER.size : _COPY_HEADER.size + length])
            if zlib.crc32(data, sequence & 0xFFFFFFFF) == crc:
                found.append((sequence, data))
        return found


class Slot:
    """One worker's place on the scoreboard, as one process sees it."""

    def __init__(self, index: int, view: memoryview) -> None:
        self.index = index
        self._view = view
        places = []
        start = _HEAD_SIZE
        for size in (*_COPY_SIZES, JOURNAL_SIZE):
            places.append(view[start : start + 2 * size])
            start += 2 * size
        self._mark = _Copies(places[0], _MARK_SIZE)
        self._holdings = _Copies(places[1], _HOLDINGS_SIZE)
        self.journal = Journal(places[2])
        #: When the housekeeper last renewed and recalled for this worker; known to it alone.
        self.renewed = self.recalled = 0.0

    def get(self, field: str) -> int:
        """Read a whole number of the head."""
        return int(_INTEGER.unpack_from(self._view, _FIELD_OFFSETS[field])[0])

    def set(self, field: str, value: int) -> None:
        """Write a whole number of the head."""
        _INTEGER.pack_into(self._view, _FIELD_OFFSETS[field], value)

    def read_mark(self) -> Mark | None:
        """Give what the main thread does; None while it waits for work."""
        values = self._mark.read()
        return Mark(Phase(values[0]), *values[1:]) if values else None

    def write_mark(self, mark: Mark | None) -> None:
        """Say what the main thread does; None: it waits for work."""
        self._mark.write((str(mark.phase), *mark[1:]) if mark else ())

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
        return Obituary(pid, self.get("obituary_status"), cause)

    def write_obituary(self, obituary: Obituary) -> None:
        """Say how the process ended; the pid last, since it makes the rest count."""
        self.set("obituary_status", obituary.status)
        self.set("obituary_cause", obituary.cause)
        self.set("obituary_pid", obituary.pid)

    @property
    def is_buried(self) -> bool:
        """The housekeeper has dealt with the death in this slot."""
        return self.get("burial") == self.get("obituary_pid") != 0

    def clear(self) -> None:
        """Make the slot free and void all that stands in it."""
        self._view[:] = bytes(len(self._view))


class Scoreboard:
    """All slots of a cluster; goes to children through the arguments of their process."""

    def __init__(self, context: multiprocessing.context.BaseContext, slots: int) -> None:
        self._count = slots
        self._memory: ctypes.Array[ctypes.c_char] = multiprocessing.sharedctypes.RawArray(
            ctypes.c_char, 8 + slots * _SLOT_SIZE
        )

    def slots(self) -> list[Slot]:
        """Give a view of every slot for this process."""
        view = self._view()[8:]
        sizes = range(self._count)
        return [Slot(n, view[n * _SLOT_SIZE : (n + 1) * _SLOT_SIZE]) for n in sizes]

    def slot(self, index: int) -> Slot:
        """Give a view of one slot for this process."""
        start = 8 + index * _SLOT_SIZE
        return Slot(index, self._view()[start : start + _SLOT_SIZE])

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

    def _view(self) -> memoryview:
        return memoryview(self._memory).cast("B")
