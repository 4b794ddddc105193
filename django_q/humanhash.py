"""Names that people can say for identifiers that only machines can remember.

Task ids are 32 hex digits that begin with the time; their default names are four words made from
the half that is random.
"""

import functools
import operator
import os
import time
from collections.abc import Iterable, Sequence

#: 256 short words, one for each value of a byte.
DEFAULT_WORDLIST: tuple[str, ...] = tuple(
    """
    acorn agile almond amber anchor anthem apple apricot arbor arch aroma atlas
    attic aurora badge bagel bamboo banjo barley basil basket beacon bell berry
    birch biscuit bloom boat bonnet book bottle bouquet bramble bread breeze brick
    bridge brook broom bubble bucket button cabin cactus camel candle canoe canyon
    carrot castle cedar cello cherry chess chestnut clay cliff clock cloud clover
    cobalt cocoa compass copper coral cotton cove cricket crumb crystal dahlia daisy
    dandy dawn desert diary dolphin dome dove dragon dream drum duckling dune eagle
    easel elbow elder ember engine falcon feather fern fiddle fig finder firefly
    flame flute forest fossil fountain fox gala galaxy garden garnet gazelle ginger
    glacier globe goblet granite grape gravel grove guitar harbor harp harvest
    hazel heather hedge heron hiker hill hollow honey hopper horizon iris ivory ivy
    jacket jasmine jelly jewel jigsaw juniper kayak kettle kite kiwi koala ladder
    lagoon lantern lark laurel lavender leaf lentil lettuce lilac lily linen llama
    lobster locket lotus lynx magnet magpie mallow mandolin mantle maple marble
    meadow melody melon meteor mint mitten moss muffin mustard nectar nest nettle
    noodle nutmeg oak oasis oat ocean olive onyx opal orbit orchard orchid otter
    owl oyster paddle paint palm panda parade parrot peach pebble pelican pepper
    piano pigeon pillow pine planet plum pocket pollen pond poplar poppy prairie
    puffin pumpkin puzzle quartz quill quilt rabbit radish rainbow raven ribbon
    ridge ripple robe rocket rose ruby saddle saffron sail scarf seal shell silver
    sparrow spruce squash star sunrise swan teapot thistle thunder tulip turnip
    valley velvet walnut willow
    """.split()
)


#: What says that a UUID is one of version 7, in its first half; and its variant, in the second.
_VERSION_7, _VARIANT = 7 << 12, 2 << 62
_MILLISECOND = 1_000_000
#: Hex digits of an id that are random, all but two bits.
_RANDOM = 16


class HumanHasher:
    """Turns hex digests into words. Equal digests give equal words; the way back is not kept."""

    def __init__(self, wordlist: Sequence[str] = DEFAULT_WORDLIST) -> None:
        """Take exactly 256 words; any other number is a ValueError."""
        if len(wordlist) != 256:
            raise ValueError(f"The word list has {len(wordlist)} words: a byte needs exactly 256.")
        self.wordlist = wordlist

    def humanize(self, hexdigest: str, words: int = 4, separator: str = "-") -> str:
        """Give `words` words for a digest of at least twice as many hex digits.

        Raises ValueError for a shorter digest and for what is not hexadecimal.
        """
        values = bytes.fromhex(hexdigest[: len(hexdigest) // 2 * 2])
        return separator.join(self.wordlist[value] for value in self.compress(values, words))

    @staticmethod
    def compress(bytes: Iterable[int], target: int) -> list[int]:
        """Fold byte values into `target` values: equal stretches, each combined by exclusive or.

        The last stretch takes what is left over. Raises ValueError if there are too few values.
        """
        values = list(bytes)
        if not 0 < target <= len(values):
            raise ValueError(f"{len(values)} bytes cannot be folded into {target} values.")
        size = len(values) // target
        starts = range(0, size * target, size)
        ends = [*starts[1:], len(values)]
        return [
            functools.reduce(operator.xor, values[start:end])
            for start, end in zip(starts, ends, strict=True)
        ]

    def uuid(self, *, words: int = 4, separator: str = "-") -> tuple[str, str]:
        """Draw an id: the pair `(words, 32 hex digits)`, those of a UUID of version 7.

        The words are `humanize` of its last 16 digits, or of as many more as the words need.
        """
        number = _time_ordered_uuid()
        digest = f"{number:032x}"
        if words == 4:
            return separator.join(self._four_words(number)), digest
        return self.humanize(digest[-max(_RANDOM, 2 * words) :], words, separator), digest

    def uuids(self, count: int) -> list[tuple[str, str]]:
        """Draw several ids as `uuid` does, with four words each: all of them as one number.

        They have one moment, and rise.
        """
        size, head = 8 * count, f"{_moment():016x}"
        variants, others = (
            int.from_bytes(bits.to_bytes(8) * count) for bits in (_VARIANT, 1 << 62)
        )
        number = (int.from_bytes(os.urandom(size)) | variants | others) ^ others
        tails = number.to_bytes(size).hex()
        # As in `_four_words`, what counts is the last byte of each stretch.
        folded = (number ^ number >> 8).to_bytes(size)[1::2]
        words = map(self.wordlist.__getitem__, folded)
        names = map("-".join, zip(words, words, words, words, strict=True))
        starts = range(0, 2 * size, 16)
        drawn = [(name, head + tails[i : i + 16]) for name, i in zip(names, starts, strict=True)]
        drawn.sort(key=operator.itemgetter(1))
        return drawn

    def _four_words(self, number: int) -> tuple[str, str, str, str]:
        """Fold the last eight bytes as `compress` does, all four stretches at once.

        The last byte of each stretch of two takes up the other: every task has such a name.
        """
        number ^= number >> 8
        words = self.wordlist
        first, second = words[number >> 48 & 255], words[number >> 32 & 255]
        return first, second, words[number >> 16 & 255], words[number & 255]


def _time_ordered_uuid() -> int:
    """Draw a UUID of version 7 (RFC 9562, 5.7): the milliseconds, a part of one, 62 random bits.

    What is sent together stands together in an index: with random ids each row would change a page
    of its own, and the more, the more rows there are.
    """
    return _moment() << 64 | _VARIANT | int.from_bytes(os.urandom(8)) >> 2


def _moment() -> int:
    """Give the first half of a UUID of version 7."""
    milliseconds, rest = divmod(time.time_ns(), _MILLISECOND)
    part = (rest << 12) // _MILLISECOND  # method 3 of 6.2
    return milliseconds << 16 | _VERSION_7 | part


DEFAULT_HASHER = HumanHasher()
uuid = DEFAULT_HASHER.uuid
uuids = DEFAULT_HASHER.uuids
humanize = DEFAULT_HASHER.humanize
