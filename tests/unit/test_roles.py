"""What a worker changes in its process before it begins."""

import gc
from collections.abc import Iterator

import pytest

from django_q.cluster import roles


@pytest.fixture(autouse=True)
def threshold() -> Iterator[None]:
    """Leave the collector as it was."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((700, 10, 10), (5000, 10, 10)),
        ((20_000, 5, 100), (20_000, 5, 100)),
        ((0, 10, 10), (0, 10, 10)),
    ],
)
def test_the_collector_looks_less_often_but_never_more_often(
    before: tuple[int, int, int], after: tuple[int, int, int]
) -> None:
    gc.set_threshold(*before)

    roles._relax_collector()

    assert gc.get_threshold() == after
