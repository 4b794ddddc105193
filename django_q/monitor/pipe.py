"""A reader that has left, as in `qinfo | head`: the end of a command, and no error of it."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def until_the_reader_leaves() -> Iterator[None]:
    """End the block quietly when nobody reads standard output any more."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
