"""Tells when a file is written to, as the kernel of Linux notes it (inotify), without looking.

What a file system cannot tell comes without an event: memory that is mapped (such as SQLite's
`-shm`), and what another machine does to a file that both have. See inotify(7).
"""

import contextlib
import ctypes
import os
import select
import struct
import sys
import weakref

#: From <sys/inotify.h>: the file was written to; it is watched no more, since it is gone. The flags
#: of the first call have the values of O_NONBLOCK and O_CLOEXEC.
_IN_MODIFY, _IN_IGNORED = 0x2, 0x8000
#: An event of a file: watch, what happened, and two that are for moves and for names.
_EVENT = struct.Struct("iIII")
#: Bytes that are read at once. While an event waits the kernel adds no other that is equal to it.
_ROOM = 64 * _EVENT.size


class FileEvents:
    """Watches one file, by a file descriptor, for one thread of the process that made it.

    Raises OSError when that is not to be had: on other systems, for a file that is not there, or
    where the user has as many watches as the machine allows (`fs.inotify`).
    """

    def __init__(self, path: bytes) -> None:
        if sys.platform != "linux":
            raise OSError("files can be watched on Linux only")
        libc = ctypes.CDLL(None, use_errno=True)
        fd = _checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        #: Ends the watch. Idempotent; it is done, too, when nobody has the object any more.
        self.close = weakref.finalize(self, os.close, fd)
        with contextlib.ExitStack() as if_refused:
            if_refused.callback(self.close)
            _checked(libc.inotify_add_watch(fd, path, _IN_MODIFY))
            if_refused.pop_all()
        #: The file is gone, and with it the watch, even if there is another of this name.
        self.is_over = False
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Wait for something that was written since the last call; False when nothing came.

        True as well when the watch is over.
        """
        if not self._poll.poll(seconds * 1000):
            return False
        with contextlib.suppress(BlockingIOError):  # another thread was quicker
            for _, mask, _, _ in _EVENT.iter_unpack(os.read(self._fd, _ROOM)):
                self.is_over = self.is_over or bool(mask & _IN_IGNORED)
        return True


def _checked(result: int) -> int:
    """Give what a function of the C library gave, unless that tells of an error."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
