"""What the benchmarks run."""


def noop() -> None:
    """Do nothing: all that is measured is the queue."""
