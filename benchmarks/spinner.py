"""A bare process: runs so many tasks of `cpu` in a loop, when it is told to go on.

python -m benchmarks.spinner FIRST COUNT
"""

import os
import signal
import sys

from benchmarks.tasks import spin


def main() -> None:
    """Stop, and work when SIGCONT comes."""
    first, count = map(int, sys.argv[1:])
    os.kill(os.getpid(), signal.SIGSTOP)
    for number in range(first, first + count):
        spin(number)


if __name__ == "__main__":
    main()
