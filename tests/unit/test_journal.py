"""The journal: what a killed worker had finished and not settled stands in it."""

from collections.abc import Callable

import pytest

from django_q.cluster.journal import _COMMON_SIZE, JOURNAL_SIZE, Journal


@pytest.fixture
def memory() -> bytearray:
    return bytearray(2 * JOURNAL_SIZE)


@pytest.fixture
def journal(memory: bytearray) -> Journal:
    return Journal(memoryview(memory))


@pytest.fixture
def left(memory: bytearray) -> Callable[[], list[bytes]]:
    """What another process reads."""
    return lambda: [data for data, _ in Journal(memoryview(memory)).read()]


def test_outcomes_are_read_in_their_order(
    journal: Journal, left: Callable[[], list[bytes]]
) -> None:
    places = [journal.append(b"outcome %d" % number) for number in range(50)]

    assert left() == [b"outcome %d" % number for number in range(50)]
    assert set(map(half_of, places)) == {0}


def half_of(place: int | None) -> int:
    """Give the half that an outcome stands in."""
    assert place is not None
    return place // JOURNAL_SIZE


def test_what_is_settled_is_told_from_what_is_not(journal: Journal, memory: bytearray) -> None:
    places = [journal.append(b"outcome %d" % number) for number in range(3)]
    assert places[1] is not None

    journal.settle(places[1])

    read = list(Journal(memoryview(memory)).read())
    assert read == [(b"outcome 0", False), (b"outcome 1", True), (b"outcome 2", False)]


def test_what_comes_in_the_place_of_something_settled_is_not(
    journal: Journal, memory: bytearray
) -> None:
    settled = journal.append(b"settled")
    assert settled is not None
    journal.settle(settled)

    assert journal.append(b"another") == settled

    assert list(Journal(memoryview(memory)).read()) == [(b"another", False)]


def test_what_is_settled_makes_room(journal: Journal, left: Callable[[], list[bytes]]) -> None:
    large = b"x" * (JOURNAL_SIZE // 4)

    for number in range(100):
        place = journal.append(b"%03d" % number + large)
        assert place is not None
        journal.settle(place)

    assert b"099" in {outcome[:3] for outcome in left()}
    assert len(left()) <= 6


def test_the_second_half_is_used_while_the_first_is_being_settled(journal: Journal) -> None:
    large = b"x" * (JOURNAL_SIZE // 3)

    places = [journal.append(large) for _ in range(4)]

    assert list(map(half_of, places)) == [0, 0, 1, 1]


def test_without_room_nothing_is_lost_or_changed(
    journal: Journal, left: Callable[[], list[bytes]]
) -> None:
    large = b"x" * (JOURNAL_SIZE // 3)
    for _ in range(4):
        journal.append(large)

    assert journal.append(large) is None
    assert journal.append(b"small") is not None

    assert sorted(left()) == sorted([large] * 4 + [b"small"])


def test_small_ones_keep_to_the_beginning_of_each_half_while_there_is_room(
    journal: Journal, left: Callable[[], list[bytes]]
) -> None:
    small = b"x" * (_COMMON_SIZE // 3)

    places = [journal.append(small) for _ in range(4)]
    more = [journal.append(small) for _ in range(4)]

    assert all(place is not None and place % JOURNAL_SIZE < _COMMON_SIZE for place in places)
    assert all(place is not None for place in more)
    assert left() == [small] * 8


def test_large_ones_have_room_for_a_batch(
    journal: Journal, left: Callable[[], list[bytes]]
) -> None:
    # Arguments of 100,000 bytes in base64, and a small one among them.
    large = b"x" * 134_000

    places = [journal.append(large) for _ in range(7)] + [journal.append(b"small")]
    places += [journal.append(large) for _ in range(7)]

    assert None not in places
    assert sorted(left()) == sorted([large] * 14 + [b"small"])


def test_more_than_half_of_it_does_not_fit_at_all(journal: Journal) -> None:
    assert journal.append(b"x" * JOURNAL_SIZE) is None


def test_a_half_is_used_again_only_when_all_of_it_is_settled(
    journal: Journal, left: Callable[[], list[bytes]]
) -> None:
    large = b"x" * (JOURNAL_SIZE // 3)
    first, second, *_ = [journal.append(large) for _ in range(4)]
    assert first is not None and second is not None

    journal.settle(first)
    assert journal.append(large) is None

    journal.settle(second)
    assert journal.append(large[1:]) == first
    assert sorted(left()) == sorted([large[1:], large, large])


@pytest.mark.parametrize("place", [8, 16, 20, 24, 30])
def test_a_torn_entry_ends_the_reading(
    journal: Journal, memory: bytearray, left: Callable[[], list[bytes]], place: int
) -> None:
    journal.append(b"first outcome")
    first = 16 + len(b"first outcome")
    journal.append(b"second outcome")

    memory[place + first] ^= 0xFF

    assert left() == [b"first outcome"]


def test_empty_memory_holds_nothing(left: Callable[[], list[bytes]]) -> None:
    assert left() == []
