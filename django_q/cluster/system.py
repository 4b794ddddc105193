"""Signals and processes, with what Windows lacks passed over. Standard library only.

There a worker has no process group, nobody takes a signal to end in order (the scoreboard says that
the cluster stops), and there is no alarm, so no soft limit. None of that is tested there.
"""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator

#: The system has signals that processes can take, block and send.
HAS_SIGNALS = hasattr(signal, "pthread_sigmask")
#: What ends a process whatever it does: where there are no signals, each that is sent does.
SIGKILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)


def block_signals(numbers: Iterable[int]) -> None:
    """Keep signals from this thread."""
    if HAS_SIGNALS:
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def unblock_signals(numbers: Iterable[int]) -> None:
    """Let signals come to this thread."""
    if HAS_SIGNALS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


@contextlib.contextmanager
def leaving_nothing_open() -> Iterator[None]:
    """Close the files that the block has opened if it raises OSError. Where no other thread runs.

    `multiprocessing` leaves four pipes open each time the system refuses to fork.
    """
    before = _open_files()
    try:
        yield
    except OSError:
        # New ones get the lowest free numbers. Listing them again would need a free one.
        for number in range(max(before) + 5) if before else ():
            if number not in before:
                with contextlib.suppress(OSError):
                    os.close(number)
        raise


def _open_files() -> set[int]:
    """Give the numbers of all open files; none where the system does not tell, or is short too."""
    try:
        listed = {int(name) for name in os.listdir("/dev/fd")}
    except OSError:
        return set()
    return {number for number in listed if _is_open(number)}  # the listing's own is closed


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def lead_group() -> None:
    """Make this process the first of a group of its own, with all that it will start."""
    if HAS_SIGNALS:
        os.setpgid(0, 0)


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may just have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def ask_to_end(pid: int) -> None:
    """Tell a process to end in order, where a signal can; it hears of it otherwise, too."""
    if HAS_SIGNALS:
        send(pid, signal.SIGTERM)


def kill_group(pid: int) -> None:
    """Kill a process with all that it has started."""
    if HAS_SIGNALS:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, SIGKILL)
    # It may not have come to make a group of its own.
    send(pid, SIGKILL)


def is_alive(pid: int) -> bool:
    """Tell whether a process exists; where that cannot be asked, that it does."""
    if not HAS_SIGNALS:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
