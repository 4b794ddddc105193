"""Names made from ids."""

import re
import time
from collections.abc import Callable
from uuid import RFC_4122, UUID

import pytest

from django_q.humanhash import (
    DEFAULT_HASHER,
    DEFAULT_WORDLIST,
    HumanHasher,
    humanize,
    uuid,
    uuids,
)

Draw = Callable[[int], list[tuple[str, str]]]

#: Both ways to draw ids.
both_ways = pytest.mark.parametrize(
    "draw", [lambda count: [uuid() for _ in range(count)], uuids], ids=["singly", "together"]
)


def test_there_is_a_word_for_every_byte() -> None:
    assert len(DEFAULT_WORDLIST) == len(set(DEFAULT_WORDLIST)) == 256
    assert all(re.fullmatch("[a-z]{3,9}", word) for word in DEFAULT_WORDLIST)


@both_ways
def test_an_id_is_32_hex_digits_and_its_name_four_words(draw: Draw) -> None:
    ((human, digest),) = draw(1)

    assert re.fullmatch("[0-9a-f]{32}", digest)
    assert human == humanize(digest[16:])
    assert len(human.split("-")) == 4


@both_ways
def test_an_id_is_a_uuid_of_the_moment(draw: Draw) -> None:
    before = time.time_ns() // 10**6
    ids = [UUID(digest) for _, digest in draw(200)]
    after = time.time_ns() // 10**6

    assert {(id.version, id.variant) for id in ids} == {(7, RFC_4122)}
    assert all(before <= id.int >> 80 <= after for id in ids)
    # All bits of its second half but those of the variant.
    either, both = 0, 2**64 - 1
    for id in ids:
        either, both = either | id.int, both & id.int
    assert ((either ^ both) & (2**64 - 1)).bit_count() == 62


def test_ids_are_in_the_order_in_which_they_were_drawn() -> None:
    ids = []
    for _ in range(100):
        ids.append(uuid()[1])
        # A clock's tick, and the part of a millisecond that an id can tell apart.
        tick = time.time_ns()
        while time.time_ns() < tick + 500:
            pass

    assert ids == sorted(ids)


def test_ids_that_are_drawn_together_rise() -> None:
    ids = [digest for _, digest in uuids(1000)]

    assert ids == sorted(ids)


@both_ways
def test_names_are_folded_from_the_random_half(draw: Draw) -> None:
    for human, digest in draw(200):
        folded = HumanHasher.compress(bytes.fromhex(digest[16:]), 4)
        assert human == "-".join(DEFAULT_WORDLIST[value] for value in folded)


@both_ways
def test_names_of_the_same_moment_share_no_word_more_than_chance_has_it(draw: Draw) -> None:
    names = [name.split("-") for name, _ in draw(2000)]

    for place in range(4):
        assert len({name[place] for name in names}) > 240


@both_ways
def test_ids_differ(draw: Draw) -> None:
    assert len({digest for _, digest in draw(1000)}) == 1000


def test_no_ids_are_none() -> None:
    assert uuids(0) == []


def test_a_name_can_have_other_lengths_and_separators() -> None:
    human, digest = uuid(words=2, separator=" ")

    assert human == humanize(digest[16:], 2, " ")
    assert len(human.split(" ")) == 2
    assert len(uuid(words=16)[0].split("-")) == 16


def test_each_word_folds_an_equal_stretch_and_the_last_one_the_rest() -> None:
    values = [1, 2, 4, 8, 16, 32, 64]

    assert HumanHasher.compress(values, 1) == [127]
    assert HumanHasher.compress(values, 3) == [1 ^ 2, 4 ^ 8, 16 ^ 32 ^ 64]
    assert HumanHasher.compress(values, 7) == values


@pytest.mark.parametrize("target", [0, -1, 3])
def test_too_few_bytes_are_refused(target: int) -> None:
    with pytest.raises(ValueError, match="cannot be folded"):
        HumanHasher.compress([1, 2], target)


def test_what_is_not_hexadecimal_is_refused() -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        humanize("no digest at all")


def test_a_digit_without_a_partner_is_left_out() -> None:
    assert humanize("00ff00ff1") == humanize("00ff00ff")


def test_capital_digits_mean_the_same() -> None:
    assert humanize("DEADBEEF") == humanize("deadbeef")


def test_a_word_list_of_ones_own_is_used() -> None:
    hasher = HumanHasher([str(number) for number in range(256)])

    assert hasher.humanize("00ff10", words=3) == "0-255-16"


@pytest.mark.parametrize("count", [0, 255, 257])
def test_a_word_list_needs_256_words(count: int) -> None:
    with pytest.raises(ValueError, match=str(count)):
        HumanHasher(["word"] * count)


def test_the_functions_are_those_of_the_default_hasher() -> None:
    assert DEFAULT_HASHER.wordlist is DEFAULT_WORDLIST
    assert humanize("00010203") == "-".join(DEFAULT_WORDLIST[:4])
