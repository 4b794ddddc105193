"""Numbers that were reckoned: how they look, and what they are in JSON and pickles."""

import copy
import json
import pickle

import pytest

from django_q.brokers.estimate import Estimate
from django_q.monitor.text import count_text


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "~0"), (999.4, "~999"), (20_049, "~20,000"), (1_034_567.8, "~1,030,000")],
)
def test_three_digits_are_shown(number: float, shown: str) -> None:
    assert count_text(Estimate.rounded(number)) == shown


def test_what_was_counted_has_no_mark() -> None:
    assert count_text(20_000) == "20,000"


def test_it_stays_what_it_is() -> None:
    number = Estimate(21_000)

    assert json.dumps(number) == "21000"
    assert type(pickle.loads(pickle.dumps(number))) is Estimate
    assert type(copy.deepcopy(number)) is Estimate


def test_a_sum_is_exact_only_if_all_are() -> None:
    assert type(Estimate.sum([1, 2])) is int
    assert type(Estimate.sum([1, Estimate(30_000)])) is Estimate
    assert Estimate.sum(iter([1, Estimate(30_000)])) == 30_001
