"""What is fuzzed: a name, real inputs, how to make others of them, and what may come of one."""

import contextlib
import dataclasses
import random
import re
from collections.abc import Callable, Sequence

from tests.fuzz.mutations import LARGEST, changed_bytes

#: What a text quotes, and numbers with what hangs on them.
_QUOTED = re.compile(r"(['\"]).*\1|\S*\d\S*", re.DOTALL)


class Finding(Exception):
    """An outcome that nobody documented."""


@dataclasses.dataclass(frozen=True)
class Target:
    """One reader of text that others wrote."""

    name: str
    #: Part of all inputs that it gets, in hundredths.
    share: int
    #: Inputs to begin with, most of them good ones.
    seeds: Sequence[bytes]
    #: Reads an input; gives the name of the outcome. Any exception is a finding.
    read: Callable[[bytes], str]
    #: Words that mean something to it.
    tokens: Sequence[bytes] = (b"\0",)
    #: Makes an input of its own kind; None: only bytes are changed.
    make: Callable[[random.Random], bytes] | None = None

    def input(self, chance: random.Random, pool: Sequence[bytes]) -> bytes:
        """Make one input."""
        if self.make is not None and chance.random() < 0.6:
            # What cannot be written as JSON, or at all.
            with contextlib.suppress(TypeError, ValueError):
                return self.make(chance)[:LARGEST]
        data = chance.choice(pool)
        if chance.random() < 0.1:
            other = chance.choice(pool)
            data = data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]
        return changed_bytes(chance, data, self.tokens)


def outcome_of(error: Exception) -> str:
    """Name an outcome that is a documented error, with its words but for what they quote."""
    text = _QUOTED.sub("", str(error)[:1000])
    words = "".join(char if char.isalpha() else " " for char in text).split()
    return f"{type(error).__name__}: {' '.join(words[:12])}"
