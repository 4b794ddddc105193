"""Which processors a worker may use."""

import multiprocessing
import os
from typing import Any

import pytest

from django_q.cluster.affinity import bind_to_processors, processors_for


@pytest.mark.parametrize(
    ("width", "available", "shares"),
    [
        (1, [0, 1, 2, 3], [[0], [1], [2], [3], [0]]),
        (2, [0, 1, 2, 3], [[0, 1], [2, 3], [0, 1]]),
        (3, [0, 1, 2, 3], [[0, 1, 2], [3, 0, 1], [2, 3, 0]]),
        (4, [0, 1, 2, 3], [[0, 1, 2, 3], [0, 1, 2, 3]]),
        (8, [5, 7], [[5, 7], [5, 7]]),
        (1, [6], [[6], [6]]),
    ],
)
def test_workers_go_round_the_processors(
    width: int, available: list[int], shares: list[list[int]]
) -> None:
    assert [processors_for(n, width, available) for n in range(len(shares))] == shares


def _bind(position: int, sender: Any) -> None:
    bind_to_processors(position, 1, os.getpid())
    sender.send(os.sched_getaffinity(0))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot")
def test_a_process_is_bound_to_its_share() -> None:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    available = sorted(os.sched_getaffinity(0))
    process = context.Process(target=_bind, args=(1, sender))

    process.start()
    process.join()

    assert receiver.recv() == {available[1 % len(available)]}
    assert sorted(os.sched_getaffinity(0)) == available


def test_nothing_is_done_where_the_system_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)

    bind_to_processors(0, 1, os.getpid())
