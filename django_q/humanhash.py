"""Names that people can say for identifiers that only machines can remember.

Task ids are 32 hex digits; their default names are four words made from the id.
"""

import functools
import operator
import os
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


#: The bits of version and variant in a UUID, and what they are in one of random digits.
_FIXED, _VERSION_4 = 0xF000 << 64 | 0xC000 << 48, 0x4000 << 64 | 0x8000 << 48


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
        if words == 4 and len(values) == 16:
            return separator.join(self._four_words(int.from_bytes(values)))
        return separator.join(self.wordlist[value] for value in self.compress(values, words))

    def _four_words(self, number: int) -> tuple[str, str, str, str]:
        """Fold 16 bytes as `compress` does, all four stretches at once: every task has such a name.

        The last byte of each stretch of four takes up the other three.
        """
        number ^= number >> 16
        number ^= number >> 8
        words = self.wordlist
        first, second = words[number >> 96 & 255], words[number >> 64 & 255]
        return first, second, words[number >> 32 & 255], words[number & 255]

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
        """Draw a random id: the pair `(words, 32 hex digits)`, those of a UUID of version 4."""
        number = _random_uuid()
        digest = f"{number:032x}"
        if words == 4:
            return separator.join(self._four_words(number)), digest
        return self.humanize(digest, words, separator), digest


def _random_uuid() -> int:
    # As uuid4 (RFC 9562, 5.4), without the object that it makes: 122 random bits, six fixed ones.
    return int.from_bytes(os.urandom(16)) & ~_FIXED | _VERSION_4


DEFAULT_HASHER = HumanHasher()
uuid = DEFAULT_HASHER.uuid
humanize = DEFAULT_HASHER.humanize
