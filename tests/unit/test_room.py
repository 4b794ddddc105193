"""How many packages a worker takes: few of slow ones, many of quick ones."""

from collections.abc import Callable
from typing import Any

import pytest

from django_q.brokers import Broker
from django_q.brokers.memory import Memory
from django_q.cluster import room as room_module
from django_q.cluster.room import Room, count_places
from tests.unit.clock import Clock

Configure = Callable[..., Any]


class Plain(Broker):
    """A broker without receipts, as Django Q's for Redis."""

    def enqueue(self, task: str) -> str:
        return ""

    def dequeue(self) -> None:
        return None


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, q_cluster: Configure) -> Clock:
    q_cluster()
    made = Clock()
    monkeypatch.setattr(room_module, "time", made)
    return made


def fill(room: Room, clock: Clock, rounds: int, took: float) -> list[int]:
    """Lease full batches, each of which takes so long; give their sizes."""
    sizes = []
    for _ in range(rounds):
        size = room.wanted(0, 0, 0.0)
        room.leased(size, size)
        clock.now += took
        sizes.append(size)
    return sizes


def test_it_begins_with_one() -> None:
    assert Room(Memory()).wanted(0, 0, 0.0) == 1


class Metered(Memory):
    """A broker whose calls are paid for."""

    is_metered = True


def test_where_calls_are_paid_for_a_batch_may_take_longer(clock: Clock) -> None:
    assert fill(Room(Metered()), clock, 4, 0.4) == [1, 2, 4, 8]
    assert fill(Room(Memory()), clock, 4, 0.4) == [1, 1, 1, 1]
    room = Room(Metered())
    fill(room, clock, 4, 0.4)
    assert room.wanted(0, 0, 0.6) == 0


def test_quick_batches_make_room_for_larger_ones(clock: Clock) -> None:
    assert fill(Room(Memory()), clock, 11, 0.01) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 400, 400]


def test_slow_batches_take_room_away(clock: Clock) -> None:
    room = Room(Memory())
    fill(room, clock, 10, 0.01)

    assert fill(room, clock, 10, 0.5) == [400, 200, 100, 50, 25, 12, 6, 3, 1, 1]


def test_a_batch_that_was_not_full_says_nothing_about_the_pace(clock: Clock) -> None:
    room = Room(Memory())
    fill(room, clock, 4, 0.01)

    before = room.wanted(0, 0, 0.0)
    room.leased(before, before - 1)
    clock.now += 60

    assert room.wanted(0, 0, 0.0) == before


def test_the_next_batch_is_asked_for_before_the_last_is_used_up(clock: Clock) -> None:
    room = Room(Memory())
    fill(room, clock, 5, 0.01)
    room.leased(16, 16)

    assert room.low_water == 8
    assert room.wanted(9, 9, 0.001) == 0
    assert room.wanted(8, 8, 0.001) == 32 - 8


def test_nothing_is_taken_ahead_behind_a_slow_task(clock: Clock) -> None:
    room = Room(Memory())
    fill(room, clock, 6, 0.01)

    clock.now += 0.11
    assert room.wanted(0, 1, 0.12) == 0

    assert room.wanted(0, 0, 0.0) == 1


def test_nothing_is_taken_ahead_before_the_pace_is_known(clock: Clock) -> None:
    room = Room(Memory())
    room.leased(room.wanted(0, 0, 0.0), 1)

    assert room.wanted(0, 1, 0.001) == 0
    assert room.wanted(0, 0, 0.0) == 2


@pytest.mark.parametrize("cap", ["bulk", "queue_limit"])
def test_the_old_caps_hold_when_they_are_set(clock: Clock, q_cluster: Configure, cap: str) -> None:
    q_cluster(**{cap: 5})

    assert max(fill(Room(Memory()), clock, 10, 0.01)) == 5


def test_what_is_held_counts_for_the_limit_of_the_queue(clock: Clock, q_cluster: Configure) -> None:
    q_cluster(queue_limit=5)
    room = Room(Memory())
    fill(room, clock, 6, 0.01)

    assert room.wanted(0, 3, 0.0) == 2
    assert room.wanted(0, 9, 0.0) == 0


def test_caps_that_are_not_set_cap_nothing(clock: Clock, q_cluster: Configure) -> None:
    q_cluster(workers=1, queue_limit=None)

    assert max(fill(Room(Memory()), clock, 10, 0.01)) == 400


def test_without_renewal_packages_come_one_at_a_time(clock: Clock) -> None:
    room = Room(Plain())

    assert fill(room, clock, 5, 0.001) == [1, 1, 1, 1, 1]
    assert room.wanted(0, 1, 0.001) == 0
    assert room.wanted(1, 1, 0.0) == 0


# Several places.


def test_it_begins_with_one_for_each_place() -> None:
    assert Room(Memory(), 16).wanted(0, 0, 0.0, 16) == 16


def test_no_more_are_taken_than_places_are_free_while_the_pace_is_unknown(clock: Clock) -> None:
    room = Room(Memory(), 16)
    room.leased(room.wanted(0, 0, 0.0, 16), 16)

    assert room.wanted(0, 16, 0.001, 0) == 0
    clock.now += 0.2  # slow ones
    assert room.wanted(0, 13, 0.0, 3) == 3
    assert room.wanted(2, 15, 0.0, 3) == 1


def test_quick_tasks_in_several_places_make_room_too(clock: Clock) -> None:
    room = Room(Memory(), 16)
    room.leased(room.wanted(0, 0, 0.0, 16), 16)
    clock.now += 0.05

    assert room.wanted(0, 15, 0.0, 1) == 32
    assert room.wanted(0, 16, 0.12, 0) == 0  # all places are taken, and for long
    assert room.wanted(0, 15, 0.0, 1) == 1


def test_more_places_than_room_are_filled_all_the_same(clock: Clock) -> None:
    room = Room(Memory(), 500)

    assert room.wanted(0, 0, 0.0, 500) == 500
    room.leased(500, 500)
    clock.now += 0.01
    assert room.wanted(0, 0, 0.0, 500) == 500


def test_without_renewal_each_free_place_has_one(clock: Clock) -> None:
    room = Room(Plain(), 4)
    room.leased(room.wanted(0, 0, 0.0, 4), 4)
    clock.now += 0.01

    assert room.wanted(0, 0, 0.0, 4) == 4
    assert room.wanted(0, 3, 0.0, 1) == 1
    assert room.wanted(1, 4, 0.0, 1) == 0
    assert room.wanted(0, 4, 0.001, 0) == 0


def test_a_lower_limit_of_the_queue_leaves_no_place_empty(q_cluster: Configure) -> None:
    q_cluster(queue_limit=2)

    assert Room(Memory(), 16).wanted(0, 0, 0.0, 16) == 16


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ({}, 1),
        ({"threads": 1, "async_concurrency": 1}, 1),
        ({"threads": 16}, 16),
        ({"async_concurrency": 100}, 100),
        ({"threads": 16, "async_concurrency": 100}, 116),
    ],
)
def test_places_are_for_threads_and_for_coroutines(
    q_cluster: Configure, values: dict[str, int], places: int
) -> None:
    q_cluster(**values)

    assert count_places() == places
