"""The journal: what a killed worker had finished and not settled stands in it."""

from collections.abc import Callable

import pytest

from django_q.cluster.journal import JOURNAL_SIZE, Journal


@pytest.fixture
def memory() -> bytearray:
    return bytearray(2 * JOURNAL_SIZE)


@pytest.fixture
def journal(memory: bytearray) -> Journal:
    return Journal(memoryview(memory))


@pytest.fixture
def left(memory: bytearray) -> Callable[[], list[bytes]]:
    """What another process reads."""
    return lambda: list(Journal(memoryview(memory)).read())


def test_outcomes_are_read_in_their_order(
    journal: Journal, left: Callable[[], list[bytes]]
) -> None:
    halves = [journal.append(b"outcome %d" % number) for number in range(50)]

    assert left() == [b"outcome %d" % number for number in range(50)]
    assert len(set(halves)) == 1


def test_what_is_settled_makes_room(journal: Journal, left: Callable[[], list[bytes]]) -> None:
    large = b"x" * (JOURNAL_SIZE // 4)

    for number in range(100):
        half = journal.append(b"%03d" % number + large)
        assert half is not None
        journal.settle(half)

    assert b"099" in {outcome[:3] for outcome in left()}
    assert len(left()) <= 6


def test_the_second_half_is_used_while_the_first_is_being_settled(journal: Journal) -> None:
    large = b"x" * (JOURNAL_SIZE // 3)

    halves = [journal.append(large) for _ in range(4)]

    assert halves == [0, 0, 1, 1]


def test_without_room_nothing_is_lost_or_changed(
    journal: Journal, left: Callable[[], list[bytes]]
) -> None:
    large = b"x" * (JOURNAL_SIZE // 3)
    for _ in range(4):
        journal.append(large)

    assert journal.append(large) is None
    assert journal.append(b"small") is not None

    assert sorted(left()) == sorted([large] * 4 + [b"small"])


def test_more_than_half_of_it_does_not_fit_at_all(journal: Journal) -> None:
    assert journal.append(b"x" * JOURNAL_SIZE) is None


def test_a_half_is_used_again_only_when_all_of_it_is_settled(
    journal: Journal, left: Callable[[], list[bytes]]
) -> None:
    large = b"x" * (JOURNAL_SIZE // 3)
    for _ in range(4):
        journal.append(large)

    journal.settle(0)
    assert journal.append(large) is None

    journal.settle(0)
    assert journal.append(large[1:]) == 0
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
