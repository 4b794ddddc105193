"""Names made from ids."""

import re
from uuid import RFC_4122, UUID

import pytest

from django_q.humanhash import DEFAULT_HASHER, DEFAULT_WORDLIST, HumanHasher, humanize, uuid


def test_there_is_a_word_for_every_byte() -> None:
    assert len(DEFAULT_WORDLIST) == len(set(DEFAULT_WORDLIST)) == 256
    assert all(re.fullmatch("[a-z]{3,9}", word) for word in DEFAULT_WORDLIST)


def test_an_id_is_32_hex_digits_and_its_name_four_words() -> None:
    human, digest = uuid()

    assert re.fullmatch("[0-9a-f]{32}", digest)
    assert human == humanize(digest)
    assert len(human.split("-")) == 4


def test_an_id_is_that_of_a_random_uuid() -> None:
    ids = [UUID(uuid()[1]) for _ in range(200)]

    assert {(id.version, id.variant) for id in ids} == {(4, RFC_4122)}
    # All bits but those that say so.
    either, both = 0, 2**128 - 1
    for id in ids:
        either, both = either | id.int, both & id.int
    assert (either ^ both).bit_count() == 122


def test_the_names_of_ids_are_folded_as_all_names() -> None:
    for _ in range(200):
        human, digest = uuid()
        folded = HumanHasher.compress(bytes.fromhex(digest), 4)
        assert human == "-".join(DEFAULT_WORDLIST[value] for value in folded)


def test_ids_differ() -> None:
    assert len({uuid()[1] for _ in range(1000)}) == 1000


def test_a_name_can_have_other_lengths_and_separators() -> None:
    human, digest = uuid(words=2, separator=" ")

    assert human == humanize(digest, 2, " ")
    assert len(human.split(" ")) == 2


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
