"""A worker's journal: outcomes that are finished and not settled yet, in shared memory.

Written by the worker's main thread before its next package starts, read by the housekeeper when
the worker was killed. Standard library only.
"""

import struct
import zlib
from collections.abc import Iterator

#: Room for unsettled outcomes in each of two halves: seven of tasks with arguments of 100 KB. What
#: has no room is settled by itself while the worker waits, which takes twice the CPU of all else.
JOURNAL_SIZE = 1024 * 1024
#: What small ones keep to, a batch of them in each half (`outbox`; some 400 bytes each): pages that
#: nobody writes take no memory.
_COMMON_SIZE = 192 * 1024

_INTEGER = struct.Struct("<q")
_ENTRY_HEADER = struct.Struct("<QII")  # generation, length, crc
#: Last byte of an entry's generation, once it is settled: one byte is written whole or not at all.
_SETTLED = 0x80
_SETTLED_AT = 7


class Journal:
    """Unsettled outcomes, appended to one half while the other is being settled.

    A half begins with its generation; entries of an older generation are void, so a half is
    cleared by one write. Only the main thread appends, clears and changes halves; the clerk only
    marks and counts what it has settled. A place is an entry's offset in both halves.
    """

    def __init__(self, view: memoryview) -> None:
        self._halves = (view[:JOURNAL_SIZE], view[JOURNAL_SIZE : 2 * JOURNAL_SIZE])
        self._current = 0
        self._generations = [_INTEGER.unpack_from(half)[0] for half in self._halves]
        self._used = [8, 8]
        self._written = [0, 0]
        self._settled = [0, 0]

    def append(self, data: bytes) -> int | None:
        """Write one outcome; gives its place, or None when there is no room."""
        needed = _ENTRY_HEADER.size + len(data)
        for size in (_COMMON_SIZE, JOURNAL_SIZE):
            for half in (self._current, 1 - self._current):
                if self._written[half] == self._settled[half] and self._used[half] > 8:
                    self._clear(half)
                if self._used[half] + needed <= size:
                    self._current = half
                    return half * JOURNAL_SIZE + self._write(half, data)
        return None

    def settle(self, place: int) -> None:
        """Say of the outcome at this place that it is settled."""
        half, offset = divmod(place, JOURNAL_SIZE)
        # Before it counts: then the half may be cleared, and something else stand there.
        self._halves[half][offset + _SETTLED_AT] = _SETTLED
        self._settled[half] += 1

    def read(self) -> Iterator[tuple[bytes, bool]]:
        """Give the outcomes of both halves, each with whether it is known to be settled.

        One that is not may be, by a worker that was killed right then.
        """
        for half in self._halves:
            generation, offset = _INTEGER.unpack_from(half)[0], 8
            while offset + _ENTRY_HEADER.size <= JOURNAL_SIZE:
                entry_generation, length, crc = _ENTRY_HEADER.unpack_from(half, offset)
                is_settled = half[offset + _SETTLED_AT] == _SETTLED
                entry_generation &= (1 << 8 * _SETTLED_AT) - 1
                offset += _ENTRY_HEADER.size
                data = bytes(half[offset : offset + length])
                if not length or entry_generation != generation or zlib.crc32(data) != crc:
                    break
                yield data, is_settled
                offset += length

    def _write(self, half: int, data: bytes) -> int:
        offset, header = self._used[half], (self._generations[half], len(data), zlib.crc32(data))
        entry = _ENTRY_HEADER.pack(*header) + data
        self._used[half] = end = offset + len(entry)
        self._halves[half][offset:end] = entry
        self._written[half] += 1
        return offset

    def _clear(self, half: int) -> None:
        self._generations[half] += 1
        _INTEGER.pack_into(self._halves[half], 0, self._generations[half])
        self._used[half] = 8
