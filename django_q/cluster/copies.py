"""One tuple of plain values in shared memory that is whole whenever its writer is killed.

It is written in turn to two copies, each with sequence number, length and CRC-32, so that the older
copy is whole while the newer is torn, and a torn one shows. Standard library only.
"""

import struct
import zlib
from typing import Any

from django_q import plain_values

_COPY_HEADER = struct.Struct("<QII")  # sequence number, length, crc


class Copies:
    """One tuple of plain values in two alternating copies."""

    def __init__(self, view: memoryview, size: int) -> None:
        self._size = size
        self._halves = (view[:size], view[size : 2 * size])
        self._sequence = max(sequence for sequence, _ in self._read_all() + [(0, b"")])

    def write(self, values: tuple[Any, ...]) -> bool:
        """Write a tuple; False when it does not fit, and then nothing changed."""
        # Bare values: the class of a named tuple would cost as much as all of them.
        data = plain_values.dumps(tuple(values))
        length = len(data)
        if _COPY_HEADER.size + length > self._size:
            return False
        self._sequence = sequence = self._sequence + 1
        header = _COPY_HEADER.pack(sequence, length, zlib.crc32(data, sequence & 0xFFFFFFFF))
        self._halves[sequence % 2][: _COPY_HEADER.size + length] = header + data
        return True

    def read(self) -> tuple[Any, ...]:
        """Give the newest tuple that is whole; an empty one when there is none."""
        copies = self._read_all()
        return plain_values.loads(max(copies)[1]) if copies else ()

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
