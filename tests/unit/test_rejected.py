"""Packages that were refused are kept, whatever is in them."""

import pytest

from django_q.models import Rejected
from django_q.results import rejected
from django_q.results.rejected import Rejection
from tests.site import databases


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
@pytest.mark.parametrize("reason", ["a\0b", "\ud800", "\N{GRINNING FACE}"])
def test_any_reason_is_kept(database: str, reason: str) -> None:
    rejected.keep(Rejection("q", "payload", reason, "r"))

    assert Rejected.objects.count() == 1


def test_any_payload_is_kept_once(database: str) -> None:
    for _ in range(2):
        rejected.keep(Rejection("q", "pay\ud800load\0", "why", "r"))

    assert Rejected.objects.get().payload == "pay\\ud800load\\0"
