"""Memory that the processes of a cluster share, all zeros at first. Standard library only.

What nobody has written takes no room, and what is wiped is given back to the system where it can.
"""

import mmap
import multiprocessing.context
import multiprocessing.sharedctypes
from ctypes import c_char
from typing import Any

#: Linux: the pages are taken out of the mapping, and read as zeros from then on (man 2 madvise).
_MADV_REMOVE = getattr(mmap, "MADV_REMOVE", -1)


class SharedMemory:
    """So many bytes; goes to children through the arguments of their process."""

    def __init__(self, context: multiprocessing.context.BaseContext, size: int) -> None:
        self._memory: Any
        if context.get_start_method() == "fork":
            self._memory = mmap.mmap(-1, size)
        else:
            # It can be handed over, and is written through when it is made.
            self._memory = multiprocessing.sharedctypes.RawArray(c_char, size)

    def view(self) -> memoryview:
        """Give all of it, as bytes."""
        return memoryview(self._memory).cast("B")

    def wipe(self, start: int, size: int) -> None:
        """Make a part zeros. One that begins and ends with a page takes no room then."""
        if _MADV_REMOVE >= 0 and isinstance(self._memory, mmap.mmap):
            try:
                self._memory.madvise(_MADV_REMOVE, start, size)
            except OSError:  # not of whole pages, or a system that emulates Linux
                pass
            else:
                return
        self.view()[start : start + size] = bytes(size)


def whole_pages(size: int) -> int:
    """Round a size up to pages."""
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
