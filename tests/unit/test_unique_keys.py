"""Keys that unique tasks make of their arguments: of values, whichever objects and processes."""

import os
import subprocess
import sys
from typing import Any

from django_q.limit_options import unique_key

_KEY = """
import sys
from django_q.limit_options import unique_key
words = "red green blue violet".split()
words.sort(reverse=int(sys.argv[1]))
plain, named = {word: {len(word)} for word in words}, {"deep": [frozenset(words), {"b": 1} ]}
print(unique_key({"unique": True, "args": (set(words), plain), "kwargs": named}, "a.b"))
"""


def test_equal_arguments_make_one_key_whatever_their_order_in_a_process() -> None:
    keys = {
        subprocess.run(
            [sys.executable, "-c", _KEY, str(seed % 2)],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in (1, 2, 3)
    }

    assert len(keys) == 1


def test_other_arguments_make_another_key() -> None:
    values: list[Any] = [
        {1, 2},
        {1, 3},
        [1, 2],
        frozenset((1, 2)),
        {1: 2},
        {2: 1},
        {},
        set(),
        {"1": 2},
    ]

    keys = {unique_key({"unique": True, "args": (one,), "kwargs": {}}, "a.b") for one in values}

    assert len(keys) == len(values)
